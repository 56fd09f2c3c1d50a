/** The tabs under the view: every value of the node. */
import { button, el, marked } from "./dom.js";
import { LightBall } from "./light_ball.js";
import { DIRECTION, EXPRESSIONS, LIGHT, POSE } from "./pose_values.js";
import { PresetPanel } from "./preset_panel.js";
import { Slider } from "./slider.js";
import { TEXT } from "./text.js";

const TABS = ["pose", "expression", "light", "presets"];
const MODES = ["add", "set"];

export class Panel {
  #actions;
  #sliders = {};
  #checks = {};
  #modes = {};
  #tabs = {};
  #pages = {};
  #colour;
  #ball;
  #presets;

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#ball = new LightBall(actions);
    this.#presets = new PresetPanel(actions);
    this.#pages = { pose: this.#posePage(), expression: this.#page("expression", ...this.#rows(EXPRESSIONS)),
      light: this.#lightPage(), presets: this.#page("presets", this.#presets.element) };
    for (const name of TABS) this.#tabs[name] = this.#tab(name);
    this.element = el("div", { class: "caphuman-panel" },
      el("div", { class: "caphuman-tabs", role: "tablist" }, ...Object.values(this.#tabs)), ...Object.values(this.#pages));
    this.open("pose");
  }

  #rows(names) {
    for (const name of names) this.#sliders[name] = new Slider(name, this.#actions);
    return names.map((name) => this.#sliders[name].element);
  }

  #page(name, ...children) {
    return el("div", { class: `caphuman-page caphuman-page-${name}`, role: "tabpanel", "aria-label": TEXT.tabs[name] }, ...children);
  }

  #tab(name) {
    const tab = button(`tab-${name}`, undefined, () => this.open(name), TEXT.tabs[name]);
    tab.setAttribute("role", "tab");
    tab.addEventListener("keydown", (event) => this.#onTabKey(event, name));
    return tab;
  }

  #onTabKey(event, name) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const next = TABS[(TABS.indexOf(name) + step + TABS.length) % TABS.length];
    this.open(next);
    this.#tabs[next].focus();
  }

  #posePage() {
    for (const name of MODES) {
      this.#modes[name] = button(`mode-${name}`, TEXT.modeHints[name], () => this.#actions.mode(name), TEXT.modes[name]);
    }
    const modes = el("div", { class: "caphuman-group caphuman-segments", role: "group", "aria-label": TEXT.modeLabel }, ...Object.values(this.#modes));
    return this.#page("pose", el("div", { class: "caphuman-line", ...marked("row-mode") }, el("span", {}, TEXT.modeLabel), modes),
      el("div", { class: "caphuman-line" }, this.#check("frame"), button("frame", TEXT.frameNow[1], () => this.#actions.frame(), TEXT.frameNow[0])),
      ...this.#rows(POSE));
  }

  #check(name) {
    const box = el("input", { type: "checkbox", ...marked(`check-${name}`), onchange: () => this.#actions.put({ [name]: box.checked }) });
    this.#checks[name] = box;
    return el("label", { class: "caphuman-line", ...marked(`row-${name}`) }, box, TEXT.values[name]);
  }

  #lightPage() {
    const settle = () => this.#actions.settle();
    this.#colour = el("input", { type: "color", ...marked("light_colour", TEXT.values.light_colour),
      oninput: () => this.#actions.drag({ light_colour: this.#colour.value, relight: true }), onchange: settle, onblur: settle });
    const colour = el("label", { class: "caphuman-line", ...marked("row-light_colour") }, TEXT.values.light_colour, this.#colour);
    return this.#page("light", el("div", { class: "caphuman-lamp" }, this.#ball.element),
      el("div", { class: "caphuman-column" }, this.#check("relight"), ...this.#rows(LIGHT), colour, this.#check("turn_light")));
  }

  /** Brings one tab to the front. */
  open(name) {
    for (const each of TABS) {
      this.#tabs[each].setAttribute("aria-selected", each === name);
      this.#tabs[each].tabIndex = each === name ? 0 : -1;
      this.#pages[each].hidden = each !== name;
    }
    if (name === "presets") this.#presets.load();
  }

  /** @param {object} values the editor's; @param {(name: string) => boolean} linked */
  show(values, linked) {
    for (const [name, slider] of Object.entries(this.#sliders)) slider.show(values[name], linked(name));
    for (const [name, box] of Object.entries(this.#checks)) Object.assign(box, { checked: values[name], disabled: linked(name) });
    for (const name of MODES) {
      this.#modes[name].setAttribute("aria-pressed", values.mode === name);
      this.#modes[name].disabled = linked("mode");
    }
    Object.assign(this.#colour, { value: values.light_colour, disabled: linked("light_colour") });
    for (const name of ["mode", "light_colour", "relight", "turn_light", "frame"]) this.#markLinked(name, linked(name));
    this.#pages.light.classList.toggle("caphuman-unlit", !values.relight);
    this.#ball.show(values, DIRECTION.some(linked));
  }

  #markLinked(name, is) {
    const row = this.element.querySelector(`[data-testid="caphuman-row-${name}"]`);
    row.dataset.linked = is;
    row.title = is ? TEXT.linked : "";
  }

  /** Follows presets that other editors store; the returned function ends it. */
  follow() {
    return this.#presets.follow();
  }
}
