/** Small pictures of what values would do, drawn from the loaded model, one after the other while nothing else is to be done. */
import { el } from "./dom.js";
import { hairOf, meshOf, skinRequest, textureOf, verticesOf } from "./head_client.js";
import { newHead } from "./incoming_head.js";
import { paint, subject } from "./painter.js";
import { personal, starts } from "./pose_values.js";

const SIDE = 256;                    // pixels of the new head's picture that the pictures are parts of
const SHOWN = 72;                    // pixels of the height of a picture, on the screen
const SMOOTHED = 2;                  // samples a pixel along each side
const PAUSE = 300;                   // milliseconds that a change must last before it is drawn
/** Parts of the new head's picture: the face, and the whole head. */
export const FACE = { x: 58, y: 92, width: 140, height: 104 }, HEAD = { x: 14, y: 14, width: 228, height: 228 };

const pause = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });
const WHO = ["model", "fingerprint", "identity", "texture", "skin", "gaze_radians", "neck_share"];

/** The person of a head, facing the viewer in the middle of a picture, without expression. */
async function sitter(head) {
  const neutral = await newHead(head.model, SIDE, SIDE);
  return { ...neutral, ...Object.fromEntries(WHO.map((name) => [name, head[name]])) };
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
  const skin = skinRequest(head, values);
  const [mesh, texture, shape, cap] = await Promise.all([meshOf(head), textureOf(skin), verticesOf(head, values), hairOf(head, values.hair)]);
  if (shape.vertices !== mesh.vertices) return;
  const canvas = canvasIn(place, part);
  const size = [canvas.width * SMOOTHED, canvas.height * SMOOTHED], context = canvas.getContext("2d");
  const painted = paint(subject(head, mesh, texture, shape, cap), values, { look: "shaded", part }, size);
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
  #drawn = new WeakMap();            // place -> what its picture shows

  /** @param {() => {place: HTMLElement, values: object}[]} pictures place: gets the canvas; values: what it is about; @param {object} part */
  constructor(pictures, part) {
    this.#pictures = pictures;
    this.#part = part;
  }

  /**
   * Draws those that are not as they should be; nothing comes of a head that is replaced or a server that does not answer.
   * @param {object | null} head HEAD; @param {object} edit the editor's values: the pictures show the person as edited
   */
  async show(head, edit) {
    const person = edit && personal(edit), who = head && JSON.stringify(WHO.map((name) => head[name])), key = who + JSON.stringify(person);
    if (!head || !person || key === this.#key) return;
    const again = this.#key;
    this.#key = key;
    try {
      if (again) await pause(PAUSE);   // a hand may be at work
      await this.#draw(head, who, person, key);
    } catch {
      this.#key = "";                // tried again when the page is opened again
    }
  }

  async #draw(head, who, person, key) {
    if (key !== this.#key) return;
    const model = await sitter(head);
    for (const { place, values } of this.#pictures()) {
      const all = { ...starts(), ...person, ...values }, shown = who + JSON.stringify(all);
      if (key !== this.#key) return;
      if (this.#drawn.get(place) === shown) continue;
      await draw(place, model, all, this.#part);         // oxlint-disable-line no-await-in-loop -- one at a time
      this.#drawn.set(place, shown);
      await pause(0);                                    // oxlint-disable-line no-await-in-loop -- the hand comes first
    }
  }

  /** They are looked at again with the next `show`. */
  forget() {
    this.#key = "";
  }
}
