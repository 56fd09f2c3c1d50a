/** Landmarks of the head that comes in, over its photo: a hand draws one to where it is, and the head follows when it lets go. */
import { el, marked } from "./dom.js";
import { TEXT } from "./text.js";

/** Name -> place of the widget's text, shares of the picture's sides; nothing of what cannot be read. */
export function pinsOf(text) {
  try {
    return JSON.parse(text || "{}") ?? {};
  } catch {
    return {};
  }
}

export class Points {
  #actions;
  #stage;
  #dots = {};                          // name -> element
  #held = null;                        // { name, x, y, at }: where the hand took hold, and of what, picture pixels
  #let = null;                         // { name, at, points }: stays where it was let go until other points have come
  #points = null;

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
      ondblclick: (event) => { event.stopPropagation(); this.#actions.correct(name, null); } });
    this.element.append(dot);
    return dot;
  }

  #press(event, name) {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.setPointerCapture(event.pointerId);
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
    const pins = pinsOf(corrections);
    for (const name of Object.keys(points)) {
      this.#lay(name, this.#place(name));
      this.#dots[name].classList.toggle("caphuman-pinned", Object.hasOwn(pins, name));
    }
  }
}
