/**
 * Landmarks of the head that comes in, over its photo: a hand draws one to where it is, and the head follows when it lets go.
 * The keyboard does the same: it rests on an invisible text input in the point (see keys.js).
 */
import { el, marked } from "./dom.js";
import { ARROWS, looked, stepAsked } from "./keys.js";
import { TEXT } from "./text.js";

/** Name -> place of the widget's text, shares of the picture's sides; nothing of what cannot be read. */
export function pinsOf(text) {
  try {
    return JSON.parse(text || "{}") ?? {};
  } catch {
    return {};
  }
}

const FAR = 10;                      // steps of an arrow key with Shift and Alt
const PAUSE = 500;                   // milliseconds that end a row of key presses
const LET_GO = new Set(["Delete", "Backspace"]);

export class Points {
  #actions;
  #stage;
  #dots = {};                          // name -> element
  #held = null;                        // { name, x, y, at }: where the hand took hold, and of what, picture pixels
  #let = null;                         // { name, at, points }: stays where it was let go until other points have come
  #points = null;
  #pins = {};

  /** @param {import("./actions.js").Actions} actions; @param {import("./stage.js").Stage} stage */
  constructor(actions, stage) {
    this.#actions = actions;
    this.#stage = stage;
    this.element = el("div", { class: "caphuman-handles", hidden: true });
  }

  #dot(name) {
    const end = () => this.#release();
    const dot = el("div", { class: "caphuman-handle caphuman-point", ...marked(`point-${name}`, TEXT.pointHint), onpointerdown: (event) => this.#press(event, name),
      onpointermove: (event) => this.#move(event), onpointerup: end, onpointercancel: end, onlostpointercapture: end,
      ondblclick: (event) => { event.stopPropagation(); this.#actions.correct(name, null); } }, this.#keys(name));
    this.element.append(dot);
    return dot;
  }

  #keys(name) {
    return el("input", { type: "text", readonly: true, inputmode: "none", class: "caphuman-keys", role: "application",
      "aria-label": TEXT.pointLabel(TEXT.pointNames[name]), onkeydown: (event) => this.#onKey(event, name),
      onkeyup: () => this.#actions.compare(false), onblur: () => this.#left() });
  }

  #onKey(event, name) {
    const step = stepAsked(event), arrow = ARROWS[event.key], modified = event.ctrlKey || event.metaKey || (event.altKey && !event.shiftKey);
    if (event.key === "Tab" || (modified && !step)) return;
    event.stopPropagation();             // Delete and letters are no shortcuts of the graph here
    if (step) this.#actions[step]();
    else if (arrow && event.shiftKey) this.#nudge(name, arrow, event.altKey ? FAR : 1);
    else if (arrow) this.#choose(name, arrow);
    else if (LET_GO.has(event.key)) this.#forget(name);
    else if (event.key === "Escape") this.#leave();
    else if (!looked(event, this.#actions)) return;
    event.preventDefault();
  }

  /** Moves a point by steps of a pixel of the photo, or of the screen where that is more. */
  #nudge(name, [right, down], steps) {
    const { head, shortPixels } = this.#stage, pixels = steps * Math.max(1, Math.min(head.width, head.height) / shortPixels);
    const pin = this.#pins[name], [x, y] = this.#let?.name === name ? this.#let.at : pin ? [pin[0] * head.width, pin[1] * head.height] : this.#points[name];
    const at = [x + right * pixels, y + down * pixels];
    this.#let = { name, at, points: this.#points };
    this.#lay(name, at);
    this.#actions.correct(name, [at[0] / head.width, at[1] / head.height], PAUSE);
  }

  /** Takes the keyboard to the next point in a direction: what lies aside counts double. */
  #choose(name, [right, down]) {
    const [x, y] = this.#place(name), shown = Object.keys(this.#points).filter((other) => other !== name && !this.#dots[other].hidden);
    const ways = shown.map((other) => {
      const at = this.#place(other), along = (at[0] - x) * right + (at[1] - y) * down, aside = Math.abs((at[0] - x) * down) + Math.abs((at[1] - y) * right);
      return { other, along, far: along + 2 * aside };
    });
    const [next] = ways.filter(({ along, far }) => along > 0 && along > far / 4).toSorted((one, two) => one.far - two.far);
    if (next) this.#focus(next.other);
  }

  #focus(name) {
    this.#dots[name].querySelector("input").focus({ preventScroll: true });
  }

  #forget(name) {
    this.#let = null;
    this.#actions.settle();              // a row of key presses before it is a step of its own
    if (Object.hasOwn(this.#pins, name)) this.#actions.correct(name, null);
  }

  #leave() {
    this.#stage.focus();
    this.#actions.points();
  }

  #left() {
    this.#actions.compare(false);
    this.#actions.settle();
  }

  #press(event, name) {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.setPointerCapture(event.pointerId);
    this.#focus(name);
    this.#held = { name, x: event.clientX, y: event.clientY, from: this.#place(name), at: null };
  }

  #move(event) {
    const held = this.#held;
    if (!held) return;
    const { head, shortPixels } = this.#stage, pixels = Math.min(head.width, head.height) / shortPixels;
    held.at = [held.from[0] + (event.clientX - held.x) * pixels, held.from[1] + (event.clientY - held.y) * pixels];
    this.#lay(held.name, held.at);
  }

  #release() {
    const held = this.#held, { head } = this.#stage;
    this.#held = null;
    if (!held?.at) return;
    this.#let = { name: held.name, at: held.at, points: this.#points };
    this.#actions.correct(held.name, [held.at[0] / head.width, held.at[1] / head.height]);
  }

  /** Where a point lies for the eye, picture pixels. */
  #place(name) {
    if (this.#held?.name === name && this.#held.at) return this.#held.at;
    return this.#let?.name === name ? this.#let.at : this.#points[name];
  }

  #lay(name, at) {
    const [left, top] = this.#stage.percent(at), dot = (this.#dots[name] ??= this.#dot(name));
    dot.hidden = left < 0 || top < 0 || left > 100 || top > 100;
    Object.assign(dot.style, { left: `${left}%`, top: `${top}%` });
  }

  /**
   * Lays the points over the view, or hides them.
   * @param {object | null} points places by name, picture pixels; @param {string} corrections the widget's
   */
  show(points, corrections) {
    this.#points = points;
    this.element.hidden = !points || !this.#stage.place;
    if (this.element.hidden) return;
    if (this.#let && this.#let.points !== points) this.#let = null;
    this.#pins = pinsOf(corrections);
    for (const name of Object.keys(points)) {
      this.#lay(name, this.#place(name));
      this.#dots[name].classList.toggle("caphuman-pinned", Object.hasOwn(this.#pins, name));
    }
  }
}
