/** The page of gaze and named expressions: each of these with a picture to click and a slider. */
import { button, el } from "./dom.js";
import { EXPRESSIONS, GAZE } from "./pose_values.js";
import { Rows } from "./rows.js";
import { TEXT } from "./text.js";
import { FACE, Thumbnails } from "./thumbnails.js";

export class ExpressionPage {
  #rows;
  #tiles;
  #linked = () => false;
  #thumbnails = new Thumbnails(() => Object.entries(this.#tiles).map(([name, place]) => ({ place, values: { [name]: 1 } })), FACE);

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#rows = new Rows(actions);
    this.#tiles = Object.fromEntries(EXPRESSIONS.map((name) => [name,
      button(`expression-${name}`, TEXT.fullOrNone(TEXT.values[name]), () => this.#toggle(name, actions))]));
    const gaze = el("div", { class: "caphuman-gaze-rows" }, ...GAZE.map((name) => this.#rows.slider(name)));
    this.content = [gaze, ...EXPRESSIONS.map((name) => el("div", { class: "caphuman-tile" }, this.#tiles[name], this.#rows.slider(name)))];
  }

  #toggle(name, actions) {
    if (!this.#linked(name)) actions.put({ [name]: actions.read()[name] ? 0 : 1 });
  }

  show(values, linked) {
    this.#linked = linked;
    this.#rows.show(values, linked);
    for (const name of EXPRESSIONS) this.#tiles[name].setAttribute("aria-pressed", values[name] !== 0);
  }

  /** Draws the pictures for a HEAD with the editor's values. */
  picture(head, values) {
    return this.#thumbnails.show(head, values);
  }
}
