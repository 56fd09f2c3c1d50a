/** Yaw, pitch and roll of a head; signs and order as in caphuman_core/head/rotations.py. Pure. */

const DEGREES = 180 / Math.PI;

/** @param {number[]} v axis times angle, radians @returns {number[][]} rotation matrix */
function matrix([x, y, z]) {
  const angle = Math.hypot(x, y, z), sine = angle > 1e-8 ? Math.sin(angle) / angle : 1;
  const cosine = angle > 1e-8 ? (1 - Math.cos(angle)) / (angle * angle) : 0.5;
  const cross = [[0, -z, y], [z, 0, -x], [-y, x, 0]];
  const square = (i, j) => cross[i][0] * cross[0][j] + cross[i][1] * cross[1][j] + cross[i][2] * cross[2][j];
  return cross.map((row, i) => row.map((value, j) => (i === j ? 1 : 0) + sine * value + cosine * square(i, j)));
}

/** Degrees [yaw, pitch, roll] of a head's rotation_radians: R = Ry(yaw) Rx(-pitch) Rz(-roll). */
export function headTurn(rotationRadians) {
  const r = matrix(rotationRadians);
  return [Math.atan2(r[0][2], r[2][2]), Math.asin(Math.max(-1, Math.min(1, r[1][2]))), -Math.atan2(r[1][0], r[1][1])]
    .map((angle) => angle * DEGREES);
}
