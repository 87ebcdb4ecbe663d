// @ts-check
// Images of an evaluation: what is there as solid lines, what was found as dashed ones; small ones beside each other, and one large.
import { html } from "../vendor/ui.js";
import { idOf } from "../app/api.js";
import { number, score, t } from "../app/i18n.js";
import { href } from "../app/router.js";
import { Dialog } from "./page.js";
import { usePhoto } from "./photo.js";
import { boxesOf, scoreOf } from "./picture.js";
import { Table } from "./table.js";

const [SMALL_PX, LARGE_PX] = [640, 1280]; // edges that the service makes
const LOOKS = /** @type {Record<string, string>} */ ({ TRUE_POSITIVE: "right", CONFUSED: "confused" });

/** The last part of an image's address. @param {string} uri */
const fileName = (uri) => uri.slice(uri.lastIndexOf("/") + 1) || uri;

/** How often each outcome is in an image; a wrong label counts once. @param {any} image */
function counted(image) {
  const counts = /** @type {Record<string, number>} */ ({});
  for (const one of image.annotations ?? []) {
    if (one.isTruth || one.outcome === "FALSE_POSITIVE") counts[one.outcome] = (counts[one.outcome] ?? 0) + 1;
  }
  return counts;
}

/** @param {any} image */
function words(image) {
  const counts = counted(image);
  const said = [["FALSE_NEGATIVE", "missed"], ["CONFUSED", "wrong"], ["FALSE_POSITIVE", "alarms"], ["TRUE_POSITIVE", "right"]].filter(([key]) => counts[key])
    .map(([key, name]) => t(`evaluate.tile.${name}`, { n: counts[key] }));
  return said.join(", ") || t("evaluate.tile.empty");
}

/** @param {any} one an annotation of an image */
const look = (one) => `${one.isTruth ? "there" : "found"} ${LOOKS[one.outcome] ?? "wrong"}`;

/** A picture with its lines. @param {{image: any, edgePx: number}} props */
function Shown({ image, edgePx }) {
  const { src, error } = usePhoto(image.example ? `${image.example}:image?edgePx=${edgePx}` : "");
  if (!image.example) return html`<span class="quiet small">${t("evaluate.gone")}</span>`;
  if (error) return html`<span class="quiet small" lang="en">${error.message}</span>`;
  if (!src) return html`<span class="bone"></span>`;
  const [widthPx, heightPx] = [image.widthPx || 1, image.heightPx || 1];
  return html`<span class="whole"><img src=${src} alt=${`${fileName(image.uri)}: ${words(image)}`} /><svg viewBox=${`0 0 ${widthPx} ${heightPx}`} aria-hidden="true">
    ${(image.annotations ?? []).map((/** @type {any} */ one) => boxesOf([one.annotation], []).map((box) => {
      const at = { x: box.left * widthPx, y: box.top * heightPx, width: box.width * widthPx, height: box.height * heightPx };
      return html`<g><rect class="halo" ...${at} /><rect class=${look(one)} ...${at}><title>${box.label}</title></rect></g>`;
    }))}</svg></span>`;
}

/** Labels of a whole image in words. @param {{image: any}} props */
function Labels({ image }) {
  const of = (/** @type {boolean} */ isTruth) => (image.annotations ?? []).filter((/** @type {any} */ one) => Boolean(one.isTruth) === isTruth && !one.annotation.imageObjectDetection);
  const [there, found] = [of(true), of(false)];
  if (!there.length && !found.length) return null;
  return html`<span>${t("evaluate.side.truth")}: ${there.map((/** @type {any} */ one) => one.annotation.displayName).join(", ") || "–"}</span>
    <span>${t("evaluate.side.found")}: ${found.map((/** @type {any} */ one) => `${one.annotation.displayName} ${score(scoreOf(one.annotation))}`).join(", ") || "–"}</span>`;
}

/** @param {{image: any, dataset: string}} props `dataset`: its id */
export const Fix = ({ image, dataset }) => (image.example ? html`<a class="button" href=${href("datasets", dataset, "images", idOf(image.example))}>${t("evaluate.fix")}<span class="hidden"> (${fileName(image.uri)})</span></a>` : null);

/** What the lines mean. */
export const Legend = () => html`<div class="small quiet"><p>${t("evaluate.legend")}</p><div class="row">${["right", "confused", "wrong"].map((one) => html`<span class="key"><svg width="26" height="14" aria-hidden="true"><rect class=${`there ${one}`} x="2" y="2" width="22" height="10" /></svg> ${t(`evaluate.legend.${one}`)}</span>`)}</div></div>`;

/** @param {{images: any[], dataset: string, open: (index: number) => void}} props */
export function EvaluatedTiles({ images, dataset, open }) {
  return html`<ul class="tiles evaluated">${images.map((image, index) => html`<li key=${image.uri + index} class="stack">
    <button type="button" class="tile" onClick=${() => open(index)}><span class="pane"><${Shown} image=${image} edgePx=${SMALL_PX} /></span>
      <span class="caption small"><span class="mono">${fileName(image.uri)}</span><span>${words(image)}</span><${Labels} image=${image} /></span></button>
    <${Fix} image=${image} dataset=${dataset} /></li>`)}</ul>`;
}

/** One image large, with a table of what the lines say. @param {{image: any, dataset: string, back?: () => void, on?: () => void, close: () => void}} props */
export function EvaluatedViewer({ image, dataset, back, on, close }) {
  const rows = image.annotations ?? [];
  return html`<${Dialog} title=${fileName(image.uri)} close=${close}><div class="viewer stack evaluated">
    <div class="row"><button type="button" disabled=${!back} onClick=${back}>← ${t("evaluate.image.back")}</button><button type="button" disabled=${!on} onClick=${on}>${t("evaluate.image.on")} →</button><${Fix} image=${image} dataset=${dataset} /></div>
    <p class="mono">${image.uri}</p><${Shown} key=${image.uri} image=${image} edgePx=${LARGE_PX} />${rows.some((/** @type {any} */ one) => one.annotation.imageObjectDetection) && html`<${Legend} />`}<p aria-live="polite">${words(image)}</p>
    <${Table} key=${image.uri} label=${t("evaluate.gallery")} rows=${rows} columns=${[
      { title: t("label"), value: (/** @type {any} */ one) => one.annotation.displayName },
      { title: t("evaluate.side"), value: (/** @type {any} */ one) => t(one.isTruth ? "evaluate.side.truth" : "evaluate.side.found") },
      { title: t("evaluate.outcome"), value: (/** @type {any} */ one) => t(`outcome.${one.outcome}`) },
      { title: t("evaluate.score"), isNumber: true, value: (/** @type {any} */ one) => (one.isTruth ? 2 : scoreOf(one.annotation)), show: (/** @type {any} */ one) => (one.isTruth ? "–" : score(scoreOf(one.annotation))) },
      { title: t("evaluate.overlap"), isNumber: true, value: (/** @type {any} */ one) => one.iou ?? 0, show: (/** @type {any} */ one) => (one.iou ? number(one.iou, 2) : "–") }]} />
    </div><form method="dialog" class="ends"><button>${t("close")}</button></form><//>`;
}
