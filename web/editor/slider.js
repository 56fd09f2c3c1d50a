/** One value as a bar to drag and a number to type. */
import { el, marked } from "./dom.js";
import { bounded, FIELDS, rounded, stepped } from "./pose_values.js";
import { TEXT } from "./text.js";

/** The scale's bar is logarithmic: half and double lie equally far from 1. */
const LOGARITHMIC = { to: Math.log2, from: (value) => 2 ** value, step: 0.01 };
const LINEAR = { to: (value) => value, from: (value) => value };

export class Slider {
  #name;
  #curve;
  #bar;
  #number;
  #label;

  /** @param {import("./actions.js").Actions} actions drags while the hand is on the bar (one step of undo until it lets go) */
  constructor(name, actions) {
    const field = FIELDS[name], label = TEXT.values[name];
    this.#name = name;
    this.#label = el("span", {}, label);
    this.#curve = name === "scale" ? LOGARITHMIC : LINEAR;
    this.#bar = el("input", { type: "range", min: this.#curve.to(field.low), max: this.#curve.to(field.high),
      step: this.#curve.step ?? field.bar ?? field.step, ...marked(`slider-${name}`), "aria-label": label,
      oninput: () => actions.drag({ [name]: this.#fromBar() }), onchange: () => actions.settle(),
      onpointerup: () => actions.settle(), onblur: () => actions.settle(),   // no change event comes when it ends where it began
      ondblclick: () => actions.put({ [name]: field.start }) });
    this.#number = el("input", { type: "text", inputmode: "decimal", autocomplete: "off", ...marked(`number-${name}`), "aria-label": label,
      onchange: () => actions.put(this.#typed()), onkeydown: (event) => this.#onKey(event), onfocus: () => this.#number.select() });
    this.element = el("div", { class: "caphuman-row", ...marked(`row-${name}`), "aria-label": undefined, title: TEXT.sliderHint },
      el("div", { class: "caphuman-bar" }, this.#label, this.#bar), this.#number);
  }

  /** Whether it is there, and what it is called. */
  offer(is, label) {
    this.element.hidden = !is;
    if (this.#label.textContent === label) return;
    this.#label.textContent = label;
    for (const input of [this.#bar, this.#number]) input.setAttribute("aria-label", label);
  }

  #fromBar() {
    return stepped(this.#name, this.#curve.from(Number(this.#bar.value)));
  }

  #typed() {
    const value = Number(this.#number.value.replace(",", ".").trim() || NaN);
    return Number.isFinite(value) ? { [this.#name]: bounded(this.#name, value) } : {};
  }

  #onKey(event) {
    if (event.key === "Enter") this.#number.blur();
    event.stopPropagation();             // letters typed here are no shortcuts of the view or the graph
  }

  /** @param {number} value in the widget's own units */
  show(value, linked) {
    const { low, high, start } = FIELDS[this.#name], origin = low <= 0 ? 0 : start;
    const part = (number) => (this.#curve.to(number) - this.#curve.to(low)) / (this.#curve.to(high) - this.#curve.to(low)) * 100;
    this.#bar.value = this.#curve.to(value);
    this.#bar.setAttribute("aria-valuetext", String(rounded(value)));
    if (document.activeElement !== this.#number) this.#number.value = String(rounded(value));
    this.#bar.disabled = this.#number.disabled = linked;
    this.element.dataset.linked = linked;
    this.element.title = linked ? TEXT.linked : TEXT.sliderHint;
    this.element.style.setProperty("--from", `${Math.min(part(value), part(origin))}%`);
    this.element.style.setProperty("--to", `${Math.max(part(value), part(origin))}%`);
  }
}
