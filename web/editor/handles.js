/** Points to take hold of: a hand on a mouth's corner, a brow, a lid or the chin changes the expression, one before the eyes the gaze. */
import { el, marked } from "./dom.js";
import { alongPlane, looked, nudgedGaze, targetOf } from "./gaze_target.js";
import { apply, transpose } from "./head_math.js";
import { stepAsked } from "./keys.js";
import { bounded, GAZE, rounded, starts } from "./pose_values.js";
import { TEXT } from "./text.js";

const UNIT_METRES = 0.42;            // spanned by the picture's shorter side at scale 1: pivot.py
const TURNED_AWAY = 0.015;           // metres towards the viewer from the head's middle: points behind that are out of sight
const LEAST_PIXELS = 150;            // of the screen, of a head's square: in a smaller one the points lie over each other
/** Metres along the person's left and up that change a pair of amounts, [more, less], by one; side: of the face, 1 the person's left. */
const PULLS = {
  mouth_right: { side: -1, across: [["wide_mouth", "pucker"], 0.012], up: [["smile", "frown"], 0.012] },
  mouth_left: { side: 1, across: [["wide_mouth", "pucker"], 0.012], up: [["smile", "frown"], 0.012] },
  brow_right: { side: -1, up: [["brows_up", "brows_down"], 0.01] },
  brow_left: { side: 1, up: [["brows_up", "brows_down"], 0.01] },
  lid_right: { side: -1, down: ["blink_right", 0.01] },
  lid_left: { side: 1, down: ["blink_left", 0.01] },
  gaze: {},                          // see gaze_target.js
  chin: { side: 1, across: [["jaw_left", "jaw_right"], 0.014], down: ["jaw_degrees", 0.0015] },
};

const LOOK = 2;                      // degrees of one key press
const PAUSE = 500;                   // milliseconds that end a row of key presses
const STRAIGHT = new Set(["Home", "Delete", "Backspace"]);      // keys that reset the gaze

const put = (name, value) => ({ [name]: bounded(name, rounded(value)) });

/** Two amounts that are one thing with two directions. */
function pulled(values, [[more, less], metres], way) {
  const amount = values[more] - values[less] + way / metres;
  return { ...put(more, Math.max(0, amount)), ...put(less, Math.max(0, -amount)) };
}

/** What changes when a point is drawn along [to the person's left, up], metres, from where these values have it. */
export function drawn(name, values, [left, up]) {
  const { side, across, up: rises, down } = PULLS[name];
  return { ...(across ? pulled(values, across, left * side) : {}), ...(rises ? pulled(values, rises, up) : {}),
    ...(down ? put(down[0], values[down[0]] - up / down[1]) : {}) };
}

/** Where a point of the head lies in the picture, pixels; null where the head itself hides it. */
function onPicture(point, { root, pivot }, { turn, map }) {
  const [x, y] = apply(turn, point.map((value, k) => value - root[k])), X = x + root[0], Y = y + root[1];
  const towards = apply(turn, point.map((value, k) => value - pivot[k]))[2];
  return towards < TURNED_AWAY ? null : [map[0] * X + map[1] * Y + map[2], map[3] * X + map[4] * Y + map[5]];
}

export class Handles {
  #actions;
  #stage;
  #points;
  #start = null;

  /** @param {import("./actions.js").Actions} actions; @param {import("./stage.js").Stage} stage */
  constructor(actions, stage) {
    this.#actions = actions;
    this.#stage = stage;
    this.#points = Object.fromEntries(Object.keys(PULLS).map((name) => [name, this.#point(name)]));
    this.element = el("div", { class: "caphuman-handles", hidden: true }, ...Object.values(this.#points));
  }

  #point(name) {
    const release = () => this.#release();
    const point = el("div", { class: "caphuman-handle", ...marked(`handle-${name}`, TEXT.handles[name]), onpointerdown: (event) => this.#press(event),
      onpointermove: (event) => this.#move(event, name), onpointerup: release, onpointercancel: release, onlostpointercapture: release });
    return name === "gaze" ? this.#withKeys(point) : point;
  }

  /** The point before the eyes takes the keyboard (by a text input, as in keys.js), and a double-click sets it back. */
  #withKeys(point) {
    point.classList.add("caphuman-gaze");
    point.addEventListener("dblclick", (event) => { event.stopPropagation(); this.#lookAhead(); });
    point.append(el("input", { type: "text", readonly: true, inputmode: "none", class: "caphuman-keys", role: "application",
      "aria-label": TEXT.handles.gaze, onkeydown: (event) => this.#onKey(event) }));
    return point;
  }

  #onKey(event) {
    const step = stepAsked(event), looking = nudgedGaze(this.#actions.read(), event.key, LOOK);
    if (event.key === "Tab" || (!step && (event.ctrlKey || event.metaKey || event.altKey))) return;
    event.stopPropagation();             // Delete and letters are no shortcuts of the graph here
    if (step) this.#actions[step]();
    else if (looking) this.#actions.nudge(looking, PAUSE);
    else if (STRAIGHT.has(event.key)) this.#lookAhead();
    else return;
    event.preventDefault();
  }

  #lookAhead() {
    this.#actions.settle();              // a row of key presses before it is a step of its own
    this.#actions.put(starts(GAZE));
  }

  #press(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.setPointerCapture(event.pointerId);
    event.target.querySelector("input")?.focus({ preventScroll: true });
    this.#start = { x: event.clientX, y: event.clientY, values: this.#actions.read() };
  }

  #move(event, name) {
    if (!this.#start) return;
    const { turn, scale } = this.#stage.place, metres = UNIT_METRES / this.#stage.shortPixels / scale;
    const way = [(event.clientX - this.#start.x) * metres, (this.#start.y - event.clientY) * metres], { values } = this.#start;
    this.#actions.drag(name === "gaze" ? looked(this.#stage.head, values, alongPlane(turn, way))
      : drawn(name, values, apply(transpose(turn), [...way, 0])));
  }

  #release() {
    if (!this.#start) return;
    this.#start = null;
    this.#actions.settle();
  }

  /** Lays the points over the view, or hides them. */
  show(visible) {
    const { shape, place, head } = this.#stage;
    this.element.hidden = !visible || !shape?.handles || !place || this.#stage.shortPixels * place.scale < LEAST_PIXELS;
    if (this.element.hidden) return;
    const points = { ...shape.handles, gaze: targetOf(head, shape, this.#actions.read()) };
    for (const [name, point] of Object.entries(this.#points)) {
      const at = onPicture(points[name], shape, place), [left, top] = at ? this.#stage.percent(at) : [-1, -1];
      point.hidden = left < 0 || top < 0 || left > 100 || top > 100;
      Object.assign(point.style, { left: `${left}%`, top: `${top}%` });
    }
  }
}
