/** What a view shows. It is no part of the node's state, but outlives the node that the graph's undo replaces. */
import { HOME, isHome } from "./camera.js";
import { isSmall } from "./close_up.js";

export class ViewState {
  #shown;
  #memory;
  #changed;
  #comparing = false;
  #pointed = false;

  /**
   * @param {import("./shown_head.js").ShownHead} shown
   * @param {() => object} memory of the node, see memory.js
   * @param {() => void} changed
   */
  constructor(shown, memory, changed) {
    this.#shown = shown;
    this.#memory = memory;
    this.#changed = changed;
  }

  #choose(choice) {
    Object.assign(this.#memory(), choice);
    this.#changed();
  }

  /** shaded, normal or photo; where there is a photo it is shown unless the user says otherwise. */
  get look() {
    const { photo } = this.#shown, { look } = this.#memory();
    return look === "photo" && !photo ? "shaded" : look ?? (photo ? "photo" : "shaded");
  }

  set look(look) {
    this.#choose({ look });
  }

  /** Whether the head is shown alone; a small one is unless the user says otherwise. */
  get closeUp() {
    const { head } = this.#shown;
    return this.#memory().closeUp ?? Boolean(head && isSmall(head));
  }

  set closeUp(closeUp) {
    this.#choose({ closeUp, camera: HOME });
  }

  /** See camera.js. */
  get camera() {
    return this.#memory().camera ?? HOME;
  }

  set camera(camera) {
    this.#choose({ camera });
  }

  /** Of the head over the photo, 0 to 1. */
  get opacity() {
    return this.#memory().opacity ?? 1;
  }

  set opacity(opacity) {
    this.#choose({ opacity });
  }

  /** Whether the photo alone is shown, for as long as a hand asks for it. */
  get comparing() {
    return this.#comparing && Boolean(this.#shown.photo);
  }

  set comparing(is) {
    if (is === this.#comparing) return;
    this.#comparing = is;
    this.#changed();
  }

  /** Whether the landmarks are there to be corrected: the head is shown as it comes in. */
  get pointed() {
    return this.#pointed;
  }

  set pointed(is) {
    if (is === this.#pointed) return;
    this.#pointed = is;
    this.#changed();
  }

  /** Whether the head is shown alone and nothing but it. */
  get framed() {
    return this.closeUp && isHome(this.camera);
  }
}
