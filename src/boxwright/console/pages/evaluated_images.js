// @ts-check
// The images of an evaluation at its thresholds: the worst ones, false alarms, misses, wrong labels, or a cell of the matrix.
import { html, useEffect, useState } from "../vendor/ui.js";
import { get } from "../app/api.js";
import { t } from "../app/i18n.js";
import { EvaluatedTiles, EvaluatedViewer, Legend } from "../parts/evaluated_tiles.js";
import { quoted } from "../parts/examples.js";
import { Loaded, useLoad } from "../parts/page.js";

const TILES = 24; // images on a page
export const KINDS = ["worst", "alarms", "missed", "wrong"];
const OUTCOMES = /** @type {Record<string, string>} */ ({ alarms: "FALSE_POSITIVE", missed: "FALSE_NEGATIVE", wrong: "CONFUSED" });

/** @param {string} field @param {string | null} label null: none */
const labelTerm = (field, label) => (label === null ? `NOT ${field}:*` : `${field}=${quoted(label)}`);

/** The filter of the list. @param {string} kind @param {string} label its name; empty: all @param {any} cell of the matrix, or null */
export function filterOf(kind, label, cell) {
  if (cell) return `${labelTerm("true_label", cell.true)} AND ${labelTerm("predicted_label", cell.predicted)}`;
  const terms = OUTCOMES[kind] ? [`outcome=${OUTCOMES[kind]}`] : [];
  if (label && terms.length) terms.push(labelTerm(kind === "alarms" ? "predicted_label" : "true_label", label));
  return terms.join(" AND ");
}

/** The list's path. @param {any} model @param {Record<string, string | number>} query */
export const listPath = (model, query) => `${model.name}/evaluatedExamples?${new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== 0).map(([key, value]) => [key, String(value)]))}`;

/**
 * @param {{model: any, iou: number, score: number, label: string, kind: string, choose: (kind: string) => void, cell: any}} props
 *   `cell`: of the matrix, shown instead of a kind; `label`: its name, empty for all
 */
export function EvaluatedImages({ model, iou, score, label, kind, choose, cell }) {
  const query = { iouThreshold: iou, scoreThreshold: score, filter: filterOf(kind, label, cell) };
  const button = (/** @type {string} */ one) => html`<button type="button" class="chip" aria-pressed=${!cell && one === kind} onClick=${() => choose(one)}>${t(`evaluate.gallery.${one}`)}</button>`;
  return html`<section class="stack"><h2 id="evaluated" tabindex="-1">${t("evaluate.gallery")}</h2><div class="row" role="group" aria-label=${t("evaluate.gallery.kinds")}>${KINDS.map(button)}
      ${cell && html`<span class="chip note">${t("evaluate.gallery.cell")}: ${cell.true ?? t("evaluate.nothing")} → ${cell.predicted ?? t("evaluate.missed")}</span>`}</div>
    ${iou > 0 && html`<${Legend} />`}<${Gallery} key=${JSON.stringify(query)} model=${model} query=${query} /></section>`;
}

/** @param {{model: any, query: Record<string, string | number>}} props */
function Gallery({ model, query }) {
  const [page, setPage] = useState(0);
  const [opened, setOpened] = useState(-1);
  const from = useLoad((signal) => get(listPath(model, { ...query, pageSize: TILES, skip: page * TILES }), signal), [model.name, JSON.stringify(query), page]);
  const images = from.value?.evaluatedExamples ?? [];
  const [pages, setPages] = useState(0);
  useEffect(() => {
    if (from.value) setPages(Math.ceil((from.value.totalSize ?? 0) / TILES));
  }, [from.value]);
  const last = images.length - 1;
  const one = images[Math.min(opened, last)];
  return html`<${Loaded} from=${from}>${() => (images.length ? html`<${EvaluatedTiles} images=${images} dataset=${model.datasetId} open=${setOpened} />` : html`<p class="quiet">${t("evaluate.gallery.none")}</p>`)}<//>
    ${pages > 1 && html`<div class="row"><button type="button" disabled=${page === 0} onClick=${() => setPage(page - 1)}>← ${t("evaluate.page.back")}</button>
      <span>${t("evaluate.page", { n: page + 1, all: pages })}</span><button type="button" disabled=${page + 1 >= pages} onClick=${() => setPage(page + 1)}>${t("evaluate.page.on")} →</button></div>`}
    ${opened >= 0 && one && html`<${EvaluatedViewer} image=${one} dataset=${model.datasetId} close=${() => setOpened(-1)}
      back=${opened > 0 ? () => setOpened(opened - 1) : undefined} on=${opened < last ? () => setOpened(opened + 1) : undefined} />`}`;
}
