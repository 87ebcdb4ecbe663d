// @ts-check
// One image of a dataset as a tile: its picture and its boxes as one canvas, its name, its state.
import { html, useEffect, useRef } from "../vendor/ui.js";
import { has, t } from "../app/i18n.js";
import { fileOf } from "./examples.js";
import { usePixels } from "./photo.js";

const NAMED = 3; // labels that a tile says in words

/** Boxes as shares of the image's sides. @param {any} example @returns {{label: string, isGuess: boolean, left: number, top: number, right: number, bottom: number}[]} */
export function boxesOf(example) {
  return (example.annotations ?? []).flatMap((/** @type {any} */ one, /** @type {number} */ index) => {
    const corners = one.imageObjectDetection?.boundingBox?.normalizedVertices;
    if (!corners) return [];
    const [xs, ys] = [corners.map((/** @type {any} */ c) => c.x ?? 0), corners.map((/** @type {any} */ c) => c.y ?? 0)];
    return [{ label: one.displayName, isGuess: example.sources?.[index] === "MODEL", left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) }];
  });
}

/**
 * Draws a picture as large as it fits, and boxes over it.
 * @param {HTMLCanvasElement} canvas @param {number} widthPx of the canvas in the page @param {ImageBitmap} picture @param {ReturnType<typeof boxesOf>} boxes @param {Map<string, string>} colours
 */
function draw(canvas, widthPx, picture, boxes, colours) {
  const ratio = canvas.width / widthPx;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.clearRect(0, 0, canvas.width, canvas.height);
  const scale = Math.min(canvas.width / picture.width, canvas.height / picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
  context.drawImage(picture, left, top, width, height);
  context.lineWidth = 2 * ratio;
  for (const one of boxes) {
    context.strokeStyle = colours.get(one.label) ?? "#808080";
    context.setLineDash(one.isGuess ? [5 * ratio, 4 * ratio] : []);
    context.strokeRect(left + one.left * width, top + one.top * height, (one.right - one.left) * width, (one.bottom - one.top) * height);
  }
  canvas.dataset.drawn = String(boxes.length);
}

/** What is in an example, by label. @param {any} example */
function counted(example) {
  const counts = new Map();
  for (const one of example.annotations ?? []) counts.set(one.displayName, (counts.get(one.displayName) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** An example in words. @param {any} example */
export function words(example) {
  const found = counted(example);
  const said = found.slice(0, NAMED).map(([label, count]) => (count > 1 ? `${label} × ${count}` : label)).join(", ");
  if (found.length) return found.length > NAMED ? `${said}, …` : said;
  return example.state === "UNLABELED" ? t("example.UNLABELED") : t("images.nothing");
}

/** An example's name for who cannot see it: begins with what is seen. @param {any} example */
export const spoken = (example) => `${fileOf(example)} ${words(example)}, ${has(`example.${example.state}`) ? t(`example.${example.state}`) : ""}`;

/** @param {{example: any, colours: Map<string, string>, widthPx: number, heightPx: number, showsBoxes: boolean}} props */
export function ExampleTile({ example, colours, widthPx, heightPx, showsBoxes }) {
  const ratio = globalThis.devicePixelRatio || 1;
  const edgePx = Math.max(widthPx, heightPx) * ratio > 256 ? 640 : 256; // as the service makes them
  const { picture, error } = usePixels(`${example.name}:image?edgePx=${edgePx}`);
  const at = useRef(/** @type {any} */ (null));
  useEffect(() => {
    if (picture && at.current) draw(at.current, widthPx, picture, showsBoxes ? boxesOf(example) : [], colours);
  }, [picture, example, colours, showsBoxes, widthPx, heightPx]);
  return html`${error ? html`<span class="pane small" lang="en">${error.message}</span>` : html`<canvas ref=${at} class="pane" aria-hidden="true"
      width=${Math.round(widthPx * ratio)} height=${Math.round(heightPx * ratio)} style=${{ width: `${widthPx}px`, height: `${heightPx}px` }} />`}
    <span class=${example.state === "LABELED" ? "caption small" : "caption small told"}>${`${fileOf(example)}\n${words(example)}`}</span>`;
}
