// @ts-check
// One image of a dataset as a tile: its picture, its boxes as one path a label, its name, its state.
import { html } from "../vendor/ui.js";
import { has, t } from "../app/i18n.js";
import { fileOf } from "./examples.js";
import { usePhoto } from "./photo.js";

const NAMED = 3; // labels that a tile says in words

/** Paths of boxes in pixels, one a label and kind of line. @param {any} example @returns {{label: string, isGuess: boolean, d: string}[]} */
export function paths(example) {
  const [widthPx, heightPx] = [example.widthPx || 1, example.heightPx || 1];
  const found = new Map();
  (example.annotations ?? []).forEach((/** @type {any} */ one, /** @type {number} */ index) => {
    const corners = one.imageObjectDetection?.boundingBox?.normalizedVertices;
    if (!corners) return;
    const [xs, ys] = [corners.map((/** @type {any} */ c) => (c.x ?? 0) * widthPx), corners.map((/** @type {any} */ c) => (c.y ?? 0) * heightPx)];
    const [left, top, right, bottom] = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    const isGuess = example.sources?.[index] === "MODEL";
    const key = `${isGuess} ${one.displayName}`;
    const path = found.get(key) ?? { label: one.displayName, isGuess, d: "" };
    path.d += `M${left.toFixed(1)} ${top.toFixed(1)}H${right.toFixed(1)}V${bottom.toFixed(1)}H${left.toFixed(1)}Z`;
    found.set(key, path);
  });
  return [...found.values()];
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

/** @param {{example: any, colours: Map<string, string>, edgePx: number, showsBoxes: boolean, isChosen: boolean}} props */
export function ExampleTile({ example, colours, edgePx, showsBoxes, isChosen }) {
  const { src, error } = usePhoto(`${example.name}:image?edgePx=${edgePx}`);
  return html`<span class="pane">${error ? html`<span class="small" lang="en">${error.message}</span>` : src ? html`<img src=${src} alt="" />` : html`<span class="bone"></span>`}
    ${src && showsBoxes && html`<svg viewBox=${`0 0 ${example.widthPx || 1} ${example.heightPx || 1}`} aria-hidden="true">${paths(example).map((one) => html`<path d=${one.d} fill="none"
      stroke=${colours.get(one.label) ?? "currentColor"} stroke-width="2" vector-effect="non-scaling-stroke" stroke-dasharray=${one.isGuess ? "5 4" : undefined} />`)}</svg>`}
    ${isChosen && html`<span class="tick" aria-hidden="true">✓</span>`}</span>
    <span class="caption small"><span class="mono">${fileOf(example)}</span>${" "}<span class=${example.state === "LABELED" ? "quiet" : "state warn"}>${words(example)}</span></span>`;
}
