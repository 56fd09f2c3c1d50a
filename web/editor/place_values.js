/** Values that bring a head to a place: the same head under the other mode, a portrait's framing, and how large a face comes out. Pure. */
import { fromAxisAngle, neckOf, ownGaze, placement, turnOf, yawPitchRoll } from "./head_math.js";
import { bounded, GAZE, PLACE, rounded, TURN } from "./pose_values.js";

const DEGREES = 180 / Math.PI;
const FACE_SHARE = 0.133 / 0.42;         // brows to chin, of the shorter side at scale 1: face_size.py, pivot.py
export const LEAST_FACE = 64;            // pixels: face_size.py

const named = (names, numbers) => Object.fromEntries(names.map((name, k) => [name, bounded(name, rounded(numbers[k]))]));

/**
 * The values that show the head as it is now under another mode.
 * @param {{amounts: object, jaw_radians: number[]}} own of head_client.amountsOf: what of its expression has a name
 */
export function converted(head, shape, values, { mode, own }) {
  if (mode === values.mode) return {};
  const sign = mode === "set" ? 1 : -1, jaw = values.jaw_degrees + sign * (head.jaw_radians[0] - own.jaw_radians[0]) * DEGREES;
  const names = Object.keys(own.amounts);
  const had = mode === "set" ? [0, 0, 0] : yawPitchRoll(fromAxisAngle(head.rotation_radians));
  const gaze = ownGaze(head).map((degrees, k) => values[GAZE[k]] + sign * degrees);
  const neck = neckOf(head, values) - (mode === "set" ? 0 : head.neck_share ?? 0);
  const turn = yawPitchRoll(turnOf(head, values)).map((degrees, k) => degrees - had[k]);
  return { mode, ...named(TURN, turn), ...named([...GAZE, "neck_share"], [...gaze, neck]), ...(shape ? placed(head, shape, { ...values, mode }, placement(head, shape, values)) : {}),
    ...named(names, names.map((name) => values[name] + sign * own.amounts[name])), jaw_degrees: bounded("jaw_degrees", rounded(jaw)) };
}

/** x, y and scale that bring the head with these values to where { centre, scale } are. */
function placed(head, shape, values, { centre, scale }) {
  const short = Math.min(head.width, head.height), start = placement(head, shape, { ...values, x: 0, y: 0, scale: 1 });
  return named(PLACE, [...centre.map((at, k) => (at - start.centre[k]) / short), scale / start.scale]);
}

/** Pixels of a picture per pixel of the head's frame, as Render Head fits it in (camera.reframe). */
function ratioOf(head, { width, height, framing }) {
  const across = width / head.width, down = height / head.height;
  if (framing === "stretch") return Math.sqrt(across * down);
  return framing === "cover" ? Math.max(across, down) : Math.min(across, down);
}

/** x, y and scale for a portrait in a picture { width, height, framing }: the head in its middle, as large in it as a new one. */
export function portrait(head, shape, values, picture) {
  const scale = Math.min(picture.width, picture.height) / ratioOf(head, picture) / Math.min(head.width, head.height);
  return placed(head, shape, values, { centre: [head.width / 2, head.height / 2], scale });
}

/** Height of the face in a picture, brows to chin, in its pixels. scale: of head_math.placement */
export const faceHeight = (head, scale, picture) => scale * FACE_SHARE * Math.min(head.width, head.height) * ratioOf(head, picture);
