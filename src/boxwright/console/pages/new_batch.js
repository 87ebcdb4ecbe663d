// @ts-check
// A new batch job: images, folder, threshold and choices; an estimate before it; its start.
import { html, useState } from "../vendor/ui.js";
import { get, idOf, list, post } from "../app/api.js";
import { number, speak, t } from "../app/i18n.js";
import { datasets, kindOf } from "../app/resources.js";
import { go } from "../app/router.js";
import { notify, parent } from "../app/store.js";
import { FORMATS, draftOf, emptyDraft, isRewrite, lines, proposedOutput, requestOf } from "../parts/batch_request.js";
import { Act, Loaded, useCalls, useLoad } from "../parts/page.js";
import { Picker } from "../parts/picker.js";
import { Estimate } from "./batch_estimate.js";

await speak("batches");

const WHOLE_BOXES = ["", "10", "20", "50", "100", "200", "500"];

/** @param {{model: any, initial?: any}} props `initial`: values that a former job or an address gives */
export function NewBatch({ model, initial = {} }) {
  const [draft, setDraft] = useState(() => ({ ...emptyDraft(), ...initial }));
  const [isOnce] = useState(() => `console-${Date.now().toString(36)}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`);
  const change = (/** @type {any} */ values) => setDraft((/** @type {any} */ before) => ({ ...before, ...values }));
  const body = requestOf(draft, { request_id: isOnce });
  useCalls([{ verb: "POST", path: `${model.name}:batchPredict`, body }, { verb: "POST", path: `${model.name}:batchPredict`, body: requestOf(draft, { validate_only: "true" }) }]);
  const off = !lines(draft.inputs).length ? t("batch.inputs.needed") : !draft.output.trim() ? t("batch.output.needed") : "";
  const start = async () => {
    const operation = await post(`${model.name}:batchPredict`, body);
    notify(t("batch.started"));
    go("batches", idOf(operation.name));
  };
  const isAgain = isRewrite(draft);
  return html`<div class="columns wide-first"><section class="card"><h2 class="hidden">${t("batch.new")}</h2>
      <${Inputs} draft=${draft} change=${change} model=${model} />
      <${Output} draft=${draft} change=${change} />
      <label>${t("threshold")}: ${number(draft.threshold, 2)}<input type="range" min="0.01" max="1" step="0.01" value=${draft.threshold} onInput=${(/** @type {any} */ e) => change({ threshold: Number(e.target.value) })} /><span class="hint">${t("batch.threshold.hint")}</span></label>
      <${Choices} draft=${draft} change=${change} hasBoxes=${kindOf(model) === "detection"} /></section>
    <section class="card"><h2>${t("batch.check")}</h2>
      ${isAgain && html`<p>${t("batch.rewrite.text")}</p>`}
      <${Estimate} model=${model} draft=${draft} off=${off || (isAgain ? t("batch.rewrite.estimate") : "")} />
      <div><${Act} permission="automl.models.predict" look="first" off=${off} does=${start}>${t("batch.start")}<//></div>
      ${off && html`<p class="quiet small">${off}</p>`}</section></div>`;
}

/** @param {{draft: any, change: (values: any) => void, model: any}} props */
function Inputs({ draft, change, model }) {
  const [isOpen, setOpen] = useState(false);
  const [isFrom, setFrom] = useState(false);
  const add = (/** @type {string[]} */ found) => change({ inputs: [...new Set([...lines(draft.inputs), ...found])].join("\n") });
  return html`<div class="stack"><label>${t("batch.inputs")}<textarea rows="4" class="mono" placeholder="gs://bucket/photos/" value=${draft.inputs} onInput=${(/** @type {any} */ e) => change({ inputs: e.target.value })}></textarea><span class="hint">${t("batch.inputs.hint")}</span></label>
    <div class="row"><button type="button" onClick=${() => setOpen(true)}>${t("picker.open")}</button>
      <button type="button" aria-expanded=${isFrom} onClick=${() => setFrom(!isFrom)}>${t("batch.dataset")}</button></div>
    ${isFrom && html`<${DatasetFolders} model=${model} add=${add} />`}
    ${isOpen && html`<${Picker} title=${t("picker.inputs")} take=${(/** @type {string} */ uri) => add([uri])} close=${() => setOpen(false)} />`}</div>`;
}

/** Adds the folders of a dataset's images: a job reads folders and lists, not datasets. @param {{model: any, add: (found: string[]) => void}} props */
function DatasetFolders({ model, add }) {
  const from = useLoad(datasets, []);
  const [name, setName] = useState("");
  return html`<${Loaded} from=${from}>${(/** @type {any[]} */ found) => {
    if (!found.length) return html`<p class="quiet">${t("datasets.empty")}</p>`;
    const chosen = name || (found.find((one) => idOf(one.name) === model.datasetId) ?? found[0]).name;
    const take = async () => {
      const examples = await list(`${chosen}/examples`, "examples", 1000);
      const folders = [...new Set(examples.map((one) => (one.uri ?? "").replace(/[^/]*$/, "")).filter(Boolean))];
      add(folders);
      notify(t("batch.dataset.done", { n: folders.length }));
    };
    return html`<div class="row"><label class="row">${t("dataset")}<select value=${chosen} onChange=${(/** @type {any} */ e) => setName(e.target.value)}>
      ${found.map((one) => html`<option value=${one.name}>${one.displayName}</option>`)}</select></label><${Act} does=${take}>${t("batch.dataset.add")}<//></div>
      <p class="quiet small">${t("batch.dataset.hint")}</p>`;
  }}<//>`;
}

