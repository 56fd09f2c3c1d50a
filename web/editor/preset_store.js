/** The user's presets: one JSON file among their data on the server, shared by all editors of the page. */
import { api } from "../../../scripts/api.js";
import { presetsOf, presetsText } from "./exchange.js";
import { TEXT } from "./text.js";

const FILE = "caphuman.presets.json";
const listeners = new Set();

/** Calls back after each change until the returned function is called. */
export function onPresets(callback) {
  listeners.add(callback);
  return () => listeners.delete(callback);
}

/** Whether the file is there: asking for one that is not would leave an error in the console. */
async function stored() {
  const answer = await api.fetchApi("/v2/userdata?path=");
  if (!answer.ok) return answer.status !== 404;
  const entries = await answer.json();
  return !Array.isArray(entries) || entries.some((entry) => (entry.path ?? entry.name ?? entry) === FILE);
}

/** The user's presets; an error sentence if they cannot be read. */
export async function readPresets() {
  try {
    if (!(await stored())) return [];
    const answer = await api.getUserData(FILE);
    if (answer.status === 404) return [];
    if (!answer.ok) throw new Error(answer.statusText);
    return presetsOf(await answer.text());
  } catch (cause) {
    throw new Error(TEXT.errors.unread, { cause });
  }
}

/**
 * Reads the presets, lets `change` make the new list, and stores it: another tab's presets are not lost.
 * An unreadable file is never written over.
 */
export async function changePresets(change) {
  const presets = change(await readPresets());
  try {
    await api.storeUserData(FILE, presetsText(presets), { overwrite: true, stringify: false, throwOnError: true, full_info: false });
  } catch (cause) {
    throw new Error(TEXT.errors.unsaved, { cause });
  }
  for (const listener of listeners) listener(presets);
}
