// @ts-check
// Results of a batch job: counts at any threshold from memory, how scores are spread, and the images.
import { computed, effect, html, signal, useEffect, useMemo, useState } from "../vendor/ui.js";
import { get } from "../app/api.js";
import { number, t } from "../app/i18n.js";
import { language } from "../app/store.js";
import { STEPS, countAt, highestWithFindings, histogram, quotedText, readSummary, stepOf, summaryPath } from "../parts/counts.js";
import { Empty, Loaded, Numbers, useCalls, useLoad } from "../parts/page.js";
import { labelColour } from "../parts/picture.js";
import { usePages } from "../parts/result_pages.js";
import { ResultTiles, ResultViewer } from "../parts/result_tiles.js";
import { Table } from "../parts/table.js";

const TILES = 36; // images on a page
const REST_MS = 150; // of the slider, before images are asked for
const CHIPS = 24; // labels with a button of their own
const ORDERS = ["list_order", "score desc", "score", "boxes desc", "boxes", "uncertainty desc"];
const SHOWN = { all: "", some: "boxes>=1", none: "boxes=0" };

/** The summary of a job; `again` asks anew, as a running job grows. @param {any} operation */
export const useSummary = (operation) => useLoad(async (signal) => readSummary(await get(summaryPath(operation.name), signal)), [operation.name]);

/** @param {{operation: any}} props */
export function Results({ operation }) {
  const from = useSummary(operation);
  return html`<${Loaded} from=${from}>${(/** @type {any} */ counts) => (counts.imageCount + counts.errorCount === 0
    ? html`<${Empty} title=${t("results.none")} text=${operation.done ? t("results.none.text") : t("results.wait")}><button onClick=${from.again}>${t("again.look")}</button><//>`
    : html`<${Explorer} operation=${operation} counts=${counts} again=${from.again} />`)}<//>`;
}

/**
 * A threshold that a slider moves, and where it rested last. What shows the first is written at once, without anything being drawn anew.
 * @param {number} start @returns {[{value: number}, number]}
 */
function useThreshold(start) {
  const moved = useMemo(() => signal(start), []);
  const [rested, setRested] = useState(start);
  useEffect(() => effect(() => {
    const value = moved.value;
    const timer = setTimeout(() => setRested(value), REST_MS);
    return () => clearTimeout(timer);
  }), []);
  return [moved, rested];
}

/** A text that follows what it is made of. @param {() => any} make @param {any[]} inputs */
const useText = (make, inputs) => useMemo(() => computed(make), [...inputs, language.value]);

