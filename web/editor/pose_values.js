/**
 * The values of CapHumanEditHead as the editor knows them: ranges, defaults, repair, mirror and the built-in views.
 * Pure: nothing of the page or the host. A test compares FIELDS with the node's schema.
 */

/** @typedef {{low: number, high: number, step: number, start: number, wraps?: boolean, bar?: number}} NumberField
 * units: see the node's tooltips; bar: step of a coarse drag over the whole range */

const number = (low, high, step, start = 0, more = {}) => ({ kind: "number", low, high, step, start, ...more });
const amount = () => number(-1, 1.5, 0.01);
const flag = () => ({ kind: "flag", start: false });

export const TURN = ["yaw_degrees", "pitch_degrees", "roll_degrees"];
export const PLACE = ["x", "y", "scale"];
export const POSE = [...TURN, ...PLACE, "jaw_degrees"];
const FIRST = ["smile", "frown", "brows_up", "brows_down", "blink_left", "blink_right", "squint", "mouth_open",
  "jaw_left", "jaw_right", "pucker", "wide_mouth", "sneer", "cheek_puff", "surprise", "anger", "sadness", "disgust", "fear"];
/** Named later: their widgets come last. */
export const APPENDED = ["grin", "laugh", "tongue_out", "smile_left", "smile_right", "brow_left", "brow_right"];
export const EXPRESSIONS = [...FIRST, ...APPENDED];
export const DIRECTION = ["light_azimuth", "light_elevation"];
export const LIGHT = [...DIRECTION, "light_intensity", "light_ambient", "light_fill", "light_rim"];

export const GAZE = ["gaze_yaw_degrees", "gaze_pitch_degrees", "gaze_convergence_degrees"];
const DIRECTIONS = 10;           // of shape, and of texture, that have a widget
const numbered = (name) => Array.from({ length: DIRECTIONS }, (_, place) => `${name}_${place + 1}`);
export const SHAPE = numbered("shape"), TEXTURE = numbered("texture");

/** Widget name -> its kind, range and default. */
export const FIELDS = Object.freeze({
  yaw_degrees: number(-180, 180, 0.5, 0, { wraps: true }),
  pitch_degrees: number(-90, 90, 0.5),
  roll_degrees: number(-180, 180, 0.5, 0, { wraps: true }),
  x: number(-2, 2, 0.001, 0, { bar: 0.01 }),
  y: number(-2, 2, 0.001, 0, { bar: 0.01 }),
  scale: number(0.05, 10, 0.001, 1),
  jaw_degrees: number(-30, 40, 0.5),
  ...Object.fromEntries(FIRST.map((name) => [name, amount()])),
  mode: { kind: "choice", options: ["add", "set"], start: "add" },
  turn_light: flag(),
  relight: flag(),
  light_azimuth: number(-180, 180, 1, 30, { wraps: true }),
  light_elevation: number(-90, 90, 1, 25),
  light_intensity: number(0, 4, 0.01, 0.6),
  light_ambient: number(0, 4, 0.01, 0.7),
  light_colour: { kind: "colour", start: "#ffffff" },
  frame: flag(),
  light_fill: number(0, 4, 0.01),
  light_rim: number(0, 4, 0.01),
  gaze_yaw_degrees: number(-45, 45, 0.5),
  gaze_pitch_degrees: number(-35, 35, 0.5),
  gaze_convergence_degrees: number(-15, 25, 0.5),
  neck_share: number(0, 1, 0.01),
  ...Object.fromEntries([...SHAPE, ...TEXTURE].map((name) => [name, number(-4, 4, 0.05)])),
  ...Object.fromEntries(APPENDED.map((name) => [name, amount()])),
  hair: { kind: "choice", options: ["bald", "short", "curly", "long"], start: "bald" },
  corrections: { kind: "text", start: "" },
});

const LONGEST = 4000;            // letters of a text
const THOUSANDTH = 1000;         // the widgets round to 0.001
const MIRRORED = ["yaw_degrees", "roll_degrees", "x", "light_azimuth", "gaze_yaw_degrees"];
const SWAPPED = [["blink_left", "blink_right"], ["jaw_left", "jaw_right"], ["smile_left", "smile_right"],
  ["brow_left", "brow_right"]];

