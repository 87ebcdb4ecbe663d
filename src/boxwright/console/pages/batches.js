// @ts-check
// Batch predictions: all of them, a new one, one with its progress and its results.
import { html, useState } from "../vendor/ui.js";
import { idOf } from "../app/api.js";
import { percent, speak, t, time } from "../app/i18n.js";
import { models, operations, stateOf } from "../app/resources.js";
import { href, route } from "../app/router.js";
import { parent } from "../app/store.js";
import { later } from "../parts/later.js";
import { Empty, Head, Loaded, State, useCalls, useLoad } from "../parts/page.js";
import { Table } from "../parts/table.js";

await speak("batches");

const NewBatchFrom = later(() => import("./new_batch.js"), "NewBatchFrom");
const Job = later(() => import("./batch_job.js"), "Job");

/** @param {{id?: string, tab?: string}} props */
export function Batches({ id, tab }) {
  if (id === "new") return html`<${ChooseModel} />`;
  return id ? html`<${Job} key=${id} id=${id} tab=${tab} />` : html`<${List} />`;
}

function List() {
  const from = useLoad(async () => (await operations()).filter((one) => one.metadata?.batchPredictDetails), []);
  useCalls([{ verb: "GET", path: `${parent()}/operations` }]);
  const create = html`<a class="button first" href=${href("batches", "new")}>${t("batch.new")}</a>`;
  return html`<${Head} title=${t("nav.batches")} sub=${t("batch.sub")}>${create}<//>
    <${Loaded} from=${from}>${(/** @type {any[]} */ found) => (found.length ? html`<${Table} label=${t("nav.batches")} rows=${found} columns=${COLUMNS()} />`
      : html`<${Empty} title=${t("batch.none")} text=${t("batch.none.text")}>${create}<//>`)}<//>`;
}

const COLUMNS = () => [
  { title: t("started"), value: (/** @type {any} */ one) => one.metadata.createTime, show: (/** @type {any} */ one) => html`<a href=${href("batches", idOf(one.name))}>${time(one.metadata.createTime)}</a>` },
  { title: t("state"), value: stateOf, show: (/** @type {any} */ one) => html`<${State} of=${stateOf(one)} />` },
  { title: t("progress"), isNumber: true, value: (/** @type {any} */ one) => one.metadata.progressPercent ?? 0, show: (/** @type {any} */ one) => percent((one.metadata.progressPercent ?? 0) / 100) },
  { title: t("batch.inputs"), value: inputsOf, show: (/** @type {any} */ one) => html`<span class="mono">${inputsOf(one)}</span>` },
  { title: t("batch.results"), value: resultsOf, show: (/** @type {any} */ one) => (resultsOf(one) ? html`<a class="mono" href=${href("batches", idOf(one.name), "results")}>${resultsOf(one)}</a>` : "–") },
];

/** @param {any} one */
function inputsOf(one) {
  const uris = one.metadata.batchPredictDetails.inputConfig?.gcsSource?.inputUris ?? [];
  return uris.slice(0, 3).join(" ") + (uris.length > 3 ? ` + ${uris.length - 3}` : "");
}

/** @param {any} one */
const resultsOf = (one) => one.metadata.batchPredictDetails.outputInfo?.gcsOutputDirectory ?? "";

function ChooseModel() {
  const from = useLoad(models, []);
  const [name, setName] = useState("");
  const query = route.value.query;
  return html`<${Head} title=${t("batch.new")} sub=${query.get("from") ? t(`batch.as.${query.get("as") ?? "same"}`) : t("batch.new.text")} />
    <${Loaded} from=${from}>${(/** @type {any[]} */ found) => {
      if (!found.length) return html`<${Empty} title=${t("models.none")} text=${t("models.none.text")}><a class="button" href=${href("datasets")}>${t("nav.datasets")}</a><//>`;
      const wanted = name || `${parent()}/models/${query.get("model")}`;
      const model = found.find((one) => one.name === wanted) ?? found[0];
      return html`<label class="row">${t("model")}<select value=${model.name} onChange=${(/** @type {any} */ e) => setName(e.target.value)}>
        ${found.map((one) => html`<option value=${one.name}>${one.displayName}</option>`)}</select></label><${NewBatchFrom} key=${model.name} model=${model} query=${query} />`;
    }}<//>`;
}
