// @ts-check
// "Show as API call": what a page asks, as curl with the real ids, without a token.
import { html, useState } from "../vendor/ui.js";
import { API_KEY, BASE } from "../app/api.js";
import { t } from "../app/i18n.js";
import { calls, credential } from "../app/store.js";
import { Code, Dialog } from "./page.js";

export function CallsButton() {
  const [isOpen, setOpen] = useState(false);
  return html`<button type="button" onClick=${() => setOpen(true)}>${t("calls.show")}</button>
    ${isOpen && html`<${Dialog} title=${t("calls.title")} close=${() => setOpen(false)}>
      <p class="quiet">${t("calls.text")}</p>
      <${Code} label=${t("calls.title")} text=${calls.value.map(curl).join("\n\n") || t("calls.none")} />
      <form method="dialog" class="ends"><button>${t("close")}</button></form><//>`}`;
}

/** The command. @param {{verb: string, path: string, body?: any}} call */
export function curl({ verb, path, body }) {
  const parts = ["curl"];
  if (verb !== "GET") parts.push("-X", verb);
  if (credential.value) parts.push("-H", API_KEY.test(credential.value) ? '"X-Goog-Api-Key: $API_KEY"' : '"Authorization: Bearer $TOKEN"');
  if (body !== undefined) parts.push("-H", "'Content-Type: application/json'", "-d", quoted(JSON.stringify(body)));
  return [...parts, quoted(new URL(path, BASE).href)].join(" ");
}

/** A word for a POSIX shell. @param {string} text */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
