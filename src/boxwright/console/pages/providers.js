// @ts-check
// The identity providers at which one signs in here, and why a sign-in has failed.
import { html } from "../vendor/ui.js";
import { speak, t } from "../app/i18n.js";
import { Refused, begin } from "../app/sign_in.js";
import { signInTrouble } from "../app/store.js";
import { Trouble } from "../parts/page.js";

await speak("providers");

/** @param {{ways: {scope: string, providers: import("../app/sign_in.js").Provider[]}}} props */
export function Providers({ ways }) {
  const failure = signInTrouble.value;
  return html`${failure && html`<${Failure} failure=${failure} />`}
    <div class="stack">${ways.providers.map((provider) => html`<${Way} key=${provider.name} provider=${provider} scope=${ways.scope} />`)}</div>
    ${!window.isSecureContext && html`<p class="note">${t("providers.secure")}</p>`}`;
}

/** @param {{provider: import("../app/sign_in.js").Provider, scope: string}} props */
function Way({ provider, scope }) {
  const isAway = !provider.authorizationEndpoint;
  const why = isAway ? t("providers.away", { name: provider.name }) : window.isSecureContext ? "" : t("providers.secure");
  const enter = () => {
    if (why) return;
    signInTrouble.value = null;
    begin(provider, scope).catch((error) => (signInTrouble.value = error));
  };
  return html`<div><button type="button" class="first" aria-disabled=${Boolean(why)} title=${why} onClick=${enter}>${t("providers.enter", { name: provider.name })}${why && html`<span class="hidden"> (${why})</span>`}</button></div>
    ${isAway && html`<p class="quiet">${why}</p>`}`;
}

/** @param {{failure: any}} props */
function Failure({ failure }) {
  if (!(failure instanceof Refused)) return html`<${Trouble} error=${failure} />`;
  return html`<div class="trouble" role="alert"><strong>${t(`providers.no.${failure.key}`, failure.values)}</strong>
    ${failure.message && html`<p lang="en">${failure.message}</p>`}</div>`;
}
