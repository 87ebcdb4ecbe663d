// @ts-check
// What is done with the chosen images, all at once: sets, labels, states, deletion. Each can be taken back.
import { html, useState } from "../vendor/ui.js";
import { post } from "../app/api.js";
import { t } from "../app/i18n.js";
import { notify } from "../app/store.js";
import { SETS, filterOfAll } from "../parts/examples.js";
import { NOTHING } from "../parts/grid.js";
import { Act, Trouble } from "../parts/page.js";

const MOST_NAMES = 1000; // that a call takes
export const UPDATE = "automl.examples.update";

/**
 * Sends changes of many images, one after the other, says what is done, and offers to take it back.
 * @param {string} dataset its name @param {any} which names, or a filter and its count @param {[string, any][]} steps verbs with what they say
 * @param {() => void} done is called after a change, and after it is taken back
 */
export async function change(dataset, which, steps, done) {
  /** @type {string[]} */
  const made = [];
  let most = 0;
  try {
    for (const [verb, body] of steps) {
      const { change: name, updatedCount = 0, deletedCount = 0 } = await post(`${dataset}/examples:${verb}`, { ...which, ...body });
      if (name) made.unshift(name);
      most = Math.max(most, updatedCount, deletedCount);
    }
  } finally {
    const sentence = steps[0][0] === "batchDelete" ? "images.deleted" : "images.changed";
    if (made.length || most) notify(t(sentence, { n: most }), made.length ? { label: t("undo"), does: () => revert(made, done) } : undefined);
    if (made.length) done();
  }
}

/** @param {string[]} made names of changes, the last first @param {() => void} done */
async function revert(made, done) {
  let kept = 0;
  for (const name of made) kept = Math.max(kept, (await post(`${name}:revert`)).keptCount ?? 0);
  notify(kept ? t("images.reverted.some", { n: kept }) : t("images.reverted"));
  done();
}

/**
 * @param {{dataset: any, labels: any[], query: URLSearchParams, chosen: import("../parts/grid.js").Chosen, choose: (chosen: any) => void, total: number,
 *   names: (places: Iterable<number>) => string[], open: (index: number) => void, done: () => void, isClassified: boolean}} props
 *   `names`: of the examples at these places, as far as they are known
 */
export function Actions({ dataset, labels, query, chosen, choose, total, names, open, done, isClassified }) {
  const [act, setAct] = useState("");
  const [value, setValue] = useState("");
  const [from, setFrom] = useState("");
  const [error, setError] = useState(/** @type {any} */ (null));
  const count = chosen.isAll ? total : chosen.places.size;
  const found = chosen.isAll ? [] : names(chosen.places);
  let off = count ? "" : t("images.choose");
  if (!chosen.isAll && count > MOST_NAMES) off = t("images.many", { n: MOST_NAMES });
  else if (!chosen.isAll && found.length < count) off = t("images.far");
  const send = async (/** @type {[string, any][]} */ ...steps) => {
    setError(null);
    try {
      await change(dataset.name, chosen.isAll ? { filter: filterOfAll(query), expectedCount: total } : { names: found }, steps, done);
      setAct("");
    } catch (failure) {
      setError(failure);
    }
  };
  const named = labels.map((one) => [one.displayName, one.displayName]);
  const forms = /** @type {Record<string, any>} */ ({
    set: [SETS.map((one) => [one, t(`set.${one}`)]), () => ({ mlUse: value })],
    add: [named, () => ({ addLabel: value })],
    take: [named, () => ({ removeLabel: value })],
    relabel: [named, () => ({ relabelFrom: from, relabelTo: value })],
  });
  const begin = (/** @type {string} */ one) => {
    setAct(act === one ? "" : one);
    setValue(forms[one][0][one === "relabel" && labels.length > 1 ? 1 : 0]?.[0] ?? "");
    setFrom(labels[0]?.displayName ?? "");
    setError(null);
  };
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    send(["batchUpdate", forms[act][1]()]);
  };
  const options = (/** @type {string[][]} */ list) => list.map(([one, say]) => html`<option value=${one}>${say}</option>`);
  return html`<div class=${count ? "bulk" : "bulk none"} role="group" aria-label=${t("images.acts")}>
    <span class="small" role="status">${count ? t("images.chosen", { n: count }) : t("images.choose")}</span>
    <button type="button" disabled=${count !== 1 || chosen.isAll} onClick=${() => open([...chosen.places][0])}>${t("images.open")}</button>
    ${["set", ...(isClassified ? ["add"] : []), "relabel", "take"].map((one) => html`<${Act} permission=${UPDATE} off=${off} does=${() => begin(one)}>${t(`images.act.${one}`)}<//>`)}
    ${!isClassified && html`<${Act} permission=${UPDATE} off=${off} does=${() => send(["batchUpdate", { state: "LABELED" }])}>${t("images.act.confirm")}<//>
      <${Act} permission=${UPDATE} off=${off || (chosen.isAll ? t("images.single") : "")} does=${() => send(["batchUpdate", { state: "UNLABELED" }], ["batchUpdate", { state: "LABELED" }])}>${t("images.act.nothing")}<//>`}
    <${Act} permission="automl.examples.delete" off=${off} look="danger" does=${() => send(["batchDelete", {}])}>${t("delete")}<//>
    <button type="button" class="plain" disabled=${!total || chosen.isAll} onClick=${() => choose({ isAll: true, places: new Set() })}>${t("images.choose.all", { n: total })}</button>
    <button type="button" class="plain" disabled=${!count} onClick=${() => choose(NOTHING)}>${t("images.choose.none")}</button>
    ${act && count > 0 && html`<form class="row" onSubmit=${submit}>
      ${act === "relabel" && html`<label class="row">${t("images.from")}<select value=${from} onChange=${(/** @type {any} */ e) => setFrom(e.target.value)}>${options(named)}</select></label>`}
      <label class="row">${t(act === "relabel" ? "images.to" : `images.act.${act}`)}<select value=${value} onChange=${(/** @type {any} */ e) => setValue(e.target.value)}>${options(forms[act][0])}</select></label>
      <button class="first" disabled=${!value || Boolean(off)}>${t("images.do", { n: count })}</button></form>`}
    ${error && html`<${Trouble} error=${error} />`}</div>`;
}
