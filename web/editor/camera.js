/**
 * The view's own camera: it looks at the picture and changes nothing in the head. Pure.
 * A camera is { zoom, x, y }: what is shown is enlarged by zoom, and its middle lies x, y off the middle, in sides of what is shown at zoom 1.
 */
const LEAST = 0.4, MOST = 24;        // zoom
const FARTHEST = 0.75;               // of the middle

export const HOME = Object.freeze({ zoom: 1, x: 0, y: 0 });

const within = (value, low, high) => Math.min(high, Math.max(low, value));

export const isHome = ({ zoom, x, y }) => zoom === 1 && !x && !y;

const bounded = ({ zoom, x, y }) => ({ zoom, x: within(x, -FARTHEST, FARTHEST), y: within(y, -FARTHEST, FARTHEST) });

/** The part of the picture that is seen where a camera looks at `base`, both { x, y, width, height } in picture pixels. */
export function seen(base, { zoom, x, y }) {
  const width = base.width / zoom, height = base.height / zoom;
  return { x: base.x + base.width * (0.5 + x) - width / 2, y: base.y + base.height * (0.5 + y) - height / 2, width, height };
}

/** Nearer by a factor, towards a point that stays where it is. [right, down]: its place in the view, in shares from the middle, -0.5 to 0.5. */
export function nearer(camera, factor, [right, down]) {
  const zoom = within(camera.zoom * factor, LEAST, MOST), change = 1 / camera.zoom - 1 / zoom;
  return bounded({ zoom: Math.abs(zoom - 1) < 1e-3 ? 1 : zoom, x: camera.x + right * change, y: camera.y + down * change });
}

/** Moved so that the picture follows a hand. [right, down]: the hand's way in shares of the view. */
export const moved = (camera, [right, down]) => bounded({ ...camera, x: camera.x - right / camera.zoom, y: camera.y - down / camera.zoom });
