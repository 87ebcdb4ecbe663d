// @ts-check
// Sign-in: a token or an API key, held in this tab only. A service on loopback with open access never asks.
import { html, useState } from "../vendor/ui.js";
import { get } from "../app/api.js";
import { t } from "../app/i18n.js";
import { holdCredential, needsSignIn, parent } from "../app/store.js";
import { Choices } from "../parts/frame.js";
import { Trouble } from "../parts/page.js";

export function SignIn() {
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
  return html`<main class="signin"><form class="card" onSubmit=${enter}>
    <h1>${t("signin.title")}</h1><p class="quiet">${t("signin.text")}</p>
    <label>${t("signin.field")}<input type="password" autocomplete="off" required value=${text} onInput=${(/** @type {any} */ e) => setText(e.target.value)} />
      <span class="hint">${t("signin.hint")}</span></label>
    <pre>boxwright accounts api-key NAME</pre>
    ${error && html`<${Trouble} error=${error} />`}
    <div class="row"><button class="first">${t("signin.enter")}</button><${Choices} /></div>
  </form></main>`;
}
