// @ts-check
// A model's evaluation: precision and recall at the chosen confidence and IoU, by label, as curves, as a matrix and image by image.
import { html, useEffect, useMemo, useState } from "../vendor/ui.js";
import { get } from "../app/api.js";
import { number, percent, speak, t } from "../app/i18n.js";
import { entriesAt, readEvaluations } from "../app/resources.js";
import { Chart } from "../parts/chart.js";
import { Confusion, StoredConfusion } from "../parts/confusion.js";
import { Act, Empty, Loaded, Numbers, useCalls, useLoad } from "../parts/page.js";
import { useRested } from "../parts/rested.js";
import { Table } from "../parts/table.js";
import { EvaluatedImages, KINDS, filterOf, listPath } from "./evaluated_images.js";

await speak("evaluate");
const LABELS = 20; // evaluations that are asked for at once: each has 529 thresholds

/** @param {{model: any}} props */
export function Evaluate({ model }) {
  const from = useLoad((signal) => evaluationPage(model, "", signal), [model.name]);
  return html`<${Loaded} from=${from}>${(/** @type {any} */ first) => (first.found.whole ? html`<${Evaluation} key=${model.name} model=${model} first=${first} />`
    : html`<${Unmeasured} model=${model} />`)}<//>`;
}

/** @param {any} model @param {string} token @param {AbortSignal} [signal] */
async function evaluationPage(model, token, signal) {
  const page = await get(`${model.name}/modelEvaluations?pageSize=${LABELS}${token && `&pageToken=${encodeURIComponent(token)}`}`, signal);
  return { found: readEvaluations(page.modelEvaluation ?? []), token: page.nextPageToken ?? "" };
}

/** @param {{model: any}} props */
function Unmeasured({ model }) {
  useCalls([{ verb: "GET", path: `${model.name}/modelEvaluations` }]);
  return html`<${Empty} title=${t("evaluate.none")} text=${t("evaluate.none.text")} />`;
}

