/** Text forms of poses and presets: written and, distrustfully, read. Pure. Errors are single sentences for the user. */
import { FIELDS, fits } from "./pose_values.js";
import { TEXT } from "./text.js";

const VERSION = 1;
export const LIMITS = Object.freeze({ kilobytes: 256, presets: 200, nameLength: 60 });

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function parsed(text) {
  if (new Blob([text]).size > LIMITS.kilobytes * 1024) throw new Error(TEXT.errors.tooLarge(LIMITS.kilobytes));
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(TEXT.errors.notJson);
  }
}

function checkedVersion(document, key) {
  if (!isObject(document) || !Number.isInteger(document[key])) throw new Error(TEXT.errors.foreign);
  if (document[key] !== VERSION) throw new Error(TEXT.errors.version);
}

/** Values that may all stand in the node, or an error that names the first that may not. */
function checkedValues(values, owner) {
  if (!isObject(values) || !Object.keys(values).length) throw new Error(TEXT.errors.foreign);
  for (const [name, value] of Object.entries(values)) {
    if (!Object.hasOwn(FIELDS, name)) throw new Error(TEXT.errors.foreign);
    if (!fits(name, value)) throw new Error(TEXT.errors.badValue(owner, name));
  }
  return { ...values };
}

function checkedName(name) {
  const trimmed = typeof name === "string" ? name.trim() : "";
  if (!trimmed || trimmed.length > LIMITS.nameLength) throw new Error(TEXT.errors.badName(LIMITS.nameLength));
  return trimmed;
}

/** A pose as text for the clipboard. */
export const poseText = (values) => JSON.stringify({ caphuman_pose: VERSION, values });

/** The values in a text, or an error if it is no pose. */
export function poseOf(text) {
  try {
    const document = parsed(text);
    checkedVersion(document, "caphuman_pose");
    return checkedValues(document.values, "pose");
  } catch {
    throw new Error(TEXT.errors.noPose);
  }
}

/** Presets as the text of a file. */
export const presetsText = (presets) => JSON.stringify({ caphuman_presets: VERSION, presets }, null, 1);

/** @returns {{name: string, values: object}[]} the presets of a file's text; an error if anything in it is not as it should be */
export function presetsOf(text) {
  const document = parsed(text);
  checkedVersion(document, "caphuman_presets");
  if (!Array.isArray(document.presets)) throw new Error(TEXT.errors.foreign);
  if (document.presets.length > LIMITS.presets) throw new Error(TEXT.errors.tooMany(LIMITS.presets));
  return document.presets.map((preset) => {
    if (!isObject(preset)) throw new Error(TEXT.errors.foreign);
    const name = checkedName(preset.name);
    return { name, values: checkedValues(preset.values, name) };
  });
}

/** The presets with one more, under a name that is still free. */
export function withPreset(presets, name, values) {
  if (presets.length >= LIMITS.presets) throw new Error(TEXT.errors.tooMany(LIMITS.presets));
  return [...presets, { name: freeName(presets, checkedName(name)), values }];
}

/** The presets with one renamed. */
export function withName(presets, old, name) {
  const others = presets.filter((preset) => preset.name !== old);
  const free = freeName(others, checkedName(name));
  return presets.map((preset) => (preset.name === old ? { ...preset, name: free } : preset));
}

function freeName(presets, name) {
  const taken = new Set(presets.map((preset) => preset.name));
  for (let number = 2, free = name; ; number += 1) {
    if (!taken.has(free)) return free;
    const tail = ` ${number}`;
    free = name.slice(0, LIMITS.nameLength - tail.length) + tail;
  }
}
