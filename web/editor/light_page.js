/** The page of light: set-ups to choose from, a ball to drag the light over, and its numbers. */
import { button, el, marked } from "./dom.js";
import { LightBall } from "./light_ball.js";
import { isSetup, SETUPS } from "./looks.js";
import { DIRECTION, LIGHT } from "./pose_values.js";
import { Rows } from "./rows.js";
import { TEXT } from "./text.js";
import { HEAD, Thumbnails } from "./thumbnails.js";

export class LightPage {
  #rows;
  #ball;
  #colour;
  #tiles;
  #column;
  #thumbnails = new Thumbnails(() => Object.entries(this.#tiles).map(([name, place]) => ({ place, values: SETUPS[name] })), HEAD);

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#rows = new Rows(actions);
    this.#ball = new LightBall(actions);
    this.#tiles = Object.fromEntries(Object.entries(SETUPS).map(([name, values]) => [name,
      button(`light-${name}`, TEXT.setups[name][1], () => actions.put(values), el("span", {}, TEXT.setups[name][0]))]));
    const settle = () => actions.settle();
    this.#colour = el("input", { type: "color", ...marked("light_colour", TEXT.values.light_colour),
      oninput: () => actions.drag({ light_colour: this.#colour.value, relight: true }), onchange: settle, onblur: settle });
    const numbers = el("div", { class: "caphuman-numbers" }, ...LIGHT.map((name) => this.#rows.slider(name)));
    const column = el("div", { class: "caphuman-column" }, this.#rows.check("relight"), numbers,
      this.#rows.line("light_colour", TEXT.values.light_colour, this.#colour), this.#rows.check("turn_light"));
    this.content = [el("div", { class: "caphuman-setups", role: "group", "aria-label": TEXT.setupsLabel }, ...Object.values(this.#tiles)),
      el("div", { class: "caphuman-beside" }, el("div", { class: "caphuman-lamp" }, this.#ball.element), column)];
    this.#column = column;
  }

  show(values, linked) {
    this.#rows.show(values, linked);
    Object.assign(this.#colour, { value: values.light_colour, disabled: linked("light_colour") });
    this.#column.classList.toggle("caphuman-unlit", !values.relight);
    this.#ball.show(values, DIRECTION.some(linked));
    for (const [name, tile] of Object.entries(this.#tiles)) tile.setAttribute("aria-pressed", isSetup(values, SETUPS[name]));
  }

  /** Draws the pictures for a HEAD with the editor's values. */
  picture(head, values) {
    return this.#thumbnails.show(head, values);
  }
}
