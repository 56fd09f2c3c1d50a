/**
 * Which part of the picture the view shows: all of it, or a square in which the head is as large as a new head in its picture. Pure.
 * A part is { x, y, width, height } in picture pixels and lies inside the picture.
 */
import { scaleOf } from "./head_math.js";

const SMALL = 0.35;                  // scale, by the longer side, below which a head comes in too small to be posed by eye
const FACE = 0.6, FILLS = 1;         // of a head's square the face, and the scale from which on only that is shown
const ASTRAY = 0.22, GROWN = 1.6;    // how far off the middle, in sides, and how many times as large a head may be in a part that stays

const clamped = (value, highest) => Math.min(Math.max(0, value), highest);

export const whole = ({ width, height }) => ({ x: 0, y: 0, width, height });

/** Whether a head is shown in close-up unless the user says otherwise. */
export const isSmall = (head) => scaleOf(head) * Math.min(head.width, head.height) < SMALL * Math.max(head.width, head.height);

/** The square around an edited head: all of a small one, the face of one that fills the picture. place: head_math.placement */
export function around(head, { centre, scale }) {
  const short = Math.min(head.width, head.height), share = scale * (1 - (1 - FACE) * clamped(scale / FILLS * 2 - 1, 1));
  const side = Math.min(short, Math.max(1, share * short));
  return { x: clamped(centre[0] - side / 2, head.width - side), y: clamped(centre[1] - side / 2, head.height - side), width: side, height: side };
}

const middle = (part) => [part.x + part.width / 2, part.y + part.height / 2];

/** Whether the head still lies well in a square that was made for it before. */
export function suits(part, wanted) {
  const ratio = wanted.width / part.width;
  const off = Math.max(...middle(wanted).map((value, k) => Math.abs(value - middle(part)[k])));
  return ratio < GROWN && ratio > 1 / GROWN && off < ASTRAY * part.width;
}
