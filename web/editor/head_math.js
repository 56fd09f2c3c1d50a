/**
 * Where an edited head lies: the same arithmetic as caphuman_core/head/{rotations,camera,pivot,light}.py and edit/{edit,relight}.py.
 *
 * Matrices are row-major arrays of 9. World: metres, x to the person's left, y up, z towards the viewer. Picture: pixels, y down.
 */
const RADIAN = Math.PI / 180;
const CROP = 224;                    // pixels of the crop that the camera's -1..1 spans
const UNIT_METRES = 0.42;            // at scale 1 the picture's shorter side spans this much world
const RIM_ELEVATION = 35;            // degrees
// Normalisation of the light's terms 1, x, y, z, xy, xz, yz, x^2-y^2, 3z^2-1.
const CONSTANTS = [0.28209479, 1.02332671, 1.02332671, 1.02332671, 0.85808553, 0.85808553, 0.85808553, 0.42904277, 0.24770796];

export function multiply(a, b) {
  const out = [];
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      out[row * 3 + column] = a[row * 3] * b[column] + a[row * 3 + 1] * b[column + 3] + a[row * 3 + 2] * b[column + 6];
    }
  }
  return out;
}

export const transpose = (m) => [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];

export const apply = (m, [x, y, z]) =>
  [m[0] * x + m[1] * y + m[2] * z, m[3] * x + m[4] * y + m[5] * z, m[6] * x + m[7] * y + m[8] * z];

/** Rodrigues' formula: a rotation vector in radians -> matrix. */
export function fromAxisAngle([x, y, z]) {
  const square = x * x + y * y + z * z, angle = Math.sqrt(square);
  const sine = square < 1e-8 ? 1 - square / 6 : Math.sin(angle) / angle;
  const cosine = square < 1e-8 ? 0.5 - square / 24 : (1 - Math.cos(angle)) / square;
  const cross = [0, -z, y, z, 0, -x, -y, x, 0], twice = multiply(cross, cross);
  return [1, 0, 0, 0, 1, 0, 0, 0, 1].map((unit, k) => unit + sine * cross[k] + cosine * twice[k]);
}

/** Degrees -> Ry(yaw) Rx(-pitch) Rz(-roll): the face to the picture's right, up, clockwise. */
export function fromYawPitchRoll(yaw, pitch, roll) {
  return multiply(multiply(fromAxisAngle([0, yaw * RADIAN, 0]), fromAxisAngle([-pitch * RADIAN, 0, 0])),
    fromAxisAngle([0, 0, -roll * RADIAN]));
}

/** Inverse of fromYawPitchRoll: degrees. */
export function yawPitchRoll(m) {
  const pitch = Math.asin(Math.max(-1, Math.min(1, m[5])));
  const locked = Math.hypot(m[2], m[8]) < 1e-6;
  const yaw = locked ? Math.atan2(-m[6], m[0]) : Math.atan2(m[2], m[8]);
  const roll = locked ? 0 : Math.atan2(-m[3], m[4]);
  return [yaw / RADIAN, pitch / RADIAN, roll / RADIAN];
}

/** The edited head's global rotation. `head` is a HEAD, `values` the node's widgets. */
export function turnOf(head, values) {
  const asked = [values.yaw_degrees, values.pitch_degrees, values.roll_degrees], before = fromAxisAngle(head.rotation_radians);
  if (values.mode === "set") return fromYawPitchRoll(...asked);
  if (!asked.some(Boolean)) return before;
  const had = yawPitchRoll(before);
  return fromYawPitchRoll(...asked.map((degrees, k) => degrees + had[k]));
}

/** How much of the turn the neck of the edited head makes, 0 to 1, as edit.neck_after. */
export function neckOf(head, values) {
  return values.mode === "set" ? values.neck_share : Math.min(1, (head.neck_share ?? 0) + values.neck_share);
}

/** The incoming head's gaze as the widgets have it: yaw, pitch, convergence in degrees (of its two eyes, as gaze.eyes_of). */
export function ownGaze(head) {
  const [left, right] = head.gaze_radians ?? [[0, 0], [0, 0]];
  return [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2, (right[0] - left[0]) / 2].map((angle) => angle / RADIAN);
}

/** World x, y -> picture pixels as an affine map [xx, xy, x0, yx, yy, y0]: px = xx X + xy Y + x0, py = yx X + yy Y + y0. */
function pictureMap(head) {
  const [scale, tx, ty] = head.camera, half = CROP / 2, m = head.crop_to_picture;
  const u = [half * scale, half * (scale * tx + 1)], v = [-half * scale, half * (1 - scale * ty)];     // u = u0 X + u1, v = v0 Y + v1
  return [u[0] * m[0][0], v[0] * m[1][0], u[1] * m[0][0] + v[1] * m[1][0] + m[2][0],
    u[0] * m[0][1], v[0] * m[1][1], u[1] * m[0][1] + v[1] * m[1][1] + m[2][1]];
}

/** Size of a head relative to a new one in the same picture. */
export function scaleOf(head) {
  const [[a, b], [c, d]] = head.crop_to_picture;
  return head.camera[0] * CROP / 2 * Math.sqrt(Math.abs(a * d - b * c)) * UNIT_METRES / Math.min(head.width, head.height);
}

const mapped = (map, [x, y]) => [map[0] * x + map[1] * y + map[2], map[3] * x + map[4] * y + map[5]];

function turnedAbout(turn, point, centre) {
  return apply(turn, point.map((value, k) => value - centre[k])).map((value, k) => value + centre[k]);
}

