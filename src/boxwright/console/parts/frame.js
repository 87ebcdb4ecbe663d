// @ts-check
// The frame around each page: rail, header with running operations, language and theme, notices, the sheet of shortcuts.
import { html, useEffect, useState } from "../vendor/ui.js";
import { API_KEY } from "../app/api.js";
import { LANGUAGES, duration, has, percent, t, turnTo } from "../app/i18n.js";
import { go, href, route } from "../app/router.js";
import * as store from "../app/store.js";
import { CallsButton } from "./calls.js";
import { Dialog } from "./page.js";

export const PLACES = /** @type {const} */ (["datasets", "models", "batches", "operations", "settings"]);
const KEYS = { d: "datasets", m: "models", b: "batches", o: "operations", s: "settings" };

/** @param {{children: any}} props */
export function Frame({ children }) {
  const [isSheet, setSheet] = useState(false);
  useShortcuts(() => setSheet(true));
  const here = route.value.parts[0];
  return html`<div class="frame">
    <a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <header class="top">
      <a class="mono small" href=${href("settings")} title=${t("place.label")}>${store.place.value.project} / ${store.place.value.location}</a>
      <${Running} />
      <div class="end">
        <span class="small quiet">${who()}</span>
        <${CallsButton} />
        <${Choices} />
        <button type="button" class="plain" aria-label=${t("keys.title")} onClick=${() => setSheet(true)}><kbd>?</kbd></button>
      </div>
    </header>
    <nav class="rail" aria-label=${t("rail")}>
      <a class="brand" href=${href("datasets")}><img src="icon.svg" width="28" height="28" alt="" />Boxwright</a>
      ${PLACES.map((one) => html`<a class="item" href=${href(one)} aria-current=${one === here ? "page" : undefined}>${t(`nav.${one}`)}</a>`)}
    </nav>
    <main id="main" tabindex="-1">${children}</main>
    <div class="notices" role="status" aria-live="polite">${store.notices.value.map((one) => html`<div key=${one.id}><span>${one.text}</span>${one.act && html`<button type="button" class="act-back" onClick=${() => takeBack(one)}>${one.act.label}</button>`}
      <button type="button" aria-label=${t("dismiss")} onClick=${() => store.dismiss(one.id)}>×</button></div>`)}</div>
    ${isSheet && html`<${Sheet} close=${() => setSheet(false)} />`}
  </div>`;
}

/** Moves to the content without a new address. @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** @param {any} notice */
function takeBack({ id, act }) {
  store.dismiss(id);
  Promise.resolve(act.does()).catch((error) => store.notify(error.message));
}

function who() {
  if (!store.credential.value) return t("who.open");
  if (store.session.value) return t("who.person", { who: store.session.value.who });
  return API_KEY.test(store.credential.value) ? t("who.key") : t("who.token");
}

function Running() {
  const [first] = store.running.value;
  if (!first) return html`<span class="small quiet">${t("running.none")}</span>`;
  const { kind = "operation", eta_s: eta } = first.progress;
  const words = has(`kind.${kind}`) ? t(`kind.${kind}`) : kind;
  const share = percent((first.metadata?.progressPercent ?? 0) / 100);
  return html`<a class="state runs small" href=${href("operations")}>${t("running.some", { n: store.running.value.length })}: ${words} ${share}${eta ? ` · ${t("running.left", { time: duration(eta) })}` : ""}</a>`;
}

export function Choices() {
  return html`<label class="choose"><span class="word">${t("language")}</span><select aria-label=${t("language")} value=${store.language.value} onChange=${(/** @type {any} */ e) => turnTo(e.target.value)}>
      ${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code}>${name}</option>`)}</select></label>
    <label class="choose"><span class="word">${t("theme")}</span><select aria-label=${t("theme")} value=${store.theme.value} onChange=${(/** @type {any} */ e) => store.chooseTheme(e.target.value)}>
      ${["system", "light", "dark"].map((one) => html`<option value=${one}>${t(`theme.${one}`)}</option>`)}</select></label>`;
}

/** `?` opens the sheet, g and a letter leads to a page; not while somebody types, and not where they are off. @param {() => void} open */
function useShortcuts(open) {
  useEffect(() => {
    let isLed = false;
    const press = (/** @type {any} */ event) => {
      const types = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && !/^(range|radio|checkbox)$/.test(event.target.type ?? "");
      if (types || event.ctrlKey || event.metaKey || event.altKey || store.shortcuts.value === "off" || document.querySelector("dialog[open]")) return;
      if (event.key === "?") open();
      const place = /** @type {any} */ (KEYS)[event.key];
      if (isLed && place) go(place);
      isLed = event.key === "g";
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** @param {{close: () => void}} props */
function Sheet({ close }) {
  return html`<${Dialog} title=${t("keys.title")} close=${close}>
    <dl class="facts"><dt><kbd>?</kbd></dt><dd>${t("keys.sheet")}</dd>
      ${Object.entries(KEYS).map(([key, place]) => html`<dt><kbd>g</kbd> <kbd>${key}</kbd></dt><dd>${t(`nav.${place}`)}</dd>`)}
      <dt><kbd>Esc</kbd></dt><dd>${t("keys.close")}</dd></dl>
    <p class="quiet">${t("keys.off")}</p>
    <form method="dialog" class="ends"><button>${t("close")}</button></form><//>`;
}
