// @ts-check
// A dataset's labels: made, renamed, coloured, merged and deleted, and such a change taken back.
import { html, useState } from "../vendor/ui.js";
import { list, post, remove, send } from "../app/api.js";
import { number, speak, t } from "../app/i18n.js";
import { changed, notify } from "../app/store.js";
import { Act, Dialog, Empty, Loaded, useCalls, useLoad } from "../parts/page.js";
import { labelColour } from "../parts/picture.js";
import { Table } from "../parts/table.js";

await speak("labels");

const MOST = 5000; // labels that are shown
const KEYS = /^[0-9a-z]?$/;
/** @param {any} spec @param {number} index */
const colourOf = (spec, index) => spec.colour || labelColour(index);

/** The labels of a dataset, as a part of a page. @param {{dataset: any}} props */
export function Labels({ dataset }) {
  const [open, setOpen] = useState(/** @type {{what: string, spec?: any} | null} */ (null));
  const [done, setDone] = useState(/** @type {{words: string, change: string} | null} */ (null));
  const path = `${dataset.name}/annotationSpecs`;
  const from = useLoad(() => list(path, "annotationSpecs", MOST), [dataset.name]);
  useCalls([{ verb: "GET", path }, { verb: "POST", path, body: { displayName: "my_label", colour: "#1a6abd", hotKey: "1" } }]);
  const close = () => setOpen(null);
  /** @param {string} words @param {string} [change] */
  const end = (words, change) => {
    close();
    if (change) setDone({ words, change });
    else notify(words);
    changed.value++;
    from.again();
  };
  const revert = async () => {
    const answer = await post(`${/** @type {any} */ (done).change}:revert`);
    setDone(null);
    const kept = answer.keptCount ?? 0;
    end(kept ? t("labels.reverted.kept", { n: answer.revertedCount ?? 0, kept }) : t("labels.reverted", { n: answer.revertedCount ?? 0 }));
  };
  const create = html`<${Act} permission="automl.annotationSpecs.create" look="first" does=${() => setOpen({ what: "edit" })}>${t("labels.new")}<//>`;
  return html`<section class="stack"><div class="head"><div><h2>${t("labels.title")}</h2><span class="quiet">${t("labels.sub")}</span></div>${create}</div>
    ${done && html`<div class="note row" role="status"><span>${done.words}</span><${Act} permission="automl.examples.update" does=${revert}>${t("labels.undo")}<//>
      <button type="button" class="plain" onClick=${() => setDone(null)}>${t("close")}</button></div>`}
    <${Loaded} from=${from}>${(/** @type {any[]} */ specs) => html`
      ${specs.length ? html`<${LabelTable} specs=${specs} open=${setOpen} />` : html`<${Empty} title=${t("labels.none")} text=${t("labels.none.text")} />`}
      ${open?.what === "edit" && html`<${Edit} dataset=${dataset} spec=${open.spec} specs=${specs} close=${close} end=${end} />`}
      ${open?.what === "merge" && html`<${Merge} spec=${open.spec} specs=${specs} close=${close} end=${end} />`}
      ${open?.what === "delete" && html`<${Delete} spec=${open.spec} close=${close} end=${end} />`}`}<//></section>`;
}

/** @param {{specs: any[], open: (what: any) => void}} props */
function LabelTable({ specs, open }) {
  const named = (/** @type {any} */ one) => html`<span class="hidden"> ${one.displayName}</span>`;
  const act = (/** @type {string} */ what, /** @type {any} */ spec, /** @type {string} */ permission, off = "") =>
    html`<${Act} permission=${`automl.annotationSpecs.${permission}`} look=${what === "delete" ? "danger plain" : "plain"} off=${off} does=${() => open({ what, spec })}>${t(`labels.${what}`)}${named(spec)}<//>`;
  const rows = specs.map((spec, index) => ({ ...spec, index }));
  return html`<${Table} label=${t("labels.title")} rows=${rows} sorted=${[0, 1]} columns=${[
    { title: t("labels.label"), value: (/** @type {any} */ one) => one.displayName, show: (/** @type {any} */ one) => html`<${Swatch} colour=${colourOf(one, one.index)} />${one.displayName}` },
    { title: t("images"), isNumber: true, value: (/** @type {any} */ one) => one.exampleCount ?? 0 },
    { title: t("labels.given"), isNumber: true, value: (/** @type {any} */ one) => one.annotationCount ?? 0 },
    { title: t("labels.key"), value: (/** @type {any} */ one) => one.hotKey ?? "", show: (/** @type {any} */ one) => (one.hotKey ? html`<kbd>${one.hotKey}</kbd>` : "–") },
    { title: t("labels.acts"), show: (/** @type {any} */ one) => html`<span class="row">${act("edit", one, "update")}
      ${act("merge", one, "delete", specs.length > 1 ? "" : t("labels.merge.alone"))}${act("delete", one, "delete")}</span>` },
  ]} />`;
}

