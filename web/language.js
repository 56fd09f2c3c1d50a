/** The pack's own words in the frontend's language: texts/<language>.json, which `python dev.py generate` writes. */
import { app } from "../../scripts/app.js";

async function read(language) {
  try {
    const answer = await fetch(new URL(`./texts/${language}.json`, import.meta.url));
    return answer.ok ? await answer.json() : {};
  } catch {
    return {};                           // without its file a page is English
  }
}

const english = await read("en");
const reading = new Map([["en", Promise.resolve(english)]]);

/** What there is for a language: { templates, texts }; English where it has no file. */
export function wordsOf(language) {
  if (!english.languages?.includes(language)) return reading.get("en");
  if (!reading.has(language)) reading.set(language, read(language));
  return reading.get(language);
}

export const locale = () => app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en";

const { texts = {} } = await wordsOf(locale());

/** A text in the language that the page was loaded with; {name} is filled in afterwards. */
export function say(text, values = {}) {
  return (texts[text] ?? text).replaceAll(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The same tree with every text said; functions stay. */
export function said(tree) {
  if (typeof tree === "string") return say(tree);
  if (Array.isArray(tree)) return tree.map(said);
  if (tree && typeof tree === "object") return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, said(value)]));
  return tree;
}

/** A note: as a whole, or line by line. */
export const sayNote = (text) => texts[text] ?? text.split("\n").map((line) => texts[line] ?? line).join("\n");

const NUMBERED = /^(\d+ )(.+)$/;           // "2 Head"

/** A title; a group's number stays. */
export const sayTitle = (text) => (texts[text] ? texts[text] : text.replace(NUMBERED, (_, number, words) => number + say(words)));

export const isTranslated = Object.keys(texts).length > 0;
