// The doctor's words in its own node: the next step in sight, everything else folded under it, in the page's language.
import { app } from "../../scripts/app.js";
import { el } from "./editor/dom.js";
import { chain } from "./editor/host.js";
import { say, sayReport } from "./language.js";

const NODE = "CapHumanDoctor";
const WIDTH = 440, HEIGHT = 150;         // graph units; the report scrolls in what there is
let serial = 0;

class Report {
  #next = el("p", { "data-testid": "caphuman-doctor-next", style: "margin: 0 0 6px; font-weight: 600" }, say("Press Run: it says what to do next."));
  #whole = el("pre", { "data-testid": "caphuman-doctor-report", style: "margin: 6px 0 0; white-space: pre-wrap; font-size: 10px" });
  #fold = el("details", { hidden: true }, el("summary", { style: "cursor: pointer" }, say("What is there, what is missing")), this.#whole);
  // Text can be selected and scrolled: the graph must not take the pointer for its own.
  element = el("div", { class: "comfy-multiline-input", "data-testid": "caphuman-doctor", "data-capture-wheel": "true", tabindex: "0",
    style: `box-sizing: border-box; min-height: ${HEIGHT}px; overflow: auto; padding: 8px; user-select: text; font: 12px/1.4 sans-serif`,
    onwheel: (event) => event.stopPropagation() }, this.#next, this.#fold);

  show(text) {
    const [next, ...rest] = sayReport(text).split("\n");
    this.#next.textContent = next;
    this.#whole.textContent = rest.join("\n").trim();
    this.#fold.hidden = false;
  }
}

function addReport(node) {
  const report = new Report();
  // A type of its own for each node object, as the head editor has: see there.
  const widget = node.addDOMWidget("caphuman_doctor", `caphuman_doctor_${++serial}`, report.element, {
    serialize: false, hideOnZoom: false, margin: 6, getMinHeight: () => HEIGHT,
  });
  widget.serialize = false;
  widget.computeLayoutSize = () => ({ minHeight: HEIGHT, minWidth: WIDTH - 40 });
  node.setSize?.([Math.max(node.size[0], WIDTH), node.computeSize()[1]]);
  chain(node, "onExecuted", (output) => {
    if (output?.caphuman_report) report.show(output.caphuman_report.join(""));
  });
}

app.registerExtension({
  name: "CapHuman.doctor",
  nodeCreated(node) {
    if (node.comfyClass === NODE && node.addDOMWidget) addReport(node);
  },
});
