/** Mouse, pen and touch on the view: turned into changes of the values. */
import { classic, forwardPress, forwardWheel } from "./host.js";
import { bounded, rounded, stepped } from "./pose_values.js";

const TURN_DEGREES = 180;            // across the whole view
const WHEEL_RATE = 0.0015;           // logarithm of scale or zoom per pixel of wheel
const LINE_PIXELS = 16;
const WHEEL_PAUSE = 350;             // milliseconds that end one turn of the wheel

/** Values after a drag of (right, down) screen pixels that began at `start`. */
export function turned(start, right, down, viewPixels) {
  const rate = TURN_DEGREES / viewPixels;
  return { yaw_degrees: stepped("yaw_degrees", start.yaw_degrees + right * rate),
    pitch_degrees: stepped("pitch_degrees", start.pitch_degrees - down * rate) };
}

/** `shortPixels`: screen pixels of the picture's shorter side. */
export function moved(start, right, down, shortPixels) {
  return { x: bounded("x", rounded(start.x + right / shortPixels)), y: bounded("y", rounded(start.y + down / shortPixels)) };
}

export const tilted = (start, right, viewPixels) =>
  ({ roll_degrees: stepped("roll_degrees", start.roll_degrees + right * TURN_DEGREES / viewPixels) });

export const scaled = (start, factor) => ({ scale: bounded("scale", start.scale * factor) });

/** What a drag does: right button or Shift move, Alt tilts, else it turns. */
function kindOf(event) {
  if (event.button === 2 || event.shiftKey) return "move";
  return event.altKey ? "tilt" : "turn";
}

function stopped(event) {
  event.preventDefault();
  event.stopPropagation();
}

/** One hand on the view. */
export class Gestures {
  #canvas;
  #actions;
  #stage;
  #pointers = new Map();             // pointer id -> {x, y} on the screen
  #start = null;                     // {values, x, y, spread, kind} when the present set of pointers began

  /**
   * @param {import("./actions.js").Actions} actions
   * @param {import("./stage.js").Stage} stage the view that the canvas is in
   */
  constructor(canvas, actions, stage) {
    this.#canvas = canvas;
    this.#actions = actions;
    this.#stage = stage;
    const on = (type, handler, options) => canvas.addEventListener(type, handler, options);
    on("pointerdown", (event) => this.#press(event));
    on("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) on(type, (event) => this.#release(event));
    on("wheel", (event) => this.#wheel(event), { passive: false });
    on("dblclick", (event) => { event.stopPropagation(); actions.resetPlace(); });
    on("contextmenu", (event) => { event.preventDefault(); event.stopPropagation(); });
  }

  /** Fingers on the view are not the graph's: the host watches them on their way down, so they are stopped above it. */
  #keepTouches(on) {
    document[on ? "addEventListener" : "removeEventListener"]("touchmove", stopped, { capture: true, passive: false });
  }

  /** No hand is on the view any more: the view or its node went away. */
  dispose() {
    this.#pointers.clear();
    this.#keepTouches(false);
  }

  #press(event) {
    if (event.button === 1) return classic() ? forwardPress(event) : undefined;
    stopped(event);
    this.#stage.focus();
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.#keepTouches(true);
    this.#begin(this.#stage.panning ? "pan" : kindOf(event));
  }

  #begin(kind) {
    this.#start = { kind: this.#pointers.size > 1 ? "pinch" : kind, values: this.#actions.read(), camera: this.#actions.camera, ...this.#hand() };
  }

  /** Centre and spread of the fingers, screen pixels. */
  #hand() {
    const points = [...this.#pointers.values()].slice(0, 2), [a, b = a] = points;
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.max(1, Math.hypot(a.x - b.x, a.y - b.y)) };
  }

  #move(event) {
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer) return;
    event.stopPropagation();
    Object.assign(pointer, { x: event.clientX, y: event.clientY });
    const { x, y, spread, kind, camera } = this.#start, hand = this.#hand(), right = hand.x - x, down = hand.y - y;
    if (!right && !down && hand.spread === spread) return;
    if (kind === "pan") this.#actions.pan(camera, this.#stage.shares(right, down));
    else this.#actions.drag(this.#changes(right, down, hand.spread / spread));
  }

  #changes(right, down, growth) {
    const { kind, values } = this.#start, box = this.#canvas.getBoundingClientRect(), view = Math.min(box.width, box.height);
    if (kind === "turn") return turned(values, right, down, view);
    if (kind === "tilt") return tilted(values, right, view);
    const place = moved(values, right, down, this.#stage.shortPixels);
    return kind === "pinch" ? { ...place, ...scaled(values, growth) } : place;
  }

  #release(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.#pointers.size) this.#begin("turn");        // the finger that stays goes on from here, without a jump
    else {
      this.#keepTouches(false);
      this.#actions.settle();
    }
  }

  /** The view's own once it was clicked: alone it zooms the view, with Shift it scales the head (some systems turn it sideways then). */
  #wheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (event.ctrlKey || event.metaKey || (sideways && !event.shiftKey) || !this.#stage.focused) {
      if (classic()) forwardWheel(event);
      return;
    }
    stopped(event);
    const pixels = (sideways ? event.deltaX : event.deltaY) * (event.deltaMode ? LINE_PIXELS : 1), factor = Math.exp(-pixels * WHEEL_RATE);
    if (event.shiftKey) this.#actions.nudge(scaled(this.#actions.read(), factor), WHEEL_PAUSE);
    else this.#actions.zoom(factor, this.#stage.fromMiddle(event));
  }
}
