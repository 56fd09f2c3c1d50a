/** Keeps one view supplied with the head it is to show; tells what went wrong in one line. */
import { BUILT_IN, chosenModel, lastSent, newHead, photoOf, pictureSize } from "./incoming_head.js";
import { TEXT } from "./text.js";

const RETRY = 1000;                  // milliseconds between questions to a server that does not answer

export class ShownHead {
  head = null;
  photo = null;
  problem = "";
  #node;
  #changed;
  #key = null;                       // what is shown or on its way: a fitted head, or a description of a new one
  #sent;                             // as it came from the server
  #fitted = null;
  #retryAt = Infinity;

  /** @param {() => void} changed called when head, photo or problem have changed */
  constructor(node, changed) {
    this.#node = node;
    this.#changed = changed;
  }

  get kind() {
    return this.head?.fitted ? "fitted" : "new";
  }

  /** Looks which head the graph asks for now and fetches it if it is another one. */
  async update() {
    const { name: model, gone } = chosenModel(this.#node), fitted = this.#ofLastRun();
    const usable = fitted && !gone && (model === null || fitted.model === model);
    const [width, height] = pictureSize(this.#node);
    const key = usable ? fitted : [model, gone, width, height].join(" ");
    if (key === this.#key && Date.now() < this.#retryAt) return;
    this.#key = key;
    this.#retryAt = Infinity;
    if (usable) await this.#take(key, fitted, "");
    else if (gone) await this.#fallBack(key, model, width, height);
    else await this.#fetch(key, model ?? BUILT_IN, width, height);
  }

  #ofLastRun() {
    const sent = lastSent(this.#node);
    if (sent !== this.#sent) {
      this.#sent = sent;
      this.#fitted = sent ? { ...(typeof sent === "string" ? JSON.parse(sent) : sent), fitted: true } : null;
    }
    return this.#fitted;
  }

  async #fetch(key, model, width, height) {
    try {
      await this.#take(key, await newHead(model, width, height), "");
    } catch (error) {
      const refused = model !== BUILT_IN && error.status >= 400 && error.status < 500 && error.status !== 429;
      if (refused) return this.#fallBack(key, model, width, height);
      if (key !== this.#key) return;
      this.#retryAt = Date.now() + RETRY;
      this.problem = TEXT.noServer;
      this.#changed();
    }
  }

  async #fallBack(key, model, width, height) {
    const head = await newHead(BUILT_IN, width, height).catch(() => null);
    await this.#take(key, head, TEXT.vanished(model));
  }

  async #take(key, head, problem) {
    const photo = await photoOf(head);
    if (key !== this.#key) return;     // a newer one was asked for meanwhile
    Object.assign(this, { head, photo, problem });
    this.#changed();
  }
}
