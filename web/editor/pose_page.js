/** The page of turn, place, jaw and neck. */
import { button, el } from "./dom.js";
import { POSE } from "./pose_values.js";
import { Rows } from "./rows.js";
import { TEXT } from "./text.js";

const MODES = ["add", "set"];

export class PosePage {
  #rows;
  #modes = {};

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#rows = new Rows(actions);
    for (const name of MODES) this.#modes[name] = button(`mode-${name}`, TEXT.modeHints[name], () => actions.mode(name), TEXT.modes[name]);
    const modes = el("div", { class: "caphuman-group caphuman-segments", role: "group", "aria-label": TEXT.modeLabel }, ...Object.values(this.#modes));
    this.content = [this.#rows.line("mode", el("span", {}, TEXT.modeLabel), modes),
      el("div", { class: "caphuman-line" }, this.#rows.check("frame"), button("frame", TEXT.frameNow[1], () => actions.frame(), TEXT.frameNow[0])),
      ...[...POSE, "neck_share"].map((name) => this.#rows.slider(name))];
  }

  show(values, linked) {
    this.#rows.show(values, linked);
    for (const name of MODES) {
      this.#modes[name].setAttribute("aria-pressed", values.mode === name);
      this.#modes[name].disabled = linked("mode");
    }
  }
}
