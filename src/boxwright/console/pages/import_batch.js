// @ts-check
// Images of a batch job go into a dataset: which job, which of its images, and with what was found as suggestions or without.
import { html, useEffect, useState } from "../vendor/ui.js";
import { finished, idOf, post } from "../app/api.js";
import { number, t, time } from "../app/i18n.js";
import { operations } from "../app/resources.js";
import { href } from "../app/router.js";
import { notify } from "../app/store.js";
import { outputOf } from "../parts/batch_request.js";
import { Act, Loaded, useCalls, useLoad } from "../parts/page.js";
import { useRested } from "../parts/rested.js";
import { useSummary } from "./results.js";

const USUAL = 50;
const ORDERS = ["uncertainty desc", "score desc", "score", "boxes desc", "list_order"];
const STATES = ["SUGGESTED", "UNLABELED"];

/** @param {{dataset: any}} props */
export function FromBatch({ dataset }) {
  const [name, setName] = useState("");
  const from = useLoad(async () => {
    const prefix = idOf(dataset.name).slice(0, 3); // ids of a kind's datasets and operations begin alike
    return (await operations()).filter((one) => one.metadata?.batchPredictDetails && outputOf(one) && idOf(one.name).startsWith(prefix));
  }, [dataset.name]);
  return html`<${Loaded} from=${from}>${(/** @type {any[]} */ jobs) => {
    if (!jobs.length) return html`<p>${t("import.batch.none")} <a href=${href("batches")}>${t("nav.batches")}</a></p>`;
    const job = jobs.find((/** @type {any} */ one) => one.name === name) ?? jobs[0];
    return html`<label>${t("import.batch.job")}<select value=${job.name} onChange=${(/** @type {any} */ e) => setName(e.target.value)}>${jobs.map((/** @type {any} */ one) => html`<option value=${one.name}>${time(one.metadata.createTime)} · ${outputOf(one)}</option>`)}</select></label>
      <${Chooser} key=${job.name} dataset=${dataset} operation=${job} />`;
  }}<//>`;
}

/** @param {{dataset: any, operation: any}} props */
function Chooser({ dataset, operation }) {
  const from = useSummary(operation);
  return html`<${Loaded} from=${from}>${(/** @type {any} */ counts) => (counts.imageCount ? html`<${Choices} dataset=${dataset} operation=${operation} counts=${counts} />`
    : html`<p class="quiet">${t("results.none.text")}</p>`)}<//>`;
}

/** @param {{dataset: any, operation: any, counts: any}} props */
function Choices({ dataset, operation, counts }) {
  const [chosen, setChosen] = useState({ order: counts.hasCandidates ? ORDERS[0] : "list_order", state: STATES[0], threshold: counts.threshold, limit: USUAL });
  const [done, setDone] = useState("");
  const change = (/** @type {any} */ values) => setChosen((/** @type {any} */ before) => ({ ...before, ...values }));
  const { order, state, threshold } = chosen;
  const limit = Math.min(chosen.limit, counts.imageCount);
  const rested = useRested(threshold);
  const body = {
    operation: operation.name, orderBy: order, limit, state,
    ...(counts.hasCandidates && { scoreThreshold: Math.max(0.01, rested) }),
  };
  useCalls([{ verb: "GET", path: `${operation.name}:summarizeResults` }, { verb: "POST", path: `${dataset.name}/examples:addResults`, body }]);
  useEffect(() => setDone(""), [JSON.stringify(body)]);
  const add = async () => {
    await finished(await post(`${dataset.name}/examples:addResults`, body));
    setDone(state);
    notify(t("next.added"));
  };
  const select = (/** @type {string} */ key, /** @type {string} */ label, /** @type {string[]} */ values, /** @type {(one: string) => string} */ words) =>
    html`<label>${label}<select value=${/** @type {any} */ (chosen)[key]} onChange=${(/** @type {any} */ e) => change({ [key]: e.target.value })}>${values.map((one) =>
      html`<option value=${one} disabled=${key === "order" && one.startsWith("uncertainty") && !counts.hasCandidates}>${words(one)}</option>`)}</select></label>`;
  return html`<div class="row">${select("order", t("results.order"), ORDERS, (one) => t(`order.${one.replace(" ", ".")}`))}
      ${select("state", t("import.batch.as"), STATES, (one) => t(`import.batch.as.${one}`))}
      <label>${t("next.count")}<input type="number" min="1" max=${counts.imageCount} value=${limit} onInput=${(/** @type {any} */ e) => change({ limit: Math.max(1, Math.round(Number(e.target.value)) || 1) })} /></label></div>
    <label>${t("threshold")}: ${number(threshold, 2)}<input type="range" min="0.01" max="1" step="0.01" value=${threshold} disabled=${!counts.hasCandidates} onInput=${(/** @type {any} */ e) => change({ threshold: Number(e.target.value) })} />
      <span class="hint">${counts.hasCandidates ? t("import.batch.threshold") : html`<span lang="en">${counts.reason}</span>`}</span></label>
    <p class="quiet small">${t("results.images")}: ${number(counts.imageCount)}</p>
    <div class="row"><${Act} permission="automl.datasets.import" look="first" does=${add}>${t("next.add", { n: limit })}<//></div>
    ${done && html`<p role="status">${done === STATES[0] ? t("next.done", { name: dataset.displayName }) : t("next.added")} <a class="button first" href=${`${href("datasets", idOf(dataset.name), "images")}?state=${done}`}>${t("next.open")}</a></p>`}`;
}
