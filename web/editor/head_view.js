/** The picture of a head on a canvas: what CapHuman Render Head would draw, in the head's own frame, as the hand moves. */
import { Backdrop } from "./backdrop.js";
import { HOME, seen } from "./camera.js";
import { around, suits, whole } from "./close_up.js";
import { hairOf, meshOf, NewestSource, shapeOf, skinRequest, textureOf, verticesRequest } from "./head_client.js";
import { placement } from "./head_math.js";
import { paint, subject } from "./painter.js";
import { measured, paintSize, screenSize } from "./sharpness.js";
import { TEXT } from "./text.js";

const OUTSIDE = "rgb(0 0 0 / 0.75)", BORDER = "rgb(255 255 255 / 0.5)";       // around the picture
const STILL = 150;                   // milliseconds without a change of size before the view is drawn in full

export class HeadView {
  /** Milliseconds of the last drawing and of the last answer of the server; triangles; the size the head was painted in. */
  stats = { drawMs: 0, vertexMs: 0, triangles: 0, width: 0, height: 0 };
  /** Called when something arrived that was waited for, or cannot be had: `problem` says what, in one sentence. */
  onChange = () => {};
  /** Called after each drawing. */
  onDrawn = () => {};
  get problem() { return this.#unloaded || this.#refused.shape || this.#refused.texture; }
  /** The part of the picture that is shown, see close_up.js; null before the first drawing. */
  part = null;
  /** Where the head lies in the picture, see head_math.placement; null before the first drawing. */
  place = null;
  get shape() { return this.#shape; }
  #base = null;                      // that part before the camera is moved
  #canvas;
  #context;
  #backdrop = new Backdrop();
  #head = null;
  #photo = null;
  #mesh = null;
  #texture = null;
  #shape = null;
  #worn = null;                      // hair: { of, style, cap, busy }, cap null for none, of the fingerprint of its model
  #subject = null;                   // of painter.js, made of the five above
  #asked = null;                     // what the last draw was asked for
  #shown = "";                       // what the canvas shows, in full quality
  #frame = 0;
  #timer = 0;
  #unloaded = "";                    // why the mesh is not there
  #refused = { shape: "", texture: "" };               // why the present ones are not
  #shapes = new NewestSource(shapeOf, (shape, milliseconds) => this.#took({ shape }, milliseconds), (sentence) => this.#refuse("shape", sentence));
  #textures = new NewestSource(textureOf, (texture) => this.#took({ texture }), (sentence) => this.#refuse("texture", sentence));
  #sizes = new ResizeObserver(() => this.#quickly());

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
    this.part = this.place = this.#base = this.#subject = null;
    if (!same) this.#mesh = this.#texture = this.#shape = null;
    if (head) this.#load(head);
  }

  /** What lies behind the head: an image that fills the head's frame, or null. */
  setPhoto(photo) {
    if (photo !== this.#photo) this.#shown = "";
    this.#photo = photo;
  }

  /**
   * Draws the head with these widget values. look: shaded, normal or photo; closeUp: only the square around the head;
   * camera: see camera.js; opacity: of the head over the photo; held: a hand is at work: the square stays where it is, and speed goes before sharpness.
   */
  draw(values, { look = "shaded", closeUp = false, camera = HOME, held = false, opacity = 1 } = {}) {
    const moves = this.#asked && camera !== this.#asked.camera;
    this.#asked = { values: { ...values }, look, closeUp, camera, held, opacity };
    if (this.#head) {
      this.#shapes.want(verticesRequest(this.#head, values));
      this.#textures.want(skinRequest(this.#head, values));
      this.#dress(this.#head, values.hair);
    }
    if (moves) this.#quickly();
    else this.#paint(held);
  }

  dispose() {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#sizes.disconnect();
    this.#shapes.dispose();
    this.#textures.dispose();
    this.#backdrop.dispose();
    this.#asked = this.#head = this.#subject = this.#shape = this.#worn = null;
  }

  async #load(head) {
    try {
      const mesh = await meshOf(head);
      if (head !== this.#head) return;
      this.#unloaded = mesh.fingerprint === head.fingerprint ? "" : TEXT.modelChanged;
      this.#mesh = mesh;
      this.#subject = null;
    } catch (error) {
      if (head !== this.#head) return;
      this.#unloaded = error.message;
      if (!error.status || error.status === 429) setTimeout(() => head === this.#head && this.#load(head), 2000);
    }
    this.onChange();
    this.#later();
  }

  /** Gets the hair of a style; until it has come the head stays as it was. A server that does not answer is asked again with the next drawing. */
  async #dress(head, style) {
    const had = this.#worn?.of === head.fingerprint ? this.#worn : null;
    if (had?.style === style) return;
    const worn = { of: head.fingerprint, style, cap: had?.cap ?? null, busy: true };
    this.#worn = worn;
    const cap = await hairOf(head, style).catch(() => undefined);
    if (worn !== this.#worn) return;
    if (cap === undefined) worn.style = "";
    else Object.assign(worn, { cap, busy: false });
    this.#subject = null;
    this.#later();
  }

  #took({ shape, texture }, milliseconds) {
    this.#shape = shape ?? this.#shape;
    this.#texture = texture ?? this.#texture;
    this.#subject = null;
    const part = shape ? "shape" : "texture";
    if (this.#refused[part]) this.#refuse(part, "");
    if (shape) this.stats.vertexMs = milliseconds;
    this.#later();
  }

  #refuse(part, sentence) {
    this.#refused[part] = sentence;
    this.onChange();
  }

  /** Draws with the next frame: quickly while a hand is at work, else in full. */
  #later() {
    if (this.#frame || !this.#asked) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#paint(this.#asked?.held);
    });
  }

  /** The camera moves, or the node grows, or it came into sight: quickly now, in full when it is still. */
  #quickly() {
    if (!this.#asked) return;
    this.#paint(true);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#later(), STILL);
  }

  /** Whether everything is there, and of one model. */
  #ready() {
    const mesh = this.#mesh, shape = this.#shape, head = this.#head;
    if (!mesh || !shape || !head || !this.#texture || !this.#asked) return false;
    if (shape.fingerprint !== mesh.fingerprint || shape.vertices !== mesh.vertices) return false;
    if (!this.#subject) this.#shown = "";
    this.#subject ??= subject(head, mesh, this.#texture, shape, this.#hair());
    return true;
  }

  /** Whether everything that was asked for last has come. */
  #current() {
    return this.#shapes.current && this.#textures.current && !this.#worn?.busy;
  }

  /** The cap that the head wears, if it is one of the model that is shown. */
  #hair() {
    const cap = this.#worn?.cap;
    return cap?.fingerprint === this.#mesh.fingerprint && this.#shape.skull ? cap : null;
  }

