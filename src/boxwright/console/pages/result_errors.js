// @ts-check
// Failed images of a batch job by reason, the images themselves, and a list of them to keep.
import { html, useState } from "../vendor/ui.js";
import { codeName, idOf } from "../app/api.js";
import { number, t } from "../app/i18n.js";
import { href } from "../app/router.js";
import { notify } from "../app/store.js";
import { errorFiles } from "../parts/batch_request.js";
import { Act, Empty, Loaded, useCalls } from "../parts/page.js";
import { readPage, usePages } from "../parts/result_pages.js";
import { save } from "../parts/save.js";
import { Table } from "../parts/table.js";
import { useSummary } from "./results.js";

const FAILED = { filter: "has_error=true" };
const MOST_LISTED = 20_000; // addresses in a list that the browser makes; errors_N.jsonl have all
const ROWS = 50;

/** @param {{operation: any}} props */
export function Failed({ operation }) {
  const from = useSummary(operation);
  useCalls([{ verb: "GET", path: `${operation.name}:summarizeResults` }, { verb: "GET", path: `${operation.name}/results?${new URLSearchParams(FAILED)}` }]);
  return html`<${Loaded} from=${from}>${(/** @type {any} */ counts) => (counts.errorCount === 0 ? html`<${Empty} title=${t("failed.none")} text=${t("failed.none.text")} />`
    : html`<${Reasons} operation=${operation} counts=${counts} /><${Images} operation=${operation} />`)}<//>`;
}

/** @param {{operation: any, counts: any}} props */
function Reasons({ operation, counts }) {
  const [read, setRead] = useState(0);
  const id = idOf(operation.name);
  const model = idOf(operation.progress.model ?? "");
  const keep = async () => {
    const found = [];
    let token = "";
    do {
      const page = await readPage(operation.name, FAILED, token, 1000);
      found.push(...page.results.map((one) => one.imageId));
      token = page.token;
      setRead(found.length);
    } while (token && found.length < MOST_LISTED);
    setRead(0);
    save(new Blob([found.map((one) => `${csvField(one)}\n`).join("")], { type: "text/csv" }), `failed-${id}.csv`);
    if (token) notify(t("failed.cut", { n: found.length }));
  };
  return html`<section class="stack"><h2>${t("batch.failures")}</h2>
    <${Table} label=${t("batch.failures")} rows=${counts.errors} columns=${[
      { title: t("code"), value: (/** @type {any} */ one) => codeName(one.code) }, { title: t("images"), isNumber: true, value: (/** @type {any} */ one) => one.images },
      { title: t("message"), value: (/** @type {any} */ one) => one.message, show: (/** @type {any} */ one) => html`<span lang="en">${one.message}</span>` }]} />
    <div class="row">${errorFiles(operation, operation.progress).length > 0 && html`<a class="button first" href=${`${href("batches", "new")}?model=${encodeURIComponent(model)}&from=${encodeURIComponent(id)}&as=retry`}>${t("job.retry")}</a>`}
      <${Act} does=${keep}>${t("failed.list")}${read ? ` ${number(read)}` : ""}<//></div></section>`;
}

/** A field of a CSV file, in quotes where it needs them. @param {string} text */
const csvField = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** @param {{operation: any}} props */
function Images({ operation }) {
  const { from, number: page, on, back } = usePages(operation.name, FAILED, ROWS);
  return html`<section class="stack"><h2>${t("failed.images")}</h2>
    <${Loaded} from=${from}>${(/** @type {any} */ found) => html`<${Table} label=${t("failed.images")} rows=${found.results} columns=${[
      { title: t("image"), show: (/** @type {any} */ one) => html`<span class="mono">${one.imageId}</span>` }, { title: t("code"), show: (/** @type {any} */ one) => codeName(one.error?.code ?? 0) },
      { title: t("message"), show: (/** @type {any} */ one) => html`<span lang="en">${one.error?.message ?? ""}</span>` }]} />`}<//>
    <div class="row"><button type="button" disabled=${!back} onClick=${back}>← ${t("results.page.back")}</button><span>${t("results.page", { n: page })}</span>
      <button type="button" disabled=${!on} onClick=${on}>${t("results.page.on")} →</button></div></section>`;
}
