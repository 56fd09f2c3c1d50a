/** What the view asks of the server. Meshes and textures are shared by all editors; of vertices the newest request wins. */
import { api } from "../../../scripts/api.js";
import { neckOf } from "./head_math.js";
import { changedSheet, sheetOf } from "./photo_skin.js";
import { EXPRESSIONS, FIELDS, GAZE, SHAPE, TEXTURE, TURN } from "./pose_values.js";

const PREFIX = "/caphuman/editor";
const KEPT = 8;                      // meshes and textures remembered
const FIRST_PAUSE = 250, LONGEST_PAUSE = 8000;       // milliseconds before a failed request is sent again
const meshes = new Map(), textures = new Map(), caps = new Map();        // key -> promise

/** A message of editor_wire.py: its JSON header, and a reader for the arrays behind it. */
function opened(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  let at = 4 + length;
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const next = (Kind, count) => {
    const array = new Kind(buffer, at, count);
    at += array.byteLength;
    return array;
  };
  return { header, next };
}

async function answered(path, body, signal) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal } : { signal };
  const answer = await api.fetchApi(PREFIX + path, options);
  if (answer.ok) return answer;
  const sentence = (await answer.json().catch(() => ({}))).error ?? answer.statusText;
  throw Object.assign(new Error(sentence), { status: answer.status });
}

async function asked(path, body, signal) {
  const answer = await answered(path, body, signal);
  return opened(await answer.arrayBuffer());
}

/** { amounts, jaw_radians }: the named expressions that are most like a HEAD's own, and the jaw that they bring along. */
export async function amountsOf(head) {
  if (!head.expression.some(Boolean)) return { amounts: {}, jaw_radians: [0, 0, 0] };
  return (await answered("/amounts", { model: head.model, expression: head.expression })).json();
}

/** A HEAD after the request's corrections, with `points`: where its landmarks lie in its picture, pixels by name. */
export async function correctedOf(request, signal) {
  return { ...(await (await answered("/correct", request, signal)).json()), of: request };
}

function remembered(map, key, make) {
  const known = map.get(key);
  if (known) {
    map.delete(key);
    map.set(key, known);
    return known;
  }
  const promise = make();
  map.set(key, promise);
  promise.catch(() => map.delete(key));
  if (map.size > KEPT) map.delete(map.keys().next().value);
  return promise;
}

const INDEX = { 2: Uint16Array, 4: Uint32Array };

/** { fingerprint, faces, uvFaces, uvs, gloss, vertices, styles, names: { shape, texture } } of a HEAD's model; styles: of its hair. */
export function meshOf(head) {
  return remembered(meshes, `${head.model} ${head.fingerprint}`, async () => {
    const { header, next } = await asked(`/mesh?${new URLSearchParams({ model: head.model })}`);
    const Index = INDEX[header.index_bytes], uvs = next(Float32Array, header.uvs * 2), gloss = next(Float32Array, header.vertices);
    const faces = next(Index, header.triangles * 3), uvFaces = next(Index, header.triangles * 3);
    const names = { shape: header.shape_names, texture: header.texture_names };
    return { fingerprint: header.fingerprint, vertices: header.vertices, faces, uvFaces, uvs, gloss, styles: header.hair_styles, names };
  });
}

/** A cap of hair as caphuman_core/head/model/hair.py has it, for a HEAD's model; null for none, and where the model has no such. */
export async function hairOf(head, style) {
  if (style === FIELDS.hair.start || !(await meshOf(head)).styles.includes(style)) return null;
  return remembered(caps, `${head.model} ${head.fingerprint} ${style}`, async () => {
    const { header, next } = await asked(`/hair?${new URLSearchParams({ model: head.model, style })}`);
    const Index = INDEX[header.index_bytes], { vertices, triangles, hung, fingerprint } = header;
    const offset = next(Float32Array, vertices * 3), place = next(Float32Array, vertices * 2), weights = next(Float32Array, vertices * hung);
    const anchors = next(Index, vertices * hung), faces = next(Index, triangles * 3), along = next(Index, vertices);
    return { fingerprint, vertices, hung, offset, place, weights, anchors, faces, along };
  });
}

/** { width, height, data RGB bytes } of a texture code. */
function modelTexture({ model, fingerprint, texture }) {
  return remembered(textures, JSON.stringify([model, fingerprint, texture]), async () => {
    const { header, next } = await asked("/texture", { model, texture });
    return { ...header, data: next(Uint8Array, header.width * header.height * 3) };
  });
}

