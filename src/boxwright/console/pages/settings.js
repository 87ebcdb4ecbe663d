// @ts-check
// Choices of this browser: the place, language, theme, shortcuts, the credential; and what this service is.
import { html, useState } from "../vendor/ui.js";
import { BASE, get } from "../app/api.js";
import { t } from "../app/i18n.js";
import * as store from "../app/store.js";
import { isSignedIn } from "../app/watch.js";
import { Choices } from "../parts/frame.js";
import { Act, Facts, Head, Loaded, useLoad } from "../parts/page.js";
import { Access } from "./access.js";

export function Settings() {
  return html`<${Head} title=${t("nav.settings")} />
    <div class="columns"><${Place} /><section class="card"><h2>${t("settings.browser")}</h2><div class="row"><${Choices} /></div>
      <label class="row"><input type="checkbox" checked=${store.shortcuts.value === "on"} onChange=${(/** @type {any} */ e) => store.chooseShortcuts(e.target.checked ? "on" : "off")} />${t("settings.shortcuts")}</label></section>
    <${Session} /><${About} /></div><${Access} />`;
}

function Place() {
  const [project, setProject] = useState(store.place.value.project);
  const [location, setLocation] = useState(store.place.value.location);
  const from = useLoad((signal) => get(`projects/${encodeURIComponent(store.place.value.project)}/locations`, signal), []);
  const enter = (/** @type {Event} */ event) => {
    event.preventDefault();
    store.choosePlace(project.trim(), location);
    store.notify(t("settings.place.done", { place: store.parent() }));
  };
  return html`<section class="card"><h2>${t("settings.place")}</h2><p class="quiet">${t("settings.place.text")}</p><form class="stack" onSubmit=${enter}>
    <label>${t("settings.project")}<input required pattern="[A-Za-z0-9][A-Za-z0-9._:~\\-]*" value=${project} onInput=${(/** @type {any} */ e) => setProject(e.target.value)} /></label>
    <${Loaded} from=${from}>${(/** @type {any} */ found) => html`<label>${t("settings.location")}<select value=${location} onChange=${(/** @type {any} */ e) => setLocation(e.target.value)}>
      ${(found.locations ?? []).map((/** @type {any} */ one) => html`<option value=${one.locationId}>${one.locationId}</option>`)}</select></label>`}<//>
    <div><button class="first">${t("settings.place.choose")}</button></div></form></section>`;
}

function Session() {
  const session = store.session.value;
  const signOut = async () => {
    if (session) return (await import("../app/sign_in.js")).signOut(false);
    store.holdCredential("");
    store.needsSignIn.value = true;
  };
  const signOutThere = async () => (await import("../app/sign_in.js")).signOut(true);
  return html`<section class="card"><h2>${t("settings.access")}</h2><p>${session ? t("settings.person", { who: session.who, name: session.provider }) : isSignedIn() ? t("settings.signed") : t("settings.open")}</p>
    <div class="row">${isSignedIn() ? html`<${Act} does=${signOut}>${t("signout")}<//>` : html`<${Act} does=${signOut}>${t("signin.enter")}<//>`}
      ${session?.endSessionEndpoint && html`<${Act} does=${signOutThere}>${t("signout.there", { name: session.provider })}<//>`}</div></section>`;
}

function About() {
  const licences = [["Preact 11.2.0", "MIT"], ["@preact/signals 2.11.4", "MIT"], ["htm 3.1.1", "Apache-2.0"]];
  return html`<section class="card"><h2>${t("settings.about")}</h2>
    <${Facts} pairs=${[[t("settings.api"), html`<code>${BASE.href}</code>`], [t("settings.openapi"), html`<a href=${new URL("openapi.json", BASE).href}>openapi.json</a>`]]} />
    <h3>${t("settings.licences")}</h3><${Facts} pairs=${licences} /></section>`;
}
