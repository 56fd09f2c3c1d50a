/**
 * The keyboard of the view. The focus rests on an invisible read-only text input: the host leaves keys, copy and paste
 * of text inputs alone, so that nothing reaches the graph.
 */
import { el, marked } from "./dom.js";
import { bounded } from "./pose_values.js";
import { TEXT } from "./text.js";

const TURN = 5, SHIFT = 0.02, GROW = 1.05;           // degrees, shares of what is in sight, factor
const LEAST_SHIFT = 0.001;                            // picture sides: the widgets know no smaller
const PAUSE = 500;                                    // milliseconds that end a row of key presses
/** Right and down of the arrow keys. */
export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const GROWTH = { "+": GROW, "=": GROW, "-": 1 / GROW, _: 1 / GROW };
const COMPARE = "c";                 // held
const LOOKING = { f: "showHead", home: "showPicture", pageup: "zoomIn", pagedown: "zoomOut" };       // names of actions
const COMMANDS = { m: "mirror", r: "resetPlace", ...LOOKING };

/** What an arrow, plus or minus key changes, or null. span: share of the picture's shorter side that is in sight. */
export function nudged(values, key, shift, span = 1) {
  if (GROWTH[key]) return { scale: bounded("scale", values.scale * GROWTH[key]) };
  const arrow = ARROWS[key];
  if (!arrow) return null;
  const [right, down] = arrow;
  const far = Math.max(SHIFT * span, LEAST_SHIFT);
  if (shift) return { x: bounded("x", values.x + right * far), y: bounded("y", values.y + down * far) };
  return right ? { yaw_degrees: bounded("yaw_degrees", values.yaw_degrees + right * TURN) }
    : { pitch_degrees: bounded("pitch_degrees", values.pitch_degrees - down * TURN) };
}

/** undo or redo, if the event asks for one. */
export function stepAsked(event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return null;
  const key = event.key.toLowerCase();
  if (key === "z") return event.shiftKey ? "redo" : "undo";
  return key === "y" && !event.shiftKey ? "redo" : null;
}

/** Does what a key without modifiers asks for; whether it asked for anything. */
function plain(event, actions, span) {
  const changes = nudged(actions.read(), event.key, event.shiftKey, span), command = COMMANDS[event.key.toLowerCase()];
  if (changes) actions.nudge(changes, PAUSE);
  else if (command) actions[command]();
  return Boolean(changes || command);
}

/** Does what a key that moves the eye alone asks for; whether it asked for anything. */
export function looked(event, actions) {
  const key = event.key.toLowerCase();
  if (key === COMPARE) actions.compare(true);
  else if (LOOKING[key]) actions[LOOKING[key]]();
  else return false;
  return true;
}

/** @param {import("./actions.js").Actions} actions; @param {{span: number, panning: boolean}} stage the view whose keys these are */
export function keyTarget(actions, stage) {
  const letGo = () => { stage.panning = false; actions.compare(false); };
  const onkeydown = (event) => {
    if (event.key === " ") stage.panning = true;
    else if (event.key.toLowerCase() === COMPARE && !event.ctrlKey && !event.metaKey && !event.altKey) return compared(event, actions);
    const step = stepAsked(event), modified = event.ctrlKey || event.metaKey || event.altKey;
    if (step) actions[step]();
    if (!step && !stage.panning && (modified || !plain(event, actions, stage.span))) return;
    stopped(event);
  };
  return el("input", { type: "text", readonly: true, inputmode: "none", class: "caphuman-keys", role: "application",
    ...marked("keys"), "aria-label": TEXT.keysLabel, onkeydown, onkeyup: letGo, onblur: letGo, ...clipboardListeners(actions) });
}

function compared(event, actions) {
  stopped(event);
  actions.compare(true);
}

function stopped(event) {
  event.preventDefault();
  event.stopPropagation();
}

/** Listeners for copy and paste that use the event's own data: no permission is asked. */
export function clipboardListeners(actions) {
  return { oncopy: (event) => { stopped(event); actions.copy(event.clipboardData); },
    onpaste: (event) => { stopped(event); actions.paste(event.clipboardData); } };
}