/** @param {{operation: any, counts: any, again: () => void}} props */
function Explorer({ operation, counts, again }) {
  const [threshold, rested] = useThreshold(stepOf(counts.threshold) / STEPS);
  const shownThreshold = useText(() => number(threshold.value, 2), []);
  const [label, setLabel] = useState("");
  const [order, setOrder] = useState(ORDERS[0]);
  const [shown, setShown] = useState("all");
  const terms = [label && `label=${quotedText(label)}`, /** @type {any} */ (SHOWN)[shown]].filter(Boolean);
  const query = { filter: terms.join(" AND "), orderBy: order === ORDERS[0] ? "" : order, scoreThreshold: counts.hasCandidates ? String(Math.max(rested, 0.01)) : "" };
  useCalls([{ verb: "GET", path: `${operation.name}:summarizeResults` }, { verb: "GET", path: `${operation.name}/results?${new URLSearchParams(Object.entries(query).filter(([, value]) => value))}` }]);
  const names = useMemo(() => counts.labels.map((/** @type {any} */ one) => one.name), [counts]);
  const gallery = useMemo(() => html`<${Gallery} operation=${operation} query=${query} labels=${names} />`, [operation.name, JSON.stringify(query), names]);
  return html`<section class="card"><h2 class="hidden">${t("tab.results")}</h2>
      <label>${t("threshold")}: ${shownThreshold}<input type="range" min="0" max="1" step="0.01" value=${threshold} disabled=${!counts.hasCandidates} onInput=${(/** @type {any} */ e) => { threshold.value = Number(e.target.value); }} /></label>
      ${!counts.hasCandidates && html`<p class="quiet"><strong>${t("results.fixed")}</strong> <span lang="en">${counts.reason}</span></p>`}
      ${counts.hasCandidates && counts.reason && html`<p class="quiet" lang="en">${counts.reason}</p>`}
      <${Amounts} counts=${counts} threshold=${threshold} label=${label} />
      <${Labels} counts=${counts} threshold=${threshold} label=${label} choose=${setLabel} />
      <${Spread} counts=${counts} threshold=${threshold} label=${label} />
      ${!operation.done && html`<div class="row"><span class="quiet">${t("results.grows")}</span><button type="button" onClick=${again}>${t("again.look")}</button></div>`}</section>
    <section class="stack"><h2>${t("images")}</h2><div class="row">
      <label class="row">${t("results.order")}<select value=${order} onChange=${(/** @type {any} */ e) => setOrder(e.target.value)}>${ORDERS.map((one) =>
        html`<option value=${one} disabled=${one.startsWith("uncertainty") && !counts.hasCandidates}>${t(`order.${one.replace(" ", ".")}`)}</option>`)}</select></label>
      <label class="row">${t("results.show")}<select value=${shown} onChange=${(/** @type {any} */ e) => setShown(e.target.value)}>${Object.keys(SHOWN).map((one) => html`<option value=${one}>${t(`results.show.${one}`)}</option>`)}</select></label></div>
      ${gallery}</section>`;
}

/** A text that may be empty. @param {{text: {value: string}}} props */
const Hint = ({ text }) => (text.value ? html`<p class="quiet">${text.value}</p>` : null);

/** @param {{counts: any, threshold: {value: number}, label: string}} props */
function Amounts({ counts, threshold, label }) {
  const at = useMemo(() => computed(() => countAt(counts, threshold.value, label)), [counts, label]);
  const found = useText(() => number(at.value.found), [at]);
  const images = useText(() => number(at.value.images), [at]);
  const without = useText(() => number(Math.max(0, counts.imageCount - at.value.images)), [at]);
  const hint = useText(() => {
    const lower = at.value.found || !counts.hasCandidates ? 0 : highestWithFindings(counts, label);
    return lower > 0 ? t("results.lower", { n: countAt(counts, lower, label).found, score: number(lower, 2) }) : "";
  }, [at]);
  return html`<${Hint} text=${hint} /><div role="status" aria-live="off"><${Numbers} pairs=${[
    [t("results.found"), found], [t("results.some"), images], [t("results.without"), without],
    [t("results.images"), number(counts.imageCount)], [t("operation.failed"), number(counts.errorCount)]]} /></div>`;
}

/** @param {{counts: any, threshold: {value: number}, label: string, choose: (label: string) => void}} props */
function Labels({ counts, threshold, label, choose }) {
  const first = useMemo(() => [...counts.labels].sort((a, b) => b.found[0] - a.found[0]).slice(0, CHIPS)
    .map((/** @type {any} */ one) => ({ ...one, count: computed(() => number(one.found[stepOf(threshold.value)])) })), [counts, language.value]);
  const indexes = useMemo(() => new Map(counts.labels.map((/** @type {any} */ one, /** @type {number} */ index) => [one.name, index])), [counts]);
  const chip = (/** @type {any} */ one) => html`<button type="button" class="chip" key=${one.name} aria-pressed=${one.name === label} onClick=${() => choose(one.name === label ? "" : one.name)}>
    <span class="swatch" style=${{ background: labelColour(indexes.get(one.name)) }}></span><span class="word">${one.name}</span> <span class="count">${one.count}</span></button>`;
  const more = useMemo(() => counts.labels.length > CHIPS && html`<label class="row">${t("results.labels.more", { n: counts.labels.length })}<select value=${label} onChange=${(/** @type {any} */ e) => choose(e.target.value)}>
    <option value="">${t("all")}</option>${counts.labels.map((/** @type {any} */ one) => html`<option value=${one.name}>${one.name}</option>`)}</select></label>`, [counts, label, language.value]);
  return html`<div class="stack"><div class="row" role="group" aria-label=${t("results.labels")}>
      <button type="button" class="chip" aria-pressed=${label === ""} onClick=${() => choose("")}>${t("all")}</button>${first.map(chip)}</div>
    ${more}</div>`;
}