/** @param {{model: any, first: any}} props */
function Evaluation({ model, first }) {
  const { whole } = first.found;
  const [{ labels, token }, setLabels] = useState({ labels: first.found.labels, token: first.token });
  const more = async () => {
    const next = await evaluationPage(model, token);
    setLabels({ labels: [...labels, ...next.found.labels], token: next.token });
  };
  const ious = whole.grid.map((/** @type {any} */ row) => row.iouThreshold ?? 0).sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
  const [iou, setIou] = useState(ious.length ? ious.reduce((/** @type {number} */ a, /** @type {number} */ b) => (Math.abs(b - 0.5) < Math.abs(a - 0.5) ? b : a)) : 0);
  const [label, setLabel] = useState("");
  const chosen = labels.find((/** @type {any} */ one) => one.id === label) ?? whole;
  const entries = useMemo(() => entriesAt(chosen, iou).filter((/** @type {any} */ one) => one.confidence > 0), [chosen, iou]); // at 0 everything is found
  const best = entries.reduce((/** @type {number} */ a, /** @type {any} */ one, /** @type {number} */ index) => (one.f1 > 0 && one.f1 >= entries[a].f1 ? index : a), Math.max(0, entries.findIndex((/** @type {any} */ one) => one.confidence >= 0.5)));
  const [confidence, setConfidence] = useState(entries[best]?.confidence ?? 0.5);
  const nearest = (/** @type {any[]} */ all) => all.reduce((a, b) => (Math.abs(b.confidence - confidence) < Math.abs(a.confidence - confidence) ? b : a), all[0]);
  const at = nearest(entries) ?? { precision: 0, recall: 0, f1: 0, confidence: 0 };
  const rows = useMemo(() => labels.map((/** @type {any} */ one) => ({ ...one, at: entriesAt(one, iou) })), [labels, iou]);
  const examples = useMemo(() => html`<${Examples} model=${model} whole=${whole} iou=${iou} score=${at.confidence} label=${chosen.isWhole ? "" : chosen.label} />`, [iou, at.confidence, chosen]);
  return html`<div class="columns">
    <section class="card"><h2>${chosen.isWhole ? t("evaluate.whole") : chosen.label}</h2>
      <${Numbers} pairs=${[[t("evaluate.ap"), number(chosen.precision, 3)], [t("evaluate.precision"), percent(at.precision, 1)], [t("evaluate.recall"), percent(at.recall, 1)], ["F1", number(at.f1, 3)]]} />
      <p>${entries.some(isFound) ? t("evaluate.words", { right: Math.round(at.precision * 100), found: Math.round(at.recall * 100) }) : t("evaluate.words.none", { n: number(entries[0]?.confidence ?? 0, 2) })}</p>
      <p class="quiet small">${t("evaluate.images", { n: chosen.images })}${chosen.objects ? `, ${t("evaluate.objects", { n: chosen.objects })}` : ""}</p></section>
    <section class="card"><${Steps} label=${t("evaluate.confidence")} values=${entries.map((/** @type {any} */ one) => one.confidence)} value=${at.confidence} choose=${setConfidence} />
      ${ious.length > 1 && html`<${Steps} label=${t("evaluate.iou")} values=${ious} value=${iou} choose=${setIou} />`}
      <label>${t("label")}<select value=${label} onChange=${(/** @type {any} */ e) => setLabel(e.target.value)}><option value="">${t("evaluate.whole")}</option>
        ${labels.map((/** @type {any} */ one) => html`<option value=${one.id}>${one.label}</option>`)}</select></label>
      <div><button type="button" onClick=${() => setConfidence(entries[best].confidence)} disabled=${!entries.some(isFound)}>${t("evaluate.best", { n: number(entries[best]?.confidence ?? 0, 2) })}</button></div></section></div>
    <${Curves} entries=${entries} confidence=${at.confidence} />
    <section class="stack"><h2>${t("evaluate.labels")}</h2><${LabelTable} rows=${rows} nearest=${nearest} />
      ${token && html`<div class="row"><${Act} does=${more}>${t("evaluate.labels.more")}<//><span class="quiet">${t("evaluate.labels.shown", { n: labels.length })}</span></div>`}</section>
    ${examples}`;
}

/**
 * The matrix and the images, once the sliders rest.
 * @param {{model: any, whole: any, iou: number, score: number, label: string}} props
 */
function Examples({ model, whole, iou: givenIou, score: givenScore, label }) {
  const thresholds = useRested(`${givenIou} ${givenScore}`);
  const [iou, score] = thresholds.split(" ").map((one) => Math.round(Number(one) * 1e6) / 1e6);
  const [kind, setKind] = useState(KINDS[0]);
  const [cell, setCell] = useState(/** @type {any} */ (null));
  const path = `${model.name}:summarizeEvaluation?${new URLSearchParams([["iouThreshold", String(iou)], ["scoreThreshold", String(score)]].filter(([, value]) => value !== "0"))}`;
  const from = useLoad((signal) => get(path, signal), [path]);
  const [summary, setSummary] = useState(/** @type {any} */ (null));
  useEffect(() => {
    if (from.value) setSummary({ ...from.value, labels: from.value.labels ?? [], confusion: from.value.confusion ?? [] }); // the former stays until then
  }, [from.value]);
  const list = { verb: "GET", path: listPath(model, { iouThreshold: iou, scoreThreshold: score, filter: filterOf(kind, label, cell) }) };
  useCalls([{ verb: "GET", path: `${model.name}/modelEvaluations` }, { verb: "GET", path }, ...(summary && !summary.reason ? [list] : [])]);
  if (from.error || !summary) return html`<${Loaded} from=${from}>${() => null}<//>`;
  if (summary.reason) {
    return html`${whole.confusion && html`<${StoredConfusion} matrix=${whole.confusion} />`}
      <section class="note"><p><strong>${t("evaluate.unkept")}</strong> <span lang="en">${summary.reason}</span></p></section>`;
  }
  const choose = (/** @type {any} */ one) => {
    setCell({ true: one.true, predicted: one.predicted });
    const heading = document.getElementById("evaluated");
    heading?.scrollIntoView({ block: "start" });
    heading?.focus({ preventScroll: true });
  };
  return html`<${Confusion} summary=${summary} chosen=${cell} choose=${choose} />
    <${EvaluatedImages} model=${model} iou=${iou} score=${score} label=${label} kind=${kind} cell=${cell} choose=${(/** @type {string} */ one) => { setKind(one); setCell(null); }} />`;
}

