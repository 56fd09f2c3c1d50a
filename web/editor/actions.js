/** What the buttons, keys and gestures of one editor can ask for, by name. */
import { copyPose, pastedPose } from "./clipboard.js";
import { fromAxisAngle, yawPitchRoll } from "./head_math.js";
import { holdStill, toast } from "./host.js";
import { toggleNative } from "./native_widgets.js";
import { mirrored, PLACE, starts, TURN, turnTo } from "./pose_values.js";
import { TEXT } from "./text.js";

export class Actions {
  #node;
  #element;
  #pose;
  #shown;
  #state;

  /** @param {{node, element, pose, shown, state}} parts of the editor: see pose_edit.js, shown_head.js, view_state.js */
  constructor({ node, element, pose, shown, state }) {
    this.#node = node;
    this.#element = element;
    this.#pose = pose;
    this.#shown = shown;
    this.#state = state;
  }

  // --- the values

  read() {
    return this.#pose.read();
  }

  drag(changes) {
    this.#pose.drag(changes);
  }

  settle() {
    this.#pose.settle();
  }

  put(changes) {
    this.#pose.put(changes);
  }

  nudge(changes, milliseconds) {
    this.#pose.nudge(changes, milliseconds);
  }

  undo() {
    this.#pose.undo();
  }

  redo() {
    this.#pose.redo();
  }

  mirror() {
    this.put(mirrored(this.read()));
  }

  /** Sets every value back. */
  reset() {
    this.put(starts());
  }

  /** Sets turn, place and size back. */
  resetPlace() {
    this.put(starts([...TURN, ...PLACE]));
  }

  /** Turns the head to one of the built-in views. */
  turnTo(view) {
    const { head } = this.#shown, adds = this.read().mode === "add";
    this.put(turnTo(view, adds && head ? yawPitchRoll(fromAxisAngle(head.rotation_radians)) : [0, 0, 0]));
  }

  /** @param {DataTransfer} [data] of a copy event */
  async copy(data) {
    await copyPose(this.read(), data);
    toast("success", TEXT.copied);
  }

  /** @param {DataTransfer} [data] of a paste event */
  async paste(data) {
    try {
      this.put(await pastedPose(data));
    } catch (error) {
      toast("warn", error.message);
    }
  }

  // --- the view

  /** @param {string} name shaded, normal or photo */
  look(name) {
    this.#state.look = name;
  }

  closeUp() {
    this.#state.closeUp = !this.#state.closeUp;
  }

  /** Shows or hides the node's own widgets. */
  inputs() {
    holdStill(this.#element, () => toggleNative(this.#node, this.#element));
    this.settle();
  }
}
