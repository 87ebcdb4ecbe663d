// @ts-check
// Which images of a dataset are shown: by label, set, state, boxes and file name, each with its count where it is known.
import { html, useEffect, useState } from "../vendor/ui.js";
import { get } from "../app/api.js";
import { number, t } from "../app/i18n.js";
import { BOX_CHOICES, ORDERS, SETS, STATES } from "../parts/examples.js";
import { useLoad } from "../parts/page.js";

const [TYPED_MS, MOST_LABELS] = [350, 200];

/** Images by set and by state. @param {any} summary */
function countsOf(summary) {
  /** @type {Record<string, number>} */
  const found = {};
  for (const { mlUse, state, exampleCount = 0 } of summary?.counts ?? []) {
    for (const key of [mlUse, state]) found[key] = (found[key] ?? 0) + exampleCount;
  }
  return found;
}

/**
 * @param {{labels: any[], query: URLSearchParams, change: (values: Record<string, string>) => void, dataset: any, changed: number, hasBoxes: boolean}} props
 *   `changed` grows with each change of the images
 */
export function Filters({ labels, query, change, dataset, changed, hasBoxes }) {
  const from = useLoad((signal) => get(`${dataset.name}:summarize`, signal).catch(() => null), [dataset.name, changed]);
  const [counts, setCounts] = useState(/** @type {Record<string, number>} */ ({}));
  useEffect(() => void (from.value && setCounts(countsOf(from.value))), [from.value]);
  const [typed, setTyped] = useState(query.get("name") ?? "");
  useEffect(() => {
    if (typed === (query.get("name") ?? "")) return;
    const timer = setTimeout(() => change({ name: typed }), TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const group = (/** @type {string} */ key, /** @type {string[]} */ values, /** @type {string} */ title, /** @type {(one: string) => string} */ say) => html`<label>${title}
    <select value=${query.get(key) ?? ""} onChange=${(/** @type {any} */ e) => change({ [key]: e.target.value })}><option value="">${t("all")}</option>
      ${values.map((one) => html`<option value=${one}>${say(one)}${counts[one] === undefined ? "" : ` (${number(counts[one])})`}</option>`)}</select></label>`;
  const label = query.get("label") ?? "";
  const [startsOpen] = useState(() => matchMedia("(min-width: 901px)").matches || query.size > 0);
  return html`<details class="card filters" open=${startsOpen}><summary>${t("images.filter")}</summary><form class="stack" role="search" aria-label=${t("images.filter")} onSubmit=${(/** @type {any} */ e) => e.preventDefault()}>
    <label>${t("images.name")}<input type="search" value=${typed} onInput=${(/** @type {any} */ e) => setTyped(e.target.value)} /></label>
    ${group("state", STATES, t("state"), (one) => t(`example.${one}`))}
    ${group("set", SETS, t("images.set"), (one) => t(`set.${one}`))}
    ${hasBoxes && group("boxes", BOX_CHOICES, t("images.sizes"), (one) => t(`boxes.${one}`))}
    <label>${t("images.order")}<select value=${query.get("order") ?? ""} onChange=${(/** @type {any} */ e) => change({ order: e.target.value === ORDERS[0] ? "" : e.target.value })}>
      ${ORDERS.filter((one) => hasBoxes || !one.startsWith("boxes")).map((one) => html`<option value=${one === ORDERS[0] ? "" : one}>${t(`images.order.${one.replace(" ", ".")}`)}</option>`)}</select></label>
    <fieldset><legend>${t("label")}</legend><div class="choices">
      <button type="button" class="choice" aria-pressed=${!label} onClick=${() => change({ label: "" })}>${t("all")}</button>
      ${labels.slice(0, MOST_LABELS).map((one) => html`<button type="button" class="choice" key=${one.name} aria-pressed=${label === one.displayName} onClick=${() => change({ label: label === one.displayName ? "" : one.displayName })}>
        <span class="swatch" style=${{ background: one.shade }}></span><span class="word">${one.displayName}</span><span class="count">${number(one.exampleCount ?? 0)}</span></button>`)}</div>
      ${labels.length > MOST_LABELS && html`<p class="quiet small">${t("images.labels.more", { n: labels.length - MOST_LABELS })}</p>`}</fieldset></form></details>`;
}
