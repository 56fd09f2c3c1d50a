/** How many pixels a view draws: the screen's own, smoothed, when it is still; as many as are quickly done while a hand moves. */

const SMALLEST = 64, LARGEST = 2048;     // pixels of the longer side of a view, whatever the screen
const SMOOTHED = 2, MOST = 1400;         // samples a pixel along each side for smooth edges, as long as the longer side stays below
const HAND_MS = 8;                       // a drawing under the hand should take no longer
const LEAST_HAND = 256, MOST_HAND = 768; // longer side under the hand
const SLOWLY = 0.3;                      // how much of a new measurement is believed

let pixelMs = 5 / 256 ** 2;              // milliseconds a pixel, as last measured on this machine

/** Takes note of how long a drawing took. */
export function measured(milliseconds, [width, height]) {
  pixelMs += (milliseconds / (width * height) - pixelMs) * SLOWLY;
}

const sized = (longer, aspect) => [aspect >= 1 ? longer : longer * aspect, aspect >= 1 ? longer / aspect : longer].map((side) => Math.max(1, Math.round(side)));

/**
 * The screen's pixels that a picture fitted into an element covers, [width, height]; null while it is not shown.
 * @param {DOMRect} box the element's on the screen; @param {number} aspect width / height of the picture
 */
export function screenSize(box, aspect) {
  if (!box.width || !box.height) return null;
  const width = Math.min(box.width, box.height * aspect) * devicePixelRatio;
  return sized(Math.min(LARGEST, Math.max(SMALLEST, width, width / aspect)), aspect);
}

/** The size in which a head is painted for a view of so many pixels. */
export function paintSize([width, height], held) {
  const longer = Math.max(width, height), aspect = width / height;
  if (!held) return sized(Math.max(longer, Math.min(longer * SMOOTHED, MOST)), aspect);
  const quick = Math.sqrt(HAND_MS / pixelMs * Math.max(aspect, 1 / aspect));
  return sized(Math.min(longer, Math.max(LEAST_HAND, Math.min(MOST_HAND, Math.floor(quick / 64) * 64))), aspect);
}
