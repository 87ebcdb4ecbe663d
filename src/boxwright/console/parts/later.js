// @ts-check
// Parts whose modules are fetched when they are first shown, so that the first page stays small.
import { html, useEffect, useState } from "../vendor/ui.js";
import { t } from "../app/i18n.js";
import { Trouble } from "./page.js";

/**
 * A part of a module that is fetched when the part is first shown.
 * @param {() => Promise<any>} load imports the module @param {string} name of the part in it
 */
export function later(load, name) {
  /** @type {any} */
  let part;
  return function Later(/** @type {any} */ props) {
    const [isThere, setThere] = useState(Boolean(part));
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (isThere || failed) return;
      let isGone = false;
      load()
        .then((found) => { part = found[name]; isGone || setThere(true); })
        .catch(() => isGone || setFailed(true));
      return () => void (isGone = true);
    }, [failed]);
    if (isThere) return html`<${part} ...${props} />`;
    if (failed) return html`<${Trouble} error=${{ code: "UNREACHABLE", message: "A part of the console could not be loaded." }} again=${() => setFailed(false)} />`;
    return html`<div class="stack" role="status"><span class="hidden">${t("loading")}</span><div class="bone"></div></div>`;
  };
}
