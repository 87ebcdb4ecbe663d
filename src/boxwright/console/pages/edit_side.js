// @ts-check
// Beside the picture: the dataset's labels, the boxes of the image as a list, their place in numbers, suggestions.
import { html, useRef, useState } from "../vendor/ui.js";
import { idOf } from "../app/api.js";
import { number, percent, t } from "../app/i18n.js";
import { may } from "../app/watch.js";
import { atLeast, boxOf, moved } from "../editor/geometry.js";
import { hotKeysOf } from "../editor/keys.js";
import { MODEL } from "../editor/model.js";
import { specIdOf } from "../editor/session.js";
import { Act } from "../parts/page.js";
import { coloursOf } from "./edit_field.js";

/** @typedef {import("../editor/session.js").Session} Session */
const [MOST_LABELS, MOST_OPTIONS] = [60, 100]; // of the page's nodes at once
const LABEL_CREATE = "automl.annotationSpecs.create";

/** @param {{session: Session, host: any, models: any[]}} props */
export const Side = ({ session, host, models }) => html`<div class="stack side">
  <${Labels} session=${session} host=${host} /><${Boxes} session=${session} />
  ${session.hasBoxes && html`<${Numbers} session=${session} />`}<${Suggestions} session=${session} host=${host} models=${models} /></div>`;

