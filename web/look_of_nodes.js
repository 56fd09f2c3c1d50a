// How the pack's nodes look on the graph: a colour for each of its socket types, room for whole titles, and opened nodes lie on top.
import { app } from "../../scripts/app.js";

// Heads are orange, whatever is about faces green, about identity pink; what is loaded from a file is the darker of the family.
const COLOURS = {
  CAPHUMAN_HEAD: "#f2a65a", CAPHUMAN_HEAD_MODEL: "#c47f38", CAPHUMAN_HEAD_FITTER: "#a3714c", CAPHUMAN_KEYFRAMES: "#f7cd7f",
  CAPHUMAN_HINT: "#e8e07a", CAPHUMAN_FACES: "#6fd3b9", CAPHUMAN_FACE_DETECTOR: "#3fa08a", CAPHUMAN_FACE_PARSER: "#5d9fa6",
  CAPHUMAN_IDENTITY: "#ee86b7", CAPHUMAN_IDENTITY_ENCODER: "#b6578c", CAPHUMAN_CAPFACE: "#b78bf2",
};
const OURS = /^CapHuman/;
const TITLE_FONT = "14px Inter, Arial, sans-serif", BESIDE_TITLE = 64;       // pixels: the fold mark before it and a badge behind it

/** An entry that stays when a palette of the host empties it, and gives way when one has a colour for it. */
function keptEntry(table, type, colour) {
  let now = colour;
  Object.defineProperty(table, type, { configurable: true, enumerable: true, get: () => now, set: (given) => { now = given || colour; } });
}

/** For links and slots of the classic canvas, and, as the host's own variables, for Vue nodes. */
function colourSockets() {
  const tables = [globalThis.LGraphCanvas?.link_type_colors, app.canvas?.default_connection_color_byType].filter(Boolean);
  for (const [type, colour] of Object.entries(COLOURS)) for (const table of tables) keptEntry(table, type, colour);
  const rules = Object.entries(COLOURS).map(([type, colour]) => `--color-datatype-${type}: ${colour};`);
  document.head.append(Object.assign(document.createElement("style"), { textContent: `:root { ${rules.join(" ")} }` }));
}

let pen = null;

function titleWidth(title) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = TITLE_FONT;
  return Math.ceil(pen.measureText(title).width) + BESIDE_TITLE;
}

function widen(node) {
  const least = titleWidth(node.title ?? "");
  if (node.size[0] < least) node.setSize?.([least, node.size[1]]);
}

/** A folded node often lies in the room of others: opened, it comes to the front. */
function comeForward(node) {
  const { collapse } = node;
  node.collapse = function (...args) {
    const result = collapse?.apply(this, args);
    if (!this.flags?.collapsed) app.canvas?.bringToFront?.(this);
    return result;
  };
}

app.registerExtension({
  name: "CapHuman.look",
  setup: colourSockets,
  nodeCreated(node) {
    if (!OURS.test(node.comfyClass ?? "")) return;
    widen(node);
    comeForward(node);
  },
});
