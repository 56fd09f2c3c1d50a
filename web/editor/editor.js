/**
 * The head editor of CapHumanEditHead: registers the extension and ties one HeadEditor to each node.
 *
 * All state is in the node's ordinary widgets. Elements that tests and other code may rely on carry data-testid:
 *   caphuman-editor             the whole editor; data-node-id, data-head ("new" or "fitted"), data-model
 *   caphuman-view               the canvas of the 3-D view; data-drawn counts its drawings, data-painted is the size the head had in the last
 *   caphuman-keys               the invisible input that holds the keyboard focus of the view (clicking the view focuses it)
 *   caphuman-notice             one line over the view (a vanished head model, repaired values); hidden when empty
 *   caphuman-undo -redo -mirror -reset -copy -paste -inputs       tool buttons (inputs: shows the node's own widgets)
 *   caphuman-close-up           shows the head alone or the whole picture; aria-pressed
 *   caphuman-look-shaded -look-normal -look-photo                 what the view shows; aria-pressed
 *   caphuman-tab-pose -tab-expression -tab-shape -tab-light -tab-presets       tabs; aria-selected
 *   caphuman-slider-NAME        <input type=range> of the widget NAME (scale: its base-2 logarithm)
 *   caphuman-number-NAME        <input type=text> of the same value, in the widget's own units; Enter or leaving it applies
 *   caphuman-row-NAME           the row of both; data-linked="true" when the input is linked
 *   caphuman-mode-add -mode-set                                   mode; aria-pressed
 *   caphuman-check-turn_light -check-relight -check-frame         checkboxes
 *   caphuman-frame              brings the head to a portrait's size and place
 *   caphuman-badge              that the head is a placeholder, or not of the present inputs; hidden when it is what a run would give; a click runs
 *   caphuman-opacity -compare   of the head over its photo (range); the photo alone while the button is held
 *   caphuman-zoom               the view's zoom, hidden at 1; a click sets the view's camera back
 *   caphuman-ball               the light ball (canvas)
 *   caphuman-light_colour       <input type=color>
 *   caphuman-expression-NAME    picture of an expression; a click gives it in full or takes it away; data-pictured when it is drawn
 *   caphuman-handle-POINT       on the face while that tab is open: mouth_left mouth_right brow_left brow_right lid_left lid_right chin, and gaze
 *   caphuman-hair-STYLE         bald short curly long: hair in the view and the preview; aria-pressed
 *   caphuman-points             shows the landmarks, and the head as it comes in; aria-pressed
 *   caphuman-point-NAME         one of them: points.py's HANDLES, chin, mouth_left, nose_tip ...
 *   caphuman-shape-reset        sets shape, skin and corrections back
 *   caphuman-light-SETUP        picture of a set-up of light: daylight rembrandt butterfly loop split back rim high_key
 *   caphuman-look-POSE          picture of a ready-made pose: passport portrait warm_smile laugh over_shoulder thoughtful ...
 *   caphuman-preset-ID          ID: frontal three_quarter_left three_quarter_right profile_left profile_right looking_up looking_down
 *   caphuman-preset-save -preset-export -preset-import -preset-file   user presets (preset-file: the hidden <input type=file>)
 *   caphuman-user-preset        one row per user preset, data-name; inside: caphuman-preset-apply -preset-rename -preset-delete
 *   caphuman-preset-name        the text field while a preset is being saved or renamed; Enter keeps, Escape gives up
 */
import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";
import { addStyle } from "./dom.js";
import { HeadEditor } from "./head_editor.js";
import { chain, onZoom } from "./host.js";
import { keepingEditor, tuckAway } from "./native_widgets.js";
import { TEXT } from "./text.js";

const NODE = "CapHumanEditHead";
const WIDTH = 390, LEAST_WIDTH = 330;                    // graph units, of the node
const HEIGHT = 670, EDITOR_WIDTH = 260;                  // least size of the editor in it; the host adds room for arrows
const live = new Set();              // editors whose node is in a graph
let serial = 0;

function addEditor(node) {
  const editor = new HeadEditor(node);
  // The type is new for each node object: Vue nodes would go on showing a removed node's element after an undo.
  const widget = node.addDOMWidget("caphuman_editor", `caphuman_editor_${++serial}`, editor.element, {
    serialize: false, hideOnZoom: false, hideInPanel: true, margin: 6, getMinHeight: () => HEIGHT,
  });
  widget.serialize = false;
  widget.label = TEXT.editor;
  widget.computeLayoutSize = () => ({ minHeight: HEIGHT, minWidth: EDITOR_WIDTH });
  tuckAway(node);
  node.setSize?.([WIDTH, node.computeSize()[1]]);
  hook(node, editor);
}

function hook(node, editor) {
  // Not at creation: copying makes nodes that never come into a graph and are never removed.
  chain(node, "onAdded", () => { live.add(editor); editor.attach(); });
  chain(node, "onRemoved", () => { live.delete(editor); editor.detach(); });
  chain(node, "onConfigure", () => {
    if (node.size[0] < LEAST_WIDTH) node.setSize?.([WIDTH, node.size[1]]);
    editor.configured();
  });
  chain(node, "onConnectionsChange", () => {
    if (!app.configuringGraph) keepingEditor(node, () => {});
    editor.refresh();
  });
  chain(node, "onExecuted", () => editor.executed());
}

function refreshAll() {
  for (const editor of live) editor.refresh();
}

app.registerExtension({
  name: "CapHuman.editor",
  setup() {
    addStyle();
    // Values that change elsewhere: a linked node, a subgraph's promoted widget, the loader's model. A server that is back.
    for (const event of ["graphChanged", "reconnected"]) api.addEventListener(event, refreshAll);
    onZoom(refreshAll);
  },
  nodeCreated(node) {
    if (node.comfyClass === NODE && node.addDOMWidget) addEditor(node);
  },
});
