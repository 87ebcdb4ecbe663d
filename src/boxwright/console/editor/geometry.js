// @ts-check
// Boxes and points: limits, overlap, what is under the pointer, which handle; and the view: how the image lies on the screen.

/** @typedef {import("./model.js").Box} Box */
/** @typedef {import("./model.js").Item} Item */
/** The image lies at left_px, top_px of the field (CSS pixels), scale CSS pixels an image pixel. @typedef {{scale: number, left_px: number, top_px: number}} View */
/** @typedef {{width_px: number, height_px: number}} Size */

export const LEAST_SCALE = 1 / 8;
export const MOST_SCALE = 32;
export const HANDLE_PX = 24;
export const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];

/** @param {number} value @param {number} least @param {number} most */
export const clamped = (value, least, most) => Math.min(Math.max(value, least), most);

/** Two opposite corners as a box inside the image. @param {number} x_a @param {number} y_a @param {number} x_b @param {number} y_b @returns {Box} */
export function boxOf(x_a, y_a, x_b, y_b) {
  const [left, right] = x_a < x_b ? [x_a, x_b] : [x_b, x_a];
  const [top, bottom] = y_a < y_b ? [y_a, y_b] : [y_b, y_a];
  return [clamped(left, 0, 1), clamped(top, 0, 1), clamped(right, 0, 1), clamped(bottom, 0, 1)];
}

/** The box with edges of at least that length, inside the image. @param {Box} box @param {readonly [number, number]} least_norm @returns {Box} */
export function atLeast(box, [width, height]) {
  const [left, right] = widened(box[0], box[2], width);
  const [top, bottom] = widened(box[1], box[3], height);
  return [left, top, right, bottom];
}

/** @param {number} from @param {number} to @param {number} least */
function widened(from, to, least) {
  if (to - from >= least) return [from, to];
  const start = clamped((from + to - least) / 2, 0, 1 - least);
  return [start, Math.min(1, start + least * (1 + 1e-6))];
}

/** Moved, as far as the image goes. @param {Box} box @param {number} x_norm @param {number} y_norm @returns {Box} */
export function moved(box, x_norm, y_norm) {
  const x = clamped(x_norm, -box[0], 1 - box[2]);
  const y = clamped(y_norm, -box[1], 1 - box[3]);
  return [box[0] + x, box[1] + y, box[2] + x, box[3] + y];
}

/** An edge or a corner moved, never past the opposite one. @param {Box} box @param {string} handle letters of n, e, s, w @param {number} x_norm @param {number} y_norm @param {readonly [number, number]} least_norm @returns {Box} */
export function resized(box, handle, x_norm, y_norm, [width, height]) {
  let [left, top, right, bottom] = box;
  if (handle.includes("w")) left = clamped(left + x_norm, 0, Math.max(0, right - width));
  if (handle.includes("e")) right = clamped(right + x_norm, Math.min(1, left + width), 1);
  if (handle.includes("n")) top = clamped(top + y_norm, 0, Math.max(0, bottom - height));
  if (handle.includes("s")) bottom = clamped(bottom + y_norm, Math.min(1, top + height), 1);
  return [left, top, right, bottom];
}

/** @param {Box} box */
export const areaOf = (box) => (box[2] - box[0]) * (box[3] - box[1]);

/** Intersection over union. @param {Box} a @param {Box} b */
export function iouOf(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (areaOf(a) + areaOf(b) - width * height);
}

/** The items whose box holds a point, smallest first. @param {readonly Item[]} items @param {number} x_norm @param {number} y_norm @param {readonly [number, number]} slack_norm */
export function under(items, x_norm, y_norm, [x_slack, y_slack] = [0, 0]) {
  const found = items.filter(({ box_norm: box }) =>
    box && x_norm >= box[0] - x_slack && x_norm <= box[2] + x_slack && y_norm >= box[1] - y_slack && y_norm <= box[3] + y_slack);
  return found.sort((a, b) => areaOf(/** @type {Box} */ (a.box_norm)) - areaOf(/** @type {Box} */ (b.box_norm)));
}

