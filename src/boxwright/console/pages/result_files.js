// @ts-check
// Files of a batch job: sizes, downloads, and the same results at another threshold or in other formats.
import { html, useState } from "../vendor/ui.js";
import { getBytes, idOf } from "../app/api.js";
import { number, t } from "../app/i18n.js";
import { href } from "../app/router.js";
import { Act, Empty, Facts, Loaded, useCalls } from "../parts/page.js";
import { save } from "../parts/save.js";
import { bytes } from "../parts/sizes.js";
import { Table } from "../parts/table.js";
import { useSummary } from "./results.js";

/** @param {{operation: any}} props */
export function Files({ operation }) {
  const from = useSummary(operation);
  useCalls([{ verb: "GET", path: `${operation.name}:summarizeResults` }, { verb: "GET", path: `${operation.name}:download?path=manifest.json` }]);
  return html`<${Loaded} from=${from}>${(/** @type {any} */ counts) => html`<${Rewrite} operation=${operation} counts=${counts} />
    ${counts.files.length ? html`<${Listed} operation=${operation} counts=${counts} />` : html`<${Empty} title=${t("files.none")} text=${t("files.none.text")} />`}`}<//>`;
}

/** @param {{operation: any, counts: any}} props */
function Listed({ operation, counts }) {
  const all = counts.files.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.bytes, 0);
  const load = (/** @type {string} */ path) => async () => save(await getBytes(`${operation.name}:download?${new URLSearchParams({ path })}`), path.replace(/.*\//, ""));
  return html`<section class="stack"><h2>${t("tab.files")}</h2><${Facts} pairs=${[[t("files.folder"), html`<code>${counts.folder}</code>`], [t("files.all"), t("files.sum", { n: counts.files.length, size: bytes(all) })]]} />
    <${Table} label=${t("tab.files")} rows=${counts.files} columns=${[
      { title: t("name"), value: (/** @type {any} */ one) => one.path, show: (/** @type {any} */ one) => html`<span class="mono">${one.path}</span>` },
      { title: t("files.size"), isNumber: true, value: (/** @type {any} */ one) => one.bytes, show: (/** @type {any} */ one) => bytes(one.bytes) },
      { title: t("files.get"), show: (/** @type {any} */ one) => html`<${Act} does=${load(one.path)}>${t("files.get")}<span class="hidden"> ${one.path}</span><//>` }]} /></section>`;
}

/** Leads to a batch job that makes the results again from the candidates. @param {{operation: any, counts: any}} props */
function Rewrite({ operation, counts }) {
  const [threshold, setThreshold] = useState(counts.threshold || 0.5);
  const model = idOf(operation.progress.model ?? "");
  const address = `${href("batches", "new")}?model=${encodeURIComponent(model)}&from=${encodeURIComponent(idOf(operation.name))}&as=rewrite&threshold=${threshold}`;
  return html`<section class="card"><h2>${t("files.rewrite")}</h2><p class="quiet">${t("files.rewrite.text")}</p>
    ${counts.hasCandidates ? html`<label>${t("threshold")}: ${number(threshold, 2)}<input type="range" min="0.01" max="1" step="0.01" value=${threshold} onInput=${(/** @type {any} */ e) => setThreshold(Number(e.target.value))} /></label>
      <div><a class="button first" href=${address}>${t("files.rewrite.on")}</a></div>` : html`<p><strong>${t("results.fixed")}</strong> <span lang="en">${counts.reason}</span></p>`}</section>`;
}
