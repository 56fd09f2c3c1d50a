/** One editor: the view, its tools and panels, tied to the widgets of one node for as long as that is in a graph. */
import { Actions } from "./actions.js";
import { el, marked } from "./dom.js";
import { drawnPicture } from "./drawn_picture.js";
import { FocusKeeper } from "./focus_keeper.js";
import { isIdle } from "./host.js";
import { memoryOf } from "./memory.js";
import { placeSlots } from "./native_widgets.js";
import { NodeValues } from "./node_values.js";
import { Panel } from "./panel.js";
import { faceHeight, LEAST_FACE } from "./place_values.js";
import { PoseEdit } from "./pose_edit.js";
import { ShownHead } from "./shown_head.js";
import { Stage } from "./stage.js";
import { changedSince, follow, isPlain, ranWith } from "./staleness.js";
import { TEXT } from "./text.js";
import { Toolbar, viewChips } from "./toolbar.js";
import { ViewState } from "./view_state.js";

const REPAIR_NOTICE = 12000;         // milliseconds

export class HeadEditor {
  element = el("div", { class: "caphuman-editor", ...marked("editor") });
  #node;
  #values;
  #pose;
  #shown;
  #state;
  #actions;
  #focus;
  #memory = null;
  #parts = null;                     // { stage, toolbar, panel, unfollow } while the node is in a graph
  #repaired = "";
  #badgeNow = "";
  #frame = 0;

  constructor(node) {
    const refresh = () => this.refresh(), memory = () => this.#mine();
    this.#node = node;
    this.#values = new NodeValues(node, refresh);
    this.#shown = new ShownHead(node, refresh);
    this.#state = new ViewState(this.#shown, memory, refresh);
    this.#pose = new PoseEdit(this.#values, () => memory().history,
      { dragged: () => this.#touched(), settled: refresh, put: () => this.#showControls(this.#values.read()) });
    this.#actions = new Actions({ node, element: this.element, pose: this.#pose, shown: this.#shown, state: this.#state,
      shape: () => this.#parts?.stage.shape ?? null });
    this.#focus = new FocusKeeper(this.element, this.#actions);
  }

  /** The node has come into a graph. */
  attach() {
    if (this.#parts) return;
    this.#parts = this.#build();
    this.#memory = null;               // the ids are final only after the node is configured
    this.refresh();
  }

  /** The node has left its graph. */
  detach() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#pose.drop();
    this.#focus.dispose();
    this.#shown.rest();
    for (const end of this.#parts?.unfollow ?? []) end();
    this.#parts?.stage.dispose();
    this.#parts = null;
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
    if (!this.#parts || this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #mine() {
    return (this.#memory ??= memoryOf(this.#node));
  }

  #touched() {
    this.#repaired = "";
    this.refresh();
  }

  #build() {
    const actions = this.#actions, stage = new Stage(actions, () => this.#showNotice()), toolbar = new Toolbar(actions), 
      panel = new Panel(actions, (page) => stage.handle(page === "expression"));
    const inside = el("div", { class: "caphuman-inside" }, toolbar.element, el("div", { class: "caphuman-body" },
      el("div", { class: "caphuman-stage" }, stage.element, viewChips((view) => actions.turnTo(view))), panel.element));
    this.#focus.follow(inside);
    this.element.append(inside);
    return { stage, toolbar, panel, unfollow: [panel.follow(), follow(this.#node)] };
  }

  #draw() {
    const values = this.#values.read();
    this.#shown.update(values.corrections, this.#state.pointed);
    placeSlots(this.#node);
    this.#pose.note();
    this.#showControls(values);
    this.#parts.stage.draw(values, this.#shown, this.#state, this.#pose.open);
    this.#showNotice();
  }

  #showControls(values) {
    if (!this.#parts) return;
    const { toolbar, panel, stage } = this.#parts, { head, kind, photo } = this.#shown, { history } = this.#mine();
    toolbar.show({ undo: history.canUndo, redo: history.canRedo, inputs: Boolean(this.#node.showAdvanced), look: this.#state.look,
      photo: Boolean(photo) });
    stage.show(this.#state, Boolean(photo), this.#badge());
    panel.show(values, (name) => this.#values.linked(name), head);
    Object.assign(this.element.dataset, { nodeId: this.#node.id, head: kind, model: head?.model ?? "", idle: isIdle(this.#node) });
  }

  #showNotice() {
    if (!this.#parts) return;
    const { stage } = this.#parts;
    stage.tell(this.#shown.problem || this.#shown.refusal || stage.problem || this.#repaired || (this.#shown.head ? this.#smallFace() : TEXT.loading));
  }

  /** Takes note of what led to the head that the node has just been given. */
  executed() {
    this.#mine().before = ranWith(this.#node);
    this.refresh();
  }

  /** What is to be known about the head in the view: it is no more than a placeholder, or the graph has changed since. */
  #badge() {
    const { head, kind } = this.#shown, memory = this.#mine();
    if (!head || this.#pose.open) return this.#badgeNow;
    if (kind === "new") this.#badgeNow = isPlain(this.#node) ? "" : TEXT.badges.generic;
    else this.#badgeNow = TEXT.badges[changedSince(this.#node, (memory.before ??= ranWith(this.#node)))] ?? "";
    return this.#badgeNow;
  }

  /** What to do about a face that comes out too small, or nothing. */
  #smallFace() {
    const { head } = this.#shown, { place } = this.#parts.stage, picture = drawnPicture(this.#node) ?? head;
    const pixels = place ? faceHeight(head, place.scale, picture) : LEAST_FACE;
    return pixels < LEAST_FACE ? TEXT.smallFace(Math.floor(pixels), LEAST_FACE, picture) : "";
  }
}
