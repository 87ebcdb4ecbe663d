// @ts-check
// Models: beside each other, and one with what is known of it.
import { html, useState } from "../vendor/ui.js";
import { get, idOf } from "../app/api.js";
import { number, t, time } from "../app/i18n.js";
import { datasets, metadataOf, models, newestFirst } from "../app/resources.js";
import { go, href } from "../app/router.js";
import { parent } from "../app/store.js";
import { later } from "../parts/later.js";
import { Act, Empty, Head, Loaded, State, Tabs, useCalls, useLoad } from "../parts/page.js";
import { Table } from "../parts/table.js";
import { DeleteByName } from "./datasets.js";

const About = later(() => import("./model_about.js"), "About");
const NewBatch = later(() => import("./new_batch.js"), "NewBatch");
const Evaluate = later(() => import("./evaluate.js"), "Evaluate");
const TestAndUse = later(() => import("./test.js"), "TestAndUse");
const TABS = ["about", "evaluate", "test", "batch"];

export function Models() {
  const from = useLoad(async () => {
    const [found, sets] = await Promise.all([models(), datasets().catch(() => [])]);
    return { found: newestFirst(found), names: Object.fromEntries(sets.map((one) => [idOf(one.name), one.displayName])) };
  }, []);
  useCalls([{ verb: "GET", path: `${parent()}/models` }]);
  return html`<${Head} title=${t("nav.models")} sub=${t("models.sub")} />
    <${Loaded} from=${from}>${(/** @type {any} */ { found, names }) => (found.length ? html`<${ModelTable} models=${found} names=${names} />`
      : html`<${Empty} title=${t("models.none")} text=${t("models.none.text")}><a class="button" href=${href("datasets")}>${t("nav.datasets")}</a><//>`)}<//>`;
}

/** @param {{models: any[], names?: Record<string, string>, empty?: string}} props */
export function ModelTable({ models: found, names, empty }) {
  const columns = [
    { title: t("name"), value: (/** @type {any} */ one) => one.displayName, show: (/** @type {any} */ one) => html`<a href=${href("models", idOf(one.name))}>${one.displayName}</a>` },
    { title: t("created"), value: (/** @type {any} */ one) => one.createTime, show: (/** @type {any} */ one) => time(one.createTime) },
    { title: t("train.type"), value: (/** @type {any} */ one) => metadataOf(one).modelType ?? "", show: (/** @type {any} */ one) => html`<span class="mono">${metadataOf(one).modelType ?? "–"}</span>` },
    { title: t("models.qps"), isNumber: true, value: (/** @type {any} */ one) => metadataOf(one).nodeQps ?? 0, show: (/** @type {any} */ one) => (metadataOf(one).nodeQps ? number(metadataOf(one).nodeQps, 1) : "–") },
    { title: t("state"), value: (/** @type {any} */ one) => one.deploymentState, show: (/** @type {any} */ one) => html`<${State} of=${one.deploymentState} />` },
  ];
  if (names) columns.splice(1, 0, { title: t("dataset"), value: (one) => names[one.datasetId] ?? "", show: (one) => (names[one.datasetId] ? html`<a href=${href("datasets", one.datasetId)}>${names[one.datasetId]}</a>` : t("models.gone")) });
  return html`<${Table} label=${t("nav.models")} rows=${found} columns=${columns} empty=${empty} />`;
}

/** @param {{id: string, tab?: string}} props */
export function Model({ id, tab = "about" }) {
  const [isDoomed, setDoomed] = useState(false);
  const name = `${parent()}/models/${encodeURIComponent(id)}`;
  const from = useLoad((signal) => get(name, signal), [id]);
  return html`<${Loaded} from=${from} title=${t("model")}>${(/** @type {any} */ model) => html`
    <${Head} title=${model.displayName} sub=${`${t("model")} · ${time(model.createTime)}`}>
      <${Act} permission="automl.models.delete" look="danger" does=${() => setDoomed(true)}>${t("delete")}<//><//>
    <${Tabs} label=${t("model.tabs")} place="models" id=${id} tabs=${TABS} tab=${tab} />
    ${tab === "evaluate" ? html`<${Evaluate} model=${model} />` : tab === "test" ? html`<${TestAndUse} model=${model} />` : tab === "batch" ? html`<${NewBatch} model=${model} />` : html`<${About} model=${model} again=${from.again} />`}
    ${isDoomed && html`<${DeleteByName} resource=${model} words=${t("models.delete.text")} close=${() => setDoomed(false)} done=${() => go("models")} />`}`}<//>`;
}
