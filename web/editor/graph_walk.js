/** Where a linked input gets its value from: up through reroutes, bypassed nodes and the borders of subgraphs. */

import { BYPASSED } from "./host.js";

const FROM_OUTSIDE = "-10";          // origin of links that come from a subgraph's own inputs
const FARTHEST = 100;                // links; a loop ends here

const linkOf = (graph, id) => graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? graph?.links?.[id];

/** The node that holds a subgraph: the first one, if it is used several times. */
function holderOf(graph) {
  const root = graph?.rootGraph ?? graph;
  const graphs = [root, ...(root?.subgraphs?.values?.() ?? [])];
  return graphs.flatMap((each) => each.nodes ?? each._nodes ?? []).find((node) => node.subgraph === graph);
}

/** The input that a bypassed node or a reroute passes on. */
function passedOn(node, slot) {
  const type = node.outputs?.[slot]?.type;
  return node.inputs?.find((input) => input.type === type && input.link != null) ?? node.inputs?.find((input) => input.link != null);
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
  if (!node) return null;
  if (node.subgraph) return follow(node.subgraph, node.subgraph.outputs?.[link.origin_slot]?.linkIds?.[0], steps + 1);
  if (node.type === "Reroute" || node.mode === BYPASSED) return follow(graph, passedOn(node, link.origin_slot)?.link, steps + 1);
  return { node };
}

/**
 * The node at the far end of an input.
 * @returns {{node: object, input?: object} | null} `input`: the end is an unlinked input of the subgraph node itself
 */
export function source(node, inputName) {
  const input = node.inputs?.find((each) => each.name === inputName);
  return input ? follow(node.graph, input.link) : null;
}

/** The value of a widget, or of what is linked into its place; undefined when that is known only after a run. */
export function valueOf(node, name) {
  const input = node.inputs?.find((each) => (each.widget?.name ?? each.name) === name);
  if (input?.link == null) return node.widgets?.find((widget) => widget.name === name)?.value;
  const end = follow(node.graph, input.link);
  if (!end) return undefined;
  if (end.input) return end.node.widgets?.find((widget) => widget.name === (end.input.widget?.name ?? end.input.name))?.value;
  return /^Primitive/.test(end.node.type) ? end.node.widgets?.[0]?.value : undefined;
}
