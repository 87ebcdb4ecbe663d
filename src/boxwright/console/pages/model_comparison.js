// @ts-check
// The models of a dataset beside each other, by the evaluation of each.
import { html, useState } from "../vendor/ui.js";
import { get, idOf } from "../app/api.js";
import { number, t, time } from "../app/i18n.js";
import { entriesAt, modelsOf, readEvaluations } from "../app/resources.js";
import { href } from "../app/router.js";
import { Loaded, useLoad } from "../parts/page.js";
import { Table } from "../parts/table.js";

const MOST_MODELS = 12; // the newest ones
const IOU = 0.5;

/** What a model is measured by. @param {any} model @param {AbortSignal} signal */
async function measured(model, signal) {
  const page = await get(`${model.name}/modelEvaluations?pageSize=1`, signal); // the one of all labels comes first
  const { whole } = readEvaluations(page.modelEvaluation ?? []);
  if (!whole) return { model };
  const best = entriesAt(whole, IOU).reduce((/** @type {any} */ a, /** @type {any} */ one) => (one.f1 > (a?.f1 ?? -1) ? one : a), null);
  const half = whole.grid.find((/** @type {any} */ row) => Math.abs((row.iouThreshold ?? 0) - IOU) < 0.001);
  return { model, precision: whole.precision, ap50: half ? (half.meanAveragePrecision ?? 0) : undefined, f1: best?.f1, confidence: best?.confidence, images: whole.images };
}

/** @param {{model: any}} props */
export function ModelComparison({ model }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details onToggle=${(/** @type {any} */ e) => setOpen(e.target.open)}><summary>${t("evaluate.compare")}</summary><div class="spaced">${isOpen && html`<${Models} model=${model} />`}</div></details>`;
}

/** @param {{model: any}} props */
function Models({ model }) {
  const from = useLoad(async (signal) => Promise.all((await modelsOf(model.datasetId)).slice(0, MOST_MODELS).map((one) => measured(one, signal))), [model.datasetId]);
  const share = (/** @type {string} */ key, /** @type {string} */ title) => ({ title, isNumber: true, value: (/** @type {any} */ one) => one[key] ?? -1, show: (/** @type {any} */ one) => (one[key] === undefined ? "–" : number(one[key], 3)) });
  return html`<p class="quiet">${t("evaluate.compare.text")}</p><${Loaded} from=${from}>${(/** @type {any[]} */ rows) => html`<${Table} label=${t("evaluate.compare")} rows=${rows} columns=${[
    { title: t("model"), value: (/** @type {any} */ one) => one.model.displayName, show: (/** @type {any} */ one) => (one.model.name === model.name ? html`${one.model.displayName} <span class="quiet">(${t("evaluate.this")})</span>` : html`<a href=${href("models", idOf(one.model.name), "evaluate")}>${one.model.displayName}</a>`) },
    { title: t("created"), value: (/** @type {any} */ one) => one.model.createTime, show: (/** @type {any} */ one) => time(one.model.createTime) },
    share("precision", t("evaluate.ap")), ...(rows.some((one) => one.ap50 !== undefined) ? [share("ap50", t("evaluate.ap50"))] : []), share("f1", t("evaluate.f1")), share("confidence", t("evaluate.at")),
    { title: t("images"), isNumber: true, value: (/** @type {any} */ one) => one.images ?? 0 }]} />`}<//>`;
}
