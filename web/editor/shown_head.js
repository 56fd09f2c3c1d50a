/** Keeps one view supplied with the head it is to show; tells what went wrong in one line. */
import { correctedOf, NewestSource } from "./head_client.js";
import { BUILT_IN, chosenModel, lastSent, newHead, photoOf, pictureSize } from "./incoming_head.js";
import { TEXT } from "./text.js";

const RETRY = 1000;                  // milliseconds between questions to a server that does not answer

export class ShownHead {
  /** The HEAD that comes in, after what a hand has corrected in it. */
  head = null;
  /** Where its landmarks lie in its picture, pixels by name; null until they were asked for. */
  points = null;
  photo = null;
  problem = "";
  /** Why the corrections cannot be followed, in one sentence, or nothing. */
  refusal = "";
  #came = null;                      // the HEAD as it comes in
  #corrections = "";
  #follower = null;                  // asks for the corrected head
  #answer = null;                    // the last: { key, head, points }, head null where it is the one that comes in
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

  /**
   * Looks which head the graph asks for now and fetches it if it is another one.
   * @param {string} corrections the widget's; @param {boolean} pointed whether its landmarks are to be shown
   */
  update(corrections, pointed) {
    this.#look();
    this.#follow(corrections, pointed);
  }

  /** Nobody looks any more. */
  rest() {
    this.#follower?.dispose();
    this.#follower = null;
  }

  #follow(corrections, pointed) {
    if (corrections !== this.#corrections) this.refusal = "";
    this.#corrections = corrections;
    if (!corrections) this.head = this.#came;
    if (!this.#came || !(corrections || pointed)) return;
    const { photo: _, skin: __, fitted: ___, ...told } = this.#came, request = { ...told, corrections };
    if (this.#answer?.key === JSON.stringify(request)) return this.#use(this.#answer);
    this.#follower ??= new NewestSource(correctedOf, (answer) => this.#took(answer), (sentence) => this.#refuse(sentence));
    this.#follower.want(request);
  }

  #took({ points, of, ...head }) {
    const { photo, skin, fitted } = this.#came ?? {};
    this.#answer = { key: JSON.stringify(of), points, head: of.corrections ? { ...head, photo, skin, fitted } : null };
    this.#changed();                   // looks whether this is still what is asked for
  }

  #use({ head, points }) {
    this.head = head ?? this.#came;
    this.points = points;
  }

  #refuse(sentence) {
    this.refusal = sentence;
    this.head = this.#came;
    this.#changed();
  }

  async #look() {
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
    if (head !== this.#came) this.points = null;
    this.#came = head;
    Object.assign(this, { photo, problem });
    if (!this.#corrections || !head) this.head = head;
    this.#changed();
  }
}
