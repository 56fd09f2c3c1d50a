/** Ready-made looks: set-ups of light, and a dozen poses. Pure. Each names the values that it sets, by widget. */
import { EXPRESSIONS, GAZE, LIGHT, starts, TURN } from "./pose_values.js";

const light = (azimuth, elevation, intensity, ambient, [fill, rim] = [0, 0]) => Object.freeze({ relight: true, light_azimuth: azimuth,
  light_elevation: elevation, light_intensity: intensity, light_ambient: ambient, light_fill: fill, light_rim: rim });

/** Degrees from the viewer and from below; strengths of the light, of the light all around, [of fill and rim]. As photographers name them. */
export const SETUPS = Object.freeze({
  daylight: light(30, 25, 0.6, 0.7),
  rembrandt: light(48, 42, 1.35, 0.18, [0.12, 0]),
  butterfly: light(0, 55, 1.05, 0.28, [0.1, 0.25]),
  loop: light(32, 30, 1.05, 0.32, [0.15, 0.2]),
  split: light(90, 5, 1.5, 0.12),
  back: light(160, 30, 1.9, 0.3, [0.15, 0]),
  rim: light(-35, 20, 0.5, 0.2, [0.1, 2.4]),
  high_key: light(0, 15, 0.3, 0.92, [0.1, 0.3]),
});

const pose = (yaw, pitch, roll, expressions = {}, more = {}) => Object.freeze({ ...starts([...TURN, "jaw_degrees", ...EXPRESSIONS, ...GAZE]),
  yaw_degrees: yaw, pitch_degrees: pitch, roll_degrees: roll, ...expressions, ...more });

const gaze = (yaw, pitch = 0) => ({ gaze_yaw_degrees: yaw, gaze_pitch_degrees: pitch });

/** Turn in degrees as it is to be seen in the picture, expression and gaze; place, size, mode and light stay what they are. */
export const POSES = Object.freeze({
  passport: pose(0, 0, 0),
  portrait: pose(24, 2, 4, { smile: 0.4 }, gaze(-18)),
  warm_smile: pose(-18, 0, -5, { smile: 0.85, squint: 0.3 }),
  laugh: pose(12, 10, 6, { smile: 1, mouth_open: 0.6, squint: 0.5 }),
  over_shoulder: pose(58, 4, -7, { smile: 0.3 }, gaze(-25)),
  thoughtful: pose(-32, -13, 7, { brows_down: 0.25, squint: 0.2 }, gaze(-8, -10)),
  surprised: pose(0, 4, 0, { surprise: 1 }),
  sceptical: pose(20, -3, -9, { brows_up: 0.35, sneer: 0.35, frown: 0.3 }, gaze(-20)),
  wink: pose(14, 2, 9, { blink_left: 1, smile: 0.7 }),
  angry: pose(-10, -9, 0, { anger: 1, brows_down: 0.4 }),
  sad: pose(18, -15, 5, { sadness: 1 }, gaze(0, -12)),
  singing: pose(-24, 14, -4, { mouth_open: 0.9, brows_up: 0.4 }),
});

/** What of a light is a set-up: all but its colour. */
export const isSetup = (values, setup) => values.relight && LIGHT.every((name) => values[name] === setup[name]);
