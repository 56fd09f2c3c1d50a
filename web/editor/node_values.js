/** The editor's hold on the widgets of one CapHumanEditHead: the only place where its values are read and written. */
import { app } from "../../../scripts/app.js";
import { valueOf } from "./graph_walk.js";
import { chain } from "./host.js";
import { FIELDS, fits, mended } from "./pose_values.js";

export class NodeValues {
  #node;
  #writing = false;

  /** @param {() => void} onChange called when somebody else changes a widget */
  constructor(node, onChange) {
    this.#node = node;
    for (const name of Object.keys(FIELDS)) {
      const widget = this.widget(name);
      if (widget) chain(widget, "callback", () => this.#writing || onChange());
    }
  }

  widget(name) {
    return this.#node.widgets?.find((widget) => widget.name === name);
  }

  linked(name) {
    return this.#node.inputs?.some((input) => input.widget?.name === name && input.link != null) ?? false;
  }

  /** Every value by name, usable whatever the widgets hold; linked ones as far as the graph tells them. */
  read() {
    return Object.fromEntries(Object.keys(FIELDS).map((name) => [name, mended(name, this.#raw(name))]));
  }

  #raw(name) {
    const own = this.widget(name)?.value;
    if (!this.linked(name)) return own;
    const theirs = valueOf(this.#node, name);
    return fits(name, theirs) ? theirs : own;
  }

  /** Writes those of the values that differ and are not linked. */
  write(changes) {
    this.#writing = true;
    try {
      for (const [name, value] of Object.entries(changes)) this.#set(name, value);
    } finally {
      this.#writing = false;
    }
  }

  #set(name, value) {
    const widget = this.widget(name);
    if (!widget || this.linked(name) || widget.value === value) return;
    widget.value = value;
    widget.callback?.(value, app.canvas, this.#node);
  }

  /** Replaces what no widget may hold (NaN, null, a word where a number belongs); returns how many there were. */
  repair() {
    const broken = Object.keys(FIELDS).filter((name) => this.widget(name) && !fits(name, this.widget(name).value));
    for (const name of broken) this.widget(name).value = mended(name, this.widget(name).value);
    return broken.length;
  }
}
