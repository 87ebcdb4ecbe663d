// @ts-check
// A dataset's images: which are shown, how, and what is done with many of them at once.
import { html, useCallback, useEffect, useMemo, useRef, useState } from "../vendor/ui.js";
import { idOf } from "../app/api.js";
import { number, speak, t } from "../app/i18n.js";
import { href, route } from "../app/router.js";
import { kindOf } from "../app/resources.js";
import { language, notify } from "../app/store.js";
import { may } from "../app/watch.js";
import { ExampleTile, spoken } from "../parts/example_tile.js";
import { ASKED, examplesPath, labelsOf, readExamples } from "../parts/examples.js";
import { Grid, NOTHING } from "../parts/grid.js";
import { PAGE, usePaged } from "../parts/paged.js";
import { Empty, Loaded, Trouble, useCalls, useLoad } from "../parts/page.js";
import { Actions, UPDATE, change } from "./image_actions.js";
import { Filters } from "./image_filters.js";

await speak("images");
const [LEAST_PX, MOST_PX] = [128, 320];
/** How images were shown last, until the tab is closed; and which one was opened from which list. */
const last = { tilePx: 176, showsBoxes: true, list: "", index: 0 };

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

/**
 * The names of chosen examples, as they were when they were chosen: a list that is read again may have moved.
 * @param {import("../parts/grid.js").Chosen} chosen @param {(index: number) => any} item
 */
function useNames(chosen, item) {
  const { current } = useRef(/** @type {Map<number, string>} */ (new Map()));
  for (const index of [...current.keys()]) if (!chosen.places.has(index)) current.delete(index);
  for (const index of chosen.places) if (!current.has(index) && item(index)) current.set(index, item(index).name);
  return (/** @type {Iterable<number>} */ places) => [...places].map((index) => current.get(index) ?? "").filter(Boolean);
}

/** The label of a key: its own, else by its place in the list. @param {any[]} labels @param {string} key */
const labelOfKey = (labels, key) => labels.find((one) => one.hotKey === key) ?? (/^[1-9]$/.test(key) ? labels[Number(key) - 1] : undefined);

/** @param {{dataset: any, labels: any[], query: URLSearchParams, again: () => void}} props */
function Shown({ dataset, labels, query, again }) {
  const [tilePx, setTile] = useState(last.tilePx);
  const [showsBoxes, setBoxes] = useState(last.showsBoxes);
  Object.assign(last, { tilePx, showsBoxes });
  const [changes, setChanges] = useState(0);
  const list = `${dataset.name} ${query}`;
  const isClassified = kindOf(dataset) === "classification";
  const [chosen, choose] = useState(NOTHING);
  const { total, error, item, want, again: reload } = usePaged((skip, count, signal) => readExamples(dataset.name, query, skip, count, signal), list);
  const names = useNames(chosen, item);
  const colours = useMemo(() => new Map(labels.map((one) => [one.displayName, one.shade])), [labels]);
  useCalls([{ verb: "GET", path: examplesPath(dataset.name, query, 0, PAGE) }]);
  useEffect(() => choose(NOTHING), [String(query)]);
  const ask = (/** @type {Record<string, string>} */ values) => {
    const next = new URLSearchParams(query);
    for (const [key, value] of Object.entries(values)) value ? next.set(key, value) : next.delete(key);
    location.hash = imagesHref(dataset, next);
  };
  const open = (/** @type {number} */ index) => {
    const one = item(index);
    if (!one) return;
    Object.assign(last, { list, index });
    location.hash = imagesHref(dataset, new URLSearchParams([...query, ["at", String(index)]]), idOf(one.name));
  };
  const done = () => {
    choose(NOTHING);
    setChanges((/** @type {number} */ one) => one + 1);
    reload();
    again();
  };
  const press = (/** @type {any} */ event, /** @type {number} */ active, /** @type {(index: number) => void} */ move) => {
    const label = isClassified && !chosen.isAll ? labelOfKey(labels, event.key) : undefined;
    const one = item(active);
    if (!label || !may(UPDATE) || !one) return false;
    const meant = chosen.places.size > 1 ? names(chosen.places) : [one.name];
    change(dataset.name, { names: meant.slice(0, 1000) }, [["batchUpdate", { addLabel: label.displayName }]], done).catch((error) => notify(error.message));
    if (meant.length === 1 && !query.get("state") && !query.get("label")) move(active + 1); // else the next one comes to this place
    return true;
  };
  const tile = useCallback((/** @type {any} */ one, /** @type {number} */ widthPx, /** @type {number} */ heightPx) => html`<${ExampleTile} example=${one} colours=${colours} widthPx=${widthPx} heightPx=${heightPx} showsBoxes=${showsBoxes} />`, [colours, showsBoxes, language.value]);
  return html`<div class="beside"><${Filters} labels=${labels} query=${query} change=${ask} dataset=${dataset} changed=${changes} hasBoxes=${!isClassified} />
    <section class="stack" aria-label=${t("images")}>
      <div class="row"><span role="status">${total === undefined ? t("loading") : t("images.n", { n: total })}</span>
        <label class="row small">${t("images.size")}<input type="range" min=${LEAST_PX} max=${MOST_PX} step="16" value=${tilePx} onInput=${(/** @type {any} */ e) => setTile(Number(e.target.value))} /></label>
        <label class="row small"><input type="checkbox" checked=${showsBoxes} onChange=${(/** @type {any} */ e) => setBoxes(e.target.checked)} />${t("images.boxes")}</label>${total ? html`<span class="quiet small">${t("images.open.hint")}</span>` : ""}</div>
      ${total === 0 && !query.size ? null : html`<${Actions} dataset=${dataset} labels=${labels} query=${query} chosen=${chosen} choose=${choose} total=${total ?? 0} names=${names} open=${open} done=${done} isClassified=${isClassified} />`}
      ${error && html`<${Trouble} error=${error} again=${reload} />`}
      ${total === 0 && !error && (query.size ? html`<${Empty} title=${t("images.none.such")} text=${t("images.none.such.text")}><a class="button" href=${imagesHref(dataset, new URLSearchParams())}>${t("images.all")}</a><//>`
        : html`<${Empty} title=${t("images.none")} text=${t("images.none.text")}><a class="button first" href=${href("datasets", idOf(dataset.name), "import")}>${t("tab.import")}</a><//>`)}
      ${total ? html`<${Grid} key=${String(query)} total=${total} item=${item} want=${want} tilePx=${tilePx} label=${`${t("images")}: ${number(total)}`} chosen=${chosen} choose=${choose} open=${open} tile=${tile} name=${spoken} start=${last.list === list ? last.index : 0} press=${press} />
        <p class="quiet small">${t("images.keys")} ${isClassified && t("images.keys.labels")}</p>` : null}</section></div>`;
}
