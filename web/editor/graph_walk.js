/** Where a linked input gets its value from: up through reroutes, Set and Get nodes, bypassed nodes and the borders of subgraphs. */

import { BYPASSED } from "./host.js";

const FROM_OUTSIDE = "-10";          // origin of links that come from a subgraph's own inputs
const FARTHEST = 100;                // links; a loop ends here
const GET = /\bget ?node$/i;         // "GetNode", "easy getNode"; the setter's type has set in its place
const REROUTE = /\breroute/i;        // the host's and other packs': "Reroute (rgthree)", "ReroutePrimitive|pysssss"
const VALUE = /^(value|int|float|number|integer)$/i;      // the one widget of a constant, where it has others beside it

const linkOf = (graph, id) => graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? graph?.links?.[id];

const nodesOf = (graph) => graph?.nodes ?? graph?._nodes ?? [];

/** The node that holds a subgraph: the first one, if it is used several times. */
function holderOf(graph) {
  const root = graph?.rootGraph ?? graph;
  const graphs = [root, ...(root?.subgraphs?.values?.() ?? [])];
  return graphs.flatMap(nodesOf).find((node) => node.subgraph === graph);
}

/** The input that a bypassed node or a reroute passes on. */
function passedOn(node, slot) {
  const type = node.outputs?.[slot]?.type;
  return node.inputs?.find((input) => input.type === type && input.link != null) ?? node.inputs?.find((input) => input.link != null);
}

/** The Set node of a Get node's name: in its own graph, then in the graphs round it, as the packs that have them look. */
function setterOf(node) {
  const name = node.widgets?.[0]?.value, type = node.type.replace(/get/i, (word) => (word === "get" ? "set" : "Set"));
  for (let graph = node.graph, left = FARTHEST; graph && left; graph = holderOf(graph)?.graph, left--) {
    const setter = nodesOf(graph).find((each) => each.type === type && each.widgets?.[0]?.value === name);
    if (setter) return setter;
  }
  return null;
}

/** What another pack's node that exists in the browser alone says of itself (the frontend asks it the same for a prompt). */
function told(node, slot) {
  try {
    const end = node.resolveVirtualOutput?.(slot);
    if (end?.node) return end;
    const link = node.getInputLink?.(slot), origin = link && node.graph.getNodeById?.(link.origin_id);
    return origin ? { node: origin, slot: link.origin_slot } : null;
  } catch {
    return null;                     // a pack's own trouble, which it shows itself
  }
}

function follow(graph, linkId, steps = 0) {
  const link = linkId == null ? null : linkOf(graph, linkId);
  if (!link || steps > FARTHEST) return null;
  if (String(link.origin_id) === FROM_OUTSIDE) {
    const holder = holderOf(graph), input = holder?.inputs?.[link.origin_slot];
    if (!input) return null;
    return input.link == null ? { node: holder, input } : follow(holder.graph, input.link, steps + 1);
  }
  const node = graph.getNodeById?.(link.origin_id);
  return node ? through(node, link.origin_slot, steps) : null;
}

/** What really makes the output of a node. */
function through(node, slot, steps) {
  if (steps > FARTHEST) return null;
  if (node.mode === BYPASSED || REROUTE.test(node.type)) return follow(node.graph, passedOn(node, slot)?.link, steps + 1);
  if (node.subgraph) return follow(node.subgraph, node.subgraph.outputs?.[slot]?.linkIds?.[0], steps + 1);
  if (GET.test(node.type)) return throughSetter(setterOf(node), slot, steps);
  return !node.isVirtualNode || isPrimitive(node) ? { node } : throughVirtual(node, slot, steps);
}

function throughSetter(setter, slot, steps) {
  return setter ? follow(setter.graph, setter.inputs?.[slot]?.link, steps + 1) : null;
}

/** A node of the browser's own passes on the input beside its output, or says what it stands for. */
function throughVirtual(node, slot, steps) {
  if (node.inputs?.[slot]?.link != null && node.outputs?.[slot]) return follow(node.graph, node.inputs[slot].link, steps + 1);
  const end = told(node, slot);
  return end ? through(end.node, end.slot, steps + 1) : null;
}

/**
 * The node at the far end of an input; null where the graph does not tell (an unknown node of the browser's own, a loop).
 * @returns {{node: object, input?: object} | null} `input`: the end is an unlinked input of the subgraph node itself
 */
export function source(node, inputName) {
  const input = node.inputs?.find((each) => each.name === inputName);
  return input ? follow(node.graph, input.link) : null;
}

const isPrimitive = (node) => String(node.type).startsWith("Primitive");

/** The number or text that a node without inputs holds: primitives, and the constants of other packs. */
function constantOf(node) {
  const widgets = node.widgets ?? [];
  if (isPrimitive(node)) return widgets[0]?.value;
  if (node.inputs?.some((input) => input.link != null)) return undefined;      // it reckons; known only after a run
  return (widgets.length === 1 ? widgets[0] : widgets.find((widget) => VALUE.test(widget.name)))?.value;
}

/** The value of a widget, or of what is linked into its place; undefined when that is known only after a run. */
export function valueOf(node, name) {
  const input = node.inputs?.find((each) => (each.widget?.name ?? each.name) === name);
  if (input?.link == null) return node.widgets?.find((widget) => widget.name === name)?.value;
  const end = follow(node.graph, input.link);
  if (!end) return undefined;
  if (end.input) return end.node.widgets?.find((widget) => widget.name === (end.input.widget?.name ?? end.input.name))?.value;
  return constantOf(end.node);
}
