/**
 * The node's own widgets stay what they are (saved, exported, linkable) but are out of sight while the editor shows
 * their values: in the classic canvas as hidden, in Vue nodes as advanced inputs. Linked ones are always in sight.
 */
import { classic } from "./host.js";
import { FIELDS } from "./pose_values.js";

const FAR_UP = -1e5;                 // pixels: slots of hidden widgets must not lie over those in sight

const linked = (node, name) => node.inputs?.some((input) => input.widget?.name === name && input.link != null) ?? false;

/**
 * Puts the widgets out of sight. The properties are not enumerable: a copy of a widget that the user promotes to a
 * subgraph stays visible there.
 */
export function tuckAway(node) {
  for (const widget of node.widgets ?? []) {
    if (!Object.hasOwn(FIELDS, widget.name)) continue;
    const sight = { configurable: true, enumerable: false, get: () => !node.showAdvanced && !linked(node, widget.name), set: () => {} };
    Object.defineProperty(widget, "hidden", sight);
    if (widget.options) Object.defineProperty(widget.options, "advanced", { configurable: true, enumerable: false, value: true, writable: true });
  }
}

/** Moves the slots of hidden widgets out of the way. */
export function placeSlots(node) {
  for (const widget of node.widgets ?? []) if (Object.hasOwn(FIELDS, widget.name) && widget.hidden) widget.y = FAR_UP;
}

/**
 * Shows or hides the plain inputs and grows or shrinks the node by as much.
 * @param {HTMLElement} element the editor's: Vue nodes have a button of their own below it, whose label must follow
 */
export function toggleNative(node, element) {
  const wanted = !node.showAdvanced;
  element.parentElement?.closest("[data-node-id]")?.querySelector("[data-testid=advanced-inputs-button]")?.click();
  if (Boolean(node.showAdvanced) !== wanted) keepingEditor(node, () => { node.showAdvanced = wanted; });
}

/** Runs `change` and gives the node the height that widgets have gained or lost by it. */
export function keepingEditor(node, change) {
  const before = node.computeSize?.()[1];
  change();
  placeSlots(node);
  if (classic() && before) node.setSize?.([node.size[0], node.size[1] + node.computeSize()[1] - before]);
}
