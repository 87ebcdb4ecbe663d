// @ts-check
// Images from this computer: dropped, chosen or pasted; how far they are, and what became of each.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { ofFiles, ofTransfer } from "../app/dropped.js";
import { speak, t } from "../app/i18n.js";
import { notify } from "../app/store.js";
import { uploadsTo } from "../app/uploads.js";
import { may } from "../app/watch.js";
import { Numbers, Trouble } from "./page.js";
import { save } from "./save.js";

await speak("uploads");

const ROW_PX = 54;
const LIST_PX = 378;
const PERMISSION = "automl.datasets.import";
const STATES = ["all", "waiting", "sending", "added", "there", "refused"];

/** A place for files. @param {{take: (chosen: any[]) => void, title: string, text: string, permission?: string}} props */
export function DropZone({ take, title, text, permission = PERMISSION }) {
  const [isOver, setOver] = useState(false);
  const [isReading, setReading] = useState(false);
  const files = useRef(/** @type {any} */ (null));
  const folder = useRef(/** @type {any} */ (null));
  const off = may(permission) ? "" : t("denied", { permission });
  const given = async (/** @type {Promise<any[]> | any[]} */ chosen) => {
    setReading(true);
    const found = await chosen;
    setReading(false);
    if (off) notify(off);
    else if (found.length) take(found);
  };
  useEffect(() => {
    folder.current.webkitdirectory = true;
    const paste = (/** @type {any} */ event) => {
      if (!event.clipboardData?.files.length) return;
      event.preventDefault();
      given(ofTransfer(event.clipboardData));
    };
    addEventListener("paste", paste);
    return () => removeEventListener("paste", paste);
  }, [off]);
  const drop = (/** @type {any} */ event) => {
    event.preventDefault();
    setOver(false);
    given(ofTransfer(event.dataTransfer));
  };
  const over = (/** @type {any} */ event) => {
    event.preventDefault();
    setOver(true);
  };
  const pick = (/** @type {any} */ event) => {
    given(ofFiles(event.target.files));
    event.target.value = ""; // the same files can be chosen again
  };
  return html`<div class="drop ${isOver ? "over" : ""}" onDragOver=${over} onDragEnter=${over} onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <h2>${title}</h2><p class="quiet">${text}</p>
    <div class="row"><button type="button" class="first" aria-disabled=${Boolean(off)} title=${off} onClick=${() => off || files.current.click()}>${t("upload.files")}</button>
      <button type="button" aria-disabled=${Boolean(off)} title=${off} onClick=${() => off || folder.current.click()}>${t("upload.folder")}</button></div>
    <input ref=${files} type="file" multiple hidden data-of="files" aria-label=${t("upload.files")} onChange=${pick} />
    <input ref=${folder} type="file" hidden data-of="folder" aria-label=${t("upload.folder")} onChange=${pick} />
    ${isReading && html`<p role="status">${t("upload.reading")}</p>`}${off && html`<p class="small">${off}</p>`}</div>`;
}

/** The uploads of a dataset. @param {{dataset: string, children?: any}} props `children`: beside the counts when all is done */
export function Upload({ dataset, children }) {
  const uploads = uploadsTo(dataset);
  const { counts } = uploads;
  const turn = uploads.shown.value; // drawn anew with it
  const done = counts.added + counts.there + counts.refused;
  const all = uploads.items.length;
  return html`<${DropZone} title=${t("upload.title")} text=${t("upload.text")} take=${(/** @type {any[]} */ chosen) => uploads.add(chosen)} />
    ${all > 0 && html`<section class="card uploads" aria-label=${t("upload.progress")}>
      <div class="row"><progress class="wide" max=${all} value=${done} aria-label=${t("upload.progress")}></progress><span>${t("upload.of", { n: done, all })}</span>
        ${!uploads.isDone && (uploads.isPaused ? html`<button type="button" class="first" onClick=${() => uploads.resume()}>${t("upload.resume")}</button>`
          : html`<button type="button" onClick=${() => uploads.pause()}>${t("upload.pause")}</button>`)}</div>
      <${Numbers} pairs=${[[t("upload.added"), counts.added], [t("upload.there"), counts.there], [t("upload.refused"), counts.refused], [t("upload.waiting"), counts.waiting + counts.sending]]} />
      ${uploads.trouble && !uploads.isDone && html`<div class="stack"><p>${t("upload.trouble")}</p><${Trouble} error=${uploads.trouble} again=${() => uploads.resume()} /></div>`}
      <p role="status" class="hidden">${uploads.isDone ? t("upload.done", { n: counts.added }) : uploads.isPaused ? t("upload.paused") : ""}</p>
      ${uploads.isDone && html`<div class="row"><strong>${t("upload.done", { n: counts.added })}</strong>${children}</div>`}
      <${Results} items=${uploads.items} counts=${counts} turn=${turn} /></section>`}`;
}

/** What became of each file; only the rows that are seen are there. @param {{items: any[], counts: any, turn: number}} props `turn`: another one, other rows */
function Results({ items, counts }) {
  const [shown, setShown] = useState("all");
  const [top, setTop] = useState(0);
  const found = shown === "all" ? items : items.filter((one) => one.state === shown);
  const first = Math.max(0, Math.min(Math.floor(top / ROW_PX) - 4, found.length - 1));
  const rows = found.slice(first, first + Math.ceil(LIST_PX / ROW_PX) + 8);
  return html`<div class="row">${STATES.filter((one) => one === "all" || counts[one] > 0).map((one) => html`<button key=${one} type="button" class="chip" aria-pressed=${one === shown} onClick=${() => setShown(one)}>
      ${t(`upload.${one}`)} <span class="count">${one === "all" ? items.length : counts[one]}</span></button>`)}
      ${counts.refused > 0 && html`<button type="button" onClick=${() => saveRefused(items)}>${t("upload.save")}</button>`}</div>
    <div class="upload-list" tabindex="0" role="region" aria-label=${t("upload.list")} onScroll=${(/** @type {any} */ e) => setTop(e.target.scrollTop)}>
      <ul class="space" ref=${(/** @type {any} */ at) => tall(at, found.length * ROW_PX)}>
        ${rows.map((one, index) => html`<li key=${first + index} class="item" aria-setsize=${found.length} aria-posinset=${first + index + 1} ref=${(/** @type {any} */ at) => place(at, (first + index) * ROW_PX)}>
          <span class="path" title=${one.path}>${one.path}</span>
          <span class="small"><span class="state ${LOOKS[/** @type {keyof LOOKS} */ (one.state)]}">${t(`upload.${one.state}`)}</span> <span class="quiet" lang="en" title=${one.message}>${one.message}</span></span></li>`)}</ul></div>`;
}

/** Gives the files that were refused as a table, with the whole sentences. @param {any[]} items */
function saveRefused(items) {
  const rows = items.filter((one) => one.state === "refused").map((one) => `${field(one.path)},${field(one.message)}\r\n`);
  save(new Blob(["file,message\r\n", ...rows], { type: "text/csv" }), "refused.csv");
}

/** Text for a table: a program that opens it takes no formula from a file's name. @param {string} text */
const field = (text) => `"${text.replace(/^(?=[=+\-@\t\r])/, "'").replaceAll('"', '""')}"`;

const LOOKS = { waiting: "", sending: "runs", added: "good", there: "good", refused: "bad" };

/** @param {HTMLElement | null} at @param {number} height_px */
function tall(at, height_px) {
  if (at) at.style.height = `${height_px}px`;
}

/** @param {HTMLElement | null} at @param {number} top_px */
function place(at, top_px) {
  if (at) at.style.top = `${top_px}px`;
}