/** @param {{draft: any, change: (values: any) => void}} props */
function Output({ draft, change }) {
  const proposed = proposedOutput(draft.inputs);
  const [isOpen, setOpen] = useState(false);
  return html`<div class="stack"><label>${t("batch.output")}<input class="mono" placeholder="gs://bucket/results/" value=${draft.output} onInput=${(/** @type {any} */ e) => change({ output: e.target.value })} /><span class="hint">${t("batch.output.hint")}</span></label>
    <div class="row"><button type="button" onClick=${() => setOpen(true)}>${t("picker.open.folder")}</button>
      ${proposed && !draft.output.trim() && html`<button type="button" onClick=${() => change({ output: proposed })}>${t("batch.output.use", { folder: proposed })}</button>`}</div>
    ${isOpen && html`<${Picker} title=${t("picker.output")} isFolder=${true} take=${(/** @type {string} */ uri) => change({ output: uri })} close=${() => setOpen(false)} />`}</div>`;
}

/** What most jobs leave as it is. @param {{draft: any, change: (values: any) => void, hasBoxes: boolean}} props */
function Choices({ draft, change, hasBoxes }) {
  const text = (/** @type {string} */ key, /** @type {any} */ more = {}) => html`<label>${t(`choice.${key}`)}<input value=${draft[key]} ...${more} onInput=${(/** @type {any} */ e) => change({ [key]: e.target.value })} /><span class="hint">${t(`choice.${key}.hint`)}</span></label>`;
  const formats = Object.keys(FORMATS).filter((one) => hasBoxes || !["yolo", "voc"].includes(one));
  const toggle = (/** @type {string} */ one) => change({ formats: draft.formats.includes(one) ? draft.formats.filter((/** @type {string} */ other) => other !== one) : [...draft.formats, one] });
  return html`<fieldset><legend>${t("choice.formats")}</legend><div class="row">${formats.map((one) => html`<label class="row"><input type="checkbox" checked=${draft.formats.includes(one)} onChange=${() => toggle(one)} />${FORMATS[one]}</label>`)}</div></fieldset>
    <details><summary>${t("choice.more")}</summary><div class="stack spaced">
      <label>${t("choice.reuse")}<select value=${draft.reuse} onChange=${(/** @type {any} */ e) => change({ reuse: e.target.value })}>
        ${["", "none", "auto", "named"].map((one) => html`<option value=${one}>${t(`choice.reuse.${one || "usual"}`)}</option>`)}</select><span class="hint">${t("choice.reuse.hint")}</span></label>
      ${draft.reuse === "named" && text("reuseOf", { class: "mono" })}
      ${(draft.reuse === "auto" || draft.reuse === "named") && html`<label class="row"><input type="checkbox" checked=${draft.onlyNew} onChange=${(/** @type {any} */ e) => change({ onlyNew: e.target.checked })} />${t("choice.onlyNew")}</label>`}
      ${text("labels")}
      <label>${t("choice.byLabel")}<textarea rows="2" placeholder="car=0.4" value=${draft.byLabel} onInput=${(/** @type {any} */ e) => change({ byLabel: e.target.value })}></textarea><span class="hint">${t("choice.byLabel.hint")}</span></label>
      ${hasBoxes && html`<label>${t("choice.boxes")}<select value=${draft.boxes} onChange=${(/** @type {any} */ e) => change({ boxes: e.target.value })}>
        ${[...new Set([...WHOLE_BOXES, draft.boxes])].map((one) => html`<option value=${one}>${one || t("choice.boxes.usual")}</option>`)}</select></label>`}
      <label>${t("choice.priority")}<select value=${draft.priority} onChange=${(/** @type {any} */ e) => change({ priority: e.target.value })}>
        ${["high", "normal", "low"].map((one) => html`<option value=${one}>${t(`choice.priority.${one}`)}</option>`)}</select><span class="hint">${t("choice.priority.hint")}</span></label>
      ${text("hours", { type: "number", min: "0", max: "8784", step: "any" })}
      ${text("limit", { type: "number", min: "0", max: "100", step: "any" })}
    </div></details>`;
}

/** The form with what an address says of a former job: `from` its id, `as` how. @param {{model: any, query: URLSearchParams}} props */
export function NewBatchFrom({ model, query }) {
  const former = query.get("from");
  const from = useLoad(async (signal) => {
    if (!former) return {};
    const name = `${parent()}/operations/${encodeURIComponent(former)}`;
    const [operation, progress] = await Promise.all([get(name, signal), get(`${name}:progress`, signal)]);
    return draftOf(operation, progress, query.get("as") ?? "same");
  }, [former, query.get("as")]);
  const threshold = Number(query.get("threshold"));
  return html`<${Loaded} from=${from}>${(/** @type {any} */ found) =>
    html`<${NewBatch} key=${`${model.name} ${former} ${query.get("as")}`} model=${model} initial=${{ ...found, ...(threshold > 0 && threshold <= 1 ? { threshold } : {}) }} />`}<//>`;
}
