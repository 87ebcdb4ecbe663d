// @ts-check
// What is known of a model: where it comes from, its precision and why; another name, and an export.
import { html, useState } from "../vendor/ui.js";
import { finished, get, post, send } from "../app/api.js";
import { duration, has, number, speak, t, time } from "../app/i18n.js";
import { metadataOf } from "../app/resources.js";
import { notify, parent } from "../app/store.js";
import { SETS } from "../parts/examples.js";
import { Named } from "../parts/named.js";
import { Act, Dialog, Facts, Loaded, State, useCalls, useLoad } from "../parts/page.js";
import { Picker } from "../parts/picker.js";

await speak("models");

const MILLI_HOUR_S = 3.6; // trainCostMilliNodeHours: thousandths of an hour
const FORMATS = ["onnx", "openvino"];
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,31}$/;

/** @param {{model: any, again: () => void}} props */
export function About({ model, again }) {
  const [opened, setOpened] = useState("");
  const from = useLoad((signal) => get(`${model.name}:describe`, signal), [model.name]);
  const dataset = `${parent()}/datasets/${model.datasetId}`;
  useCalls([{ verb: "GET", path: model.name }, { verb: "GET", path: `${model.name}:describe` }, ...(model.datasetId ? [{ verb: "GET", path: `${parent()}/datasets` }] : [])]);
  const metadata = metadataOf(model);
  return html`<section class="card"><${Facts} pairs=${[
    [t("state"), html`<${State} of=${model.deploymentState} />`], [t("dataset"), model.datasetId && html`<${Named} of=${dataset} />`],
    [t("created"), time(model.createTime)], [t("updated"), time(model.updateTime)],
    [t("train.type"), metadata.modelType && html`<code>${metadata.modelType}</code>`], [t("models.cost"), metadata.trainCostMilliNodeHours && duration(Number(metadata.trainCostMilliNodeHours) * MILLI_HOUR_S)],
    [t("models.stop"), has(`stop.${metadata.stopReason}`) ? t(`stop.${metadata.stopReason}`) : metadata.stopReason], [t("models.qps"), metadata.nodeQps && number(metadata.nodeQps, 1)], [t("resource"), html`<code>${model.name}</code>`]]} />
    <div class="row"><${Act} permission="automl.models.create" does=${() => setOpened("rename")}>${t("models.rename")}<//>
      <${Act} permission="automl.models.export" does=${() => setOpened("export")}>${t("models.export")}<//></div></section>
    <section class="stack"><h2>${t("models.describe")}</h2><${Loaded} from=${from}>${(/** @type {any} */ found) => html`<${Described} found=${found} />`}<//></section>
    ${opened === "rename" && html`<${Rename} model=${model} close=${() => setOpened("")} done=${again} />`}
    ${opened === "export" && html`<${Export} model=${model} close=${() => setOpened("")} />`}`;
}

/** @param {{model: any, close: () => void, done: () => void}} props */
function Rename({ model, close, done }) {
  const [name, setName] = useState(model.displayName);
  const body = { displayName: name.trim(), etag: model.etag };
  const rename = async () => {
    await send("PATCH", `${model.name}?updateMask=displayName`, body);
    notify(t("models.renamed", { name: name.trim() }));
    close();
    done();
  };
  return html`<${Dialog} title=${t("models.rename")} close=${close}>
    <label>${t("name")}<input value=${name} onInput=${(/** @type {any} */ e) => setName(e.target.value)} /><span class="hint">${t("name.hint.model")}</span></label>
    <div class="ends"><button type="button" onClick=${close}>${t("cancel")}</button>
      <${Act} permission="automl.models.create" look="first" off=${NAME.test(name.trim()) ? "" : t("name.needed")} does=${rename}>${t("models.rename.do")}<//></div><//>`;
}

/** @param {{model: any, close: () => void}} props */
function Export({ model, close }) {
  const [format, setFormat] = useState(FORMATS[0]);
  const [output, setOutput] = useState("");
  const [isPicking, setPicking] = useState(false);
  const body = { outputConfig: { modelFormat: format, gcsDestination: { outputUriPrefix: output.trim() } } };
  const write = async () => {
    await finished(await post(`${model.name}:export`, body));
    notify(t("models.exported", { folder: output.trim() }));
    close();
  };
  if (isPicking) return html`<${Picker} title=${t("models.export.folder")} isFolder=${true} take=${setOutput} close=${() => setPicking(false)} />`;
  return html`<${Dialog} title=${t("models.export")} close=${close}>
    <label>${t("models.format")}<select value=${format} onChange=${(/** @type {any} */ e) => setFormat(e.target.value)}>${FORMATS.map((one) => html`<option value=${one}>${t(`models.format.${one}`)}</option>`)}</select></label>
    <label>${t("models.export.folder")}<input class="mono" placeholder="gs://bucket/models/" value=${output} onInput=${(/** @type {any} */ e) => setOutput(e.target.value)} /></label>
    <div><button type="button" onClick=${() => setPicking(true)}>${t("models.browse")}</button></div>
    <div class="ends"><button type="button" onClick=${close}>${t("cancel")}</button>
      <${Act} permission="automl.models.export" look="first" off=${output.trim() ? "" : t("models.export.needed")} does=${write}>${t("models.export.do")}<//></div><//>`;
}

/** What DescribeModel says: first what people ask for, then plain values, then the rest as JSON. @param {{found: any}} props */
function Described({ found }) {
  const { precision, quantisation, provenance = {}, input_hw: input } = found;
  const sets = provenance.images ?? {};
  const plain = Object.entries(found).filter(([, value]) => typeof value !== "object" || value === null);
  const rest = Object.entries(found).filter(([, value]) => typeof value === "object" && value !== null);
  return html`<div class="card"><${Facts} pairs=${[
    [t("about.precision"), precision], [t("about.precision.why"), quantisation?.reason && html`<span lang="en">${quantisation.reason}</span>`],
    [t("about.input"), input && `${number(input[1])} × ${number(input[0])} px`], [t("about.weights"), provenance.initial_weights === "random" ? t("about.weights.random") : provenance.initial_weights && html`<span lang="en">${provenance.initial_weights}</span>`],
    [t("about.images"), Object.keys(sets).length > 0 && SETS.filter((set) => set in sets).map((set) => `${t(`set.${set}`)} ${number(Number(sets[set]))}`).join(" · ")],
    [t("about.steps"), provenance.steps && number(provenance.steps)], [t("about.version"), provenance.boxwright_version]].map(([title, value]) => [title, value || undefined])} /></div>
    <details lang="en"><summary lang=${document.documentElement.lang}>${t("about.all")}</summary><div class="stack spaced"><${Facts} pairs=${plain.map(([key, value]) => [key.replaceAll("_", " "), String(value ?? "–")])} />
      ${rest.map(([key, value]) => html`<h3>${key.replaceAll("_", " ")}</h3><pre tabindex="0" role="region" aria-label=${key}>${JSON.stringify(value, null, 2)}</pre>`)}</div></details>`;
}
