/** Small pictures of what values would do, drawn from the loaded model, one after the other while nothing else is to be done. */
import { el } from "./dom.js";
import { meshOf, textureOf, verticesOf } from "./head_client.js";
import { newHead } from "./incoming_head.js";
import { paint, subject } from "./painter.js";
import { starts } from "./pose_values.js";

const SIDE = 256;                    // pixels of the new head's picture that the pictures are parts of
const SHOWN = 72;                    // pixels of the height of a picture, on the screen
const SMOOTHED = 2;                  // samples a pixel along each side
/** Parts of the new head's picture: the face, and the whole head. */
export const FACE = { x: 58, y: 92, width: 140, height: 104 }, HEAD = { x: 14, y: 14, width: 228, height: 228 };

const turn = () => new Promise((done) => { setTimeout(done, 0); });

/** The person of a head, facing the viewer in the middle of a picture, without expression. */
async function sitter(head) {
  const neutral = await newHead(head.model, SIDE, SIDE);
  return { ...neutral, identity: head.identity, texture: head.texture, fingerprint: head.fingerprint };
}

/** The canvas of a place, made when it is needed. */
function canvasIn(place, part) {
  const known = place.querySelector("canvas"), height = Math.round(SHOWN * Math.max(1, devicePixelRatio));
  if (known) return known;
  const canvas = el("canvas", { class: "caphuman-thumb", width: Math.round(height * part.width / part.height), height });
  place.prepend(canvas);
  return canvas;
}

async function draw(place, head, values, part) {
  const [mesh, texture, shape] = await Promise.all([meshOf(head), textureOf(head), verticesOf(head, values)]);
  if (shape.vertices !== mesh.vertices) return;
  const canvas = canvasIn(place, part);
  const size = [canvas.width * SMOOTHED, canvas.height * SMOOTHED], context = canvas.getContext("2d");
  const painted = paint(subject(head, mesh, texture, shape), values, { look: "shaded", part }, size);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(painted, 0, 0, canvas.width, canvas.height);
  place.dataset.pictured = "true";
}

/** A set of pictures of one page of an editor. */
export class Thumbnails {
  #pictures;
  #part;
  #key = "";

  /** @param {() => {place: HTMLElement, values: object}[]} pictures place: gets the canvas; values: those that are not at their start; @param {object} part */
  constructor(pictures, part) {
    this.#pictures = pictures;
    this.#part = part;
  }

  /** Draws them for a head, unless they are already; nothing comes of a head that is replaced or a server that does not answer. */
  async show(head) {
    const key = head && JSON.stringify([head.model, head.fingerprint, head.identity, head.texture]);
    if (!head || key === this.#key) return;
    this.#key = key;
    try {
      const person = await sitter(head);
      for (const { place, values } of this.#pictures()) {
        await draw(place, person, { ...starts(), ...values }, this.#part);      // oxlint-disable-line no-await-in-loop -- one at a time
        await turn();                                                           // oxlint-disable-line no-await-in-loop -- the hand comes first
        if (key !== this.#key) return;
      }
    } catch {
      this.#key = "";                // tried again when the page is opened again
    }
  }

  /** They are drawn again with the next `show`. */
  forget() {
    this.#key = "";
  }
}
