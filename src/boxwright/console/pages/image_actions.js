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

/** Which examples a call means: their names, or everything that the filter lets pass. */
function selected(/** @type {any} */ { chosen, query, total, item }) {
  if (chosen.isAll) return { filter: filterOfAll(query), expectedCount: total };
  return { names: [...chosen.places].map((index) => item(index)?.name).filter(Boolean) };
}

/**
 * @param {{dataset: any, labels: any[], query: URLSearchParams, chosen: import("../parts/grid.js").Chosen, choose: (chosen: any) => void, total: number,
 *   item: (index: number) => any, open: (index: number) => void, done: () => void, isClassified: boolean}} props
 */
export function Actions(props) {
  const { dataset, labels, chosen, choose, total, item, open, done, isClassified } = props;
  const [act, setAct] = useState("");
  const [value, setValue] = useState("");
  const [from, setFrom] = useState("");
  const [error, setError] = useState(/** @type {any} */ (null));
  const count = chosen.isAll ? total : chosen.places.size;
  const missing = chosen.isAll ? 0 : [...chosen.places].filter((index) => !item(index)).length;
  const off = !count ? t("images.choose") : missing ? t("images.far") : !chosen.isAll && count > MOST_NAMES ? t("images.many", { n: MOST_NAMES }) : "";
  const revert = async (/** @type {string} */ change) => {
    const { keptCount = 0 } = await post(`${change}:revert`);
    notify(keptCount ? t("images.reverted.some", { n: keptCount }) : t("images.reverted"));
    done();
  };
  const send = async (/** @type {string} */ verb, /** @type {any} */ body) => {
    setError(null);
    try {
      const answer = await post(`${dataset.name}/examples:${verb}`, { ...selected(props), ...body });
      const n = answer.updatedCount ?? answer.deletedCount ?? 0;
      notify(t(verb === "batchDelete" ? "images.deleted" : "images.changed", { n }), answer.change && { label: t("undo"), does: () => revert(answer.change) });
      setAct("");
      done();
    } catch (failure) {
      setError(failure);
    }
  };
  const forms = /** @type {Record<string, any>} */ ({
    set: [SETS.map((one) => [one, t(`set.${one}`)]), () => ({ mlUse: value })],
    add: [labels.map((one) => [one.displayName, one.displayName]), () => ({ addLabel: value })],
    take: [labels.map((one) => [one.displayName, one.displayName]), () => ({ removeLabel: value })],
    relabel: [labels.map((one) => [one.displayName, one.displayName]), () => ({ relabelFrom: from, relabelTo: value })],
  });
  const begin = (/** @type {string} */ one) => {
    setAct(act === one ? "" : one);
    setValue(forms[one][0][0]?.[0] ?? "");
    setFrom(labels[0]?.displayName ?? "");
    setError(null);
  };
  const may = "automl.examples.update";
  const acts = ["set", ...(isClassified ? ["add"] : []), "relabel", "take"];
  const options = (/** @type {string[][]} */ found) => found.map(([one, say]) => html`<option value=${one}>${say}</option>`);
  return html`<div class="bulk" role="group" aria-label=${t("images.acts")}>
    <span class="small" role="status">${count ? t("images.chosen", { n: count }) : t("images.choose")}</span>
    ${count === 1 && !chosen.isAll && html`<button type="button" onClick=${() => open([...chosen.places][0])}>${t("images.open")}</button>`}
    ${count > 0 && acts.map((one) => html`<${Act} permission=${may} off=${off} does=${() => begin(one)}>${t(`images.act.${one}`)}<//>`)}
    ${count > 0 && !isClassified && html`<${Act} permission=${may} off=${off} does=${() => send("batchUpdate", { state: "LABELED" })}>${t("images.act.confirm")}<//>`}
    ${count > 0 && html`<${Act} permission="automl.examples.delete" off=${off} look="danger" does=${() => send("batchDelete", {})}>${t("delete")}<//>`}
    ${total > 0 && !chosen.isAll && html`<button type="button" class="plain" onClick=${() => choose({ isAll: true, places: new Set() })}>${t("images.choose.all", { n: total })}</button>`}
    ${count > 0 && html`<button type="button" class="plain" onClick=${() => choose(NOTHING)}>${t("images.choose.none")}</button>`}
    ${act && count > 0 && html`<form class="row" onSubmit=${(/** @type {any} */ e) => { e.preventDefault(); send("batchUpdate", forms[act][1]()); }}>
      ${act === "relabel" && html`<label class="row">${t("images.from")}<select value=${from} onChange=${(/** @type {any} */ e) => setFrom(e.target.value)}>${options(forms.relabel[0])}</select></label>`}
      <label class="row">${t(act === "relabel" ? "images.to" : `images.act.${act}`)}<select value=${value} onChange=${(/** @type {any} */ e) => setValue(e.target.value)}>${options(forms[act][0])}</select></label>
      <button class="first" disabled=${!value}>${t("images.do", { n: count })}</button></form>`}
    ${error && html`<${Trouble} error=${error} />`}</div>`;
}
