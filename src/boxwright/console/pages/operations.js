// @ts-check
// Operations: all of them, a running one as a card with its curves, one in full.
import { html, useState } from "../vendor/ui.js";
import { codeName, get, idOf, post, remove } from "../app/api.js";
import { duration, has, number, percent, t, time } from "../app/i18n.js";
import { operationKind, operations, stateOf } from "../app/resources.js";
import { go, href } from "../app/router.js";
import { notify, parent, running } from "../app/store.js";
import { Chart } from "../parts/chart.js";
import { Act, Empty, Facts, Head, Loaded, Numbers, State, Trouble, useCalls, useLoad } from "../parts/page.js";
import { Named } from "../parts/named.js";
import { Table } from "../parts/table.js";

/** @param {string} kind */
const kindWords = (kind) => (has(`kind.${kind}`) ? t(`kind.${kind}`) : kind.replaceAll("_", " "));

/** What a batch job spends its time on. @param {string} stage as the API says it */
export const stageWords = (stage) => (has(`stage.${stage.replaceAll(" ", "_")}`) ? t(`stage.${stage.replaceAll(" ", "_")}`) : stage);

export function Operations() {
  const [state, setState] = useState("");
  const [kind, setKind] = useState("");
  const from = useLoad(() => operations(), []);
  useCalls([{ verb: "GET", path: `${parent()}/operations` }]);
  const clean = (/** @type {any[]} */ ended) => async () => {
    for (const one of ended) await remove(one.name);
    notify(t("operations.cleaned", { n: ended.length }));
    from.again();
  };
  return html`<${Head} title=${t("nav.operations")} sub=${t("operations.sub")} />
    <${Loaded} from=${from}>${(/** @type {any[]} */ found) => {
      const shown = found.filter((one) => (!state || stateOf(one) === state) && (!kind || operationKind(one) === kind));
      const ended = shown.filter((one) => one.done);
      if (!found.length) return html`<${Empty} title=${t("operations.none")} text=${t("operations.none.text")} />`;
      return html`<div class="row"><label class="row">${t("state")}<select value=${state} onChange=${(/** @type {any} */ e) => setState(e.target.value)}><option value="">${t("all")}</option>
          ${["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"].map((one) => html`<option value=${one}>${t(`state.${one}`)}</option>`)}</select></label>
        <label class="row">${t("kind")}<select value=${kind} onChange=${(/** @type {any} */ e) => setKind(e.target.value)}><option value="">${t("all")}</option>
          ${[...new Set(found.map(operationKind))].sort().map((one) => html`<option value=${one}>${kindWords(one)}</option>`)}</select></label>
        <${Act} permission="automl.operations.delete" off=${ended.length ? "" : t("operations.clean.none")} does=${clean(ended)}>${t("operations.clean", { n: ended.length })}<//></div>
        <${Table} label=${t("nav.operations")} rows=${shown} empty=${t("operations.none")} columns=${[
          { title: t("started"), value: (/** @type {any} */ one) => one.metadata?.createTime, show: (/** @type {any} */ one) => html`<a href=${href("operations", idOf(one.name))}>${time(one.metadata?.createTime)}</a>` },
          { title: t("kind"), value: operationKind, show: (/** @type {any} */ one) => kindWords(operationKind(one)) },
          { title: t("state"), value: stateOf, show: (/** @type {any} */ one) => html`<${State} of=${stateOf(one)} />` },
          { title: t("progress"), isNumber: true, value: (/** @type {any} */ one) => one.metadata?.progressPercent ?? 0, show: (/** @type {any} */ one) => percent((one.metadata?.progressPercent ?? 0) / 100) },
          { title: t("message"), show: (/** @type {any} */ one) => html`<span lang="en">${one.error?.message ?? "–"}</span>` },
        ]} />`;
    }}<//>`;
}

/** @param {{id: string}} props */
export function Operation({ id }) {
  const name = `${parent()}/operations/${encodeURIComponent(id)}`;
  const live = running.value.find((one) => one.name === name);
  const from = useLoad(async (signal) => {
    const [operation, progress] = await Promise.all([get(name, signal), get(`${name}:progress`, signal).catch(() => ({}))]);
    return { ...operation, progress };
  }, [id]);
  useCalls([{ verb: "GET", path: name }, { verb: "GET", path: `${name}:progress` }]);
  return html`<${Loaded} from=${from} title=${t("kind.operation")}>${(/** @type {any} */ found) => {
    const operation = live ?? found;
    const kind = operation.progress.kind ?? operationKind(operation);
    return html`<${Head} title=${kindWords(kind)} sub=${time(operation.metadata?.createTime)} />
      ${operation.done ? html`<${Ended} operation=${operation} />` : html`<${RunningOperation} operation=${operation} />`}
      <${Details} operation=${operation} />`;
  }}<//>`;
}

/** A running operation: progress, numbers, curves, and how to stop it. @param {{operation: any}} props */
export function RunningOperation({ operation }) {
  const { progress } = operation;
  const kind = progress.kind ?? operationKind(operation);
  const share = operation.metadata?.progressPercent ?? 0;
  const stop = () => post(`${operation.name}:cancel`).then(() => notify(t("operation.stopping")));
  return html`<section class="card"><div class="head"><h2>${kindWords(kind)}</h2><${State} of=${progress.state ?? "RUNNING"} /></div>
    <progress max="100" value=${share} aria-label=${kindWords(kind)}></progress>
    <${Numbers} pairs=${numbersOf(progress, share)} />
    ${progress.bottleneck && html`<p>${t("operation.bottleneck")} ${stageWords(progress.bottleneck)}</p>`}
    ${kind === "create_model" && html`<${Curves} progress=${progress} />`}
    <div class="row"><${Act} permission="automl.operations.cancel" look="danger" off=${progress.cancel_requested ? t("operation.stopping") : ""} does=${stop}>${t("operation.stop")}<//>
      <a href=${href("operations", idOf(operation.name))}>${t("operation.more")}</a></div></section>`;
}

