// @ts-check
// A table whose columns sort. On a phone its rows stand below each other, each value beside the title of its column; the
// roles say that it is a table there, too.
import { html, useState } from "../vendor/ui.js";
import { number, t } from "../app/i18n.js";

const FIRST_ROWS = 100;

/**
 * @param {{label: string, rows: any[], columns: {title: string, value?: (row: any) => any, show?: (row: any) => any, isNumber?: boolean}[],
 *   sorted?: [number, number], empty?: string}} props `sorted`: the column and 1 or -1; without it the rows' own order.
 */
export function Table({ label, rows, columns, sorted = [-1, 1], empty = "" }) {
  const [[column, sense], setSort] = useState(sorted);
  const [most, setMost] = useState(FIRST_ROWS);
  const value = columns[column]?.value;
  const ordered = value ? [...rows].sort((a, b) => compare(value(a), value(b)) * sense) : rows;
  const sort = (/** @type {number} */ index) => setSort([index, index === column ? -sense : 1]);
  if (!rows.length) return html`<p class="quiet">${empty}</p>`;
  return html`<div class="stack"><div class="scroll stacks" tabindex="0" role="region" aria-label=${label}><table role="table">
    <caption class="hidden">${label}</caption>
    <thead role="rowgroup"><tr role="row">${columns.map((one, index) => html`<th scope="col" role="columnheader" class=${one.isNumber ? "number" : ""}
      aria-sort=${index === column ? (sense > 0 ? "ascending" : "descending") : undefined}>
      ${one.value ? html`<button type="button" onClick=${() => sort(index)}>${one.title}${index === column ? (sense > 0 ? " ↑" : " ↓") : ""}</button>` : one.title}</th>`)}</tr></thead>
    <tbody role="rowgroup">${ordered.slice(0, most).map((row) => html`<tr role="row">${columns.map((one, index) => html`<${index ? "td" : "th"} scope=${index ? undefined : "row"} role=${index ? "cell" : "rowheader"}
      data-title=${index ? one.title : undefined} class=${one.isNumber ? "number" : ""}><div>${one.show ? one.show(row) : shown(one.value?.(row))}</div><//>`)}</tr>`)}</tbody></table></div>
    ${ordered.length > most && html`<div><button type="button" onClick=${() => setMost(most * 2)}>${t("table.more", { n: ordered.length - most })}</button></div>`}
  </div>`;
}

/** @param {any} a @param {any} b */
const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a ?? "").localeCompare(String(b ?? "")));
/** @param {any} value */
const shown = (value) => (typeof value === "number" ? number(value) : value ?? "–");
