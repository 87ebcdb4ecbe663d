// @ts-check
// Batch predictions: all of them, a new one, one with its progress and its results' place.
import { html, useState } from "../vendor/ui.js";
import { idOf, post } from "../app/api.js";
import { number, percent, t, time } from "../app/i18n.js";
import { models, operations, stateOf } from "../app/resources.js";
import { go, href, route } from "../app/router.js";
import { notify, parent } from "../app/store.js";
import { Act, Empty, Head, Loaded, State, useCalls, useLoad } from "../parts/page.js";
import { Table } from "../parts/table.js";
import { addresses } from "./import.js";
import { Operation } from "./operations.js";

/** @param {{id?: string}} props */
export function Batches({ id }) {
  if (id === "new") return html`<${ChooseModel} />`;
  return id ? html`<${Operation} key=${id} id=${id} />` : html`<${List} />`;
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
  { title: t("batch.results"), value: resultsOf, show: (/** @type {any} */ one) => html`<span class="mono">${resultsOf(one)}</span>` },
];

/** @param {any} one */
const inputsOf = (one) => (one.metadata.batchPredictDetails.inputConfig?.gcsSource?.inputUris ?? []).join(" ");
/** @param {any} one */
const resultsOf = (one) => one.metadata.batchPredictDetails.outputInfo?.gcsOutputDirectory ?? "";

function ChooseModel() {
  const from = useLoad(models, []);
  const [name, setName] = useState("");
  return html`<${Head} title=${t("batch.new")} />
    <${Loaded} from=${from}>${(/** @type {any[]} */ found) => {
      if (!found.length) return html`<${Empty} title=${t("models.none")} text=${t("models.none.text")}><a class="button" href=${href("datasets")}>${t("nav.datasets")}</a><//>`;
      const wanted = name || `${parent()}/models/${route.value.query.get("model")}`;
      const model = found.find((one) => one.name === wanted) ?? found[0];
      return html`<label class="row">${t("model")}<select value=${model.name} onChange=${(/** @type {any} */ e) => setName(e.target.value)}>
        ${found.map((one) => html`<option value=${one.name}>${one.displayName}</option>`)}</select></label><${NewBatch} key=${model.name} model=${model} />`;
    }}<//>`;
}

/** @param {{model: any}} props */
export function NewBatch({ model }) {
  const [inputs, setInputs] = useState("");
  const [output, setOutput] = useState("");
  const [threshold, setThreshold] = useState(0.5);
  const [isOnce] = useState(() => `console-${Date.now().toString(36)}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`);
  const body = {
    inputConfig: { gcsSource: { inputUris: inputs ? addresses(inputs) : ["gs://BUCKET/images.csv"] } },
    outputConfig: { gcsDestination: { outputUriPrefix: output || "gs://BUCKET/results/" } },
    params: { score_threshold: String(threshold), request_id: isOnce },
  };
  useCalls([{ verb: "POST", path: `${model.name}:batchPredict`, body }]);
  const off = !addresses(inputs).length ? t("batch.inputs.needed") : !output.trim() ? t("batch.output.needed") : "";
  const start = async () => {
    const operation = await post(`${model.name}:batchPredict`, body);
    notify(t("batch.started"));
    go("batches", idOf(operation.name));
  };
  return html`<section class="card">
    <label>${t("batch.inputs")}<textarea rows="3" class="mono" placeholder="gs://bucket/images.csv" value=${inputs} onInput=${(/** @type {any} */ e) => setInputs(e.target.value)}></textarea><span class="hint">${t("batch.inputs.hint")}</span></label>
    <label>${t("batch.output")}<input class="mono" placeholder="gs://bucket/results/" value=${output} onInput=${(/** @type {any} */ e) => setOutput(e.target.value)} /><span class="hint">${t("batch.output.hint")}</span></label>
    <label>${t("threshold")}: ${number(threshold, 2)}<input type="range" min="0.01" max="1" step="0.01" value=${threshold} onInput=${(/** @type {any} */ e) => setThreshold(Number(e.target.value))} /><span class="hint">${t("batch.threshold.hint")}</span></label>
    <div><${Act} permission="automl.models.predict" look="first" off=${off} does=${start}>${t("batch.start")}<//></div></section>`;
}
