// @ts-check
// A dataset's images: which are shown, how, and what is done with many of them at once.
import { html, useEffect, useMemo, useState } from "../vendor/ui.js";
import { idOf } from "../app/api.js";
import { number, speak, t } from "../app/i18n.js";
import { href, route } from "../app/router.js";
import { kindOf } from "../app/resources.js";
import { ExampleTile, spoken } from "../parts/example_tile.js";
import { ASKED, examplesPath, labelsOf, readExamples } from "../parts/examples.js";
import { Grid, NOTHING, isChosen } from "../parts/grid.js";
import { usePaged } from "../parts/paged.js";
import { Empty, Loaded, Trouble, useCalls, useLoad } from "../parts/page.js";
import en from "../text/en_images.js";
import id from "../text/id_images.js";
import { Actions } from "./image_actions.js";
import { Filters } from "./image_filters.js";

speak(en, id);
const [LEAST_PX, MOST_PX, USUAL_PX] = [128, 320, 176];

/** The address of the images that a query asks for, or of one of them. @param {any} dataset @param {URLSearchParams} query @param {string} [example] its id */
export const imagesHref = (dataset, query, example = "") =>
  `${href("datasets", idOf(dataset.name), "images", ...(example ? [example] : []))}${query.size ? `?${query}` : ""}`;

/** @param {{dataset: any}} props */
export function Images({ dataset }) {
  const asked = route.value.query;
  const query = useMemo(() => new URLSearchParams([...asked].filter(([key, value]) => ASKED.includes(key) && value)), [String(asked)]);
  const labels = useLoad(() => labelsOf(dataset.name), [dataset.name]);
  return html`<${Loaded} from=${labels}>${(/** @type {any[]} */ found) => html`<${Shown} key=${dataset.name} dataset=${dataset} labels=${found} query=${query} again=${labels.again} />`}<//>`;
}

/** @param {{dataset: any, labels: any[], query: URLSearchParams, again: () => void}} props */
function Shown({ dataset, labels, query, again }) {
  const [tilePx, setTile] = useState(USUAL_PX);
  const [showsBoxes, setBoxes] = useState(true);
  const [chosen, choose] = useState(NOTHING);
  const { total, error, item, want, again: reload } = usePaged((skip, count, signal) => readExamples(dataset.name, query, skip, count, signal), `${dataset.name} ${query}`);
  const colours = useMemo(() => new Map(labels.map((one) => [one.displayName, one.shade])), [labels]);
  useCalls([{ verb: "GET", path: examplesPath(dataset.name, query, 0, 100) }]);
  useEffect(() => choose(NOTHING), [String(query)]);
  const change = (/** @type {Record<string, string>} */ values) => {
    const next = new URLSearchParams(query);
    for (const [key, value] of Object.entries(values)) value ? next.set(key, value) : next.delete(key);
    location.hash = imagesHref(dataset, next);
  };
  const open = (/** @type {number} */ index) => {
    const one = item(index);
    if (one) location.hash = imagesHref(dataset, new URLSearchParams([...query, ["at", String(index)]]), idOf(one.name));
  };
  const done = () => {
    choose(NOTHING);
    reload();
    again();
  };
  const edgePx = tilePx * (globalThis.devicePixelRatio || 1) > 256 ? 640 : 256;
  const tile = (/** @type {any} */ one, /** @type {number} */ index) => html`<${ExampleTile} example=${one} colours=${colours} edgePx=${edgePx} showsBoxes=${showsBoxes} isChosen=${isChosen(chosen, index)} />`;
  return html`<div class="beside"><${Filters} labels=${labels} query=${query} change=${change} dataset=${dataset} changed=${chosen} />
    <section class="stack" aria-label=${t("images")}>
      <div class="row"><span role="status">${total === undefined ? t("loading") : t("images.n", { n: total })}</span>
        <label class="row small">${t("images.size")}<input type="range" min=${LEAST_PX} max=${MOST_PX} step="16" value=${tilePx} onInput=${(/** @type {any} */ e) => setTile(Number(e.target.value))} /></label>
        <label class="row small"><input type="checkbox" checked=${showsBoxes} onChange=${(/** @type {any} */ e) => setBoxes(e.target.checked)} />${t("images.boxes")}</label></div>
      <${Actions} dataset=${dataset} labels=${labels} query=${query} chosen=${chosen} choose=${choose} total=${total ?? 0} item=${item} open=${open} done=${done} isClassified=${kindOf(dataset) === "classification"} />
      ${error && html`<${Trouble} error=${error} again=${reload} />`}
      ${total === 0 && !error && (query.size ? html`<${Empty} title=${t("images.none.such")} text=${t("images.none.such.text")}><a class="button" href=${imagesHref(dataset, new URLSearchParams())}>${t("images.all")}</a><//>`
        : html`<${Empty} title=${t("images.none")} text=${t("images.none.text")}><a class="button first" href=${href("datasets", idOf(dataset.name), "import")}>${t("tab.import")}</a><//>`)}
      ${total ? html`<${Grid} key=${String(query)} total=${total} item=${item} want=${want} tilePx=${tilePx} label=${`${t("images")}: ${number(total)}`} chosen=${chosen} choose=${choose} open=${open} tile=${tile} name=${spoken} />
        <p class="quiet small">${t("images.keys")}</p>` : null}</section></div>`;
}
