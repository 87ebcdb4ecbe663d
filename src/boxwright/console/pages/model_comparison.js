// @ts-check
// A dataset's models beside each other: when, from how much, how long, and how good.
import { html } from "../vendor/ui.js";
import { get, idOf } from "../app/api.js";
import { duration, number, t, time } from "../app/i18n.js";
import { metadataOf, readEvaluations } from "../app/resources.js";
import { href } from "../app/router.js";
import { Loaded, useLoad } from "../parts/page.js";
import { Table } from "../parts/table.js";

const MOST = 12; // models whose evaluations are read: each is some 50 kB
const WHOLE = encodeURIComponent("NOT annotation_spec_id:*");
const SECONDS = 3.6; // in a milli node hour

/** Seconds that the training of a model took; 0 if that is not known. @param {any} model */
export const trainedSeconds = (model) => Number(metadataOf(model).trainCostMilliNodeHours ?? 0) * SECONDS;

/** @param {{models: any[], children: any}} props `children`: what is shown where there is nothing to compare. */
export function ModelComparison({ models, children }) {
  const from = useLoad(async (signal) => Promise.all(models.slice(0, MOST).map(async (model) => {
    const found = await get(`${model.name}/modelEvaluations?filter=${WHOLE}`, signal).catch(() => ({}));
    return { model, ...numbersOf(found.modelEvaluation ?? []) };
  })), models.map((one) => one.name));
  if (models.length < 2) return children;
  return html`<${Loaded} from=${from}>${(/** @type {any[]} */ rows) => {
    const best = Math.max(...rows.map((one) => one.ap ?? 0));
    return html`<${Table} label=${t("train.models")} rows=${rows} columns=${[
      { title: t("name"), value: (/** @type {any} */ one) => one.model.displayName, show: (/** @type {any} */ one) => html`<a href=${href("models", idOf(one.model.name), "evaluate")}>${one.model.displayName}</a>` },
      { title: t("created"), value: (/** @type {any} */ one) => one.model.createTime, show: (/** @type {any} */ one) => time(one.model.createTime) },
      { title: t("train.type"), value: (/** @type {any} */ one) => metadataOf(one.model).modelType ?? "", show: (/** @type {any} */ one) => html`<span class="mono">${metadataOf(one.model).modelType ?? "–"}</span>` },
      { title: t("compare.ap"), isNumber: true, value: (/** @type {any} */ one) => one.ap ?? -1, show: (/** @type {any} */ one) => (one.ap === undefined ? "–" : html`${number(one.ap, 3)}${one.ap === best ? ` · ${t("compare.best")}` : ""}`) },
      { title: t("compare.ap50"), isNumber: true, value: (/** @type {any} */ one) => one.ap50 ?? -1, show: (/** @type {any} */ one) => (one.ap50 === undefined ? "–" : number(one.ap50, 3)) },
      { title: t("compare.images"), isNumber: true, value: (/** @type {any} */ one) => one.images },
      { title: t("compare.time"), isNumber: true, value: (/** @type {any} */ one) => trainedSeconds(one.model), show: (/** @type {any} */ one) => (trainedSeconds(one.model) ? duration(trainedSeconds(one.model)) : "–") },
    ]} />${models.length > MOST && html`<p class="quiet">${t("compare.more", { n: models.length - MOST })}</p>`}`;
  }}<//>`;
}

/** @param {any[]} evaluations */
function numbersOf(evaluations) {
  const { whole } = readEvaluations(evaluations);
  if (!whole) return { images: 0 };
  const half = whole.grid.find((/** @type {any} */ one) => Math.abs((one.iouThreshold ?? 0) - 0.5) < 0.001);
  return { ap: whole.precision, ap50: half?.meanAveragePrecision, images: whole.images };
}
