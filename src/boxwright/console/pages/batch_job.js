// @ts-check
// One batch job: its progress while it runs, what came of it, and what can be done next.
import { html, useEffect, useMemo, useState } from "../vendor/ui.js";
import { begin, codeName, get, idOf, post } from "../app/api.js";
import { duration, number, percent, t, time } from "../app/i18n.js";
import { stateOf } from "../app/resources.js";
import { go, href } from "../app/router.js";
import { notify, parent, running } from "../app/store.js";
import { errorFiles, outputOf } from "../parts/batch_request.js";
import { Chart } from "../parts/chart.js";
import { summaryPath } from "../parts/counts.js";
import { later } from "../parts/later.js";
import { Act, Head, Loaded, Numbers, State, Tabs, Trouble, useCalls, useLoad } from "../parts/page.js";
import { Table } from "../parts/table.js";
import { Details, stageWords } from "./operations.js";

const Results = later(() => import("./results.js"), "Results");
const LabelNext = later(() => import("./label_next.js"), "LabelNext");
const Failed = later(() => import("./result_errors.js"), "Failed");
const Files = later(() => import("./result_files.js"), "Files");
const TABS = ["job", "results", "next", "failed", "files"];

/** @param {{id: string, tab?: string}} props */
export function Job({ id, tab = "job" }) {
  const name = `${parent()}/operations/${encodeURIComponent(id)}`;
  const live = running.value.find((one) => one.name === name);
  useMemo(() => tab === "job" || begin(summaryPath(name)), [name]);
  const from = useLoad(async (signal) => {
    const [operation, progress] = await Promise.all([get(name, signal), get(`${name}:progress`, signal)]);
    return { ...operation, progress };
  }, [id]);
  const used = from.value?.progress.model;
  const named = useLoad(async (signal) => (used ? (await get(used, signal).catch(() => ({}))).displayName : ""), [used]); // it may be gone, or not be the reader's to see
  useCalls(tab === "job" ? [{ verb: "GET", path: name }, { verb: "GET", path: `${name}:progress` }] : []);
  return html`<${Loaded} from=${from} title=${t("kind.batch_predict")}>${(/** @type {any} */ found) => {
    const operation = live ? { ...live, progress: { ...found.progress, ...live.progress } } : found;
    const model = idOf(operation.progress.model ?? "");
    return html`<${Head} title=${t("kind.batch_predict")} sub=${html`${time(operation.metadata?.createTime)}${model && html` · <a href=${href("models", model)}>${t("model")} ${named.value || model}</a>`}`} />
      <${Tabs} label=${t("batch.tabs")} place="batches" id=${id} tabs=${TABS} tab=${tab} />
      ${tab === "results" ? html`<${Results} operation=${operation} />` : tab === "next" ? html`<${LabelNext} operation=${operation} />`
        : tab === "failed" ? html`<${Failed} operation=${operation} />` : tab === "files" ? html`<${Files} operation=${operation} />` : html`<${Overview} operation=${operation} />`}`;
  }}<//>`;
}

/** @param {{operation: any}} props */
function Overview({ operation }) {
  const { progress } = operation;
  const state = stateOf(operation);
  const share = operation.metadata?.progressPercent ?? (operation.done ? 100 : 0);
  return html`<section class="card"><div class="row"><${State} of=${operation.done ? state : progress.state ?? state} />${progress.validate_only && html`<span class="quiet">${t("job.dry")}</span>`}</div>
      ${operation.error && html`<${Trouble} error=${{ code: codeName(operation.error.code), message: operation.error.message }} />`}
      <div class="row"><span class="big">${percent(share / 100)}</span><progress class="wide" max="100" value=${share} aria-label=${t("kind.batch_predict")}></progress></div>
      <${Numbers} pairs=${numbersOf(progress, operation.done)} />
      ${progress.bottleneck && html`<p>${t("operation.bottleneck")} ${stageWords(progress.bottleneck)}</p>`}
      ${progress.advice && html`<p><strong>${t("job.advice")}</strong> <span lang="en">${progress.advice}</span></p>`}
      ${progress.summary && html`<p lang="en">${progress.summary}</p>`}
      <${Acts} operation=${operation} state=${state} /></section>
    <${Speed} name=${operation.name} progress=${progress} isOver=${Boolean(operation.done)} />
    ${(progress.ignored_params ?? []).length > 0 && html`<section class="card"><h2>${t("job.ignored")}</h2><ul>${progress.ignored_params.map((/** @type {any} */ one) => html`<li><code>${one.key}</code>${one.nearest && html` → <code>${one.nearest}</code>`}</li>`)}</ul></section>`}
    ${(progress.failures ?? []).length > 0 && html`<section class="stack"><h2>${t("batch.failures")}</h2><${Table} label=${t("batch.failures")} rows=${progress.failures} columns=${[
      { title: t("code"), value: (/** @type {any} */ one) => one.code }, { title: t("images"), isNumber: true, value: (/** @type {any} */ one) => one.images },
      { title: t("batch.first"), show: (/** @type {any} */ one) => html`<span lang="en">${one.first}</span>` }]} /></section>`}
    <${Details} operation=${operation} />`;
}