/** A square of a colour; the policy allows no style in markup, but what a script sets. @param {{colour: string}} props */
const Swatch = ({ colour }) => html`<span class="swatch" style=${{ background: colour }} aria-hidden="true"></span>`;

/** @param {{dataset: any, spec?: any, specs: any[], close: () => void, end: (words: string) => void}} props */
function Edit({ dataset, spec, specs, close, end }) {
  const index = spec ? specs.findIndex((one) => one.name === spec.name) : specs.length;
  const [name, setName] = useState(spec?.displayName ?? "");
  const [colour, setColour] = useState(colourOf(spec ?? {}, index));
  const [key, setKey] = useState(spec?.hotKey ?? "");
  const taken = key && specs.find((one) => one.hotKey === key && one.name !== spec?.name);
  const same = specs.find((one) => one.displayName === name.trim() && one.name !== spec?.name);
  const off = !name.trim() ? t("labels.name.needed") : same ? t("labels.name.taken") : !KEYS.test(key) ? t("labels.key.hint") : taken ? t("labels.key.taken", { label: taken.displayName }) : "";
  const save = async () => {
    /** @type {any} */
    const body = { displayName: name.trim(), colour, hotKey: key };
    if (!spec) {
      await post(`${dataset.name}/annotationSpecs`, body);
      return end(t("labels.made", { label: body.displayName }));
    }
    const paths = Object.keys(body).filter((field) => body[field] !== (spec[field] ?? ""));
    if (paths.length) await send("PATCH", `${spec.name}?updateMask=${paths.join("%2C")}`, { ...body, name: spec.name });
    return end(t("labels.saved", { label: body.displayName }));
  };
  return html`<${Dialog} title=${spec ? t("labels.edit.title", { label: spec.displayName }) : t("labels.new")} close=${close}>
    <label>${t("name")}<input value=${name} maxlength="128" autofocus onInput=${(/** @type {any} */ e) => setName(e.target.value)} /><span class="hint">${t("labels.name.hint")}</span></label>
    <label>${t("labels.colour")}<input type="color" value=${colour} onInput=${(/** @type {any} */ e) => setColour(e.target.value)} /></label>
    <label>${t("labels.key")}<input value=${key} maxlength="1" onInput=${(/** @type {any} */ e) => setKey(e.target.value.toLowerCase())} /><span class="hint">${t("labels.key.hint")}</span></label>
    <div class="ends"><button type="button" onClick=${close}>${t("cancel")}</button>
      <${Act} permission=${`automl.annotationSpecs.${spec ? "update" : "create"}`} look="first" off=${off} does=${save}>${t("labels.save")}<//></div><//>`;
}

/** @param {{spec: any, specs: any[], close: () => void, end: (words: string, change?: string) => void}} props */
function Merge({ spec, specs, close, end }) {
  const others = specs.filter((one) => one.name !== spec.name);
  const [into, setInto] = useState(others[0].name);
  const target = others.find((one) => one.name === into) ?? others[0];
  const merge = async () => {
    const answer = await post(`${spec.name}:merge`, { into: target.name, expectedCount: spec.annotationCount ?? 0 });
    end(t("labels.merged", { label: spec.displayName, into: target.displayName, n: answer.updatedCount ?? 0 }), answer.change);
  };
  return html`<${Dialog} title=${t("labels.merge.title", { label: spec.displayName })} close=${close}>
    <p>${t("labels.merge.text", { label: spec.displayName, n: spec.exampleCount ?? 0 })}</p>
    <label>${t("labels.into")}<select value=${target.name} autofocus onChange=${(/** @type {any} */ e) => setInto(e.target.value)}>
      ${others.map((one) => html`<option value=${one.name}>${one.displayName} (${number(one.annotationCount ?? 0)})</option>`)}</select></label>
    <p class="quiet">${t("labels.models")}</p>
    <div class="ends"><button type="button" onClick=${close}>${t("cancel")}</button><${Act} look="first" does=${merge}>${t("labels.merge")}<//></div><//>`;
}

/** @param {{spec: any, close: () => void, end: (words: string, change?: string) => void}} props */
function Delete({ spec, close, end }) {
  const erase = async () => {
    const answer = await remove(`${spec.name}?expectedCount=${spec.annotationCount ?? 0}`);
    end(t("labels.deleted", { label: spec.displayName, n: answer.updatedCount ?? 0 }), answer.change);
  };
  return html`<${Dialog} title=${t("labels.delete.title", { label: spec.displayName })} close=${close}>
    <p>${t("labels.delete.text", { n: spec.exampleCount ?? 0 })}</p>
    <p class="quiet">${t("labels.models")}</p>
    <div class="ends"><button type="button" onClick=${close}>${t("cancel")}</button><${Act} look="danger" does=${erase}>${t("labels.delete")}<//></div><//>`;
}
