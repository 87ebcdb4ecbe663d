// @ts-check
// A dataset and its tabs, in AutoML's order: Import, Images, Labels, Train, Evaluate, Test & Use, Batch.
import { html, useMemo, useState } from "../vendor/ui.js";
import { begin, get, idOf } from "../app/api.js";
import { t } from "../app/i18n.js";
import { kindKey, modelsOf } from "../app/resources.js";
import { href, route } from "../app/router.js";
import { parent } from "../app/store.js";
import { later } from "../parts/later.js";
import { Empty, Head, Loaded, Tabs, useLoad } from "../parts/page.js";

const Import = later(() => import("./import.js"), "Import");
const Edit = later(() => import("./edit.js"), "Edit");
const Images = later(() => import("./images.js"), "Images");
const Labels = later(() => import("./labels.js"), "Labels");
const NewBatch = later(() => import("./new_batch.js"), "NewBatch");
const Evaluate = later(() => import("./evaluate.js"), "Evaluate");
const Train = later(() => import("./train.js"), "Train");
const TestAndUse = later(() => import("./test.js"), "TestAndUse");
export const TABS = ["import", "images", "labels", "train", "evaluate", "test", "batch"];

/** @param {{id: string, tab?: string}} props */
export function Dataset({ id, tab = "import" }) {
  const example = tab === "images" ? route.value.parts[3] : "";
  useMemo(() => example && coming(id, example), [id]); // an image is asked for while its dataset and the editor's modules come
  const from = useLoad(async (signal) => {
    const [dataset, models] = await Promise.all([get(`${parent()}/datasets/${encodeURIComponent(id)}`, signal), modelsOf(id)]);
    return { dataset, models };
  }, [id]);
  return html`<${Loaded} from=${from} title=${t("dataset")}>${(/** @type {any} */ { dataset, models }) => (example ? html`<${Edit} key=${id} dataset=${dataset} example=${example} models=${models} />` : html`
    <${Head} title=${dataset.displayName} sub=${`${t(kindKey(dataset))} · ${t("images.n", { n: dataset.exampleCount ?? 0 })}`} />
    <${Tabs} label=${t("dataset.tabs")} place="datasets" id=${id} tabs=${TABS} tab=${tab} />
    <${Content} tab=${tab} dataset=${dataset} models=${models} />`)}<//>`;
}

/** @param {string} id @param {string} example */
function coming(id, example) {
  begin(`${parent()}/datasets/${encodeURIComponent(id)}/examples/${example}`);
  import("./edit.js").catch(() => {}); // the part that shows the editor shows the error
}

/** @param {{tab: string, dataset: any, models: any[]}} props */
function Content({ tab, dataset, models }) {
  if (tab === "images") return html`<${Images} dataset=${dataset} />`;
  if (tab === "labels") return html`<${Labels} dataset=${dataset} />`;
  if (tab === "train") return html`<${Train} dataset=${dataset} models=${models} />`;
  if (tab === "evaluate") return html`<${WithModel} models=${models} dataset=${dataset}>${(/** @type {any} */ model) => html`<${Evaluate} key=${model.name} model=${model} />`}<//>`;
  if (tab === "test") return html`<${WithModel} models=${models} dataset=${dataset}>${(/** @type {any} */ model) => html`<${TestAndUse} key=${model.name} model=${model} />`}<//>`;
  if (tab === "batch") return html`<${WithModel} models=${models} dataset=${dataset}>${(/** @type {any} */ model) => html`<${NewBatch} key=${model.name} model=${model} />`}<//>`;
  return html`<${Import} dataset=${dataset} />`;
}

/** Chooses one of the dataset's models. @param {{models: any[], dataset: any, children: (model: any) => any}} props */
function WithModel({ models, dataset, children }) {
  const [name, setName] = useState("");
  if (!models.length) {
    return html`<${Empty} title=${t("models.none")} text=${t("models.none.text")}><a class="button first" href=${href("datasets", idOf(dataset.name), "train")}>${t("datasets.next.train")}</a><//>`;
  }
  const model = models.find((one) => one.name === name) ?? models[0];
  return html`<label class="row">${t("model")}<select value=${model.name} onChange=${(/** @type {any} */ e) => setName(e.target.value)}>
      ${models.map((one) => html`<option value=${one.name}>${one.displayName}</option>`)}</select></label>${children(model)}`;
}
