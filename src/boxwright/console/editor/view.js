// @ts-check
// Draws the picture and the boxes on two canvases, and places the one box that is being edited over them.
import { HANDLES, toField } from "./geometry.js";
import { MODEL } from "./model.js";

/** @typedef {import("./geometry.js").View} View */
/** @typedef {import("./geometry.js").Size} Size */
/** @typedef {import("./model.js").Item} Item */
/** @typedef {{bitmap: ImageBitmap, region: readonly [number, number, number, number]}} Layer */

const MOST_NAMES = 200; // names on boxes, while there is room for them
const MOST_EDGED = 1500; // boxes with a dark edge too
const CRISP_SCALE = 2;

/** @param {HTMLCanvasElement} canvas @param {Size} field @param {number} ratio @returns {CanvasRenderingContext2D} */
function cleared(canvas, field, ratio) {
  const [width, height] = [Math.round(field.width_px * ratio), Math.round(field.height_px * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  paint.setTransform(1, 0, 0, 1, 0, 0);
  paint.clearRect(0, 0, width, height);
  canvas.dataset.draws = String(Number(canvas.dataset.draws ?? 0) + 1);
  return paint;
}

/** @param {HTMLCanvasElement} canvas @param {Size} field @param {View} view @param {Size} image @param {Layer[]} layers @param {boolean} isSmooth whether large pixels are blurred */
export function drawPicture(canvas, field, view, image, layers, isSmooth) {
  const ratio = devicePixelRatio || 1;
  const paint = cleared(canvas, field, ratio);
  canvas.dataset.view = `${view.scale} ${view.left_px} ${view.top_px}`;
  paint.scale(ratio, ratio);
  paint.imageSmoothingEnabled = isSmooth || view.scale < CRISP_SCALE;
  paint.imageSmoothingQuality = "high";
  if (!layers.length) {
    const [left, top, right, bottom] = toField(view, image, [0, 0, 1, 1]);
    paint.fillStyle = "#8884";
    paint.fillRect(left, top, right - left, bottom - top);
  }
  for (const { bitmap, region } of layers) {
    const [left, top, right, bottom] = toField(view, image, region);
    paint.drawImage(bitmap, left, top, right - left, bottom - top);
  }
}

/**
 * @param {HTMLCanvasElement} canvas @param {Size} field @param {View} view @param {Size} image
 * @param {{items: readonly Item[], selected: ReadonlySet<number>, active?: number, colour: (specId: string) => string}} shown without the active one
 */
export function drawBoxes(canvas, field, view, image, { items, selected, active, colour }) {
  const ratio = devicePixelRatio || 1;
  const paint = cleared(canvas, field, ratio);
  const seen = [];
  for (const item of items) {
    if (!item.box_norm || item.key === active) continue;
    const [left, top, right, bottom] = toField(view, image, item.box_norm);
    if (right < 0 || bottom < 0 || left > field.width_px || top > field.height_px) continue;
    const [x, y] = [Math.round(left * ratio), Math.round(top * ratio)];
    seen.push({ item, x, y, w: Math.max(1, Math.round(right * ratio) - x), h: Math.max(1, Math.round(bottom * ratio) - y), colour: colour(item.specId) });
  }
  seen.sort((a, b) => (a.colour < b.colour ? -1 : a.colour > b.colour ? 1 : 0)); // a change of colour is dear
  const strokes = [[4 * ratio, "#fff"], [2 * ratio, ""]];
  if (seen.length <= MOST_EDGED) strokes.unshift([6 * ratio, "#0009"]);
  for (const [width, style] of strokes) {
    paint.lineWidth = Number(width);
    if (style) paint.strokeStyle = String(style);
    for (const one of seen) {
      const isSuggested = one.item.source === MODEL;
      if (!style) paint.strokeStyle = one.colour;
      if (isSuggested) paint.setLineDash([7 * ratio, 5 * ratio]);
      paint.strokeRect(one.x, one.y, one.w, one.h);
      if (isSuggested) paint.setLineDash([]);
      if (!style && selected.has(one.item.key)) {
        paint.fillStyle = `color-mix(in srgb, ${one.colour} 30%, transparent)`;
        paint.fillRect(one.x, one.y, one.w, one.h);
      }
    }
  }
  if (seen.length <= MOST_NAMES) for (const one of seen) name(paint, ratio, one);
}

/** @param {CanvasRenderingContext2D} paint @param {number} ratio @param {{item: Item, x: number, y: number, w: number, h: number, colour: string}} one */
function name(paint, ratio, { item, x, y, w, colour }) {
  const text = item.source === MODEL ? `${item.label} ${Math.round(item.score * 100)} %` : item.label;
  paint.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  const width = paint.measureText(text).width + 8 * ratio;
  if (width > Math.max(w * 1.5, 60 * ratio)) return;
  const top = Math.max(0, y - 17 * ratio);
  paint.fillStyle = "#111d";
  paint.fillRect(x - ratio, top, width + 4 * ratio, 17 * ratio);
  paint.fillStyle = colour;
  paint.fillRect(x - ratio, top, 4 * ratio, 17 * ratio);
  paint.fillStyle = "#fff";
  paint.textBaseline = "middle";
  paint.fillText(text, x + 7 * ratio, top + 9 * ratio);
}

/** Places the edited box with its handles; hides it without one. @param {HTMLElement} frame @param {readonly [number, number, number, number] | null} box_px in the field @param {string} [colour] @param {boolean} [isSuggested] */
export function place(frame, box_px, colour = "", isSuggested = false) {
  frame.hidden = !box_px;
  if (!box_px) return;
  const [left, top, right, bottom] = box_px;
  Object.assign(frame.style, { transform: `translate(${left}px, ${top}px)`, width: `${right - left}px`, height: `${bottom - top}px` });
  if (colour) frame.style.setProperty("--colour", colour);
  frame.classList.toggle("suggested", isSuggested);
  for (const [index, handle] of HANDLES.entries()) {
    const one = /** @type {HTMLElement} */ (frame.children[index]);
    one.style.left = handle.includes("w") ? "0" : handle.includes("e") ? "100%" : "50%";
    one.style.top = handle.includes("n") ? "0" : handle.includes("s") ? "100%" : "50%";
  }
}
