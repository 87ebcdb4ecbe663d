// @ts-check
// A model's evaluation: precision and recall at the chosen confidence and IoU, by label, as curves and as tables.
import { html, useMemo, useState } from "../vendor/ui.js";
import { list } from "../app/api.js";
import { number, percent, t } from "../app/i18n.js";
import { entriesAt, readEvaluations } from "../app/resources.js";
import { Chart } from "../parts/chart.js";
import { Empty, Loaded, Numbers, useCalls, useLoad } from "../parts/page.js";
import { Table } from "../parts/table.js";

/** @param {{model: any}} props */
export function Evaluate({ model }) {
  const path = `${model.name}/modelEvaluations`;
  const from = useLoad(async () => readEvaluations(await list(path, "modelEvaluation")), [model.name]);
  useCalls([{ verb: "GET", path }]);
  return html`<${Loaded} from=${from}>${(/** @type {any} */ found) => (found.whole ? html`<${Evaluation} ...${found} />` : html`<${Empty} title=${t("evaluate.none")} text=${t("evaluate.none.text")} />`)}<//>`;
}

/** @param {{whole: any, labels: any[]}} props */
function Evaluation({ whole, labels }) {
  const ious = whole.grid.map((/** @type {any} */ row) => row.iouThreshold ?? 0).sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
  const [iou, setIou] = useState(ious.length ? ious.reduce((/** @type {number} */ a, /** @type {number} */ b) => (Math.abs(b - 0.5) < Math.abs(a - 0.5) ? b : a)) : 0);
  const [label, setLabel] = useState("");
  const chosen = labels.find((one) => one.id === label) ?? whole;
  const entries = useMemo(() => entriesAt(chosen, iou), [chosen, iou]);
  const best = entries.reduce((/** @type {number} */ a, /** @type {any} */ one, /** @type {number} */ index) => (one.f1 > entries[a].f1 ? index : a), 0);
  const [confidence, setConfidence] = useState(entries[best]?.confidence ?? 0.5);
  const nearest = (/** @type {any[]} */ all) => all.reduce((a, b) => (Math.abs(b.confidence - confidence) < Math.abs(a.confidence - confidence) ? b : a), all[0]);
  const at = nearest(entries) ?? { precision: 0, recall: 0, f1: 0, confidence: 0 };
  const rows = useMemo(() => labels.map((one) => ({ ...one, at: entriesAt(one, iou) })), [labels, iou]);
  return html`<div class="columns">
    <section class="card"><h2>${chosen.isWhole ? t("evaluate.whole") : chosen.label}</h2>
      <${Numbers} pairs=${[[t("evaluate.ap"), number(chosen.precision, 3)], [t("evaluate.precision"), percent(at.precision)], [t("evaluate.recall"), percent(at.recall)], ["F1", number(at.f1, 3)]]} />
      <p>${t("evaluate.words", { right: Math.round(at.precision * 100), found: Math.round(at.recall * 100) })}</p>
      <p class="quiet small">${t("evaluate.images", { n: chosen.images })}${chosen.objects ? `, ${t("evaluate.objects", { n: chosen.objects })}` : ""}</p></section>
    <section class="card"><${Steps} label=${t("evaluate.confidence")} values=${entries.map((/** @type {any} */ one) => one.confidence)} value=${at.confidence} choose=${setConfidence} />
      ${ious.length > 1 && html`<${Steps} label=${t("evaluate.iou")} values=${ious} value=${iou} choose=${setIou} />`}
      <label>${t("label")}<select value=${label} onChange=${(/** @type {any} */ e) => setLabel(e.target.value)}><option value="">${t("evaluate.whole")}</option>
        ${labels.map((one) => html`<option value=${one.id}>${one.label}</option>`)}</select></label>
      <div><button type="button" onClick=${() => setConfidence(entries[best].confidence)} disabled=${!entries.length}>${t("evaluate.best", { n: number(entries[best]?.confidence ?? 0, 2) })}</button></div></section></div>
    <${Curves} entries=${entries} confidence=${at.confidence} />
    <section class="stack"><h2>${t("evaluate.labels")}</h2><${LabelTable} rows=${rows} nearest=${nearest} /></section>
    ${whole.confusion && html`<${Confusion} matrix=${whole.confusion} />`}`;
}

/** A slider over given values. @param {{label: string, values: number[], value: number, choose: (value: number) => void}} props */
function Steps({ label, values, value, choose }) {
  return html`<label>${label}: ${number(value, 2)}<input type="range" min="0" max=${Math.max(0, values.length - 1)} step="1" value=${values.indexOf(value)}
    aria-valuetext=${number(value, 2)} onInput=${(/** @type {any} */ e) => choose(values[Number(e.target.value)])} /></label>`;
}

/** @param {{entries: any[], confidence: number}} props */
function Curves({ entries, confidence }) {
  const isFound = (/** @type {any} */ one) => one.recall > 0 || one.precision > 0; // without findings there is no precision
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
  const share = (/** @type {string} */ key) => (/** @type {any} */ one) => nearest(one.at)?.[key] ?? 0;
  return html`<${Table} label=${t("evaluate.labels")} rows=${rows} sorted=${[1, 1]} empty=${t("evaluate.labels.none")} columns=${[
    { title: t("label"), value: (/** @type {any} */ one) => one.label },
    { title: t("evaluate.ap"), isNumber: true, value: (/** @type {any} */ one) => one.precision, show: (/** @type {any} */ one) => number(one.precision, 3) },
    ...["precision", "recall"].map((key) => ({ title: t(`evaluate.${key}`), isNumber: true, value: share(key), show: (/** @type {any} */ one) => percent(share(key)(one)) })),
    { title: t("images"), isNumber: true, value: (/** @type {any} */ one) => one.images },
  ]} />`;
}

/** @param {{matrix: any}} props */
function Confusion({ matrix }) {
  const names = matrix.displayName ?? [];
  return html`<section class="stack"><h2>${t("evaluate.confusion")}</h2><p class="quiet">${t("evaluate.confusion.text")}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("evaluate.confusion")}><table><thead><tr><th scope="col">${t("evaluate.truth")}</th>${names.map((/** @type {string} */ one) => html`<th scope="col" class="number">${one}</th>`)}</tr></thead>
    <tbody>${(matrix.row ?? []).map((/** @type {any} */ row, /** @type {number} */ index) => html`<tr><th scope="row">${names[index]}</th>${names.map((/** @type {string} */ _, /** @type {number} */ at) => html`<td class="number">${row.exampleCount?.[at] ?? 0}</td>`)}</tr>`)}</tbody></table></div></section>`;
}
