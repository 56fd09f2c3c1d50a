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

const { texts = {}, patterns = {} } = await wordsOf(locale());

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

const literal = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
const told = (text) => text.replaceAll("{}", "").length;         // letters that the source says itself
// The most telling first: what says little, as "{} in it", fits much.
const makers = Object.entries(patterns).toSorted(([one], [other]) => told(other) - told(one)).map(([text, translation]) => (
  [new RegExp(`^${text.split("{}").map(literal).join("([\\s\\S]+?)")}$`), translation]));

/** A translation with its parts said as well: {} takes the next of them, {0} that one, where a language has another order. */
function filled(translation, parts) {
  let next = 0;
  return translation.replaceAll(/\{(\d*)\}/g, (_, number) => sayPhrase(parts[number === "" ? next++ : Number(number)]));
}

/**
 * What the server said, in the page's language, and so whatever was filled into it; undefined where there is no translation.
 *
 * The server speaks English: its words go into logs, reports and errors of the API as well. The patterns are its source's own texts.
 */
export function phrase(text) {
  for (const [pattern, translation] of makers) {
    const found = pattern.exec(text);
    if (found) return filled(translation, found.slice(1));
  }
  return undefined;
}

/** The same; what has no translation stays. */
export const sayPhrase = (text) => phrase(text) ?? text;

/** A report: line by line, each with its indentation; of "file: what is wrong with it" at least the end. */
export function sayReport(text) {
  return text.split("\n").map((line) => {
    const [, indent, words] = /^(\s*)([\s\S]*)$/.exec(line);
    const colon = words.indexOf(": ") + 2;
    return indent + (phrase(words) ?? (colon > 1 ? words.slice(0, colon) + sayPhrase(words.slice(colon)) : words));
  }).join("\n");
}

/** An error's sentence, "name rule, but got X: fix."; a part without a translation stays as it is. */
export function sayError(sentence) {
  const parts = /^([\s\S]+?) ((?:must|needs|or) [\s\S]+?), but got ([\s\S]*)\.$/.exec(sentence);
  if (!parts || makers.length === 0) return sentence;
  const [, name, rule, rest] = parts;
  let at = rest.indexOf(": ");
  while (at >= 0 && !phrase(rest.slice(at + 2))) at = rest.indexOf(": ", at + 1);
  if (at < 0) at = rest.lastIndexOf(": ");
  return say("{name} {rule}, but got {got}: {fix}.", {
    name: sayPhrase(name), rule: sayPhrase(rule), got: sayPhrase(rest.slice(0, at)), fix: sayPhrase(rest.slice(at + 2)) });
}
