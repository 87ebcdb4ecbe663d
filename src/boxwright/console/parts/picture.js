// @ts-check
// An image with boxes over it. Labels are text, whatever they contain.
import { html } from "../vendor/ui.js";
import { score } from "../app/i18n.js";

const USUAL = ["#12b898", "#bd6512", "#6a1abd", "#bd1a53", "#4d8f14", "#1a6abd", "#b39a14", "#a31abd", "#1abd35", "#bd1a1a", "#1a1abd", "#8fbd1a"];
/** A label's colour; beyond twelve labels the line is dashed too. @param {number} index */
export const labelColour = (index) => USUAL[index % USUAL.length];

/**
 * @param {{src: string, alt: string, found: {left: number, top: number, width: number, height: number, label: string, score: number, index: number}[]}} props
 *   coordinates are shares of the image's sides.
 */
export function Picture({ src, alt, found }) {
  return html`<div class="picture"><img src=${src} alt=${alt} />
    <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">${found.map((one) => {
      const at = { x: one.left, y: one.top, width: one.width, height: one.height, fill: "none", "vector-effect": "non-scaling-stroke" };
      return html`<g><rect ...${at} stroke="#fff" stroke-width="5" /><rect ...${at} stroke=${labelColour(one.index)} stroke-width="2.5"
        stroke-dasharray=${one.index >= USUAL.length ? "6 3" : undefined}><title>${one.label} ${score(one.score)}</title></rect></g>`;
    })}</svg></div>`;
}

/** The payloads of Predict as boxes; classifications have no coordinates. @param {any[]} payload @param {string[]} labels */
export function boxesOf(payload, labels) {
  return payload.filter((one) => one.imageObjectDetection).map((one) => {
    const corners = one.imageObjectDetection.boundingBox?.normalizedVertices ?? [];
    const [xs, ys] = [corners.map((/** @type {any} */ c) => c.x ?? 0), corners.map((/** @type {any} */ c) => c.y ?? 0)];
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    return { left, top, width: Math.max(...xs) - left, height: Math.max(...ys) - top, label: one.displayName, score: scoreOf(one), index: labels.indexOf(one.displayName) };
  });
}

/** @param {any} one an AnnotationPayload */
export const scoreOf = (one) => one.imageObjectDetection?.score ?? one.classification?.score ?? 0;
