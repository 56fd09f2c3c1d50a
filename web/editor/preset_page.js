/** The page of presets: ready-made poses, and the user's own with save, rename, delete, import, export. */
import { button, el, icon, marked } from "./dom.js";
import { LIMITS, presetsOf, presetsText, withName, withPreset } from "./exchange.js";
import { toast } from "./host.js";
import { POSES } from "./looks.js";
import { PLACE, portable, starts } from "./pose_values.js";
import { changePresets, onPresets, readPresets } from "./preset_store.js";
import { TEXT } from "./text.js";
import { HEAD, Thumbnails } from "./thumbnails.js";

const FILE_NAME = "caphuman_presets.json";

/** For its picture: wherever a preset puts the head, it is looked at there. */
const inTheMiddle = (values) => ({ ...values, ...starts(PLACE), frame: false });

export class PresetPage {
  #actions;
  #list;
  #file;
  #own = [];                         // { place, values } of the user's own
  #tiles;
  #head = null;
  #values = null;
  #thumbnails = new Thumbnails(() => Object.entries(this.#tiles).map(([name, place]) => ({ place, values: POSES[name] })), HEAD);
  #ownThumbnails = new Thumbnails(() => this.#own, HEAD);

  /** @param {import("./actions.js").Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#list = el("div", { class: "caphuman-presets", role: "list" });
    this.#file = el("input", { type: "file", accept: ".json,application/json", hidden: true, ...marked("preset-file"), onchange: () => this.#import() });
    this.#tiles = Object.fromEntries(Object.keys(POSES).map((name) => [name,
      button(`look-${name}`, TEXT.poses[name], () => actions.pose(name), el("span", {}, TEXT.poses[name]))]));
    const ready = el("div", { class: "caphuman-poses", role: "group", "aria-label": TEXT.posesLabel }, ...Object.values(this.#tiles));
    this.content = [el("div", { class: "caphuman-preset-page" }, el("div", { class: "caphuman-scroll" }, ready, this.#list), el("div", { class: "caphuman-line" },
      button("preset-save", TEXT.savePreset, () => this.#save(), TEXT.savePreset),
      button("preset-import", TEXT.importPresets, () => this.#file.click(), TEXT.importPresets),
      button("preset-export", TEXT.exportPresets, () => this.#guard(() => this.#export()), TEXT.exportPresets), this.#file))];
    this.#show([]);
  }

  /** Follows what other editors of the page store; the returned function ends it. */
  follow() {
    return onPresets((presets) => this.#show(presets));
  }

  opened() {
    this.#load();
  }

  /** Draws the pictures for a HEAD with the editor's values: those of the ready-made poses first. */
  async picture(head, values) {
    this.#head = head;
    this.#values = values;
    await this.#thumbnails.show(head, values);
    await this.#ownThumbnails.show(head, values);
  }

  /** Reads the stored presets anew. */
  #load() {
    return this.#guard(async () => this.#show(await readPresets()));
  }

  async #guard(action) {
    try {
      await action();
    } catch (error) {
      toast("error", TEXT.tabs.presets, error.message);
    }
  }

  #show(presets) {
    this.#own = [];
    this.#list.replaceChildren(...presets.map((preset) => this.#row(preset)));
    this.#ownThumbnails.forget();
    if (this.#list.checkVisibility?.()) this.#ownThumbnails.show(this.#head, this.#values);
    if (!presets.length) this.#list.append(el("p", { class: "caphuman-dim" }, TEXT.noPresets));
  }

  #row({ name, values }) {
    const apply = button("preset-apply", name, () => this.#actions.put(values), el("bdi", {}, name));
    const row = el("div", { class: "caphuman-preset", role: "listitem", ...marked("user-preset"), "data-name": name },
      apply,
      button("preset-rename", TEXT.renamePreset, () => this.#ask(row, name, (to) => changePresets((all) => withName(all, name, to))), icon("rename")),
      button("preset-delete", TEXT.deletePreset, () => this.#guard(() => changePresets((all) => all.filter((each) => each.name !== name))), icon("delete")));
    this.#own.push({ place: apply, values: inTheMiddle(values) });
    return row;
  }

  #save() {
    const values = portable(this.#actions.read()), row = el("div", { class: "caphuman-preset" });
    this.#list.prepend(row);
    this.#ask(row, TEXT.newPresetName, (name) => changePresets((all) => withPreset(all, name, values)));
  }

  /** Turns a row into a text field; Enter or leaving it keeps the name, Escape gives up. */
  #ask(row, name, keep) {
    let over = false;
    const finish = (kept) => {
      if (over) return;
      over = true;
      this.#guard(() => kept && field.value.trim() && keep(field.value)).then(() => this.#load());
    };
    const field = el("input", { type: "text", maxlength: LIMITS.nameLength, dir: "auto", value: name, ...marked("preset-name", TEXT.presetName),
      onblur: () => finish(true), onkeydown: (event) => {
        event.stopPropagation();
        if (event.key === "Enter" || event.key === "Escape") finish(event.key === "Enter");
      } });
    row.replaceChildren(field);
    field.focus();
    field.select();
  }

  #import() {
    const [file] = this.#file.files;
    this.#file.value = "";
    if (file) this.#guard(() => this.#importFile(file));
  }

  async #importFile(file) {
    if (file.size > LIMITS.kilobytes * 1024) throw new Error(TEXT.errors.tooLarge(LIMITS.kilobytes));
    const presets = presetsOf(await file.text());
    await changePresets((all) => presets.reduce((list, { name, values }) => withPreset(list, name, values), all));
    toast("success", TEXT.tabs.presets, TEXT.imported(presets.length));
  }

  async #export() {
    const address = URL.createObjectURL(new Blob([presetsText(await readPresets())], { type: "application/json" }));
    el("a", { href: address, download: FILE_NAME }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }
}
