/** Everything the editor asks of ComfyUI's frontend; what an older frontend lacks is left out in silence. */
import { app } from "../../../scripts/app.js";

export const BYPASSED = 4;           // mode of a node; LiteGraph has no name for it

/** Calls the hook that was there before, then ours; returns what the old one returned. */
export function chain(owner, key, ours) {
  const old = owner[key];
  owner[key] = function (...args) {
    const result = old?.apply(this, args);
    ours.apply(this, args);
    return result;
  };
}

/** Whether nodes are drawn on the canvas (classic) and not as elements of the page (Vue nodes). */
export const classic = () => !globalThis.LiteGraph?.vueNodesMode;

/** Whether a node is muted or bypassed and does not look it: Vue nodes fade as a whole. */
export const isIdle = (node) => classic() && (node.mode === globalThis.LiteGraph?.NEVER || node.mode === BYPASSED);

/** A short message in the corner of the page. */
export function toast(severity, summary, detail) {
  app.extensionManager?.toast?.add?.({ severity, summary, detail, life: severity === "error" ? 9000 : 2500 });
}

export const runGraph = () => app.extensionManager?.command?.execute?.("Comfy.QueuePrompt");

export const redrawGraph = () => app.canvas?.setDirty?.(true, true);

const SETTLED = 180;                 // milliseconds without a change of the zoom

/** Calls back when the graph's zoom, or the density of the screen, has changed and come to rest. */
export function onZoom(rested) {
  let scale = app.canvas?.ds?.scale, timer = 0;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(rested, SETTLED);
  };
  chain(app.canvas, "onDrawForeground", () => {
    if (app.canvas.ds.scale === scale) return;
    scale = app.canvas.ds.scale;
    soon();
  });
  addEventListener("resize", soon);
}

/** Lets the canvas zoom with a wheel turn over the view that is not meant for the head. */
export function forwardWheel(event) {
  event.preventDefault();
  app.canvas?.processMouseWheel?.(event);
}

/** Lets the canvas pan with the middle button. */
export const forwardPress = (event) => app.canvas?.processMouseDown?.(event);

/** Runs a change of the node's layout and moves the canvas so that the element stays where it is on the screen. */
export function holdStill(element, change) {
  const before = element.getBoundingClientRect().top;
  change();
  redrawGraph();
  let frames = 4;                    // Vue nodes measure themselves a few frames later
  const follow = () => {
    const view = app.canvas?.ds, moved = element.getBoundingClientRect().top - before;
    if (view && element.isConnected) view.offset[1] -= moved / view.scale;
    redrawGraph();
    if (frames--) requestAnimationFrame(follow);
  };
  requestAnimationFrame(follow);
}

const tracker = () => app.extensionManager?.workflow?.activeWorkflow?.changeTracker;

/** One undo step of the graph for everything between begin and end, however often each is called. */
export class GraphChange {
  #open = false;
  #tracker = null;
  #timer = 0;

  get open() { return this.#open; }

  begin() {
    clearTimeout(this.#timer);
    if (this.#open) return;
    this.#open = true;
    this.#tracker = tracker();
    app.canvas?.emitBeforeChange?.();
  }

  end() {
    clearTimeout(this.#timer);
    if (!this.#open) return;
    this.#open = false;
    // the user may have gone to another workflow meanwhile: its count must not be touched
    if (!this.#tracker || this.#tracker === tracker()) app.canvas?.emitAfterChange?.();
    else this.#tracker.changeCount = Math.max(0, this.#tracker.changeCount - 1);
  }

  /** Calls `done` when it is not called again for a while, milliseconds: key presses and wheel turns have no end of their own. */
  endAfter(milliseconds, done) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(done, milliseconds);
  }
}
