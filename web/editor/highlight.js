/** Mirrored light on what is wet, and a little on skin, as caphuman_core/render/portrait.py has it. Pure. */
import { apply, directionOf, transpose } from "./head_math.js";

const FINE = 2048;                   // entries of a table over the cosine
const WET = 0.5;                     // gloss from which a highlight is sharp

/** Powers of a cosine times 255, one entry more than FINE, so that neighbours can be mixed. */
const table = (factor, power) => Float32Array.from({ length: FINE + 2 }, (_, k) => 255 * factor * Math.min(1, k / FINE) ** power);
const SHARP = table(3.2, 110), SOFT = table(1, 14);

function unit(vector) {
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}

/** What a light [9][3] gives: its strength, and the direction halfway to the viewer, in the world and before the head's turn. */
export function glow(light, turn) {
  const { towards, strength } = directionOf(light), half = unit([towards[0], towards[1], towards[2] + 1]);
  return { strength, half, own: apply(transpose(turn), half) };
}

/** Levels that a highlight adds where the cosine to the halfway direction is so large. */
export function shine(cosine, gloss) {
  if (cosine <= 0) return 0;
  const at = Math.min(1, cosine) * FINE, k = Math.floor(at), powers = gloss > WET ? SHARP : SOFT;
  return gloss * (powers[k] + (powers[k + 1] - powers[k]) * (at - k));
}
