// @ts-check
// What every page is made of: its head, tabs, loading, errors, states, and buttons that say why they are off.
import { html, useCallback, useEffect, useRef, useState } from "../vendor/ui.js";
import { has, t } from "../app/i18n.js";
import { href } from "../app/router.js";
import { calls, changed, credential, notify, place } from "../app/store.js";
import { askPermissions, look, may } from "../app/watch.js";

/** The page's heading with its actions. @param {{title: any, sub?: any, children?: any}} props */
export function Head({ title, sub, children }) {
  useEffect(() => {
    document.title = typeof title === "string" ? `${title} · Boxwright` : "Boxwright";
  }, [title]);
  return html`<div class="head">
    <div><h1>${title}</h1>${sub && html`<div class="quiet">${sub}</div>`}</div>
    ${children && html`<div class="row">${children}</div>`}
  </div>`;
}

/**
 * Loads something and keeps it; again on `again()`, on other `inputs`, after signing in, and after an operation has ended.
 * @template T @param {(signal: AbortSignal) => Promise<T>} load @param {any[]} inputs
 * @returns {{value: T | undefined, error: any, again: () => void}}
 */
export function useLoad(load, inputs) {
  const [state, setState] = useState(/** @type {any} */ ({}));
  const [turn, setTurn] = useState(0);
  const key = JSON.stringify([inputs, place.value, credential.value]);
  useEffect(() => {
    const control = new AbortController();
    load(control.signal)
      .then((value) => control.signal.aborted || setState({ key, value }))
      .catch((error) => control.signal.aborted || setState({ key, error }));
    return () => control.abort();
  }, [key, turn, changed.value]);
  const again = useCallback(() => setTurn((/** @type {number} */ one) => one + 1), []);
  return state.key === key ? { value: state.value, error: state.error, again } : { value: undefined, error: undefined, again };
}

/** Says what the page asks of the API. @param {{verb: string, path: string, body?: any}[]} asked */
export function useCalls(asked) {
  useEffect(() => {
    calls.value = asked;
  }, [JSON.stringify(asked)]);
}

/** What is loaded, or that it is not there yet, or why not. @param {{from: any, title?: string, children: (value: any) => any}} props `title`: of a page that has no other without it */
export function Loaded({ from, title, children }) {
  if (from.error) return html`${title && html`<${Head} title=${title} />`}<${Trouble} error=${from.error} again=${from.again} />`;
  if (from.value === undefined) return html`<div class="stack" role="status"><span class="hidden">${t("loading")}</span><div class="bone"></div><div class="bone"></div></div>`;
  return children(from.value);
}

/** An error: an explanation by its code, the API's own sentence, the code. @param {{error: any, again?: () => void}} props */
export function Trouble({ error, again }) {
  const explained = `code.${error.code}`;
  return html`<div class="trouble" role="alert">
    ${has(explained) && html`<strong>${t(explained)}</strong>`}
    <p lang="en">${error.message}</p>
    <div class="row"><span class="code mono">${error.code ?? "ERROR"}</span>
    ${again && html`<button onClick=${again}>${t("again")}</button>`}</div>
  </div>`;
}

/**
 * A button for an act: off without its permission, saying so; off while it runs; its error below it.
 * @param {{permission?: string, does: () => any, look?: string, off?: string, children?: any}} props
 */
export function Act({ permission, does, look: style = "", off = "", children }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (null));
  const why = permission && !may(permission) ? t("denied", { permission }) : off;
  const run = async () => {
    if (why || busy) return;
    setBusy(true);
    setError(null);
    try {
      await does();
      look();
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return html`<span class="act"><button type="button" class=${style} aria-disabled=${Boolean(why) || busy} title=${why} onClick=${run}>
    ${children}${busy ? " …" : ""}${why && html`<span class="hidden"> (${why})</span>`}</button>
    ${error && html`<${Trouble} error=${error} />`}</span>`;
}

/** Nothing is here yet, and what to do. @param {{title: string, text: string, children?: any}} props */
export const Empty = ({ title, text, children }) =>
  html`<div class="empty"><h2>${title}</h2><p class="quiet">${text}</p>${children}</div>`;

const LOOKS = { SUCCEEDED: "good", DEPLOYED: "good", FAILED: "bad", CANCELLED: "warn", RUNNING: "runs", PENDING: "", UNDEPLOYED: "" };

/** A state as a word with a mark. @param {{of: string}} props */
export function State({ of }) {
  return html`<span class="state ${/** @type {any} */ (LOOKS)[of] ?? ""}">${has(`state.${of}`) ? t(`state.${of}`) : of}</span>`;
}

/** Names and values. @param {{pairs: [string, any][]}} props */
export const Facts = ({ pairs }) =>
  html`<dl class="facts">${pairs.filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;

/** Large numbers. @param {{pairs: [string, any][]}} props */
export const Numbers = ({ pairs }) =>
  html`<dl class="numbers">${pairs.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;

/** A dialog over the page; at its end the focus is where it was before. @param {{title: string, close: () => void, children?: any}} props */
export function Dialog({ title, close, children }) {
  const at = useRef(/** @type {any} */ (null));
  const [id] = useState(() => `dialog-${crypto.getRandomValues(new Uint32Array(1))[0]}`);
  const isGone = useRef(false);
  useEffect(() => {
    const dialog = at.current;
    dialog.showModal();
    return () => {
      isGone.current = true;
      dialog.close();
    };
  }, []);
  return html`<dialog ref=${at} aria-labelledby=${id} onClose=${() => isGone.current || close()}>
    <div class="body"><h2 id=${id}>${title}</h2>${children}</div></dialog>`;
}

/** Text to copy. @param {{text: string, label: string}} props */
export function Code({ text, label }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      notify(t("copied"));
    } catch {
      notify(t("copy.refused"));
    }
  };
  return html`<div class="stack"><pre tabindex="0" role="region" aria-label=${label}>${text}</pre>
    <div><button type="button" onClick=${copy}>${t("copy")}</button></div></div>`;
}

export { askPermissions };

/** @param {{label: string, place: string, id: string, tabs: string[], tab: string}} props */
export const Tabs = ({ label, place, id, tabs, tab }) =>
  html`<nav class="tabs" aria-label=${label}>${tabs.map((one) => html`<a href=${href(place, id, one)} aria-current=${one === tab ? "page" : undefined}>${t(`tab.${one}`)}</a>`)}</nav>`;
