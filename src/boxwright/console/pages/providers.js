// @ts-check
// The identity providers at which one signs in here, and why a sign-in has failed.
import { html } from "../vendor/ui.js";
import { speak, t } from "../app/i18n.js";
import { Refused, begin } from "../app/sign_in.js";
import { signInTrouble } from "../app/store.js";
import { Trouble } from "../parts/page.js";

await speak("providers");

/** @param {{ways: {scope: string, providers: import("../app/sign_in.js").Place[]}}} props */
export function Providers({ ways }) {
  const failure = signInTrouble.value;
  return html`${failure && html`<${Failure} failure=${failure} />`}
    <div class="stack">${ways.providers.map((place) => html`<${Way} key=${place.name} place=${place} scope=${ways.scope} />`)}</div>
    ${!window.isSecureContext && html`<p class="note">${t("providers.secure")}</p>`}`;
}

/** @param {{place: import("../app/sign_in.js").Place, scope: string}} props */
function Way({ place, scope }) {
  const isAway = !place.authorizationEndpoint;
  const why = isAway ? t("providers.away", { name: place.name }) : window.isSecureContext ? "" : t("providers.secure");
  const enter = () => {
    if (why) return;
    signInTrouble.value = null;
    begin(place, scope).catch((error) => (signInTrouble.value = error));
  };
  return html`<div><button type="button" class="first" aria-disabled=${Boolean(why)} title=${why} onClick=${enter}>${t("providers.enter", { name: place.name })}${why && html`<span class="hidden"> (${why})</span>`}</button></div>
    ${isAway && html`<p class="quiet">${why}</p>`}`;
}

/** @param {{failure: any}} props */
function Failure({ failure }) {
  if (!(failure instanceof Refused)) return html`<${Trouble} error=${failure} />`;
  return html`<div class="trouble" role="alert"><strong>${t(`providers.no.${failure.key}`, failure.values)}</strong>
    ${failure.message && html`<p lang="en">${failure.message}</p>`}</div>`;
}
