// @ts-check
// A confusion matrix whose numbers lead to their images, and the most frequent mistakes as a table.
import { html, useMemo } from "../vendor/ui.js";
import { number, t } from "../app/i18n.js";
import { Table } from "./table.js";

const MOST_LABELS = 20; // a matrix of more is no matrix that anybody reads
const NOBODY = -1;

/**
 * @typedef {{true: string | null, predicted: string | null}} Cell null: nothing is there, or nothing was found
 * @typedef {{labels: string[], confusion: number[]}} Summary
 */

/** How often a label that is there was found as another one. @param {Summary} summary @param {number} row @param {number} column */
const countOf = (summary, row, column) => summary.confusion[row * (summary.labels.length + 1) + column] ?? 0;

/** @param {Cell} cell @param {number} n */
function words(cell, n) {
  if (cell.predicted === null) return t("evaluate.cell.missed", { true: cell.true, n });
  return cell.true === null ? t("evaluate.cell.alarm", { predicted: cell.predicted, n }) : t("evaluate.cell", { true: cell.true, predicted: cell.predicted, n });
}

/** @param {{summary: Summary, chosen: Cell | null, choose: (cell: Cell) => void}} props */
export function Confusion({ summary, chosen, choose }) {
  const { labels } = summary;
  const mistakes = useMemo(() => mistakesOf(summary), [summary]);
  const found = labels.length <= MOST_LABELS ? html`<p class="quiet">${t("evaluate.confusion.text")}</p><${Matrix} summary=${summary} chosen=${chosen} choose=${choose} />`
    : html`<p class="quiet">${t("evaluate.confusion.large", { n: labels.length })}</p>`;
  const table = html`<${Table} label=${t("evaluate.mistakes")} rows=${mistakes} empty=${t("evaluate.mistakes.none")} columns=${[
    { title: t("evaluate.truth"), value: (/** @type {any} */ one) => one.true ?? t("evaluate.nothing") }, { title: t("evaluate.predicted"), value: (/** @type {any} */ one) => one.predicted ?? t("evaluate.missed") },
    { title: t("evaluate.count"), isNumber: true, value: (/** @type {any} */ one) => one.n },
    { title: t("evaluate.gallery"), show: (/** @type {any} */ one) => html`<button type="button" aria-label=${`${t("evaluate.show")}: ${words(one, one.n)}`} onClick=${() => choose(one)}>${t("evaluate.show")}</button>` }]} />`;
  return html`<section class="stack"><h2>${t("evaluate.confusion")}</h2>${found}
    <details open=${labels.length > MOST_LABELS}><summary>${t("evaluate.mistakes")}</summary><div class="spaced">${table}</div></details></section>`;
}

/** All that is not right, most frequent first. @param {Summary} summary */
function mistakesOf(summary) {
  const { labels } = summary;
  /** @type {(Cell & {n: number})[]} */
  const found = [];
  for (let row = 0; row <= labels.length; row++) {
    for (let column = 0; column <= labels.length; column++) {
      const n = row === column ? 0 : countOf(summary, row, column);
      if (n) found.push({ true: labels[row] ?? null, predicted: labels[column] ?? null, n });
    }
  }
  return found.sort((a, b) => b.n - a.n);
}

/** @param {{summary: Summary, chosen: Cell | null, choose: (cell: Cell) => void}} props */
function Matrix({ summary, chosen, choose }) {
  const { labels } = summary;
  const places = [...labels.keys(), labels.length];
  const at = (/** @type {string | null | undefined} */ label) => (label === null ? labels.length : label === undefined ? NOBODY : labels.indexOf(label));
  const [row, column] = [at(chosen?.true), at(chosen?.predicted)];
  const cell = (/** @type {number} */ r, /** @type {number} */ c) => {
    const n = countOf(summary, r, c);
    const one = { true: labels[r] ?? null, predicted: labels[c] ?? null };
    if (!n) return html`<td class="number quiet">${r === labels.length && c === labels.length ? "–" : "0"}</td>`;
    return html`<td class="number"><button type="button" class=${r === c ? "count-right" : "count-wrong"} aria-pressed=${r === row && c === column} aria-label=${words(one, n)} onClick=${() => choose(one)}>${number(n)}</button></td>`;
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("evaluate.confusion")}><table class="matrix"><caption class="hidden">${t("evaluate.confusion")}</caption>
    <thead><tr><th scope="col">${t("evaluate.truth")}</th>${labels.map((one) => html`<th scope="col" class="number">${one}</th>`)}<th scope="col" class="number">${t("evaluate.missed")}</th></tr></thead>
    <tbody>${places.map((r) => html`<tr><th scope="row">${labels[r] ?? t("evaluate.nothing")}</th>${places.map((c) => cell(r, c))}</tr>`)}</tbody></table></div>`;
}

/** The matrix that the evaluation itself has stored. @param {{matrix: any}} props */
export function StoredConfusion({ matrix }) {
  const names = matrix.displayName ?? [];
  return html`<section class="stack"><h2>${t("evaluate.confusion")}</h2><p class="quiet">${t("evaluate.confusion.old")}</p>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("evaluate.confusion")}><table><thead><tr><th scope="col">${t("evaluate.truth")}</th>${names.map((/** @type {string} */ one) => html`<th scope="col" class="number">${one}</th>`)}</tr></thead>
    <tbody>${(matrix.row ?? []).map((/** @type {any} */ row, /** @type {number} */ index) => html`<tr><th scope="row">${names[index]}</th>${names.map((/** @type {string} */ _, /** @type {number} */ at) => html`<td class="number">${row.exampleCount?.[at] ?? 0}</td>`)}</tr>`)}</tbody></table></div></section>`;
}
