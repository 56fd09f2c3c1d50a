/** One editor: the view, its tools and panels, tied to the widgets of one node. */
import { copyPose, pastedPose } from "./clipboard.js";
import { isSmall } from "./close_up.js";
import { button, el, icon, marked } from "./dom.js";
import { Gestures } from "./gestures.js";
import { fromAxisAngle, yawPitchRoll } from "./head_math.js";
import { HeadView } from "./head_view.js";
import { GraphChange, holdStill, isIdle, redrawGraph, toast } from "./host.js";
import { clipboardListeners, keyTarget, stepAsked } from "./keys.js";
import { memoryOf } from "./memory.js";
import { placeSlots, toggleNative } from "./native_widgets.js";
import { NodeValues } from "./node_values.js";
import { Panel } from "./panel.js";
import { mirrored, PLACE, starts, TURN, turnTo } from "./pose_values.js";
import { ShownHead } from "./shown_head.js";
import { TEXT } from "./text.js";
import { Toolbar, viewChips } from "./toolbar.js";

const REPAIR_NOTICE = 12000;         // milliseconds

export class HeadEditor {
  element = el("div", { class: "caphuman-editor", ...marked("editor") });
  #node;
  #values;
  #change = new GraphChange();
  #shown;
  #memory = null;
  #view = null;
  #parts = null;
  #repaired = "";
  #nudged = "";                      // names that the present row of small changes is about
  #frame = 0;
  #unfollow = null;

  constructor(node) {
    this.#node = node;
    this.#values = new NodeValues(node, () => this.refresh());
    this.#shown = new ShownHead(node, () => this.refresh());
  }