/** @param {any} progress @param {boolean} isDone @returns {[string, any][]} */
function numbersOf(progress, isDone) {
  /** @type {[string, any][]} */
  const found = [];
  const total = progress.total == null ? "?" : `${progress.total_is_exact === false ? "≈ " : ""}${number(progress.total)}`;
  if (progress.done != null) found.push([t("operation.done"), `${number(progress.done)} / ${total}`]);
  if (progress.failed != null) found.push([t("operation.failed"), number(progress.failed)]);
  if (progress.reused != null) found.push([t("job.reused"), number(progress.reused)]);
  if (progress.images_per_s != null) found.push([t("operation.speed"), number(progress.images_per_s, 1)]);
  if (progress.eta_s != null && !isDone) found.push([t("operation.eta"), duration(progress.eta_s)]);
  if (progress.elapsed_s != null) found.push([t("operation.elapsed"), duration(progress.elapsed_s)]);
  return found;
}

/** What can be done with a job as it is. @param {{operation: any, state: string}} props */
function Acts({ operation, state }) {
  const { progress } = operation;
  const id = idOf(operation.name);
  const stop = () => post(`${operation.name}:cancel`).then(() => notify(t("operation.stopping")));
  const resume = async () => {
    const made = await post(`${operation.name}:resume`);
    notify(t("batch.resumed"));
    go("batches", idOf(made.name));
  };
  const again = (/** @type {string} */ as) => `${href("batches", "new")}?model=${encodeURIComponent(idOf(progress.model ?? ""))}&from=${encodeURIComponent(id)}&as=${as}`;
  return html`<div class="row">
    ${!operation.done && html`<${Act} permission="automl.operations.cancel" look="danger" off=${progress.cancel_requested ? t("operation.stopping") : ""} does=${stop}>${t("operation.stop")}<//>`}
    ${operation.done && !progress.validate_only && html`${state !== "SUCCEEDED" && html`<${Act} permission="automl.models.predict" look="first" does=${resume}>${t("batch.resume")}<//>`}
      ${outputOf(operation) && html`<a class="button ${state === "SUCCEEDED" ? "first" : ""}" href=${href("batches", id, "results")}>${t("job.results")}</a>`}
      ${errorFiles(operation, progress).length > 0 && html`<a class="button" href=${again("retry")}>${t("job.retry")}</a>`}`}
    ${operation.done && html`<a class="button" href=${again("same")}>${t("job.same")}</a>`}</div>`;
}

/**
 * Images a second as they were seen since the page was opened: the service keeps the last value only.
 * @type {Map<string, {start_s: number, data: number[][]}>}
 */
const seen = new Map();
const MOST_POINTS = 1800; // an hour of them

/** @param {{name: string, progress: any, isOver: boolean}} props */
function Speed({ name, progress, isOver }) {
  const [{ data }, setKept] = useState(seen.get(name) ?? { start_s: 0, data: [[], []] });
  useEffect(() => {
    if (isOver || progress.images_per_s == null) return;
    const now_s = new Date(progress.update_time ?? Date.now()).getTime() / 1000;
    const start_s = seen.get(name)?.start_s ?? now_s;
    const last = data[0].at(-1);
    if (last !== undefined && now_s - start_s <= last) return;
    const kept = { start_s, data: [[...data[0], now_s - start_s].slice(-MOST_POINTS), [...data[1], progress.images_per_s].slice(-MOST_POINTS)] };
    seen.set(name, kept);
    setKept(kept);
  }, [progress.update_time, progress.images_per_s]);
  if (data[0].length < 2) return isOver ? null : html`<p class="quiet small">${t("job.speed.wait")}</p>`;
  return html`<section class="card"><h2>${t("operation.speed")}</h2><${Chart} label=${t("job.speed.label")} x=${t("job.speed.x")} lines=${[t("operation.speed")]} data=${data} unit=${false} />
    <p class="quiet small">${t("job.speed.text")}</p></section>`;
}
