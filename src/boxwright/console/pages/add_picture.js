// @ts-check
// Puts a picture that a model has looked at into a dataset, with what was found as suggestions.
import { html, useState } from "../vendor/ui.js";
import { idOf, send, sendBytes } from "../app/api.js";
import { t } from "../app/i18n.js";
import { datasets, kindOf } from "../app/resources.js";
import { href } from "../app/router.js";
import { Act, Loaded, useLoad } from "../parts/page.js";

const [LEAST_EDGE_PX, LEAST_EDGE_NORM] = [2, 0.01]; // of a box: what a dataset takes has one of them
const MOST = 5000; // labels of an image

/** What a dataset takes of what was found, best first. @param {any[]} found payloads @param {any} dataset @param {any} example where it goes */
export function suggestions(found, dataset, example) {
  const isLarge = (/** @type {any} */ one) => {
    const corners = one.imageObjectDetection?.boundingBox?.normalizedVertices ?? [];
    return [["x", example.widthPx], ["y", example.heightPx]].every(([axis, side_px]) => {
      const values = corners.map((/** @type {any} */ corner) => corner[axis] ?? 0);
      const edge_norm = Math.max(...values) - Math.min(...values);
      return edge_norm >= LEAST_EDGE_NORM || edge_norm * side_px >= LEAST_EDGE_PX;
    });
  };
  const named = found.map(({ annotationSpecId, ...rest }) => rest); // the model's ids; another dataset knows its labels by name
  if (kindOf(dataset) === "detection") return named.filter(isLarge).slice(0, MOST);
  return named.slice(0, dataset.imageClassificationDatasetMetadata?.classificationType === "MULTILABEL" ? MOST : 1);
}

/** @param {{model: any, file: File, found: any[]}} props `found`: payloads above the threshold, best first */
export function AddPicture({ model, file, found }) {
  const [name, setName] = useState("");
  const [done, setDone] = useState(/** @type {any} */ (null));
  const from = useLoad(async () => (await datasets()).filter((one) => kindOf(one) === kindOf(model)), [model.name]);
  return html`<section class="card"><h2>${t("add.title")}</h2><p class="quiet">${t("add.text")}</p><${Loaded} from=${from}>${(/** @type {any[]} */ sets) => {
    const dataset = sets.find((one) => one.name === name) ?? sets.find((one) => idOf(one.name) === model.datasetId) ?? sets[0];
    if (!dataset) return html`<p>${t("add.nowhere")} <a href=${href("datasets")}>${t("nav.datasets")}</a></p>`;
    const add = async () => {
      const made = await sendBytes(`${dataset.name}/examples:upload?${new URLSearchParams({ displayName: file.name })}`, file);
      const annotations = suggestions(found, dataset, made);
      const isNew = made.state === "UNLABELED"; // labels of an image that was there already stay as they are
      if (isNew && annotations.length) await send("PATCH", `${made.name}?updateMask=state,annotations,sources`, { name: made.name, etag: made.etag, state: "SUGGESTED", annotations, sources: annotations.map(() => "MODEL") });
      setDone({ dataset, isNew, state: isNew && annotations.length ? "SUGGESTED" : made.state });
    };
    return html`<div class="row"><label class="row">${t("dataset")}<select value=${dataset.name} onChange=${(/** @type {any} */ e) => setName(e.target.value)}>${sets.map((one) => html`<option value=${one.name}>${one.displayName}</option>`)}</select></label>
        <${Act} permission="automl.datasets.import" does=${add}>${t("add.do")}<//></div>
      ${done && html`<p role="status">${t(done.isNew ? "add.done" : "add.there", { name: done.dataset.displayName })} <a href=${`${href("datasets", idOf(done.dataset.name), "images")}?state=${done.state}`}>${t("add.open")}</a></p>`}`;
  }}<//></section>`;
}