/** Whether a value may stand in the field as it is. */
export function fits(name, value) {
  const field = FIELDS[name];
  if (field.kind === "number") return typeof value === "number" && value >= field.low && value <= field.high;
  if (field.kind === "flag") return typeof value === "boolean";
  if (field.kind === "choice") return field.options.includes(value);
  if (field.kind === "text") return typeof value === "string" && value.length <= LONGEST;
  return typeof value === "string" && /^#[0-9a-f]{6}$/i.test(value);
}

/** A usable value: as it is, into the range if it is a finite number outside, also one written as text; else the default. */
export function mended(name, given) {
  const field = FIELDS[name], text = field.kind === "number" && typeof given === "string" && given.trim();
  const value = text ? Number(text) : given;
  if (fits(name, value)) return value;
  if (field.kind === "colour" && typeof value === "string" && fits(name, value.slice(0, 7))) return value.slice(0, 7);     // had an alpha
  return field.kind === "number" && Number.isFinite(value) ? bounded(name, value) : field.start;
}

/** A number brought into its field: angles that wrap go around, others stop at the end; rounded as the widget rounds. */
export function bounded(name, value) {
  const field = FIELDS[name];
  const inside = field.wraps && Math.abs(value) > 180 ? ((((value + 180) % 360) + 360) % 360) - 180 : value;
  return rounded(Math.min(field.high, Math.max(field.low, inside)));
}

/** To a thousandth, without a negative zero. */
export function rounded(value) {
  return Math.round(value * THOUSANDTH) / THOUSANDTH || 0;
}

/** The nearest multiple of the step of the field's bar, in its range. */
export function stepped(name, value) {
  const { step, bar = step } = FIELDS[name];
  return bounded(name, Math.round(value / bar) * bar);
}

/** Every value at its default. */
export function starts(names = Object.keys(FIELDS)) {
  return Object.fromEntries(names.map((name) => [name, FIELDS[name].start]));
}

/** What changes when left and right are exchanged. */
export function mirrored(values) {
  const changes = Object.fromEntries(MIRRORED.map((name) => [name, bounded(name, -values[name])]));
  for (const [left, right] of SWAPPED) Object.assign(changes, { [left]: values[right], [right]: values[left] });
  return changes;
}

/** Built-in views: yaw, pitch and roll in degrees that the head is to have in the picture. */
export const VIEWS = Object.freeze({
  frontal: [0, 0, 0], three_quarter_left: [-40, 0, 0], three_quarter_right: [40, 0, 0], profile_left: [-90, 0, 0],
  profile_right: [90, 0, 0], looking_up: [0, 25, 0], looking_down: [0, -25, 0],
});

/**
 * The values of a turn that brings a head to how it is to be seen.
 * @param {number[]} wanted yaw, pitch, roll in degrees, as in VIEWS
 * @param {number[]} own those that the incoming head has already (mode add), else zeros
 */
export function turnsTo(wanted, own) {
  return Object.fromEntries(TURN.map((name, i) => [name, bounded(name, rounded(wanted[i] - own[i]))]));
}

/** What goes along to another head: everything but what a hand has corrected in this one's picture. */
export const portable = (values) => Object.fromEntries(Object.entries(values).filter(([name]) => name !== "corrections"));

/** The values that show the head as it comes in, in the hair that it wears. */
export const asItCame = ({ hair }) => ({ ...starts(), hair });

/** What a small picture shows of a person beside what it is about: who it is, and how they look and hold the neck. */
const PERSONAL = [...SHAPE, ...TEXTURE, ...GAZE, "neck_share", "hair", "mode"];

/** Those of the values that are of the person. */
export const personal = (values) => Object.fromEntries(PERSONAL.map((name) => [name, values[name]]));

/** Whether two sets of values are the same, name by name of the first. */
export function same(a, b) {
  return Object.keys(a).every((name) => a[name] === b[name]);
}
