// @ts-check
// Whether the dataset is ready, a new training, the running ones with their curves, the dataset's models beside each other.
import { html, useState } from "../vendor/ui.js";
import { get, idOf, post } from "../app/api.js";
import { duration, speak, t } from "../app/i18n.js";
import { KINDS, budgetOf, kindOf, metadataOf } from "../app/resources.js";
import { href } from "../app/router.js";
import { notify, parent, running } from "../app/store.js";
import { Act, Loaded, useCalls, useLoad } from "../parts/page.js";
import { ModelComparison, trainedSeconds } from "./model_comparison.js";
import { ModelTable } from "./models.js";
import { RunningOperation } from "./operations.js";
import { Readiness, blocks, labelledImages } from "./readiness.js";

await speak("train");

/** @param {{dataset: any, models: any[]}} props */
export function Train({ dataset, models }) {
  const kind = kindOf(dataset);
  const mine = running.value.filter((one) => one.progress?.works_on === dataset.name && one.metadata?.createModelDetails);
  const from = useLoad((signal) => get(`${dataset.name}:summarize`, signal), [dataset.name]);
  return html`${mine.map((one) => html`<${RunningOperation} key=${one.name} operation=${one} />`)}
    <${Loaded} from=${from}>${(/** @type {any} */ summary) => html`<${Readiness} dataset=${dataset} summary=${summary} again=${from.again} />
      ${kind && html`<${NewModel} dataset=${dataset} kind=${kind} models=${models} summary=${summary} />`}`}<//>
    <section class="stack"><h2>${t("train.models")}</h2><${ModelComparison} models=${models}><${ModelTable} models=${models} empty=${t("models.none")} /><//></section>`;
}

/** The API takes at least an hour; setting train_minutes_max may end a training sooner. @param {{dataset: any, kind: string, models: any[], summary: any}} props */
function NewModel({ dataset, kind, models, summary }) {
  const count = models.length;
  const { name: field, types } = /** @type {any} */ (KINDS)[kind];
  const [name, setName] = useState(`model_${count + 1}`);
  const [type, setType] = useState(kind === "detection" ? "mobile-versatile-1" : "cloud");
  const [hours, setHours] = useState(0);
  const range = budgetOf(type);
  const [least, most] = [range.least / 1000, range.most / 1000];
  const chosen = Math.min(Math.max(hours || least, least), most);
  const body = {
    displayName: name, datasetId: idOf(dataset.name),
    [`${field}ModelMetadata`]: { modelType: type, trainBudgetMilliNodeHours: String(Math.round(chosen * 1000)) },
  };
  useCalls([{ verb: "GET", path: `${dataset.name}:summarize` }, { verb: "POST", path: `${parent()}/models`, body }]);
  const start = async () => {
    await post(`${parent()}/models`, body);
    notify(t("train.started"));
    scrollTo(0, 0); // the running training is shown above
    setName(`model_${count + 2}`);
  };
  const images = dataset.exampleCount ?? 0;
  const most_s = Number(summary.trainMinutesMax ?? 0) * 60; // 0: the service sets no limit of its own
  const last = models.find((one) => metadataOf(one).modelType === type && trainedSeconds(one));
  const off = !images ? t("train.empty") : blocks(summary).length ? t("ready.no") : /^[A-Za-z][A-Za-z0-9_]{0,31}$/.test(name) ? "" : t("name.needed");
  return html`<section class="card"><h2>${t("train.new")}</h2>
    ${images ? html`<p class="quiet">${t("train.text", { n: labelledImages(summary) })}</p>` : html`<p>${t("train.empty")} <a href=${href("datasets", idOf(dataset.name), "import")}>${t("tab.import")}</a></p>`}
    <label>${t("name")}<input value=${name} maxlength="32" onInput=${(/** @type {any} */ e) => setName(e.target.value)} /><span class="hint">${t("name.hint.model")}</span></label>
    <fieldset><legend>${t("train.type")}</legend><div class="options">${types.map((/** @type {string} */ one) => html`<label class="option"><input type="radio" name="type" checked=${type === one} onChange=${() => setType(one)} />
      <span><strong>${t(`type.${one}`)}</strong><span class="mono small">${one}</span></span></label>`)}</div></fieldset>
    <label>${t("train.budget", { time: duration(chosen * 3600) })}<input type="range" min=${least} max=${Math.min(most, least * 24)} step=${least >= 20 ? 4 : 0.5} value=${chosen} onInput=${(/** @type {any} */ e) => setHours(Number(e.target.value))} />
      <span class="hint">${most_s > 0 && most_s < chosen * 3600 ? t("train.budget.shorter", { time: duration(most_s) }) : t("train.budget.hint")} ${last ? t("train.budget.last", { name: last.displayName, time: duration(trainedSeconds(last)) }) : t("train.budget.first")}</span></label>
    <div><${Act} permission="automl.models.create" look="first" off=${off} does=${start}>${t("train.start")}<//></div>
    ${off && images > 0 && html`<p class="quiet small">${off}</p>`}</section>`;
}
