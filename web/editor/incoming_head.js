/** Which head the editor shows: a new one of the chosen model before a run, the fitted one after it. */
import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { source, valueOf } from "./graph_walk.js";
import { imageOf } from "./host_picture.js";

export const BUILT_IN = "built-in";
const SIDE = 512;                    // pixels of a new head's picture
const KEPT = 16;                     // new heads remembered
const newHeads = new Map();          // "model width height" -> promise of a HEAD

/**
 * The model that the node's head_model comes from.
 * @returns {{name: string | null, gone: boolean}} null: the graph does not tell; gone: the loader no longer offers it
 */
export function chosenModel(node) {
  const loader = source(node, "head_model")?.node, is = loader?.comfyClass === "CapHumanLoadHeadModel";
  const name = is ? valueOf(loader, "head_model_name") : null;
  if (typeof name !== "string" || !name) return { name: null, gone: false };
  const offered = loader.widgets?.find((widget) => widget.name === "head_model_name")?.options?.values;
  return { name, gone: Array.isArray(offered) && !offered.includes(name) };
}

/** Size in pixels of the picture of the incoming head if a New Head node says both sides, else a square. */
export function pictureSize(node) {
  const maker = source(node, "head")?.node;
  const size = maker?.comfyClass === "CapHumanNewHead" ? ["width", "height"].map((name) => valueOf(maker, name)) : [];
  return size.length && size.every(Number.isFinite) ? size : [SIDE, SIDE];
}

async function fetchNewHead(model, width, height) {
  const answer = await api.fetchApi("/caphuman/editor/new_head", { method: "POST",
    headers: { "Content-Type": "application/json" }, body: JSON.stringify({ model, width, height }) });
  if (answer.ok) return answer.json();
  throw Object.assign(new Error((await answer.json().catch(() => ({}))).error ?? answer.statusText), { status: answer.status });
}

/** A neutral HEAD of a model; failures are not remembered. Errors carry the HTTP status. */
export function newHead(model, width, height) {
  const key = [model, width, height].join(" ");
  if (!newHeads.has(key)) {
    const promise = fetchNewHead(model, width, height);
    newHeads.set(key, promise);
    promise.catch(() => newHeads.delete(key));
    if (newHeads.size > KEPT) newHeads.delete(newHeads.keys().next().value);
  }
  return newHeads.get(key);
}

/** The HEAD of the node's last run as it was sent, or undefined. The host keeps it: it survives undo and a change of the workflow. */
export function lastSent(node) {
  const root = node.graph?.rootGraph ?? node.graph;
  const id = node.graph && node.graph !== root ? `${node.graph.id}:${node.id}` : String(node.id);
  return app.nodeOutputs?.[id]?.caphuman_editor?.[0];
}

/** The photo of a fitted head as a loaded image, or null. */
export const photoOf = (head) => imageOf(head?.photo);
