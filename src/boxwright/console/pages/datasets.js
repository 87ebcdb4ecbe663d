// @ts-check
// The start: datasets as cards, a new one, deletion by name.
import { html, useState } from "../vendor/ui.js";
import { finished, idOf, post, remove } from "../app/api.js";
import { t, time } from "../app/i18n.js";
import { KINDS, datasets, kindKey, models, newestFirst } from "../app/resources.js";
import { go, href } from "../app/router.js";
import { notify, parent } from "../app/store.js";
import { later } from "../parts/later.js";
import { Act, Dialog, Head, Loaded, Numbers, useCalls, useLoad } from "../parts/page.js";

const FirstImages = later(() => import("../parts/first_images.js"), "FirstImages");

export function Datasets() {
  const [isNew, setNew] = useState(false);
  const [doomed, setDoomed] = useState(/** @type {any} */ (null));
  const from = useLoad(async () => ({ sets: newestFirst(await datasets()), made: await models().catch(() => []) }), []);
  useCalls([{ verb: "GET", path: `${parent()}/datasets` }, { verb: "POST", path: `${parent()}/datasets`, body: draft("my_dataset", "detection", false) }]);
  const create = html`<${Act} permission="automl.datasets.create" look="first" does=${() => setNew(true)}>${t("datasets.new")}<//>`;
  return html`<${Head} title=${t("nav.datasets")} sub=${t("datasets.sub")}>${create}<//>
    <${Loaded} from=${from}>${(/** @type {any} */ { sets, made }) => (sets.length
      ? html`<ul class="cards">${sets.map((/** @type {any} */ one) => html`<${Card} dataset=${one} models=${made.filter((/** @type {any} */ m) => m.datasetId === idOf(one.name))} doom=${() => setDoomed(one)} />`)}</ul>`
      : html`<${FirstImages} dialog=${NewDataset} />`)}<//>
    ${isNew && html`<${NewDataset} close=${() => setNew(false)} />`}
    ${doomed && html`<${DeleteByName} resource=${doomed} words=${t("datasets.delete.text", { n: doomed.exampleCount ?? 0 })} close=${() => setDoomed(null)} done=${from.again} />`}`;
}

/** @param {{dataset: any, models: any[], doom: () => void}} props */
function Card({ dataset, models: made, doom }) {
  const id = idOf(dataset.name);
  const images = dataset.exampleCount ?? 0;
  const [step, tab] = !images ? ["import", "import"] : made.length ? ["evaluate", "evaluate"] : ["train", "train"];
  return html`<li class="card"><h2><a href=${href("datasets", id, tab)}>${dataset.displayName}</a></h2>
    <span class="small quiet">${t(kindKey(dataset))} · ${time(dataset.createTime)}</span>
    <${Numbers} pairs=${[[t("images"), images.toLocaleString()], [t("nav.models"), String(made.length)]]} />
    <div class="row"><a class="button" href=${href("datasets", id, tab)}>${t(`datasets.next.${step}`)}</a>
    <${Act} permission="automl.datasets.delete" look="danger plain" does=${doom}>${t("delete")}<span class="hidden"> ${dataset.displayName}</span><//></div></li>`;
}

/** @param {string} displayName @param {string} kind @param {boolean} isMulti */
const draft = (displayName, kind, isMulti) => ({
  displayName,
  [`${/** @type {any} */ (KINDS)[kind].name}DatasetMetadata`]: kind === "classification" ? { classificationType: isMulti ? "MULTILABEL" : "MULTICLASS" } : {},
});

/** @param {{close: () => void, name?: string, note?: string, made?: (dataset: any) => void}} props `name`: proposed; `note`: what follows; `made`: hears of the dataset */
function NewDataset({ close, name: proposed = "", note = "", made: hear }) {
  const [name, setName] = useState(proposed);
  const [kind, setKind] = useState("detection");
  const isNamed = /^[A-Za-z0-9_]{1,32}$/.test(name);
  const isWrong = name !== "" && !isNamed;
  const create = async () => {
    const [base, multi] = kind.split(".");
    const made = await finished(await post(`${parent()}/datasets`, draft(name, base, Boolean(multi))));
    notify(t("datasets.created", { name }));
    hear?.(made);
    close();
    go("datasets", idOf(made.name), "import");
  };
  return html`<${Dialog} title=${t("datasets.new")} close=${close}>${note && html`<p>${note}</p>`}
    <label>${t("name")}<input value=${name} maxlength="32" aria-invalid=${isWrong} onInput=${(/** @type {any} */ e) => setName(e.target.value)} autofocus />
      <span class=${isWrong ? "hint wrong" : "hint"}>${t("name.hint")}</span></label>
    <fieldset><legend>${t("datasets.kind")}</legend><div class="options">${["detection", "classification", "classification.multi"].map((one) => html`<label class="option">
      <input type="radio" name="kind" checked=${kind === one} onChange=${() => setKind(one)} /><span><strong>${t(`kind.${one}`)}</strong>${t(`kind.${one}.text`)}</span></label>`)}</div></fieldset>
    <div class="ends"><button type="button" onClick=${close}>${t("cancel")}</button>
      <${Act} look="first" off=${isNamed ? "" : t("name.needed")} does=${create}>${t("create")}<//></div><//>`;
}

/** Asks for the name before a dataset or a model is deleted. @param {{resource: any, words: string, close: () => void, done: () => void}} props */
export function DeleteByName({ resource, words, close, done }) {
  const [typed, setTyped] = useState("");
  const erase = async () => {
    await finished(await remove(resource.name));
    notify(t("deleted", { name: resource.displayName }));
    close();
    done();
  };
  return html`<${Dialog} title=${t("delete.title", { name: resource.displayName })} close=${close}>
    <p>${words}</p><label>${t("delete.type", { name: resource.displayName })}<input value=${typed} onInput=${(/** @type {any} */ e) => setTyped(e.target.value)} /></label>
    <div class="ends"><button type="button" onClick=${close}>${t("cancel")}</button>
    <${Act} look="danger" off=${typed === resource.displayName ? "" : t("delete.needed")} does=${erase}>${t("delete")}<//></div><//>`;
}
