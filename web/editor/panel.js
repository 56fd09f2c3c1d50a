/** The tabs under the view: every value of the node. */
import { button, el } from "./dom.js";
import { ExpressionPage } from "./expression_page.js";
import { LightPage } from "./light_page.js";
import { PosePage } from "./pose_page.js";
import { PresetPage } from "./preset_page.js";
import { ShapePage } from "./shape_page.js";
import { TEXT } from "./text.js";

const PAGES = { pose: PosePage, expression: ExpressionPage, shape: ShapePage, light: LightPage, presets: PresetPage };
const TABS = Object.keys(PAGES);

export class Panel {
  #tabs = {};
  #pages = {};
  #boxes = {};
  #open = "";
  #head = null;
  #values = null;
  #opened;

  /** @param {import("./actions.js").Actions} actions; @param {(name: string) => void} opened told which page is in front */
  constructor(actions, opened) {
    this.#opened = opened;
    for (const name of TABS) {
      this.#pages[name] = new PAGES[name](actions);
      this.#boxes[name] = el("div", { class: `caphuman-page caphuman-page-${name}`, role: "tabpanel", "aria-label": TEXT.tabs[name] },
        ...this.#pages[name].content);
      this.#tabs[name] = this.#tab(name);
    }
    this.element = el("div", { class: "caphuman-panel" },
      el("div", { class: "caphuman-tabs", role: "tablist" }, ...Object.values(this.#tabs)), ...Object.values(this.#boxes));
    this.open("pose");
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

  /** Brings one tab to the front. */
  open(name) {
    this.#open = name;
    for (const each of TABS) {
      this.#tabs[each].setAttribute("aria-selected", each === name);
      this.#tabs[each].tabIndex = each === name ? 0 : -1;
      this.#boxes[each].hidden = each !== name;
    }
    this.#opened(name);
    this.#pages[name].opened?.();
    this.#pages[name].picture?.(this.#head, this.#values);
  }

  /** @param {object} values the editor's; @param {(name: string) => boolean} linked; @param {object | null} head HEAD that the pictures show, as edited */
  show(values, linked, head) {
    for (const page of Object.values(this.#pages)) page.show?.(values, linked);
    this.#head = head;
    this.#values = values;
    this.#pages[this.#open].picture?.(head, values);
  }

  /** Follows presets that other editors store; the returned function ends it. */
  follow() {
    return this.#pages.presets.follow();
  }
}
