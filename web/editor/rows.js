/** Rows of a page: sliders, checkboxes and lines of other controls, and which of them are linked. */
import { el, marked } from "./dom.js";
import { FIELDS } from "./pose_values.js";
import { Slider } from "./slider.js";
import { TEXT } from "./text.js";

export class Rows {
  #actions;
  #sliders = {};
  #checks = {};
  #lines = {};

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  slider(name) {
    this.#sliders[name] = new Slider(name, this.#actions);
    return this.#sliders[name].element;
  }

  /** Shows or hides a slider, under a label. */
  offer(name, is, label) {
    this.#sliders[name].offer(is, label);
  }

  check(name) {
    const box = el("input", { type: "checkbox", ...marked(`check-${name}`), onchange: () => this.#actions.put({ [name]: box.checked }) });
    this.#checks[name] = box;
    this.#lines[name] = el("label", { class: "caphuman-line", ...marked(`row-${name}`) }, box, TEXT.values[name]);
    return this.#lines[name];
  }

  /** A line around the control of a value. */
  line(name, ...content) {
    this.#lines[name] = el(FIELDS[name].kind === "choice" ? "div" : "label", { class: "caphuman-line", ...marked(`row-${name}`) }, ...content);
    return this.#lines[name];
  }

  /** @param {object} values the editor's; @param {(name: string) => boolean} linked */
  show(values, linked) {
    for (const [name, slider] of Object.entries(this.#sliders)) slider.show(values[name], linked(name));
    for (const [name, box] of Object.entries(this.#checks)) Object.assign(box, { checked: values[name], disabled: linked(name) });
    for (const [name, line] of Object.entries(this.#lines)) {
      line.dataset.linked = linked(name);
      line.title = linked(name) ? TEXT.linked : "";
    }
  }
}
