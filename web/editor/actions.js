/** What the buttons, keys and gestures of one editor can ask for, by name. */
import { HOME, moved, nearer } from "./camera.js";
import { copyPose, pastedPose } from "./clipboard.js";
import { drawnPicture } from "./drawn_picture.js";
import { amountsOf } from "./head_client.js";
import { fromAxisAngle, yawPitchRoll } from "./head_math.js";
import { holdStill, runGraph, toast } from "./host.js";
import { POSES } from "./looks.js";
import { toggleNative } from "./native_widgets.js";
import { pinsOf } from "./points.js";
import { converted, portrait } from "./place_values.js";
import { mirrored, PLACE, starts, TURN, turnsTo, VIEWS } from "./pose_values.js";
import { TEXT } from "./text.js";

const FINE = 1e5;                    // steps of a place, a share of the picture's side
const ZOOM = 1.25;                   // of one key press

export class Actions {
  #node;
  #element;
  #pose;
  #shown;
  #state;
  #shape;

  /**
   * Parts of the editor: see pose_edit.js, shown_head.js, view_state.js.
   * @param {() => object | null} shape of the head with its present expression (head_client.js), as soon as it is there
   */
  constructor({ node, element, pose, shown, state, shape }) {
    this.#node = node;
    this.#element = element;
    this.#pose = pose;
    this.#shown = shown;
    this.#state = state;
    this.#shape = shape;
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

  /** Add or set; the head stays as it is, as far as its expression has names. */
  async mode(name) {
    const { head } = this.#shown, own = head && await amountsOf(head).catch(() => null);
    this.put(own ? converted(head, this.#shape(), this.read(), { mode: name, own }) : { mode: name });
  }

  /** Brings the head to a portrait's size and place in the picture that is drawn; its pose stays. */
  frame() {
    const { head } = this.#shown, shape = this.#shape();
    if (head && shape) this.put(portrait(head, shape, this.read(), drawnPicture(this.#node) ?? head));
  }

  /** Yaw, pitch, roll in degrees that the incoming head has already and that the values come on top of. */
  #ownTurn() {
    const { head } = this.#shown;
    return head && this.read().mode === "add" ? yawPitchRoll(fromAxisAngle(head.rotation_radians)) : [0, 0, 0];
  }

  /** Turns the head to one of the built-in views. */
  turnTo(view) {
    this.put(turnsTo(VIEWS[view], this.#ownTurn()));
  }

  /** Gives the head one of the ready-made poses, as it is seen in its picture. */
  pose(name) {
    const values = POSES[name];
    this.put({ ...values, ...turnsTo(TURN.map((angle) => values[angle]), this.#ownTurn()) });
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

  /** @param {number} share of the head over the photo, 0 to 1 */
  opacity(share) {
    this.#state.opacity = share;
  }

  /** @param {boolean} on the photo alone is shown */
  compare(on) {
    this.#state.comparing = on;
  }

  /** Shows the landmarks, to be drawn to where they are in the photo, or hides them. */
  points() {
    const on = !this.#state.pointed;
    if (on) this.#state.closeUp = true;
    this.#state.pointed = on;
  }

  /** Puts a landmark to a place in the picture, shares of its sides; null lets it go. pause: milliseconds that end a row of such, one step. */
  correct(name, place, pause = 0) {
    const pins = { ...pinsOf(this.read().corrections) };
    if (place) pins[name] = place.map((share) => Math.round(share * FINE) / FINE);
    else delete pins[name];
    const changes = { corrections: Object.keys(pins).length ? JSON.stringify(pins) : "" };
    if (pause) this.nudge(changes, pause);
    else this.put(changes);
  }

  closeUp() {
    this.#state.closeUp = !this.#state.closeUp;
  }

  /** Shows the head, or the whole picture if the head is shown already. */
  showHead() {
    this.#state.closeUp = !this.#state.framed;
  }

  showPicture() {
    this.#state.closeUp = false;
  }

  /** Sets the view's zoom and place back. */
  resetCamera() {
    this.#state.camera = HOME;
  }

  /** @param {number} factor of the view's zoom; @param {number[]} at what stays in place: right and down, shares of the view from its middle */
  zoom(factor, at = [0, 0]) {
    this.#state.camera = nearer(this.#state.camera, factor, at);
  }

  zoomIn() {
    this.zoom(ZOOM);
  }

  zoomOut() {
    this.zoom(1 / ZOOM);
  }

  /** @param {object} camera from which the hand began; @param {number[]} way of the hand: right and down, shares of the view */
  pan(camera, way) {
    this.#state.camera = moved(camera, way);
  }

  get camera() {
    return this.#state.camera;
  }

  /** Runs the graph. */
  run() {
    runGraph();
  }

  /** Shows or hides the node's own widgets. */
  inputs() {
    holdStill(this.#element, () => toggleNative(this.#node, this.#element));
    this.settle();
  }
}
