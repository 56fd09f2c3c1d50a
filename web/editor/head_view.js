/** The picture of a head on a canvas: what CapHuman Render Head would draw, in the head's own frame, as the hand moves. */
import { around, suits, whole } from "./close_up.js";
import { meshOf, textureOf, verticesRequest, VertexSource } from "./head_client.js";
import { lightOf, placement, polynomial } from "./head_math.js";
import { EXPRESSIONS } from "./pose_values.js";
import { Raster, vertexNormals } from "./raster.js";
import { TEXT } from "./text.js";

const SMALLEST = 192, LARGEST = 512;     // pixels of the longer side of what is shown, whatever the screen

export class HeadView {
  /** Times in milliseconds, and what they were for. */
  stats = { drawMs: 0, vertexMs: 0, triangles: 0, width: 0, height: 0 };
  /** Called when something arrived that was waited for, or cannot be had: `problem` says what, in one sentence. */
  onChange = () => {};
  get problem() { return this.#unloaded || this.#refused; }
  /** The part of the picture that is shown, see close_up.js; null before the first drawing. */
  part = null;
  #canvas;
  #context;
  #buffer = document.createElement("canvas");      // the head alone, so that it can lie over the photo
  #backdrop = null;                  // { canvas, photo, part }: the photo at our size
  #head = null;
  #photo = null;
  #mesh = null;
  #texture = null;
  #shape = null;
  #normals = null;
  #raster = null;
  #image = null;
  #last = null;                      // what the last draw was asked for
  #frame = 0;
  #unloaded = "";                    // why mesh or texture are not there
  #refused = "";                     // why the present vertices are not
  #source = new VertexSource((shape, milliseconds) => this.#took(shape, milliseconds), (sentence) => this.#refuse(sentence));
  #sizes = new ResizeObserver(() => this.#later());

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#sizes.observe(canvas);
  }

  /** The HEAD to edit, as the server gives it, or null. */
  setHead(head) {
    if (head === this.#head) return;
    const same = head && this.#head && head.fingerprint === this.#head.fingerprint && head.model === this.#head.model;
    this.#head = head;
    this.part = null;
    if (!same) this.#mesh = this.#texture = this.#shape = null;
    if (head) this.#load(head);
  }

  /** What lies behind the head: an image that fills the head's frame, or null. */
  setPhoto(photo) {
    this.#photo = photo;
  }

  /**
   * Draws the head with these widget values. look: shaded, normal or photo; closeUp: only the square around the head;
   * held: a hand is at work, and the square stays where it is.
   */
  draw(values, { look = "shaded", closeUp = false, held = false } = {}) {
    this.#last = { values: { ...values }, look, closeUp, held };
    if (this.#head) this.#source.want(verticesRequest(this.#head, values, EXPRESSIONS));
    this.#paint();
  }

  dispose() {
    cancelAnimationFrame(this.#frame);
    this.#sizes.disconnect();
    this.#source.dispose();
    this.#last = this.#head = this.#raster = this.#image = this.#shape = this.#backdrop = null;
    this.#buffer.width = this.#buffer.height = 0;
  }

  async #load(head) {
    try {
      const [mesh, texture] = await Promise.all([meshOf(head), textureOf(head)]);
      if (head !== this.#head) return;
      this.#unloaded = mesh.fingerprint === head.fingerprint ? "" : TEXT.modelChanged;
      this.#mesh = mesh;
      this.#texture = texture;
    } catch (error) {
      if (head !== this.#head) return;
      this.#unloaded = error.message;
      if (!error.status || error.status === 429) setTimeout(() => head === this.#head && this.#load(head), 2000);
    }
    this.onChange();
    this.#later();
  }

  #took(shape, milliseconds) {
    this.#shape = shape;
    if (this.#refused) this.#refuse("");
    this.stats.vertexMs = milliseconds;
    this.#normals = null;
    this.#later();
  }

  #refuse(sentence) {
    this.#refused = sentence;
    this.onChange();
  }

  #later() {
    if (this.#frame || !this.#last) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint();
    });
  }

  #paint() {
    const mesh = this.#mesh, shape = this.#shape, head = this.#head;
    if (!mesh || !shape || !head || !this.#last || shape.fingerprint !== mesh.fingerprint) return;
    if (shape.vertices !== mesh.vertices) return;
    const start = performance.now(), { values, look } = this.#last, place = placement(head, shape, values);
    this.#choosePart(head, place);
    if (!this.#fit(this.part)) return;
    this.#drawHead(mesh, shape, place, values, look);
    this.#show(look);
    Object.assign(this.stats, { drawMs: performance.now() - start, triangles: mesh.faces.length / 3, width: this.#image.width,
      height: this.#image.height });
    this.#canvas.dataset.drawn = Number(this.#canvas.dataset.drawn ?? 0) + 1;
    this.#canvas.dataset.drawMs = this.stats.drawMs.toFixed(2);
  }

  #choosePart(head, place) {
    const { closeUp, held } = this.#last, close = around(head, place), before = this.part;
    if (!closeUp) this.part = before && !before.closeUp ? before : whole(head);
    else if (!before?.closeUp || !(held || suits(before, close))) this.part = { ...close, closeUp };
  }

  #drawHead(mesh, shape, place, values, look) {
    if (!this.#normals) vertexNormals(shape.verts, mesh.faces, this.#normals = new Float32Array(shape.verts.length));
    const raster = this.#raster, head = this.#head;
    raster.project(shape, this.#normals, place, this.part);
    raster.scan(mesh.faces);
    if (look === "normal") raster.paintNormals(mesh.faces, this.#image.data);
    else raster.paintShaded(mesh, this.#texture, polynomial(lightOf(head, values)), this.#image.data);
  }

  #show(look) {
    const { width, height } = this.#image, context = this.#context;
    this.#buffer.getContext("2d").putImageData(this.#image, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (look === "photo" && this.#photo) context.drawImage(this.#behind(width, height), 0, 0);
    context.drawImage(this.#buffer, 0, 0);
  }

  /** The photo's part, scaled once: it may be many times as large. */
  #behind(width, height) {
    const photo = this.#photo, { part } = this, known = this.#backdrop;
    if (known?.photo === photo && known.part === part && known.canvas.width === width && known.canvas.height === height) return known.canvas;
    const canvas = Object.assign(known?.canvas ?? document.createElement("canvas"), { width, height }), context = canvas.getContext("2d");
    const across = photo.naturalWidth / this.#head.width, down = photo.naturalHeight / this.#head.height;
    context.imageSmoothingQuality = "high";
    context.drawImage(photo, part.x * across, part.y * down, part.width * across, part.height * down, 0, 0, width, height);
    this.#backdrop = { canvas, photo, part };
    return canvas;
  }

  /** Makes the canvas as sharp as the screen shows it, within bounds; false while it is not shown. */
  #fit(part) {
    const box = this.#canvas.getBoundingClientRect();
    if (!box.width || !box.height) return false;
    const aspect = part.width / part.height, shown = Math.min(box.width, box.height * aspect) * devicePixelRatio;
    const longer = Math.round(Math.max(SMALLEST, Math.min(LARGEST, Math.max(shown, shown / aspect))) / 32) * 32;
    const width = Math.max(1, Math.round(aspect >= 1 ? longer : longer * aspect)), height = Math.max(1, Math.round(width / aspect));
    if (this.#raster?.fits(width, height, this.#mesh.vertices)) return true;
    this.#raster = new Raster(width, height, this.#mesh.vertices);
    this.#image = new ImageData(width, height);
    for (const canvas of [this.#canvas, this.#buffer]) Object.assign(canvas, { width, height });
    return true;
  }
}
