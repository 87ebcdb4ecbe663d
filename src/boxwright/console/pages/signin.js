// @ts-check
// Sign-in: at an identity provider where the service names one; else a token or an API key. A service with open access never asks.
import { html, useEffect, useState } from "../vendor/ui.js";
import { get } from "../app/api.js";
import { t } from "../app/i18n.js";
import { holdCredential, needsSignIn, parent } from "../app/store.js";
import { Choices } from "../parts/frame.js";
import { later } from "../parts/later.js";
import { Trouble } from "../parts/page.js";

const Providers = later(() => import("./providers.js"), "Providers");
const NOWHERE = { scope: "", providers: [] };

/** How one signs in here; where that cannot be had, by a token or a key. */
async function ask() {
  const response = await fetch(new URL("sign-in.json", document.baseURI)).catch(() => null);
  return (response?.ok && (await response.json().catch(() => null))) || NOWHERE;
}

export function SignIn() {
  const [ways, setWays] = useState(/** @type {any} */ (null));
  useEffect(() => {
    ask().then(setWays);
    document.title = `${t("signin.title")} · Boxwright`;
  }, []);
  return html`<main class="signin"><div class="card">
    <h1>${t("signin.title")}</h1><p class="quiet">${t("signin.text")}</p>
    ${!ways && html`<div role="status"><span class="hidden">${t("loading")}</span><div class="bone"></div></div>`}
    ${ways?.providers.length > 0 && html`<${Providers} ways=${ways} /><details><summary>${t("signin.other")}</summary><${ByToken} /></details>`}
    ${ways?.providers.length === 0 && html`<${ByToken} />`}
    <div class="row"><${Choices} /></div></div></main>`;
}

function ByToken() {
  const [text, setText] = useState("");
  const [error, setError] = useState(/** @type {any} */ (null));
  const enter = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setError(null);
    holdCredential(text.trim());
    try {
      await get(`${parent()}/operations?pageSize=1`);
    } catch (failure) {
      if (/** @type {any} */ (failure).status !== 403) {
        holdCredential("");
        setError(failure);
        return;
      }
      // known, but not allowed to list: the pages say what is denied
    }
    needsSignIn.value = false;
  };
  return html`<form class="stack" onSubmit=${enter}>
    <label>${t("signin.field")}<input type="password" autocomplete="off" required value=${text} onInput=${(/** @type {any} */ e) => setText(e.target.value)} />
      <span class="hint">${t("signin.hint")}</span></label>
    <pre>boxwright accounts api-key NAME</pre>
    ${error && html`<${Trouble} error=${error} />`}
    <div><button class="first">${t("signin.enter")}</button></div></form>`;
}
