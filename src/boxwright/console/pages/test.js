// @ts-check
// Test & Use: a picture from this computer through Predict, and programs that do the same.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { finished, get, post } from "../app/api.js";
import { number, score, t } from "../app/i18n.js";
import { notify } from "../app/store.js";
import { Act, Code, Dialog, State, Trouble, useCalls, useLoad } from "../parts/page.js";
import { Picture, boxesOf, labelColour, scoreOf } from "../parts/picture.js";
import { Table } from "../parts/table.js";
import { AddPicture } from "./add_picture.js";
import { programs } from "./programs.js";

const FLOOR = "0.01"; // asked once; the slider chooses among what came
const MAX_BYTES = 30_000_000;

/** @param {{model: any}} props */
export function TestAndUse({ model }) {
  const [threshold, setThreshold] = useState(0.5);
  const from = useLoad((signal) => get(model.name, signal), [model.name]);
  const state = (from.value ?? model).deploymentState;
  useCalls([{ verb: "POST", path: `${model.name}:predict`, body: { payload: { image: { imageBytes: "BASE64_OF_THE_IMAGE" } }, params: { score_threshold: String(threshold) } } }]);
  const change = (/** @type {string} */ verb) => async () => {
    await finished(await post(`${model.name}:${verb}`));
    notify(t(`test.${verb}.done`));
    from.again();
  };
  return html`<section class="card"><div class="row"><${State} of=${state} />
      ${state === "DEPLOYED" ? html`<${Act} permission="automl.models.undeploy" does=${change("undeploy")}>${t("test.undeploy")}<//>`
        : html`<${Act} permission="automl.models.deploy" look="first" does=${change("deploy")}>${t("test.deploy")}<//>`}</div>
      <p class="quiet">${t(state === "DEPLOYED" ? "test.deployed" : "test.undeployed")}</p></section>
    <${Trial} model=${model} isDeployed=${state === "DEPLOYED"} threshold=${threshold} choose=${setThreshold} />
    <${Programs} model=${model} threshold=${threshold} />`;
}

/** @param {{model: any, isDeployed: boolean, threshold: number, choose: (value: number) => void}} props */
function Trial({ model, isDeployed, threshold, choose }) {
  const [shown, setShown] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [isBusy, setBusy] = useState(false);
  const url = useRef("");
  useEffect(() => () => URL.revokeObjectURL(url.current), []);
  const predict = async (/** @type {File} */ file) => {
    setError(null);
    setShown(null);
    if (file.size > MAX_BYTES) return setError({ code: "INVALID_ARGUMENT", message: t("test.large") });
    setBusy(true);
    try {
      const body = { payload: { image: { imageBytes: await base64(file) } }, params: { score_threshold: FLOOR } };
      const started = performance.now();
      const answer = await post(`${model.name}:predict`, body);
      URL.revokeObjectURL(url.current);
      url.current = URL.createObjectURL(file);
      setShown({ src: url.current, file, name: file.name, payload: answer.payload ?? [], seconds: (performance.now() - started) / 1000 });
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return html`<section class="stack"><${DropZone} off=${isDeployed ? "" : t("test.off")} take=${predict} />
    <div role="status" aria-live="polite" class="quiet">${isBusy ? t("test.busy") : ""}</div>
    ${error && html`<${Trouble} error=${error} />`}
    ${shown && html`<${Found} model=${model} shown=${shown} threshold=${threshold} choose=${choose} />`}</section>`;
}

/** @param {{off: string, take: (file: File) => void}} props */
function DropZone({ off, take }) {
  const input = useRef(/** @type {any} */ (null));
  const [isOver, setOver] = useState(false);
  const first = (/** @type {FileList | undefined} */ files) => files?.[0] && !off && take(files[0]);
  useEffect(() => {
    const paste = (/** @type {ClipboardEvent} */ event) => first(event.clipboardData?.files);
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  });
  const drop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    setOver(false);
    first(event.dataTransfer?.files);
  };
  return html`<div class="drop ${isOver ? "over" : ""}" onDragOver=${(/** @type {Event} */ e) => { e.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <span>${t("test.drop")}</span>
    <input ref=${input} type="file" accept="image/*,.tif,.tiff" hidden aria-label=${t("test.pick")} onChange=${(/** @type {any} */ e) => { first(e.target.files); e.target.value = ""; }} />
    <${Act} permission="automl.models.predict" off=${off} does=${() => input.current.click()}>${t("test.pick")}<//>
    ${off && html`<span class="quiet small">${off}</span>`}</div>`;
}

/** @param {{model: any, shown: any, threshold: number, choose: (value: number) => void}} props */
function Found({ model, shown, threshold, choose }) {
  const labels = [...new Set(shown.payload.map((/** @type {any} */ one) => one.displayName))].sort();
  const kept = shown.payload.filter((/** @type {any} */ one) => scoreOf(one) >= threshold);
  const rows = labels.map((label) => {
    const scores = kept.filter((/** @type {any} */ one) => one.displayName === label).map(scoreOf);
    return { label, count: scores.length, best: scores.length ? Math.max(...scores) : null };
  });
  return html`<div class="columns wide-first"><${Picture} src=${shown.src} alt=${shown.name} found=${boxesOf(kept, labels)} />
    <div class="stack"><label>${t("threshold")}: ${number(threshold, 2)}<input type="range" min="0.01" max="1" step="0.01" value=${threshold} onInput=${(/** @type {any} */ e) => choose(Number(e.target.value))} /></label>
    <p>${t("test.found", { n: kept.length })} <span class="quiet">${t("test.took", { s: number(shown.seconds, 2) })}</span></p>
    <${Table} label=${t("test.labels")} rows=${rows} sorted=${[2, -1]} empty=${t("test.nothing")} columns=${[
      { title: t("label"), value: (/** @type {any} */ one) => one.label, show: (/** @type {any} */ one) => html`<span class="swatch" style=${{ background: labelColour(labels.indexOf(one.label)) }}></span>${one.label}` },
      { title: t("test.count"), isNumber: true, value: (/** @type {any} */ one) => one.count },
      { title: t("test.best"), isNumber: true, value: (/** @type {any} */ one) => one.best ?? 0, show: (/** @type {any} */ one) => (one.best === null ? "–" : score(one.best)) },
    ]} /></div></div><${AddPicture} key=${shown.src} model=${model} file=${shown.file} found=${kept} />`;
}

/** @param {{model: any, threshold: number}} props */
function Programs({ model, threshold }) {
  const [language, setLanguage] = useState("");
  const found = programs(model, threshold);
  return html`<section class="stack"><h2>${t("test.programs")}</h2><p class="quiet">${t("test.programs.text")}</p>
    <div class="row">${Object.keys(found).map((one) => html`<button type="button" onClick=${() => setLanguage(one)}>${one}</button>`)}</div>
    ${language && html`<${Dialog} title=${language} close=${() => setLanguage("")}><${Code} label=${language} text=${found[language]} />
      <form method="dialog" class="ends"><button>${t("close")}</button></form><//>`}</section>`;
}

/** @param {File} file @returns {Promise<string>} */
const base64 = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ""));
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});