  /** The node has come into a graph. */
  attach() {
    if (this.#view) return;
    this.#parts ??= this.#build();
    this.#view = new HeadView(this.#parts.canvas);
    this.#view.onChange = () => this.#showNotice();
    this.#unfollow = this.#parts.panel.follow();
    this.#memory = null;               // the ids are final only after the node is configured
    this.refresh();
  }

  /** The node has left its graph. */
  detach() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#change.end();
    document.removeEventListener("pointerdown", this.#pressedElsewhere, true);
    this.#parts?.gestures.dispose();
    this.#unfollow?.();
    this.#view?.dispose();
    this.#view = this.#parts = this.#unfollow = null;
    this.element.replaceChildren();    // the host may keep the node for long; its canvases and listeners need not stay
  }

  /** Mends what an old file brought in and shows the node's present state. */
  configured() {
    const count = this.#values.repair();
    this.#repaired = count ? TEXT.repaired(count) : "";
    if (count) setTimeout(() => { this.#repaired = ""; this.refresh(); }, REPAIR_NOTICE);
    this.refresh();
  }

  /** Shows the present values and head with the next frame. */
  refresh() {
    if (!this.#view || this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #build() {
    const hooks = this.#hooks(), canvas = el("canvas", { class: "caphuman-canvas", tabindex: -1, ...marked("view", TEXT.viewHint) });
    const keys = keyTarget(hooks), notice = el("div", { class: "caphuman-notice", role: "status", ...marked("notice"), hidden: true });
    const toolbar = new Toolbar(hooks), panel = new Panel(hooks), closeUp = button("close-up", TEXT.closeUp, hooks.closeUp, icon("closeUp"));
    const view = el("div", { class: "caphuman-view", "data-capture-wheel": "true" }, canvas, keys, closeUp, notice);
    canvas.addEventListener("focus", () => keys.focus({ preventScroll: true }));
    const gestures = new Gestures(canvas, { ...hooks, focus: () => keys.focus({ preventScroll: true }), focused: () => view.contains(document.activeElement),
      reset: hooks.resetView, shortPixels: () => this.#shortPixels(canvas) });
    const inside = el("div", { class: "caphuman-inside" }, toolbar.element, el("div", { class: "caphuman-body" }, el("div", { class: "caphuman-stage" }, view,
      viewChips((name) => this.#turnTo(name))), panel.element));
    this.#listen(inside, hooks);
    this.element.append(inside);
    return { canvas, closeUp, gestures, notice, toolbar, panel };
  }

  #listen(element, hooks) {
    element.addEventListener("focusin", () => document.addEventListener("pointerdown", this.#pressedElsewhere, true));
    element.addEventListener("focusout", () => {
      document.removeEventListener("pointerdown", this.#pressedElsewhere, true);
      document.getSelection?.()?.removeAllRanges();      // the caret left behind would go on catching the graph's copy and paste
    });
    element.addEventListener("keydown", (event) => {
      const step = event.target.matches("input:not([type=text]), canvas") ? stepAsked(event) : null;
      if (!step) return;
      hooks[step]();
      event.preventDefault();
      event.stopPropagation();
    });
    const { oncopy, onpaste } = clipboardListeners(hooks), onControls = (listener) => (event) =>
      event.target.matches?.("input:not([type=text])") && listener(event);
    element.addEventListener("copy", onControls(oncopy));
    element.addEventListener("paste", onControls(onpaste));
  }

  /** A press outside takes the focus away even where the canvas of the graph forbids the browser to. */
  #pressedElsewhere = (event) => {
    if (this.element.contains(event.target)) return;
    this.#settle();
    document.activeElement?.blur?.();
  };

  #hooks() {
    const reset = (names) => this.#put(starts(names));
    return {
      read: () => this.#values.read(), drag: (changes) => this.#drag(changes), settle: () => this.#settle(),
      put: (changes) => this.#put(changes), apply: (values) => this.#put(values),
      nudge: (changes, milliseconds) => this.#nudge(changes, milliseconds),
      undo: () => this.#step("undo"), redo: () => this.#step("redo"), mirror: () => this.#put(mirrored(this.#values.read())),
      reset: () => reset(), resetView: () => reset([...TURN, ...PLACE]), inputs: () => this.#toggleInputs(),
      look: (name) => this.#show({ look: name }), closeUp: () => this.#show({ closeUp: !this.#closeUpNow() }),
      span: () => this.#span(), copy: (data) => this.#copy(data), paste: (data) => this.#paste(data),
    };
  }

  #toggleInputs() {
    holdStill(this.element, () => toggleNative(this.#node, this.element));
    this.refresh();
  }

  #drag(changes) {
    this.#change.begin();
    this.#values.write(changes);
    this.#repaired = "";
    this.refresh();
    redrawGraph();
  }

  /** One of a row of small changes: they are one step as long as they change the same and come quickly. */
  #nudge(changes, milliseconds) {
    const about = Object.keys(changes).join();
    if (this.#change.open && this.#nudged !== about) this.#settle();
    this.#nudged = about;
    this.#drag(changes);
    this.#change.endAfter(milliseconds, () => this.#settle());
  }

  #settle() {
    if (this.#change.open) {
      this.#change.end();
      this.#note();
    }
    this.refresh();
  }

  #put(changes) {
    this.#drag(changes);
    this.#settle();
    if (this.#view) this.#showControls(this.#values.read());
  }

  #note() {
    if (!this.#change.open) this.#mine().history.note(this.#values.read());
  }

  #step(direction) {
    this.#settle();
    const state = this.#mine().history[direction]();
    if (state) this.#put(state);
  }

  #turnTo(name) {
    const { head } = this.#shown, adds = this.#values.read().mode === "add";
    this.#put(turnTo(name, adds && head ? yawPitchRoll(fromAxisAngle(head.rotation_radians)) : [0, 0, 0]));
  }

  async #copy(data) {
    await copyPose(this.#values.read(), data);
    toast("success", TEXT.copied);
  }

  async #paste(data) {
    try {
      this.#put(await pastedPose(data));
    } catch (error) {
      toast("warn", error.message);
    }
  }

  #mine() {
    return this.#memory ??= memoryOf(this.#node);
  }

  /** What the view shows; it is no part of the node's state. */
  #show(choice) {
    Object.assign(this.#mine(), choice);
    this.refresh();
  }

  /** Screen pixels of the shorter side of the picture, whose part is fitted into the canvas. */
  #shortPixels(canvas) {
    const box = canvas.getBoundingClientRect(), { width = 1, height = 1 } = this.#view.part ?? {};
    return Math.max(1, Math.min(box.width / width, box.height / height) * Math.min(width, height) / this.#span());
  }

  /** The share of the picture's shorter side that the view shows. */
  #span() {
    const { part } = this.#view, { head } = this.#shown;
    return part && head ? Math.min(part.width, part.height) / Math.min(head.width, head.height) : 1;
  }

  #draw() {
    this.#shown.update();
    placeSlots(this.#node);
    this.#note();
    const values = this.#values.read(), { head, photo } = this.#shown;
    this.#showControls(values);
    if (head) {
      this.#view.setHead(head);
      this.#view.setPhoto(photo);
      this.#view.draw(values, { look: this.#lookNow(), closeUp: this.#closeUpNow(), held: this.#change.open });
    }
    this.#showNotice();
  }

  #lookNow() {
    const { photo } = this.#shown, { look } = this.#mine();
    return look === "photo" && !photo ? "shaded" : look ?? (photo ? "photo" : "shaded");
  }

  #closeUpNow() {
    const { head } = this.#shown;
    return this.#mine().closeUp ?? Boolean(head && isSmall(head));
  }

  #showControls(values) {
    const { toolbar, panel, closeUp } = this.#parts, { head, kind, photo } = this.#shown;
    const { history } = this.#mine();
    toolbar.show({ undo: history.canUndo, redo: history.canRedo, inputs: Boolean(this.#node.showAdvanced), look: this.#lookNow(),
      photo: Boolean(photo) });
    closeUp.setAttribute("aria-pressed", this.#closeUpNow());
    panel.show(values, (name) => this.#values.linked(name));
    Object.assign(this.element.dataset, { nodeId: this.#node.id, head: kind, model: head?.model ?? "", idle: isIdle(this.#node) });
  }

  #showNotice() {
    const { notice } = this.#parts;
    notice.textContent = this.#shown.problem || this.#view?.problem || this.#repaired || (this.#shown.head ? "" : TEXT.loading);
    notice.hidden = !notice.textContent;
  }
}
