// @ts-check
// Which images of a batch job to label next, and into which dataset they go.
import { html, useState } from "../vendor/ui.js";
import { finished, idOf, post } from "../app/api.js";
import { t } from "../app/i18n.js";
import { datasets, kindOf, models } from "../app/resources.js";
import { href } from "../app/router.js";
import { notify } from "../app/store.js";
import { Act, Empty, Loaded, useCalls, useLoad } from "../parts/page.js";
import { usePages } from "../parts/result_pages.js";
import { ResultTiles, ResultViewer } from "../parts/result_tiles.js";
import { Far, useSummary } from "./results.js";

const USUAL = 50;
const MOST = 1000; // of one request
const TILES = 24;
const ORDER = { orderBy: "uncertainty desc" };

/** @param {{operation: any}} props */
export function LabelNext({ operation }) {
  const from = useSummary(operation);
  return html`<${Loaded} from=${from}>${(/** @type {any} */ counts) => (counts.hasCandidates ? html`<${Chooser} operation=${operation} counts=${counts} />`
    : html`<${Empty} title=${t("next.off")} text=${counts.reason || t("next.off.text")} />`)}<//>`;
}

/** @param {{operation: any, counts: any}} props */
function Chooser({ operation, counts }) {
  const [count, setCount] = useState(USUAL);
  const [name, setName] = useState("");
  const [added, setAdded] = useState(/** @type {any} */ (null));
  const [opened, setOpened] = useState(-1);
  const from = useLoad(async () => {
    const [sets, made] = await Promise.all([datasets(), models()]);
    const model = made.find((one) => one.name === operation.progress.model);
    return { model, sets: sets.filter((one) => !model || kindOf(one) === kindOf(model)) };
  }, [operation.name]);
  const pages = usePages(operation.name, ORDER, TILES);
  const results = pages.from.value?.results ?? [];
  const labels = counts.labels.map((/** @type {any} */ one) => one.name);
  const most = Math.min(MOST, counts.imageCount); // there are no more
  const wanted = Math.min(count, most);
  const { sets = [], model = undefined } = from.value ?? {};
  const dataset = sets.find((/** @type {any} */ one) => one.name === name) ?? sets.find((/** @type {any} */ one) => idOf(one.name) === model?.datasetId) ?? sets[0];
  const body = { operation: operation.name, ...ORDER, limit: wanted, state: "SUGGESTED" };
  useCalls([{ verb: "GET", path: `${operation.name}/results?${new URLSearchParams(ORDER)}` }, { verb: "POST", path: `${dataset?.name ?? "DATASET"}/examples:addResults`, body }]);
  const add = async () => {
    await finished(await post(`${dataset.name}/examples:addResults`, body));
    setAdded(dataset);
    notify(t("next.added"));
  };
  const one = results[opened];
  return html`<section class="card"><h2>${t("next.title")}</h2><p class="quiet">${t("next.text")}</p>
      <${Loaded} from=${from}>${() => (dataset ? html`<div class="row">
        <label>${t("next.count")}<input type="number" min="1" max=${most} value=${wanted} onInput=${(/** @type {any} */ e) => setCount(Math.min(most, Math.max(1, Math.round(Number(e.target.value)) || 1)))} /></label>
        <label>${t("dataset")}<select value=${dataset.name} onChange=${(/** @type {any} */ e) => setName(e.target.value)}>${sets.map((/** @type {any} */ set) => html`<option value=${set.name}>${set.displayName}</option>`)}</select></label></div>
        <div class="row"><${Act} permission="automl.datasets.import" look="first" does=${add}>${t("next.add", { n: wanted })}<//></div>`
        : html`<p>${t("next.nowhere")} <a href=${href("datasets")}>${t("nav.datasets")}</a></p>`)}<//>
      ${added && html`<p role="status">${t("next.done", { name: added.displayName })} <a class="button first" href=${`${href("datasets", idOf(added.name), "images")}?state=SUGGESTED`}>${t("next.open")}</a></p>`}</section>
    <section class="stack"><h2>${t("next.first")}</h2><${Far} far=${pages.far} stop=${pages.stop} /><${Loaded} from=${pages.from}>${() => (results.length ? html`<${ResultTiles} results=${results} labels=${labels} open=${setOpened} showsReason=${true} />` : html`<p class="quiet">${t("results.none.such")}</p>`)}<//></section>
    ${one && html`<${ResultViewer} result=${one} labels=${labels} close=${() => setOpened(-1)} back=${opened > 0 ? () => setOpened(opened - 1) : undefined}
      on=${opened < results.length - 1 ? () => setOpened(opened + 1) : undefined} />`}`;
}
