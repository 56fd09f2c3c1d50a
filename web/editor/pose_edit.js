/** The hand on one node's values: each thing it does is one step of the graph's undo and of the editor's own. */
import { GraphChange, redrawGraph } from "./host.js";

export class PoseEdit {
  #values;
  #history;
  #hooks;
  #change = new GraphChange();
  #nudged = "";                      // names that the present row of small changes is about

  /**
   * @param {import("./node_values.js").NodeValues} values
   * @param {() => import("./history.js").History} history of the node that the values are of
   * @param {{dragged: () => void, settled: () => void, put: () => void}} hooks told after each kind of change
   */
  constructor(values, history, hooks) {
    this.#values = values;
    this.#history = history;
    this.#hooks = hooks;
  }

  /** Whether a hand is at work. */
  get open() {
    return this.#change.open;
  }

  read() {
    return this.#values.read();
  }

  /** Part of a movement that `settle` ends. */
  drag(changes) {
    this.#change.begin();
    this.#values.write(changes);
    this.#hooks.dragged();
    redrawGraph();
  }

  /** One of a row of small changes: they are one step as long as they change the same and come quickly. */
  nudge(changes, milliseconds) {
    const about = Object.keys(changes).join();
    if (this.open && this.#nudged !== about) this.settle();
    this.#nudged = about;
    this.drag(changes);
    this.#change.endAfter(milliseconds, () => this.settle());
  }

  /** The hand has let go. */
  settle() {
    if (this.open) {
      this.#change.end();
      this.note();
    }
    this.#hooks.settled();
  }

  /** A finished change. */
  put(changes) {
    this.drag(changes);
    this.settle();
    this.#hooks.put();
  }

  /** Takes note of the present values, unless a hand is at work. */
  note() {
    if (!this.open) this.#history().note(this.read());
  }

  undo() {
    this.settle();
    this.#goTo(this.#history().undo());
  }

  redo() {
    this.settle();
    this.#goTo(this.#history().redo());
  }

  #goTo(state) {
    if (state) this.put(state);
  }

  /** The node is gone: what was begun is over. */
  drop() {
    this.#change.end();
  }
}
