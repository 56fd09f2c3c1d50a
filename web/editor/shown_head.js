/** Keeps one view supplied with the head it is to show; tells what went wrong in one line. */
import { BUILT_IN, fittedHead, lastOutput, modelName, newHead, photoOf, pictureSize } from "./incoming_head.js";
import { TEXT } from "./text.js";

const RETRY = 5000;                  // milliseconds between questions to a server that does not answer

export class ShownHead {
  head = null;
  photo = null;
  problem = "";
  #node;
  #changed;
  #key = null;                       // what is shown or on its way
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
    const model = modelName(this.#node), output = lastOutput(this.#node)?.caphuman_editor?.[0];
    const fitted = fittedHead({ caphuman_editor: [output] });
    const usable = fitted && (model === null || fitted.model === model);
    const [width, height] = pictureSize(this.#node);
    const key = usable ? (typeof output === "string" ? output : JSON.stringify(output)) : [model, width, height].join(" ");
    if (key === this.#key && Date.now() < this.#retryAt) return;
    this.#key = key;
    this.#retryAt = Infinity;
    if (usable) await this.#take(key, { ...fitted, fitted: true }, "");
    else await this.#fetch(key, model ?? BUILT_IN, width, height);
  }

  async #fetch(key, model, width, height) {
    try {
      await this.#take(key, await newHead(model, width, height), "");
    } catch (error) {
      const gone = model !== BUILT_IN && error.status >= 400 && error.status < 500 && error.status !== 429;
      if (gone) return this.#fallBack(key, model, width, height);
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