/** @param {any} progress @param {number} share @returns {[string, any][]} */
function numbersOf(progress, share) {
  /** @type {[string, any][]} */
  const found = [[t("progress"), percent(share / 100)]];
  if (progress.done !== undefined) found.push([t("operation.done"), `${number(progress.done)}${progress.total ? ` / ${progress.total_is_exact ? "" : "≈ "}${number(progress.total)}` : ""}`]);
  if (progress.added !== undefined) found.push([t("operation.added"), number(progress.added)]);
  if (progress.failed) found.push([t("operation.failed"), number(progress.failed)]);
  if (progress.stage) found.push([t("operation.stage"), progress.stage]);
  if (progress.step !== undefined) found.push([t("operation.step"), `${number(progress.step)} / ${number(progress.steps ?? 0)}`]);
  if (progress.validation_map50 != null) found.push([t("operation.ap"), number(progress.validation_map50, 3)]);
  if (progress.images_per_s != null) found.push([t("operation.speed"), number(progress.images_per_s, 1)]);
  if (progress.eta_s != null) found.push([t("operation.eta"), duration(progress.eta_s)]);
  return found;
}

/** Loss and validation of a training from its first step on. @param {{progress: any}} props */
function Curves({ progress }) {
  const points = progress.curve ?? [];
  const steps = points.map((/** @type {any[]} */ one) => one[0]);
  if (points.length < 2) return html`<p class="quiet small">${t("train.curves.wait")}</p>`;
  const line = (/** @type {number} */ column) => points.map((/** @type {any[]} */ one) => one[column] ?? null);
  const hasPrecision = line(2).some((/** @type {any} */ one) => one !== null); // a classifier has none
  return html`<div class="columns"><${Chart} label=${t("train.loss")} x=${t("operation.step")} lines=${[t("train.loss")]} data=${[steps, line(1)]} unit=${false} />
    ${hasPrecision && html`<${Chart} label=${t("operation.ap")} x=${t("operation.step")} lines=${[t("operation.ap")]} data=${[steps, line(2)]} unit=${false} />`}</div>`;
}

/** @param {{operation: any}} props */
function Ended({ operation }) {
  const { progress } = operation;
  const state = stateOf(operation);
  const isBatch = operationKind(operation) === "batch_predict" || progress.kind === "batch_predict";
  const resume = async () => {
    const made = await post(`${operation.name}:resume`);
    notify(t("batch.resumed"));
    go("batches", idOf(made.name));
  };
  const numbers = numbersOf(progress, operation.metadata?.progressPercent ?? 100).filter(([title]) => title !== t("operation.eta"));
  return html`<section class="card"><div class="row"><${State} of=${state} />${isBatch && state !== "SUCCEEDED" && html`<${Act} look="first" does=${resume}>${t("batch.resume")}<//>`}</div>
    ${operation.error && html`<${Trouble} error=${{ code: codeName(operation.error.code), message: operation.error.message }} />`}
    <${Numbers} pairs=${numbers} />
    ${progress.curve && html`<${Curves} progress=${progress} />`}
    ${progress.bottleneck && html`<p>${t("operation.bottleneck")} ${stageWords(progress.bottleneck)}</p>`}
    ${(progress.failures ?? []).length > 0 && html`<h3>${t("batch.failures")}</h3><${Table} label=${t("batch.failures")} rows=${progress.failures} columns=${[
      { title: t("code"), value: (/** @type {any} */ one) => one.code }, { title: t("images"), isNumber: true, value: (/** @type {any} */ one) => one.images },
      { title: t("batch.first"), show: (/** @type {any} */ one) => html`<span lang="en">${one.first}</span>` }]} />`}</section>`;
}

/** @param {{operation: any}} props */
export function Details({ operation }) {
  const { progress, metadata = {} } = operation;
  const batch = metadata.batchPredictDetails;
  const inputs = batch?.inputConfig?.gcsSource?.inputUris ?? progress.input_uris;
  const forget = async () => {
    await remove(operation.name);
    notify(t("operations.cleaned", { n: 1 }));
    go("operations");
  };
  const used = progress.model ?? progress.works_on;
  return html`<section class="card"><h2>${t("details")}</h2><${Facts} pairs=${[
    [t("operation.works"), used && html`<${Named} of=${used} />`], [t("batch.inputs"), inputs && html`<span class="mono">${inputs.join(" ")}</span>`],
    [t("batch.results"), batch?.outputInfo?.gcsOutputDirectory && html`<code>${batch.outputInfo.gcsOutputDirectory}</code>`],
    [t("threshold"), progress.score_threshold !== undefined ? number(progress.score_threshold, 2) : undefined], [t("batch.manifest"), progress.manifest && html`<code>${progress.manifest}</code>`],
    [t("operation.elapsed"), progress.elapsed_s !== undefined ? duration(progress.elapsed_s) : undefined], [t("updated"), time(progress.update_time ?? metadata.updateTime)], [t("resource"), html`<code>${operation.name}</code>`]]} />
    ${operation.done && html`<div><${Act} permission="automl.operations.delete" does=${forget}>${t("operation.forget")}<//></div>`}
    <details><summary>${t("operation.raw")}</summary><pre tabindex="0" role="region" aria-label=${t("operation.raw")}>${JSON.stringify({ ...operation, progress }, null, 2)}</pre></details></section>`;
}
