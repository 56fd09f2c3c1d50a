/** Where the keyboard goes while it is in an editor: shortcuts of its controls, and leaving it by a press elsewhere. */
import { clipboardListeners, stepAsked } from "./keys.js";

const CONTROLS = "input:not([type=text])";
const onControls = (listener) => (event) => { if (event.target.matches?.(CONTROLS)) listener(event); };

export class FocusKeeper {
  #element;
  #actions;

  /** @param {HTMLElement} element the editor's; @param {import("./actions.js").Actions} actions */
  constructor(element, actions) {
    this.#element = element;
    this.#actions = actions;
  }

  /** Listens on what is inside the editor. */
  follow(inside) {
    inside.addEventListener("focusin", () => document.addEventListener("pointerdown", this.#pressedElsewhere, true));
    inside.addEventListener("focusout", () => this.#left());
    inside.addEventListener("keydown", (event) => this.#onKey(event));
    const { oncopy, onpaste } = clipboardListeners(this.#actions);
    inside.addEventListener("copy", onControls(oncopy));
    inside.addEventListener("paste", onControls(onpaste));
  }

  dispose() {
    document.removeEventListener("pointerdown", this.#pressedElsewhere, true);
  }

  #left() {
    this.dispose();
    document.getSelection?.()?.removeAllRanges();        // the caret left behind would go on catching the graph's copy and paste
  }

  #onKey(event) {
    const step = event.target.matches(`${CONTROLS}, canvas`) ? stepAsked(event) : null;
    if (!step) return;
    this.#actions[step]();
    event.preventDefault();
    event.stopPropagation();
  }

  /** A press outside takes the focus away even where the canvas of the graph forbids the browser to. */
  #pressedElsewhere = (event) => {
    if (this.#element.contains(event.target)) return;
    this.#actions.settle();
    document.activeElement?.blur?.();
  };
}
