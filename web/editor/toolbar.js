/** The row of tool buttons above the view. */
import { button, el, icon } from "./dom.js";
import { VIEWS } from "./pose_values.js";
import { TEXT } from "./text.js";

const TOOLS = [["undo", "redo"], ["mirror", "reset"], ["copy", "paste"], ["inputs"]];
export const LOOKS = ["shaded", "normal", "photo"];

export class Toolbar {
  #buttons = {};

  /** @param {object} actions one function per tool; look(name) */
  constructor(actions) {
    for (const name of TOOLS.flat()) this.#buttons[name] = button(name, TEXT.tools[name], () => actions[name](), icon(name));
    for (const name of LOOKS) {
      this.#buttons[name] = button(`look-${name}`, TEXT.lookHints[name], () => actions.look(name), TEXT.looks[name]);
    }
    const group = (names, more = "") => el("div", { class: `caphuman-group ${more}`, role: "group" }, ...names.map((name) => this.#buttons[name]));
    this.element = el("div", { class: "caphuman-toolbar", role: "toolbar" }, ...TOOLS.map((names) => group(names)), group(LOOKS, "caphuman-segments"));
  }

  /** @param {{undo, redo, inputs, look, photo}} state booleans; look: name of the present one */
  show(state) {
    this.#buttons.undo.disabled = !state.undo;
    this.#buttons.redo.disabled = !state.redo;
    this.#buttons.photo.disabled = !state.photo;
    this.#buttons.inputs.setAttribute("aria-pressed", state.inputs);
    for (const name of LOOKS) this.#buttons[name].setAttribute("aria-pressed", name === state.look);
  }
}

/** The row of built-in views. @param {(view: string) => void} apply */
export function viewChips(apply) {
  const chips = Object.keys(VIEWS).map((view) => button(`preset-${view}`, TEXT.presets[view][1], () => apply(view), TEXT.presets[view][0]));
  return el("div", { class: "caphuman-chips", role: "group", "aria-label": TEXT.presetsLabel }, ...chips);
}
