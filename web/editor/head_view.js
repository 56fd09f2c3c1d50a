/** The picture of a head on a canvas: what CapHuman Render Head would draw, in the head's own frame, as the hand moves. */
import { meshOf, textureOf, verticesRequest, VertexSource } from "./head_client.js";
import { lightOf, placement, polynomial } from "./head_math.js";
import { EXPRESSIONS } from "./pose_values.js";
import { Raster, vertexNormals } from "./raster.js";

const SMALLEST = 192, LARGEST = 512;     // pixels of the picture's longer side, whatever the screen

export class HeadView {
  /** Times in milliseconds, and what they were for. */
  stats = { drawMs: 0, vertexMs: 0, triangles: 0, width: 0, height: 0 };
  /** Called when something arrived that was waited for, or cannot be had: `problem` says what, in one sentence. */
  onChange = () => {};
  problem = "";
  #canvas;
  #context;
  #buffer = document.createElement("canvas");      // the head alone, so that it can lie over the photo
  #head = null;
  #photo = null;
  #mesh = null;
  #texture = null;
  #shape = null;
  #normals = null;
  #raster = null;
  #image = null;
  #last = null;                      // values and look of the last draw
  #frame = 0;
  #source = new VertexSource((shape, milliseconds) => this.#took(shape, milliseconds));
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
    if (!same) this.#mesh = this.#texture = this.#shape = null;
    if (head) this.#load(head);
  }

  /** What lies behind the head: an image that fills the head's frame, or null. */
  setPhoto(photo) {
    this.#photo = photo;
  }

  /** Draws the head with these widget values. look: shaded, normal or photo. */
  draw(values, { look = "shaded" } = {}) {
    this.#last = { values: { ...values }, look };
    if (this.#head) this.#source.want(verticesRequest(this.#head, values, EXPRESSIONS));
    this.#paint();
  }

  dispose() {
    cancelAnimationFrame(this.#frame);
    this.#sizes.disconnect();
    this.#source.dispose();
    this.#last = this.#head = this.#raster = this.#image = this.#shape = null;
    this.#buffer.width = this.#buffer.height = 0;
  }

  async #load(head) {
    try {
      const [mesh, texture] = await Promise.all([meshOf(head), textureOf(head)]);
      if (head !== this.#head) return;
      Object.assign(this, { problem: mesh.fingerprint === head.fingerprint ? "" : "The head model has changed: run the graph again." });
      this.#mesh = mesh;
      this.#texture = texture;
    } catch (error) {
      if (head !== this.#head) return;
      this.problem = error.message;
      if (!error.status || error.status === 429) setTimeout(() => head === this.#head && this.#load(head), 2000);
    }
    this.onChange();
    this.#later();
  }

  #took(shape, milliseconds) {
    this.#shape = shape;
    this.stats.vertexMs = milliseconds;
    this.#normals = null;
    this.#later();
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
    if (shape.vertices !== mesh.vertices || !this.#fit(head)) return;
    const start = performance.now(), { values, look } = this.#last;
    this.#drawHead(mesh, shape, values, look);
    this.#show(look);
    Object.assign(this.stats, { drawMs: performance.now() - start, triangles: mesh.faces.length / 3, width: this.#image.width,
      height: this.#image.height });
    this.#canvas.dataset.drawn = Number(this.#canvas.dataset.drawn ?? 0) + 1;
    this.#canvas.dataset.drawMs = this.stats.drawMs.toFixed(2);
  }

  #drawHead(mesh, shape, values, look) {
    if (!this.#normals) vertexNormals(shape.verts, mesh.faces, this.#normals = new Float32Array(shape.verts.length));
    const { width, height } = this.#image, raster = this.#raster, head = this.#head;
    raster.project(shape.verts, this.#normals, shape.root, placement(head, shape, values), width / head.width, height / head.height);
    raster.scan(mesh.faces);
    if (look === "normal") raster.paintNormals(mesh.faces, this.#image.data);
    else raster.paintShaded(mesh, this.#texture, polynomial(lightOf(head, values)), this.#image.data);
  }

  #show(look) {
    const { width, height } = this.#image, context = this.#context;
    this.#buffer.getContext("2d").putImageData(this.#image, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (look === "photo" && this.#photo) context.drawImage(this.#photo, 0, 0, width, height);
    context.drawImage(this.#buffer, 0, 0);
  }

  /** Makes the canvas as sharp as the screen shows it, within bounds; false while it is not shown. */
  #fit(head) {
    const box = this.#canvas.getBoundingClientRect();
    if (!box.width || !box.height) return false;
    const aspect = head.width / head.height, shown = Math.min(box.width, box.height * aspect) * devicePixelRatio;
    const longer = Math.round(Math.max(SMALLEST, Math.min(LARGEST, Math.max(shown, shown / aspect))) / 32) * 32;
    const width = Math.max(1, Math.round(aspect >= 1 ? longer : longer * aspect)), height = Math.max(1, Math.round(width / aspect));
    if (this.#raster?.fits(width, height, this.#mesh.vertices)) return true;
    this.#raster = new Raster(width, height, this.#mesh.vertices);
    this.#image = new ImageData(width, height);
    for (const canvas of [this.#canvas, this.#buffer]) Object.assign(canvas, { width, height });
    return true;
  }
}
