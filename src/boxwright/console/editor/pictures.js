// @ts-check
// Pictures of images, as large as the view needs: the whole image, and the part that is seen where that is not enough.
import { getBytes } from "../app/api.js";
import { clamped } from "./geometry.js";

export const FIRST_EDGE_PX = 1280;
const EDGES_PX = [FIRST_EDGE_PX, 2560, 4096];
const MOST_KEPT = 8;
/** @type {Map<string, Promise<ImageBitmap>>} */
const kept = new Map();

/** A decoded picture, kept for a while. @param {string} path @returns {Promise<ImageBitmap>} */
export function picture(path) {
  let found = kept.get(path);
  kept.delete(path);
  found ??= getBytes(path).then((blob) => createImageBitmap(blob));
  kept.set(path, found);
  found.catch(() => kept.delete(path));
  if (kept.size > MOST_KEPT) kept.delete(/** @type {string} */ (kept.keys().next().value));
  return found;
}

/** @param {string} name of the example @param {number} [edge_px] */
export const pathOf = (name, edge_px = FIRST_EDGE_PX) => `${name}:image?edgePx=${edge_px}`;

/**
 * The picture that a view needs: its path, and the part of the image that it shows as fractions.
 * @param {string} name of the example @param {import("./geometry.js").Size} image @param {import("./geometry.js").View} view
 * @param {import("./geometry.js").Size} field @param {number} ratio device pixels a CSS pixel
 * @returns {{path: string, region: [number, number, number, number]}}
 */
export function needed(name, image, view, field, ratio) {
  const edge_px = Math.max(image.width_px, image.height_px);
  const wanted_px = Math.min(edge_px, edge_px * view.scale * ratio);
  const enough = EDGES_PX.find((one) => one >= wanted_px * 0.8);
  if (enough) return { path: pathOf(name, enough), region: [0, 0, 1, 1] };
  const [w, h] = [image.width_px * view.scale, image.height_px * view.scale];
  // on a grid of sixteenths, so that small moves ask for nothing new
  const part = (/** @type {number} */ from, /** @type {number} */ to) => [clamped(Math.floor(from * 16) / 16, 0, 1), clamped(Math.ceil(to * 16) / 16, 0, 1)];
  const [left, right] = part(-view.left_px / w, (field.width_px - view.left_px) / w);
  const [top, bottom] = part(-view.top_px / h, (field.height_px - view.top_px) / h);
  if (right <= left || bottom <= top) return { path: pathOf(name), region: [0, 0, 1, 1] };
  const query = `&region.left=${left}&region.top=${top}&region.width=${right - left}&region.height=${bottom - top}`;
  return { path: pathOf(name, 4096) + query, region: [left, top, right, bottom] };
}