/** Whether anything is right at a confidence; without findings there is no precision. @param {any} one */
const isFound = (one) => one.recall > 0 || one.precision > 0;

/** A slider over given values. @param {{label: string, values: number[], value: number, choose: (value: number) => void}} props */
function Steps({ label, values, value, choose }) {
  return html`<label>${label}: ${number(value, 2)}<input type="range" min="0" max=${Math.max(0, values.length - 1)} step="1" value=${values.indexOf(value)}
    aria-valuetext=${number(value, 2)} onInput=${(/** @type {any} */ e) => choose(values[Number(e.target.value)])} /></label>`;
}

/** @param {{entries: any[], confidence: number}} props */
function Curves({ entries, confidence }) {
  const byConfidence = useMemo(() => ["confidence", "precision", "recall", "f1"].map((key) => entries.map((one) => (key === "precision" && !isFound(one) ? null : one[key]))), [entries]);
  const byRecall = useMemo(() => {
    const sorted = entries.filter(isFound).sort((a, b) => a.recall - b.recall || b.precision - a.precision);
    return [sorted.map((one) => one.recall), sorted.map((one) => one.precision)];
  }, [entries]);
  const recall = entries.find((one) => one.confidence === confidence)?.recall;
  const columns = ["confidence", "precision", "recall", "f1"].map((key) => ({ title: key === "f1" ? "F1" : t(`evaluate.${key}`), isNumber: true, value: (/** @type {any} */ one) => one[key], show: (/** @type {any} */ one) => number(one[key], 3) }));
  return html`<div class="columns">
    <section class="card"><h2>${t("evaluate.curve")}</h2><${Chart} label=${t("evaluate.curve")} x=${t("evaluate.recall")} lines=${[t("evaluate.precision")]} data=${byRecall} mark=${recall} /></section>
    <section class="card"><h2>${t("evaluate.thresholds")}</h2><${Chart} label=${t("evaluate.thresholds")} x=${t("evaluate.confidence")} lines=${[t("evaluate.precision"), t("evaluate.recall"), "F1"]} data=${byConfidence} mark=${confidence} /></section></div>
    <details><summary>${t("evaluate.table")}</summary><${Table} label=${t("evaluate.table")} rows=${entries} columns=${columns} /></details>`;
}

/** @param {{rows: any[], nearest: (entries: any[]) => any}} props */
function LabelTable({ rows, nearest }) {
  const share = (/** @type {string} */ key) => (/** @type {any} */ one) => (one.images ? nearest(one.at)?.[key] ?? 0 : 2); // unknown ones last
  const shown = (/** @type {(one: any) => any} */ value, /** @type {(share: number) => string} */ say) => (/** @type {any} */ one) => (one.images ? say(value(one)) : "–");
  const ap = (/** @type {any} */ one) => (one.images ? one.precision : 2);
  return html`<${Table} label=${t("evaluate.labels")} rows=${rows} sorted=${[1, 1]} empty=${t("evaluate.labels.none")} columns=${[
    { title: t("label"), value: (/** @type {any} */ one) => one.label },
    { title: t("evaluate.ap"), isNumber: true, value: ap, show: shown(ap, (one) => number(one, 3)) },
    ...["precision", "recall"].map((key) => ({ title: t(`evaluate.${key}`), isNumber: true, value: share(key), show: shown(share(key), (of) => percent(of, 1)) })),
    { title: "F1", isNumber: true, value: share("f1"), show: shown(share("f1"), (one) => number(one, 3)) },
    { title: t("images"), isNumber: true, value: (/** @type {any} */ one) => one.images },
  ]} />`;
}
