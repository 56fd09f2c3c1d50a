/** Undo and redo of one editor: a line of whole states. Pure. */
import { same } from "./pose_values.js";

const LONGEST = 200;                 // states

export class History {
  #states = [];
  #at = -1;

  /** Takes note of the present state. Stepping to a neighbour (the graph's own undo) moves along the line instead of adding to it. */
  note(state) {
    const is = (i) => this.#states[i] && same(state, this.#states[i]);
    if (is(this.#at)) return;
    if (is(this.#at - 1)) this.#at -= 1;
    else if (is(this.#at + 1)) this.#at += 1;
    else this.#add(state);
  }

  #add(state) {
    this.#states.splice(this.#at + 1, Infinity, { ...state });
    if (this.#states.length > LONGEST) this.#states.shift();
    this.#at = this.#states.length - 1;
  }

  get canUndo() { return this.#at > 0; }
  get canRedo() { return this.#at < this.#states.length - 1; }

  /** The state before, or null. */
  undo() { return this.canUndo ? this.#states[--this.#at] : null; }

  /** The state after, or null. */
  redo() { return this.canRedo ? this.#states[++this.#at] : null; }
}
