/** The view with what lies over it: the canvas, the keyboard's target, points of the face, buttons, badge, and one line of notice. */
import { isHome } from "./camera.js";
import { button, el, icon, marked } from "./dom.js";
import { Gestures } from "./gestures.js";
import { Handles } from "./handles.js";
import { HeadView } from "./head_view.js";
import { keyTarget } from "./keys.js";
import { Points } from "./points.js";
import { PhotoTools } from "./photo_tools.js";
import { asItCame } from "./pose_values.js";
import { TEXT } from "./text.js";

const NO_VIEW = Object.freeze({ problem: "", shape: null, place: null, part: null });

export class Stage {
  #canvas = el("canvas", { class: "caphuman-canvas", tabindex: -1, ...marked("view", TEXT.viewHint) });
  #notice = el("div", { class: "caphuman-notice", role: "status", ...marked("notice"), hidden: true });
  #keys;
  #closeUp;
  #zoom;
  #gestures;
  #view;
  #head = null;
  #photoTools;
  #badge;
  #handles;
  #handled = false;
  #points;
  #pointer;
  #corrected = [null, ""];           // what Points.show was given last

  /** @param {import("./actions.js").Actions} actions; @param {() => void} changed told when something waited for has come, and after each drawing */
  constructor(actions, changed) {
    this.#keys = keyTarget(actions, this);
    this.#closeUp = button("close-up", TEXT.closeUp, () => actions.closeUp(), icon("closeUp"));
    this.#zoom = button("zoom", TEXT.resetCamera, () => actions.resetCamera());
    this.#photoTools = new PhotoTools(actions);
    this.#handles = new Handles(actions, this);
    this.#points = new Points(actions, this);
    this.#pointer = button("points", TEXT.points, () => actions.points(), icon("points"));
    this.#badge = button("badge", TEXT.badgeHint, () => actions.run());
    this.element = el("div", { class: "caphuman-view", "data-capture-wheel": "true" }, this.#canvas, this.#handles.element, this.#points.element,
      this.#keys, this.#closeUp, this.#pointer, this.#zoom, this.#badge, this.#photoTools.element, this.#notice);
    this.#canvas.addEventListener("focus", () => this.focus());
    this.#gestures = new Gestures(this.#canvas, actions, this);
    this.#view = new HeadView(this.#canvas);
    this.#view.onChange = changed;
    this.#view.onDrawn = () => {
      this.#lay();
      changed();
    };
  }

  /** Why the head cannot be shown as it is, in one sentence, or nothing. */
  get problem() {
    return this.#view.problem;
  }

  /** The head's shape, see head_client.js, or null while it is not there. */
  get shape() {
    return this.#view.shape;
  }

  /** Where the edited head lies, see head_math.placement; null while that is not known. */
  get place() {
    return this.#view.place;
  }

  /** The HEAD that is shown, or null. */
  get head() {
    return this.#head;
  }

  focus() {
    this.#keys.focus({ preventScroll: true });
  }

  get focused() {
    return this.element.contains(document.activeElement);
  }

  /** The share of the picture's shorter side that the view shows. */
  get span() {
    const { part } = this.#view, head = this.#head;
    return part && head ? Math.min(part.width, part.height) / Math.min(head.width, head.height) : 1;
  }

  /** Whether the next drag moves the view and not the head. */
  get panning() {
    return this.element.classList.contains("caphuman-panning");
  }

  set panning(is) {
    this.element.classList.toggle("caphuman-panning", is);
  }

  /** A point of the picture, pixels, as percents of the element's width and height. */
  percent([x, y]) {
    const { clientWidth: across, clientHeight: down } = this.#canvas, { part } = this.#view, pixels = Math.min(across / part.width, down / part.height);
    return [50 + (x - part.x - part.width / 2) * pixels / across * 100, 50 + (y - part.y - part.height / 2) * pixels / down * 100];
  }

  /** A place or way on the screen, pixels, as shares of what is shown. */
  shares(right, down) {
    const box = this.#canvas.getBoundingClientRect(), { width = 1, height = 1 } = this.#view.part ?? {};
    const pixels = Math.min(box.width / width, box.height / height) || 1;
    return [right / pixels / width, down / pixels / height];
  }

  /** A point of the screen, in shares of what is shown from its middle. */
  fromMiddle({ clientX, clientY }) {
    const box = this.#canvas.getBoundingClientRect();
    return this.shares(clientX - box.left - box.width / 2, clientY - box.top - box.height / 2);
  }

  /** Screen pixels of the shorter side of the picture, whose part is fitted into the canvas. */
  get shortPixels() {
    const box = this.#canvas.getBoundingClientRect(), { width = 1, height = 1 } = this.#view.part ?? {};
    return Math.max(1, Math.min(box.width / width, box.height / height) * Math.min(width, height) / this.span);
  }

  /** @param {import("./shown_head.js").ShownHead} shown; @param {import("./view_state.js").ViewState} state; @param {boolean} held a hand is at work */
  draw(values, shown, state, held) {
    this.#head = shown.head;
    if (!shown.head) return;
    this.#view.setHead(shown.head);
    this.#view.setPhoto(shown.photo);
    const { look, closeUp, camera, comparing } = state;
    this.#corrected = state.pointed ? [shown.points, values.corrections] : [null, ""];
    this.#view.draw(state.pointed ? asItCame(values) : values, { look: comparing ? "photo" : look, closeUp, camera, held, opacity: comparing ? 0 : state.opacity });
    this.#lay();
  }

  /** Lays what a hand can take hold of over the view. */
  #lay() {
    this.#handles.show(this.#handled && !this.#corrected[0]);
    this.#points.show(...this.#corrected);
  }

  /** @param {import("./view_state.js").ViewState} state; @param {boolean} photo is there; @param {string} badge what is to be known about the head */
  show(state, photo, badge) {
    this.#photoTools.show(state, photo);
    this.#badge.textContent = badge;
    this.#badge.hidden = !badge;
    this.#closeUp.setAttribute("aria-pressed", state.closeUp);
    this.#pointer.setAttribute("aria-pressed", state.pointed);
    this.#zoom.hidden = isHome(state.camera);
    this.#zoom.textContent = `${Number(state.camera.zoom.toPrecision(2))} ×`;
  }

  /** Whether the points of the face are there to be taken hold of. */
  handle(on) {
    this.#handled = on;
    this.#lay();
  }

  /** One line over the view; hidden when empty. */
  tell(sentence) {
    if (this.#notice.textContent !== sentence) this.#notice.textContent = sentence;      // said anew, it would be read aloud anew
    this.#notice.hidden = !sentence;
  }

  dispose() {
    this.#gestures.dispose();
    this.#view.dispose();
    this.#view = NO_VIEW;              // the frontend holds the element that the mouse was over last, and with it its listeners
    this.element.remove();             // and with these the rest of the editor
  }
}
