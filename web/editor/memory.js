/** What an editor remembers beyond its node: the graph's undo and the tabs of workflows make new nodes. */
import { History } from "./history.js";

const KEPT = 64;                     // editors
const NO_ID = /^(undefined|00000000)/;               // a graph that was never loaded or saved
const memories = new Map();          // graph and node id -> memory

/** `look`, `closeUp`, `camera`, `opacity`: null as long as the user has not chosen; `before`: what led to the last run, see staleness.js. */
const fresh = () => ({ history: new History(), look: null, closeUp: null, camera: null, opacity: null, before: null });

/** The memory of a node that is configured. */
export function memoryOf(node) {
  const root = node.graph?.rootGraph ?? node.graph, key = `${root?.id} ${node.graph?.id} ${node.id}`;
  if (NO_ID.test(key)) return fresh();
  const memory = memories.get(key) ?? fresh();
  memories.delete(key);
  memories.set(key, memory);
  if (memories.size > KEPT) memories.delete(memories.keys().next().value);
  return memory;
}