/** @param {{session: Session, host: any}} props */
function Labels({ session, host }) {
  const [typed, setTyped] = useState("");
  const input = useRef(/** @type {any} */ (null));
  host.search = () => input.current.focus();
  const [specs, keys, colour] = [session.specs.value, hotKeysOf(session.specs.value), coloursOf(session)];
  const wanted = typed.trim().toLowerCase();
  const found = specs.map((spec, index) => ({ spec, key: keys[index], id: specIdOf(spec) })).filter(({ spec }) => spec.displayName.toLowerCase().includes(wanted));
  const exact = found.find(({ spec }) => spec.displayName === typed.trim()) ?? found.find(({ spec }) => spec.displayName.toLowerCase() === wanted);
  const isNew = wanted && !specs.some((one) => one.displayName === typed.trim());
  const given = new Set(session.content.items.filter((one) => one.source !== MODEL).map((one) => one.specId));
  const isOn = (/** @type {string} */ id) => (session.hasBoxes ? id === session.specId.value : given.has(id));
  const choose = (/** @type {string} */ id) => {
    session.label(id);
    setTyped("");
  };
  const add = async () => {
    await session.createLabel(typed.trim());
    setTyped("");
    host.focus();
  };
  const enter = (/** @type {any} */ event) => {
    if (event.key === "Escape") host.focus();
    if (event.key !== "Enter") return;
    event.preventDefault();
    const meant = exact ?? found.find(({ spec }) => spec.displayName.toLowerCase().startsWith(wanted)) ?? found[0];
    if (wanted && meant) choose(meant.id);
    else if (isNew && may(LABEL_CREATE)) return add().catch(() => {});
    host.focus();
  };
  return html`<section class="stack tight" aria-label=${t("edit.labels")}><h2>${t("edit.labels")}</h2>
    <input ref=${input} type="text" aria-label=${t("edit.labels.find")} placeholder=${t("edit.labels.find")} value=${typed} onInput=${(/** @type {any} */ e) => setTyped(e.target.value)} onKeyDown=${enter} />
    ${isNew && html`<${Act} permission=${LABEL_CREATE} does=${add}>${t("edit.labels.add", { label: typed.trim() })}<//>`}
    ${!specs.length && !typed && html`<p class="quiet small">${t("edit.labels.none")}</p>`}
    <div class="picks">${found.slice(0, MOST_LABELS).map(({ spec, key, id }) => html`<button type="button" class="pick" key=${id} aria-pressed=${isOn(id)} onClick=${() => choose(id)}>
      <span class="swatch" style=${{ background: colour(id) }}></span><span class="grow">${spec.displayName}</span>${key && html`<kbd>${key}</kbd>`}</button>`)}</div></section>`;
}

/** How a label is read out. @param {import("../editor/model.js").Item} item @param {number} at @param {number} of */
function spoken({ label, box_norm, source, score }, at, of) {
  const place = box_norm && { left: percent(box_norm[0]), top: percent(box_norm[1]), width: percent(box_norm[2] - box_norm[0]), height: percent(box_norm[3] - box_norm[1]) };
  const option = place ? t("edit.option", { label, at, of, ...place }) : t("edit.option.label", { label, at, of });
  return source === MODEL ? t("edit.option.found", { option, score: number(score, 3) }) : option;
}

/** @param {{session: Session}} props */
function Boxes({ session }) {
  const items = session.visible;
  const at = items.findIndex((one) => session.selected.value.has(one.key));
  const first = Math.max(0, Math.min(at - MOST_OPTIONS / 2, items.length - MOST_OPTIONS));
  const colour = coloursOf(session);
  const move = (/** @type {any} */ event) => {
    const step = /** @type {any} */ ({ ArrowDown: 1, ArrowUp: -1, Home: -items.length, End: items.length })[event.key];
    if (event.key === "Delete") session.remove();
    else if (event.key === "Enter") session.accept(session.chosen);
    else if (step) session.select([items[Math.max(0, Math.min(items.length - 1, at + step))]?.key].filter(Boolean));
    else return;
    event.preventDefault();
  };
  const title = t(session.hasBoxes ? "edit.boxes" : "edit.given");
  return html`<section class="stack tight" aria-label=${title}><h2>${title} <span class="quiet">${number(items.length)}</span></h2>
    ${!items.length && html`<p class="quiet small">${t(session.hasBoxes ? "edit.boxes.none" : "edit.given.none")}</p>`}
    <div class="options-list" role="listbox" aria-label=${title} aria-multiselectable="true" tabindex=${items.length ? 0 : -1} aria-activedescendant=${at < 0 ? undefined : `box-${items[at].key}`} onKeyDown=${move}>
      ${items.slice(first, first + MOST_OPTIONS).map((one, index) => html`<div role="option" id=${`box-${one.key}`} key=${one.key} aria-selected=${session.selected.value.has(one.key)} aria-posinset=${first + index + 1} aria-setsize=${items.length}
        aria-label=${spoken(one, first + index + 1, items.length)} onClick=${() => session.select([one.key])}><span class="swatch ${one.source === MODEL ? "dashed" : ""}" style=${{ background: colour(one.specId) }}></span>
        <span class="grow">${one.label}</span>${one.source === MODEL && html`<span class="quiet small">${number(one.score, 3)}</span>`}</div>`)}</div></section>`;
}

/** The selected box in image pixels. @param {{session: Session}} props */
function Numbers({ session }) {
  const active = session.active;
  const box = active?.box_norm;
  if (!active || !box || active.key < 0) return null;
  const { width_px, height_px } = session.image;
  /** @returns {Record<string, number>} */
  const numbersOf = (/** @type {import("../editor/model.js").Box} */ [left, top, right, bottom]) => ({ x: left * width_px, y: top * height_px, w: (right - left) * width_px, h: (bottom - top) * height_px });
  const tenths = (/** @type {number} */ value) => Math.round(value * 10) / 10;
  const shown = numbersOf(box);
  const change = (/** @type {string} */ name, /** @type {string} */ text) => {
    const value = Number(text);
    if (!text || !Number.isFinite(value)) return;
    const [least_w, least_h] = session.least_norm;
    if (name === "x") return session.place((one) => moved(one, value / width_px - one[0], 0));
    if (name === "y") return session.place((one) => moved(one, 0, value / height_px - one[1]));
    const right = name === "w" ? box[0] + Math.max(least_w, value / width_px) : box[2];
    const bottom = name === "h" ? box[1] + Math.max(least_h, value / height_px) : box[3];
    session.place(() => atLeast(boxOf(box[0], box[1], right, bottom), session.least_norm));
  };
  const changed = (/** @type {string} */ name, /** @type {any} */ field) => {
    change(name, field.value);
    const now = session.active?.box_norm;
    if (now) field.value = String(tenths(numbersOf(now)[name])); // what the box has, not what was asked for
  };
  return html`<fieldset><legend>${t("edit.numbers")}</legend><div class="four">${["x", "y", "w", "h"].map((name) => html`<label class="small">${t(`edit.numbers.${name}`)}
    <input type="number" min="0" step="any" value=${tenths(shown[name])} onChange=${(/** @type {any} */ e) => changed(name, e.target)} /></label>`)}</div>
    <p class="quiet small">${t("edit.numbers.small")}</p></fieldset>`;
}

/** @param {{session: Session, host: any, models: any[]}} props */
function Suggestions({ session, host, models }) {
  const [name, setName] = useState("");
  const ready = models.filter((one) => one.name);
  const model = ready.find((one) => one.name === name) ?? ready[0];
  const open = session.visible.filter((one) => one.source === MODEL && one.score >= session.threshold.value);
  const ask = () => session.suggest(model.name);
  host.suggest = () => model && may("automl.models.predict") && ask().catch((/** @type {any} */ failure) => session.say("edit.failed", { why: failure.message }));
  const isChosen = session.chosen.some((one) => one.source === MODEL);
  return html`<section class="stack tight" aria-label=${t("edit.suggestions")}><h2>${t("edit.suggestions")}</h2>
    ${ready.length > 0 && html`<label class="small">${t("edit.suggest.model")}<select value=${model.name} onChange=${(/** @type {any} */ e) => setName(e.target.value)}>${ready.map((one) => html`<option value=${one.name}>${one.displayName || idOf(one.name)}</option>`)}</select></label>`}
    <label class="small">${t("threshold")}: ${number(session.threshold.value, 2)}<input type="range" min="0.05" max="1" step="0.05" value=${session.threshold.value} onInput=${(/** @type {any} */ e) => { session.threshold.value = Number(e.target.value); }} /></label>
    <div class="row"><${Act} permission="automl.models.predict" off=${model ? "" : t("edit.suggest.none")} does=${ask}>${t("edit.suggest")} <kbd>S</kbd><//>
      ${open.length > 0 && html`<button type="button" onClick=${() => session.acceptAll()}>${t("edit.suggest.all", { n: open.length })}</button>`}
      ${isChosen && html`<button type="button" onClick=${() => session.accept(session.chosen)}>${t("edit.suggest.accept")}</button><button type="button" onClick=${() => session.remove()}>${t("edit.suggest.reject")}</button>`}</div>
    ${open.length > 0 && html`<p class="quiet small">${t("edit.suggest.dropped")}</p>`}</section>`;
}
