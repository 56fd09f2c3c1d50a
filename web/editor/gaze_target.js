/** Where the eyes look, as a point in front of the face that a hand draws along. Pure. */
import { ownGaze } from "./head_math.js";
import { bounded, GAZE } from "./pose_values.js";

const DEGREES = 180 / Math.PI;
const AHEAD = 0.13;                  // metres from the eyes to the plane that the point lies in
const FINE = 10;                     // steps a degree: what fits a number field
const FLATTEST = 0.3;                // of that plane in the picture, as a share: seen more from the side, the point follows more slowly

/** Yaw and pitch in degrees of the edited head's eyes, against the head. */
function gazeOf(head, values) {
  const own = values.mode === "set" ? [0, 0] : ownGaze(head);
  return [own[0] + values[GAZE[0]], own[1] + values[GAZE[1]]];
}

/** The point, metres, in the head's own frame. */
export function targetOf(head, { eyes }, values) {
  const [yaw, pitch] = gazeOf(head, values).map((angle) => angle / DEGREES);
  return [eyes[0] + AHEAD * Math.tan(yaw), eyes[1] + AHEAD * Math.tan(pitch) / Math.cos(yaw), eyes[2] + AHEAD];
}

/** How far [to the person's left, up] in the point's plane a way in the picture [right, up] leads, metres. turn: of the head */
export function alongPlane(turn, [right, up]) {
  const area = turn[0] * turn[4] - turn[1] * turn[3], size = Math.sign(area || 1) * Math.max(FLATTEST, Math.abs(area));
  return [(turn[4] * right - turn[1] * up) / size, (turn[0] * up - turn[3] * right) / size];
}

/** What changes when the point is drawn along [to the person's left, up], metres, from where these values have it. */
export function looked(head, values, [left, up]) {
  const before = gazeOf(head, values), [yaw, pitch] = before.map((angle) => angle / DEGREES);
  const x = AHEAD * Math.tan(yaw) + left, y = AHEAD * Math.tan(pitch) / Math.cos(yaw) + up;
  const after = [Math.atan2(x, AHEAD), Math.atan2(y, Math.hypot(x, AHEAD))].map((angle) => angle * DEGREES);
  return Object.fromEntries(after.map((angle, k) => [GAZE[k], bounded(GAZE[k], Math.round((values[GAZE[k]] + angle - before[k]) * FINE) / FINE)]));
}

/** What an arrow key changes, or null. */
export function nudgedGaze(values, key, degrees) {
  const [right, up] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key] ?? [0, 0];
  if (right) return { [GAZE[0]]: bounded(GAZE[0], values[GAZE[0]] + right * degrees) };
  return up ? { [GAZE[1]]: bounded(GAZE[1], values[GAZE[1]] + up * degrees) } : null;
}
