/** The page of who it is: hair to look at, and the first directions of the head model's shape and texture, which also mend a fit by hand. */
import { button, el } from "./dom.js";
import { meshOf } from "./head_client.js";
import { FIELDS, SHAPE, starts, TEXTURE } from "./pose_values.js";
import { Rows } from "./rows.js";
import { TEXT } from "./text.js";

const LISTS = { shape: SHAPE, texture: TEXTURE };

/** A name of the head model's in words: "nose-width" as "Nose width" where there are no better ones. */
const spoken = (name) => TEXT.directions[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll(/[-_]/g, " ");

export class ShapePage {
  #rows;
  #values = starts();
  #names = { shape: [], texture: [] };
  #styles = [];                        // of hair that the head model has
  #hair;
  #cuts;
  #head = null;

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#rows = new Rows(actions);
    const columns = Object.entries(LISTS).map(([list, names]) => el("div", { class: "caphuman-column", role: "group", "aria-label": TEXT.shapeLists[list] },
      el("span", { class: "caphuman-title" }, TEXT.shapeLists[list]), ...names.map((name) => this.#rows.slider(name))));
    this.#cuts = Object.fromEntries(FIELDS.hair.options.map((style) => [style,
      button(`hair-${style}`, TEXT.hairHint, () => actions.put({ hair: style }), TEXT.hair[style])]));
    this.#hair = this.#rows.line("hair", el("span", {}, TEXT.values.hair), el("div", { class: "caphuman-group caphuman-segments", role: "group",
      "aria-label": TEXT.values.hair }, ...Object.values(this.#cuts)));
    this.content = [this.#hair, el("div", { class: "caphuman-two" }, ...columns),
      el("div", { class: "caphuman-line" }, button("shape-reset", TEXT.shapeReset[1], () => actions.put(starts([...SHAPE, ...TEXTURE, "corrections"])), TEXT.shapeReset[0]))];
  }

  show(values, linked) {
    this.#values = values;
    this.#rows.show(values, linked);
    for (const [style, cut] of Object.entries(this.#cuts)) {
      cut.setAttribute("aria-pressed", style === values.hair);
      cut.disabled = linked("hair");
    }
    this.#offer();
  }

  /** Learns what the directions of a HEAD's model are called, and how many it has. */
  async picture(head) {
    if (!head || head === this.#head) return;
    this.#head = head;
    const mesh = await meshOf(head).catch(() => null);
    if (head !== this.#head) return;
    if (mesh) [this.#names, this.#styles] = [mesh.names, mesh.styles];
    else this.#head = null;              // asked again when the page is opened again
    this.#offer();
  }

  /** Hair and sliders that the model has; also others that are not at their start, so that they can be set back. */
  #offer() {
    this.#hair.hidden = !this.#styles.length && this.#values.hair === FIELDS.hair.start;
    for (const [list, names] of Object.entries(LISTS)) {
      names.forEach((name, k) => this.#rows.offer(name, k < this.#names[list].length || this.#values[name] !== 0,
        this.#names[list][k] ? spoken(this.#names[list][k]) : TEXT.values[name]));
    }
  }
}
