// @ts-check
// Images from this computer, lists and folders in buckets, results of batch jobs, and what earlier imports refused.
import { html, useState } from "../vendor/ui.js";
import { codeName, finished, idOf, list, post } from "../app/api.js";
import { speak, t, time } from "../app/i18n.js";
import { kindOf, stateOf } from "../app/resources.js";
import { href } from "../app/router.js";
import { notify, parent, running } from "../app/store.js";
import { later } from "../parts/later.js";
import { Act, Loaded, State, useCalls, useLoad } from "../parts/page.js";
import { Picker } from "../parts/picker.js";
import { Table } from "../parts/table.js";
import { Upload } from "../parts/upload.js";
import { RunningOperation } from "./operations.js";

await Promise.all([speak("import"), speak("batches")]); // the latter: those of the picker

const FromBatch = later(() => import("./import_batch.js"), "FromBatch");

/** Addresses, one a line; blanks inside a line belong to the address. @param {string} text */
export const addresses = (text) => text.split(/[\r\n]+/).map((one) => one.trim()).filter(Boolean);

/** Whether an address names images and not a list of them: a folder, a bucket, or a pattern of names. @param {string} uri */
export const namesImages = (uri) => uri.endsWith("/") || uri.includes("*") || /^[a-z][a-z0-9+.-]*:\/\/[^/]*$/.test(uri);

/** The imports of addresses: one of the lists, and one of the images that have no labels. @param {string} text */
export function importsOf(text) {
  const found = addresses(text);
  const lists = found.filter((one) => !namesImages(one));
  const folders = found.filter(namesImages);
  return [
    ...(lists.length ? [{ inputConfig: { gcsSource: { inputUris: lists }, params: { wide_box_limits: "true" } } }] : []),
    ...(folders.length ? [{ inputConfig: { gcsSource: { inputUris: folders }, params: { unlabelled: "true" } } }] : []),
  ];
}

/** @param {{dataset: any}} props */
export function Import({ dataset }) {
  const [text, setText] = useState("");
  const [isOpen, setOpen] = useState(false);
  const id = idOf(dataset.name);
  const worksOn = `${parent()}/operations?filter=works_on%3D${encodeURIComponent(dataset.name)}`;
  const from = useLoad(async () => (await list(worksOn, "operations", 300)).filter((one) => one.metadata?.importDataDetails), [id]);
  const [isFrom, setFrom] = useState(false);
  const bodies = importsOf(text || "gs://BUCKET/labels.csv");
  useCalls([{ verb: "POST", path: `${dataset.name}/examples:upload?displayName=photo.jpg` }, { verb: "POST", path: `${dataset.name}/examples:lookup`, body: { sha256: ["SHA256"] } },
    ...bodies.map((body) => ({ verb: "POST", path: `${dataset.name}:importData`, body })), { verb: "GET", path: worksOn }]);
  const start = async () => {
    for (const body of importsOf(text)) {
      const begun = await post(`${dataset.name}:importData`, body);
      finished(begun).catch(() => {}).then(from.again); // one that ends at once is never seen running
      setText((/** @type {string} */ one) => addresses(one).filter((uri) => !body.inputConfig.gcsSource.inputUris.includes(uri)).join("\n")); // what follows may fail
    }
    notify(t("import.started"));
    from.again();
  };
  const mine = running.value.filter((one) => one.progress?.works_on === dataset.name && one.metadata?.importDataDetails);
  return html`<${Upload} dataset=${dataset.name}><a class="button first" href=${href("datasets", id, "images")}>${t("upload.images")}</a><//>
    <div class="columns">
    <section class="card"><h2>${t("import.title")}</h2><p class="quiet">${t("import.text")}</p>
      <label>${t("import.field")}<textarea rows="3" class="mono" placeholder="gs://bucket/labels.csv" value=${text} onInput=${(/** @type {any} */ e) => setText(e.target.value)}></textarea>
        <span class="hint">${t("import.hint")}</span></label>
      <div><button type="button" onClick=${() => setOpen(true)}>${t("picker.open")}</button></div>
      ${isOpen && html`<${Picker} title=${t("import.pick")} words=${t("import.folder")} take=${(/** @type {string} */ uri) => setText((/** @type {string} */ one) => `${one.trim()}\n${uri}`.trim())} close=${() => setOpen(false)} />`}
      <div class="row"><${Act} permission="automl.datasets.import" look="first" off=${addresses(text).length ? "" : t("import.needed")} does=${start}>${t("import.start")}<//>
      ${dataset.exampleCount > 0 && html`<a class="button" href=${href("datasets", id, "train")}>${t("datasets.next.train")}</a>`}</div></section>
    <section class="card"><h2>${t("import.example")}</h2><p class="quiet">${t(`import.example.${kindOf(dataset) || "detection"}`)}</p>
      <pre>${kindOf(dataset) === "classification" ? "TRAIN,gs://bucket/a.jpg,cat\nTEST,gs://bucket/b.jpg,dog\nUNASSIGNED,gs://bucket/c.jpg,cat" : "TRAIN,gs://bucket/a.jpg,car,0.1,0.2,,,0.4,0.6,,\nTEST,gs://bucket/b.jpg,bus,0.5,0.1,,,0.9,0.8,,\nUNASSIGNED,gs://bucket/c.jpg,,,,,,,,,"}</pre></section></div>
    <section class="card"><h2>${t("import.batch")}</h2><p class="quiet">${t("import.batch.text")}</p>
      ${isFrom ? html`<${FromBatch} dataset=${dataset} />` : html`<div><button type="button" onClick=${() => setFrom(true)}>${t("import.batch.open")}</button></div>`}</section>
    ${mine.map((one) => html`<${RunningOperation} key=${one.name} operation=${one} />`)}
    <section class="stack"><h2>${t("import.history")}</h2><${Loaded} from=${from}>${(/** @type {any[]} */ found) => html`<${History} found=${found} />`}<//></section>`;
}

/** @param {{found: any[]}} props */
function History({ found }) {
  const refused = found.flatMap((one) => (one.metadata.partialFailures ?? []).map((/** @type {any} */ failure) => ({ ...failure, time: one.metadata.createTime })));
  return html`<${Table} label=${t("import.history")} rows=${found} empty=${t("import.history.none")} columns=${[
    { title: t("started"), value: (/** @type {any} */ one) => one.metadata.createTime, show: (/** @type {any} */ one) => html`<a href=${href("operations", idOf(one.name))}>${time(one.metadata.createTime)}</a>` },
    { title: t("state"), value: stateOf, show: (/** @type {any} */ one) => html`<${State} of=${stateOf(one)} />` },
    { title: t("import.refused"), isNumber: true, value: (/** @type {any} */ one) => (one.metadata.partialFailures ?? []).length },
    { title: t("message"), show: (/** @type {any} */ one) => html`<span lang="en">${one.error?.message ?? "–"}</span>` },
  ]} />
  ${refused.length > 0 && html`<h3>${t("import.refused.title", { n: refused.length })}</h3><${Table} label=${t("import.refused")} rows=${refused} columns=${[
    { title: t("started"), value: (/** @type {any} */ one) => one.time, show: (/** @type {any} */ one) => time(one.time) },
    { title: t("code"), value: (/** @type {any} */ one) => codeName(one.code) },
    { title: t("message"), value: (/** @type {any} */ one) => one.message, show: (/** @type {any} */ one) => html`<span lang="en">${one.message}</span>` },
  ]} />`}`;
}