  #paint(quick) {
    if (!this.#ready()) return;
    this.#canvas.setAttribute("aria-busy", String(!this.#current()));
    const { values } = this.#asked;
    this.place = placement(this.#head, this.#shape, values);
    this.#choosePart();
    const size = screenSize(this.#canvas.getBoundingClientRect(), this.part.width / this.part.height);
    if (!size) return;
    const key = JSON.stringify([this.#asked, this.part, size]);
    if (key === this.#shown) return;
    this.#shown = quick ? "" : key;
    this.#show(size, paintSize(size, quick));
  }

  #choosePart() {
    const { closeUp, camera, held } = this.#asked, close = around(this.#head, this.place), before = this.#base;
    if (!closeUp) this.#base = before && !before.closeUp ? before : whole(this.#head);
    else if (!before?.closeUp || !(held || suits(before, close))) this.#base = { ...close, closeUp };
    this.part = seen(this.#base, camera);
  }

  #show(size, painted) {
    const start = performance.now(), context = this.#context, { values, look } = this.#asked, [width, height] = size;
    const head = paint(this.#subject, values, { look, part: this.part }, painted);
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (look === "photo" && this.#photo) context.drawImage(this.#backdrop.of(this.#photo, this.#head, this.part, size), 0, 0);
    context.globalAlpha = look === "photo" && this.#photo ? this.#asked.opacity : 1;
    context.drawImage(head, 0, 0, width, height);
    context.globalAlpha = 1;
    this.#dimOutside(size);
    this.#tell(performance.now() - start, painted);
  }

  /** What lies outside the picture is seen, but is no part of it. */
  #dimOutside([width, height]) {
    const context = this.#context, { part } = this, across = width / part.width, down = height / part.height;
    const left = -part.x * across, top = -part.y * down, right = this.#head.width * across, bottom = this.#head.height * down;
    if (left <= 0 && top <= 0 && left + right >= width && top + bottom >= height) return;
    context.globalCompositeOperation = "destination-out";
    context.fillStyle = OUTSIDE;
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(left, top, right, bottom);
    context.fill("evenodd");
    context.globalCompositeOperation = "source-over";
    context.strokeStyle = BORDER;
    context.lineWidth = Math.max(1, devicePixelRatio);
    context.strokeRect(left, top, right, bottom);
  }

  #tell(drawMs, painted) {
    measured(drawMs, painted);
    Object.assign(this.stats, { drawMs, triangles: this.#subject.faces.length / 3, width: painted[0], height: painted[1] });
    this.#canvas.dataset.drawn = Number(this.#canvas.dataset.drawn ?? 0) + 1;
    this.#canvas.dataset.painted = painted.join("x");
    this.#canvas.dataset.drawMs = drawMs.toFixed(2);
    this.onDrawn();
  }
}
