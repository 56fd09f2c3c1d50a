/** The picture that an edited head ends up in: that of the nearest Render Head down its links. */
import { valueOf } from "./graph_walk.js";

const FARTHEST = 30;                 // nodes looked at
const HEAD = "CAPHUMAN_HEAD";

const linkOf = (graph, id) => graph.getLink?.(id) ?? graph.links?.get?.(id) ?? graph.links?.[id];

/** The nodes that a node's heads go to, within its own graph. */
function followers(node) {
  const out = node.outputs?.filter((output) => output.type === HEAD || node.type === "Reroute") ?? [];
  return out.flatMap((output) => output.links ?? []).map((id) => node.graph.getNodeById?.(linkOf(node.graph, id)?.target_id)).filter(Boolean);
}

/** Whether its picture is known without a run. */
function pictureOf(renderer) {
  const [width, height, framing] = ["width", "height", "framing"].map((name) => valueOf(renderer, name));
  return width > 0 && height > 0 ? { width, height, framing } : null;
}

/** @returns {{width: number, height: number, framing: string} | null} pixels; null where the graph does not tell */
export function drawnPicture(node) {
  const wanted = node.graph ? followers(node) : [];
  for (let at = 0; at < wanted.length && at < FARTHEST; at += 1) {
    if (wanted[at].comfyClass === "CapHumanRenderHead") return pictureOf(wanted[at]);
    wanted.push(...followers(wanted[at]));
  }
  return null;
}
