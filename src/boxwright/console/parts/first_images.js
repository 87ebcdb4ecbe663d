// @ts-check
// An empty list of datasets: images from this computer make the first one.
import { html, useState } from "../vendor/ui.js";
import { speak, t } from "../app/i18n.js";
import { uploadsTo } from "../app/uploads.js";
import { DropZone } from "./upload.js";

await speak("uploads");

/** @param {{dialog: any}} props `dialog`: asks for a dataset's name and kind */
export function FirstImages({ dialog }) {
  const [chosen, setChosen] = useState(/** @type {any} */ (null));
  return html`<div class="stack"><${DropZone} title=${t("datasets.empty")} text=${t("upload.first")} permission="automl.datasets.create" take=${setChosen} />
    <p class="quiet">${t("datasets.empty.text")}</p></div>
    ${chosen && html`<${dialog} name=${nameOf(chosen)} note=${t("upload.follows", { n: chosen.length })} made=${(/** @type {any} */ dataset) => uploadsTo(dataset.name).add(chosen)} close=${() => setChosen(null)} />`}`;
}

/** A dataset's name after the folder that the files are in. @param {any[]} chosen */
function nameOf(chosen) {
  const [folder, ...rest] = chosen[0].path.split("/");
  const name = (rest.length ? folder : "").replace(/[^A-Za-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 32);
  return name || "images";
}
