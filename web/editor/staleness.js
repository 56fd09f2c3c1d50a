/** Whether the head in a view is the one that the graph would give now: what leads to it, compared with the last run. */
import { api } from "../../../scripts/api.js";
import { source } from "./graph_walk.js";

const INPUTS = ["head", "head_model", "photo"];
const FARTHEST = 300;                // nodes looked at
const live = new Set();              // nodes whose inputs are noted when a prompt is queued
const queued = new WeakMap();        // node -> what led to it then

/** Of a seed that is drawn anew after each run nothing is to be said. */
const isSettled = (widget) => widget.serialize !== false && widget.name !== "control_after_generate"
  && !widget.linkedWidgets?.some((linked) => linked.name === "control_after_generate");

const valuesOf = (node) => (node.widgets ?? []).filter(isSettled).map((widget) => [widget.name, widget.value]);

/** Node id -> everything that it depends on itself, as text, for all nodes that lead to a head editor. */
function leading(node) {
  const found = new Map(), wanted = INPUTS.map((name) => source(node, name)?.node);
  while (wanted.length && found.size < FARTHEST) {
    const next = wanted.pop(), key = next && `${next.graph?.id} ${next.id}`;
    if (!next || found.has(key)) continue;
    const sources = (next.inputs ?? []).map((input) => source(next, input.name)?.node);
    found.set(key, { picture: next.outputs?.[0]?.type === "IMAGE",
      text: JSON.stringify([next.type, next.mode, valuesOf(next), sources.map((each) => each?.id)]) });
    wanted.push(...sources);
  }
  return found;
}

/** Notes what leads to a node whenever a prompt is queued; the returned function ends it. */
export function follow(node) {
  live.add(node);
  return () => live.delete(node);
}

// The former is not sent by older frontends; the latter may come after the run's first results.
for (const event of ["promptQueueing", "promptQueued"]) {
  api.addEventListener(event, () => { for (const node of live) queued.set(node, leading(node)); });
}

/** What led to the head that a node has just been given. */
export const ranWith = (node) => queued.get(node) ?? leading(node);

/** @returns {"" | "photo" | "inputs"} what has changed since `before` (of ranWith) */
export function changedSince(node, before) {
  const now = leading(node), other = ([key, { text }]) => before.get(key)?.text !== text;
  const changed = [...now].filter(other);
  if (!changed.length) return "";
  return changed.every(([, { picture }]) => picture) ? "photo" : "inputs";
}

/** Whether the incoming head is known without a run: a new one, straight from its node. */
export function isPlain(node) {
  const maker = source(node, "head")?.node;
  return !maker || maker.comfyClass === "CapHumanNewHead";
}
