/** How the head lies over its photo: its opacity, and the photo alone for as long as a button is held. */
import { el, icon, marked } from "./dom.js";
import { TEXT } from "./text.js";

const HOLD_KEYS = new Set(["Enter", " "]);

export class PhotoTools {
  #opacity;
  #compare;

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#opacity = el("input", { type: "range", min: 0, max: 1, step: 0.01, ...marked("opacity", TEXT.opacity),
      oninput: () => actions.opacity(Number(this.#opacity.value)), ondblclick: () => actions.opacity(1) });
    const hold = (on) => () => actions.compare(on), onKey = (on) => (event) => { if (HOLD_KEYS.has(event.key)) actions.compare(on); };
    this.#compare = el("button", { type: "button", ...marked("compare", TEXT.compare), onpointerdown: hold(true), onpointerup: hold(false),
      onpointerleave: hold(false), onpointercancel: hold(false), onkeydown: onKey(true), onkeyup: onKey(false), onblur: hold(false) }, icon("compare"));
    this.element = el("div", { class: "caphuman-photo-tools", hidden: true }, this.#opacity, this.#compare);
  }

  /** @param {import("./view_state.js").ViewState} state; @param {boolean} photo is there */
  show(state, photo) {
    this.element.hidden = !photo;
    this.#opacity.hidden = state.look !== "photo";
    if (document.activeElement !== this.#opacity) this.#opacity.value = state.opacity;
    this.#compare.setAttribute("aria-pressed", state.comparing);
  }
}
