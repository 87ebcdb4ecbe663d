// @ts-check
// Chooses a folder, a list or another object of the buckets that the caller may read.
import { html, useEffect, useState } from "../vendor/ui.js";
import { BASE, get } from "../app/api.js";
import { t, time } from "../app/i18n.js";
import { parent } from "../app/store.js";
import { Dialog, Trouble } from "./page.js";
import { bytes } from "./sizes.js";

/** @param {{title: string, take: (uri: string) => void, close: () => void, isFolder?: boolean, words?: string}} props
 * `isFolder`: only folders can be taken; `words`: what taking a folder means */
export function Picker({ title, take, close, isFolder = false, words = t("picker.take") }) {
  const [prefix, setPrefix] = useState("");
  const [found, setFound] = useState(/** @type {{items: any[], token: string, error?: any, isBusy: boolean}} */ ({ items: [], token: "", isBusy: true }));
  const ask = async (/** @type {string} */ where, /** @type {string} */ token, /** @type {any[]} */ before, /** @type {AbortSignal} */ signal) => {
    setFound({ items: before, token: "", isBusy: true });
    const url = new URL(`${parent()}/objects`, BASE);
    if (where) url.searchParams.set("prefix", where);
    if (token) url.searchParams.set("pageToken", token);
    try {
      const page = await get(url.href.slice(BASE.href.length), signal);
      setFound({ items: [...before, ...(page.objects ?? [])], token: page.nextPageToken ?? "", isBusy: false });
    } catch (error) {
      if (!signal.aborted) setFound({ items: before, token: "", error, isBusy: false });
    }
  };
  useEffect(() => {
    const control = new AbortController();
    ask(prefix, "", [], control.signal);
    return () => control.abort();
  }, [prefix]);
  const chosen = (/** @type {string} */ uri) => {
    take(uri);
    close();
  };
  return html`<${Dialog} title=${title} close=${close}>
    <div class="row"><span class="mono">${prefix || t("picker.buckets")}</span>${prefix && html`<button type="button" onClick=${() => setPrefix(above(prefix))}>${t("picker.up")}</button>`}
      ${prefix && html`<button type="button" class="first" onClick=${() => chosen(prefix)}>${words}</button>`}</div>
    ${found.error && html`<${Trouble} error=${found.error} />`}
    <ul class="entries" aria-busy=${found.isBusy}>${found.items.map((/** @type {any} */ one) => html`<li key=${one.uri}>${one.isFolder
      ? html`<button type="button" class="plain" onClick=${() => setPrefix(one.uri)}>${nameOf(one.uri)}</button>`
      : html`<button type="button" class="plain" disabled=${isFolder} onClick=${() => chosen(one.uri)}>${nameOf(one.uri)}</button>
        <span class="quiet small">${bytes(Number(one.sizeBytes ?? 0))} · ${time(one.updateTime)}</span>`}</li>`)}</ul>
    ${!found.isBusy && !found.error && !found.items.length && html`<p class="quiet">${t("picker.empty")}</p>`}
    ${found.token && html`<button type="button" onClick=${() => ask(prefix, found.token, found.items, new AbortController().signal)}>${t("picker.more")}</button>`}
    <form method="dialog" class="ends"><button>${t("close")}</button></form><//>`;
}

/** The folder above; empty above a bucket. @param {string} uri */
export function above(uri) {
  const cut = uri.replace(/\/$/, "").lastIndexOf("/") + 1;
  return /^[a-z][a-z0-9+.-]*:\/\/$/.test(uri.slice(0, cut)) ? "" : uri.slice(0, cut);
}

/** @param {string} uri */
const nameOf = (uri) => uri.slice(above(uri).length);