/** { width, height, data RGB bytes } of a skin as `skinRequest` asks for it; of the model's texture alone where the photo's is gone. */
export function textureOf(request) {
  const { own, skin, ...coded } = request;
  if (!skin) return modelTexture(coded);
  return remembered(textures, JSON.stringify(request), async () => {
    const [sheet, before, after] = await Promise.all([sheetOf(skin), modelTexture({ ...coded, texture: own }), modelTexture(coded)]);
    return sheet ? changedSheet(sheet, before, after) : after;
  });
}

const namedValues = (names, values) => Object.fromEntries(names.filter((name) => values[name]).map((name) => [name, values[name]]));

/** Numbers by widget, without the zeros at their end. */
function numbersOf(names, values) {
  const last = names.findLastIndex((name) => values[name]);
  return names.slice(0, last + 1).map((name) => values[name]);
}

/** A HEAD's texture code after the edit. */
export function textureCode(head, values) {
  const more = numbersOf(TEXTURE, values), code = [...head.texture];
  more.forEach((number, k) => { code[k] = (code[k] ?? 0) + number; });
  return code;
}

/** What a HEAD's skin depends on: its texture code after the edit; own, the one it came with; skin, the photo's that lies on it. */
export function skinRequest(head, values) {
  const { model, fingerprint, texture: own, skin = null } = head;
  return { model, fingerprint, own, skin, texture: textureCode(head, values) };
}

/** The turn, if the neck makes a part of it: else the vertices do not depend on it. */
function turnRequest(head, values) {
  if (!neckOf(head, values)) return {};
  return { rotation_radians: head.rotation_radians, turn: TURN.map((name) => values[name]), neck_share: head.neck_share,
    neck: values.neck_share };
}

/** What the vertices depend on, as the request that fetches them. */
export function verticesRequest(head, values) {
  return { model: head.model, identity: head.identity, expression: head.expression, jaw_radians: head.jaw_radians,
    gaze_radians: head.gaze_radians, mode: values.mode, jaw_degrees: values.jaw_degrees, expressions: namedValues(EXPRESSIONS, values),
    ...namedValues(GAZE, values), ...turnRequest(head, values), shape: numbersOf(SHAPE, values) };
}

/** { verts, root, pivot, pivot_root ... } of a vertices request. */
export async function shapeOf(request, signal) {
  const { header, next } = await asked("/vertices", request, signal);
  return { ...header, verts: metres(next(Uint16Array, header.vertices * 3), header) };
}

/** { verts, root, pivot, pivot_root ... } of a head with some values. */
export const verticesOf = (head, values) => shapeOf(verticesRequest(head, values));

/** What one view needs of the server: at most one request in flight, the newest wins, failures are repeated ever more rarely. */
export class NewestSource {
  #wanted = "";
  #shown = "";
  #busy = false;
  #pause = FIRST_PAUSE;
  #timer = 0;
  #stop = new AbortController();
  #ask;
  #arrived;
  #refused;

  /**
   * @param {(request: object, signal: AbortSignal) => Promise<object>} ask shapeOf or textureOf
   * @param {(answer: object, milliseconds: number) => void} arrived
   * @param {(sentence: string) => void} refused told why a request will not be answered, also if it is asked again
   */
  constructor(ask, arrived, refused) {
    this.#ask = ask;
    this.#arrived = arrived;
    this.#refused = refused;
  }

  /** Asks for it unless it is shown or on its way. */
  want(request) {
    this.#wanted = JSON.stringify(request);
    this.#go();
  }

  /** Whether what was asked for last is what has arrived. */
  get current() {
    return this.#wanted === this.#shown;
  }

  dispose() {
    clearTimeout(this.#timer);
    this.#stop.abort();
  }

  async #go() {
    if (this.#busy || this.#timer || this.#wanted === this.#shown || this.#stop.signal.aborted) return;
    this.#busy = true;
    const key = this.#wanted, start = performance.now();
    try {
      const answer = await this.#ask(JSON.parse(key), this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      this.#shown = key;
      this.#pause = FIRST_PAUSE;
      this.#arrived(answer, performance.now() - start);
    } catch (error) {
      this.#failed(error, key);
    }
    this.#busy = false;
    this.#go();
  }

  #failed(error, key) {
    if (this.#stop.signal.aborted) return;           // the request was given up with its view: no timer may hold that
    if (error.status >= 400 && error.status < 500 && error.status !== 429) {
      this.#shown = key;
      this.#refused(error.message);
    } else this.#timer = setTimeout(() => { this.#timer = 0; this.#go(); }, this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }
}

function metres(levels, { low, step }) {
  const out = new Float32Array(levels.length);
  for (let i = 0; i < out.length; i += 3) {
    for (let k = 0; k < 3; k++) out[i + k] = low[k] + step[k] * levels[i + k];
  }
  return out;
}