/**
 * The edited head's place. `shape` holds pivot and pivot_root (metres), and in `own` those of the incoming head's shape, as the
 * server sends them with the vertices.
 * Returns { turn, map, depth, centre, scale }: rotation about the root, world -> picture pixels, pixels-free depth = -depth * Z, where
 * the pivot comes to lie in picture pixels, and the size relative to a new head.
 */
export function placement(head, shape, values) {
  const turn = turnOf(head, values), map = pictureMap(head), short = Math.min(head.width, head.height);
  const set = values.mode === "set" || values.frame;
  const had = scaleOf(head), factor = set ? values.scale / had : values.scale;
  const anchor = set ? [head.width / 2, head.height / 2]
    : mapped(map, turnedAbout(fromAxisAngle(head.rotation_radians), shape.own.pivot, shape.own.pivot_root));
  const larger = [map[0] * factor, map[1] * factor, 0, map[3] * factor, map[4] * factor, 0];
  const pivot = mapped(larger, turnedAbout(turn, shape.pivot, shape.pivot_root));
  const centre = [anchor[0] + values.x * short, anchor[1] + values.y * short];
  larger[2] = centre[0] - pivot[0];
  larger[5] = centre[1] - pivot[1];
  return { turn, map: larger, depth: head.camera[0], centre, scale: factor * had };
}

/** The light the head is shown in: [9][3] coefficients, after turn_light and relight. */
export function lightOf(head, values) {
  if (values.relight) {
    return rig(values);
  }
  if (!values.turn_light) return head.light;
  return turnedLight(head.light, multiply(turnOf(head, values), transpose(fromAxisAngle(head.rotation_radians))));
}

const sum = (light, more) => light.map((row, k) => row.map((value, c) => value + more[k][c]));

/** The light and those set up around it, as relight.relight: fill from the other side at eye level, rim from behind, opposite. */
export function rig(values) {
  const { light_azimuth: azimuth, light_elevation: elevation, light_intensity: intensity, light_ambient: ambient } = values;
  const colour = rgb01(values.light_colour), first = directional(azimuth, elevation, intensity, ambient, colour);
  return sum(sum(first, directional(-azimuth, 0, values.light_fill ?? 0, 0, colour)),
    directional(azimuth + 180, RIM_ELEVATION, values.light_rim ?? 0, 0, colour));
}

/** #rrggbb -> 0..1; white where it is none. */
export function rgb01(colour) {
  const digits = /^#?([0-9a-f]{6})$/i.exec(String(colour).trim())?.[1] ?? "ffffff";
  return [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16) / 255);
}

/** Ambient light and one soft distant light, as light.directional: degrees, strengths, colour 0..1 -> [9][3]. */
export function directional(azimuth, elevation, intensity, ambient, colour) {
  const a = azimuth * RADIAN, e = elevation * RADIAN;
  const x = Math.sin(a) * Math.cos(e), y = Math.sin(e), z = Math.cos(a) * Math.cos(e), second = 5 / 32;
  const lobe = [0.25, 0.5 * x, 0.5 * y, 0.5 * z, 6 * second * x * y, 6 * second * x * z, 6 * second * y * z,
    1.5 * second * (x * x - y * y), 0.5 * second * (3 * z * z - 1)];
  return lobe.map((value, k) => {
    const grey = intensity * value / CONSTANTS[k] + (k === 0 ? ambient / CONSTANTS[0] : 0);
    return colour.map((channel) => grey * channel);
  });
}

/** Where most of a light [9][3] comes from, a unit vector, and its strength by the mean of its colours, as portrait.main_light. */
export function directionOf(light) {
  const first = [1, 2, 3].map((k) => (light[k][0] + light[k][1] + light[k][2]) / 3 * CONSTANTS[1]);
  const strength = Math.hypot(...first), size = Math.max(strength, 1e-6);
  return { towards: first.map((value) => value / size), strength };
}

/** Light [9][3] turned by a rotation: a surface that turns along keeps its shading. */
export function turnedLight(light, turn) {
  const out = light.map(() => [0, 0, 0]), back = transpose(turn);
  for (let c = 0; c < 3; c++) {
    const l = CONSTANTS.map((constant, k) => constant * light[k][c]);
    const line = apply(turn, [l[1], l[2], l[3]]);
    // The second order as a traceless symmetric matrix: n' A n.
    const a = [l[7] - l[8], l[4] / 2, l[5] / 2, l[4] / 2, -l[7] - l[8], l[6] / 2, l[5] / 2, l[6] / 2, 2 * l[8]];
    const t = multiply(multiply(turn, a), back);
    const turned = [l[0], ...line, 2 * t[1], 2 * t[2], 2 * t[5], (t[0] - t[4]) / 2, t[8] / 2];
    turned.forEach((value, k) => { out[k][c] = value / CONSTANTS[k]; });
  }
  return out;
}

/** The shade of a surface whose normal is (x, y, z), in one colour (its place among the 27 numbers of `polynomial`). */
export const shadeOf = (light, at, [x, y, z]) =>
  light[at] + x * (light[at + 1] + light[at + 4] * y + light[at + 5] * z + light[at + 7] * x)
  + y * (light[at + 2] + light[at + 6] * z - light[at + 7] * y) + z * (light[at + 3] + light[at + 8] * z);

/**
 * Light as a polynomial of the normal, for the shading loop: 9 numbers per colour, red first:
 * k + x (bx + xy y + xz z + d x) + y (by + yz z - d y) + z (bz + e z).
 */
export function polynomial(light) {
  const out = new Float64Array(27);
  for (let c = 0; c < 3; c++) {
    const l = CONSTANTS.map((constant, k) => constant * light[k][c]);
    out.set([l[0] - l[8], l[1], l[2], l[3], l[4], l[5], l[6], l[7], 3 * l[8]], c * 9);
  }
  return out;
}
