/** Pictures in the host's folders. */
import { api } from "../../../scripts/api.js";

/** A picture as a loaded image; null for none, and where it is gone. */
export function imageOf(file) {
  if (!file) return Promise.resolve(null);
  const { filename, subfolder = "", type = "temp" } = file;
  const image = new Image();
  image.src = api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
  return image.decode().then(() => image, () => null);
}
