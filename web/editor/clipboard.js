/** Copy and paste of poses: the system's clipboard where the browser allows it, else a note of our own. */
import { poseOf, poseText } from "./exchange.js";
import { portable } from "./pose_values.js";

const NOTE = "caphuman.pose";        // in localStorage: reaches other tabs of this server

function storedNote() {
  try {
    return localStorage.getItem(NOTE) ?? "";
  } catch {                          // storage may be switched off
    return "";
  }
}

function storeNote(text) {
  try {
    localStorage.setItem(NOTE, text);
  } catch { /* the clipboard alone must do then */ }
}

/** Puts a pose on the clipboard. With the data of a copy event no permission is needed. */
export async function copyPose(values, data) {
  const text = poseText(portable(values));
  storeNote(text);
  if (data) data.setData("text/plain", text);
  else await navigator.clipboard?.writeText?.(text).catch(() => {});
}

/** The pose on the clipboard; an error sentence if there is none. */
export async function pastedPose(data) {
  const text = data ? data.getData("text/plain") : await navigator.clipboard?.readText?.().catch(() => "");
  return poseOf(text || storedNote());
}