/** How scores are spread; the bars' heights are square roots, so that few high scores can be seen. @param {{counts: any, threshold: {value: number}, label: string}} props */
function Spread({ counts, threshold, label }) {
  const mark = useMemo(() => computed(() => `M${threshold.value * 100} 0V40`), []);
  /** @type {number[]} */
  const bars = useMemo(() => histogram(counts, label), [counts, label]);
  const drawn = useMemo(() => {
    const most = Math.sqrt(Math.max(1, ...bars));
    return bars.map((one, k) => (one ? `M${k + 0.1} 40V${(40 - (38 * Math.sqrt(one)) / most).toFixed(2)}h.8V40Z` : "")).join("");
  }, [bars]);
  const tenths = useMemo(() => Array.from({ length: 10 }, (_, index) => ({ from: index / 10, found: bars.slice(index * 10, index * 10 + 10).reduce((sum, one) => sum + one, 0) })), [bars]);
  return html`<figure class="spread"><svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label=${t("results.spread")}>
      <path class="bars" d=${drawn} /><path class="mark" d=${mark} /></svg>
    <figcaption class="quiet small">${t("results.spread.text")}</figcaption>
    <details><summary>${t("results.spread.table")}</summary><${Table} label=${t("results.spread")} rows=${tenths} columns=${[
      { title: t("results.score"), value: (/** @type {any} */ one) => one.from, show: (/** @type {any} */ one) => `${number(one.from, 1)} – ${number(one.from + 0.1, 1)}` },
      { title: t("results.found"), isNumber: true, value: (/** @type {any} */ one) => one.found }]} /></details></figure>`;
}

/** How much of the files a page that takes longer has read, and a way to stop it. @param {{far: {read: number, of: number} | undefined, stop: () => void}} props */
export const Far = ({ far, stop }) => (far ? html`<div class="row" role="status"><label class="row small">${t("results.far", { n: far.read, of: far.of })}
    <progress max=${far.of} value=${far.read}></progress></label><button type="button" onClick=${stop}>${t("results.stop")}</button></div>` : null);

/** @param {{operation: any, query: Record<string, string>, labels: string[]}} props */
function Gallery({ operation, query, labels }) {
  const { from, number: page, on, back, far, stop } = usePages(operation.name, query, TILES);
  const [opened, setOpened] = useState(-1);
  const results = from.value?.results ?? [];
  const last = results.length - 1;
  const one = results[Math.min(opened, last)];
  const pages = html`<div class="row"><button type="button" disabled=${!back} onClick=${back}>← ${t("results.page.back")}</button>
    <span>${t("results.page", { n: page })}${from.value && from.value.total >= 0 ? html` <span class="quiet">· ${t("images.n", { n: from.value.total })}</span>` : ""}</span>
    <button type="button" disabled=${!on} onClick=${on}>${t("results.page.on")} →</button></div>`;
  return html`${pages}<${Far} far=${far} stop=${stop} /><${Loaded} from=${from}>${() => (results.length ? html`<${ResultTiles} results=${results} labels=${labels} open=${setOpened} />`
      : html`<p class="quiet">${on ? t("results.further") : t("results.none.such")}</p>`)}<//>
    ${results.length > 6 && pages}
    ${opened >= 0 && one && html`<${ResultViewer} result=${one} labels=${labels} close=${() => setOpened(-1)}
      back=${opened > 0 ? () => setOpened(opened - 1) : undefined} on=${opened < last ? () => setOpened(opened + 1) : undefined} />`}`;
}