/** The one that a click selects: the smallest; again, the next larger. @param {readonly Item[]} found as `under` gives it @param {number | undefined} selected its key */
export function nextUnder(found, selected) {
  const at = found.findIndex((one) => one.key === selected);
  return found[(at + 1) % found.length];
}

/** @param {readonly Item[]} items @param {Box} frame */
export const inside = (items, frame) =>
  items.filter(({ box_norm: box }) => box && box[0] >= frame[0] && box[1] >= frame[1] && box[2] <= frame[2] && box[3] <= frame[3]);

/** The handle at a point of the field, or "". @param {readonly [number, number, number, number]} box_px in the field @param {number} x_px @param {number} y_px */
export function handleAt(box_px, x_px, y_px) {
  const [left, top, right, bottom] = box_px;
  let best = "", nearest = HANDLE_PX / 2;
  for (const handle of HANDLES) {
    const x = handle.includes("w") ? left : handle.includes("e") ? right : (left + right) / 2;
    const y = handle.includes("n") ? top : handle.includes("s") ? bottom : (top + bottom) / 2;
    const away = Math.max(Math.abs(x - x_px), Math.abs(y - y_px));
    if (away <= nearest) [best, nearest] = [handle, away];
  }
  // in a small box the handles would leave nothing to take it by: its middle moves it
  const isMiddle = Math.abs((left + right) / 2 - x_px) < (right - left) / 4 && Math.abs((top + bottom) / 2 - y_px) < (bottom - top) / 4;
  return isMiddle ? "" : best;
}

/** The whole image, with a margin. @param {Size} image @param {Size} field @returns {View} */
export function fitted(image, field) {
  const margin_px = Math.min(16, field.width_px / 10);
  const wanted = Math.min((field.width_px - 2 * margin_px) / image.width_px, (field.height_px - 2 * margin_px) / image.height_px);
  return centred(image, field, 0.5, 0.5, clamped(wanted, Math.min(LEAST_SCALE, wanted), MOST_SCALE));
}

/** A point of the image in the field's middle. @param {Size} image @param {Size} field @param {number} x_norm @param {number} y_norm @param {number} scale @returns {View} */
export const centred = (image, field, x_norm, y_norm, scale) => ({
  scale, left_px: field.width_px / 2 - x_norm * image.width_px * scale, top_px: field.height_px / 2 - y_norm * image.height_px * scale,
});

/** A box in the field's middle, with what is around it. @param {Size} image @param {Size} field @param {Box} box @returns {View} */
export function zoomedTo(image, field, box) {
  const scale = Math.min(field.width_px / ((box[2] - box[0]) * image.width_px), field.height_px / ((box[3] - box[1]) * image.height_px)) / 3;
  return centred(image, field, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, clamped(scale, LEAST_SCALE, MOST_SCALE));
}

/** Larger or smaller; what is at a point of the field stays there. @param {View} view @param {number} factor @param {number} x_px @param {number} y_px @returns {View} */
export function zoomed(view, factor, x_px, y_px) {
  const scale = clamped(view.scale * factor, Math.min(LEAST_SCALE, view.scale), MOST_SCALE);
  const by = scale / view.scale;
  return { scale, left_px: x_px - (x_px - view.left_px) * by, top_px: y_px - (y_px - view.top_px) * by };
}

/** A point of the field as fractions of the image. @param {View} view @param {Size} image @param {number} x_px @param {number} y_px @returns {[number, number]} */
export const toNorm = (view, image, x_px, y_px) => [(x_px - view.left_px) / (view.scale * image.width_px), (y_px - view.top_px) / (view.scale * image.height_px)];

/** A box in the field. @param {View} view @param {Size} image @param {Box} box @returns {[number, number, number, number]} */
export function toField(view, image, box) {
  const [w, h] = [image.width_px * view.scale, image.height_px * view.scale];
  return [view.left_px + box[0] * w, view.top_px + box[1] * h, view.left_px + box[2] * w, view.top_px + box[3] * h];
}
