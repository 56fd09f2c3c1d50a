/** The skin of a photo that a head wears: an albedo texture that comes as a picture; sliders change the head model's part below it. */
import { imageOf } from "./host_picture.js";

/** { width, height, data RGB bytes } of a picture in the host's folders, or null where it is gone. */
export async function sheetOf(file) {
  const image = await imageOf(file);
  if (!image) return null;
  const { naturalWidth: width, naturalHeight: height } = image, canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data, data = new Uint8Array(width * height * 3);
  for (let i = 0, k = 0; k < data.length; i += 4, k += 3) {
    data[k] = rgba[i];
    data[k + 1] = rgba[i + 1];
    data[k + 2] = rgba[i + 2];
  }
  return { width, height, data };
}

/** A sheet after a change of the texture below it, from `before` to `after`, which may be smaller. */
export function changedSheet({ width, height, data }, before, after) {
  const out = new Uint8ClampedArray(data.length), { width: across, height: down } = after;
  const difference = Int16Array.from(after.data, (value, i) => value - before.data[i]);
  for (let y = 0, k = 0; y < height; y++) {
    const [top, bottom, lower] = between(y, height, down);
    for (let x = 0; x < width; x++) {
      const [left, right, later] = between(x, width, across);
      for (let c = 0; c < 3; c++, k++) {
        const upper = mixed(difference, (top * across + left) * 3 + c, (top * across + right) * 3 + c, later);
        const under = mixed(difference, (bottom * across + left) * 3 + c, (bottom * across + right) * 3 + c, later);
        out[k] = data[k] + upper + (under - upper) * lower;
      }
    }
  }
  return { width, height, data: out };
}

const mixed = (values, first, second, share) => values[first] + (values[second] - values[first]) * share;

/** The two texels of a side of `small` that lie around the middle of texel `at` of one of `large`, and the second one's share. */
function between(at, large, small) {
  const place = Math.max(0, (at + 0.5) * small / large - 0.5), first = Math.min(small - 1, Math.floor(place));
  return [first, Math.min(small - 1, first + 1), place - first];
}
