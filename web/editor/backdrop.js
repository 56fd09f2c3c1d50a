/** The photo behind a head, scaled to the view once: it may be many times as large. */

export class Backdrop {
  #canvas = null;
  #key = [];

  /**
   * The canvas with the part of the photo, [width, height] pixels.
   * @param {HTMLImageElement} photo fills the frame of the head; @param {{x, y, width, height}} part of the frame, in its pixels
   */
  of(photo, head, part, [width, height]) {
    const key = [photo, part.x, part.y, part.width, part.height, width, height];
    if (key.every((each, k) => each === this.#key[k])) return this.#canvas;
    this.#key = key;
    this.#canvas = Object.assign(this.#canvas ?? document.createElement("canvas"), { width, height });
    const context = this.#canvas.getContext("2d"), across = photo.naturalWidth / head.width, down = photo.naturalHeight / head.height;
    context.imageSmoothingQuality = "high";
    context.drawImage(photo, part.x * across, part.y * down, part.width * across, part.height * down, 0, 0, width, height);
    return this.#canvas;
  }

  dispose() {
    if (this.#canvas) this.#canvas.width = this.#canvas.height = 0;
    this.#canvas = null;
    this.#key = [];
  }
}
