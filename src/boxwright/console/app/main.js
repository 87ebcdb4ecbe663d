// @ts-check
// The console's start: which page is shown.
import { effect, html, render, useEffect } from "../vendor/ui.js";
import { Frame } from "../parts/frame.js";
import { Dataset } from "../pages/dataset.js";
import { Datasets } from "../pages/datasets.js";
import { SignIn } from "../pages/signin.js";
import { later } from "../parts/later.js";
import { Head } from "../parts/page.js";
import { keepFocus } from "./focus.js";
import { speak, t } from "./i18n.js";
import { go, href, route } from "./router.js";
import * as store from "./store.js";
import { askPermissions, look } from "./watch.js";

const Batches = later(() => import("../pages/batches.js"), "Batches");
const Model = later(() => import("../pages/models.js"), "Model");
const Models = later(() => import("../pages/models.js"), "Models");
const Operation = later(() => import("../pages/operations.js"), "Operation");
const Operations = later(() => import("../pages/operations.js"), "Operations");
const Settings = later(() => import("../pages/settings.js"), "Settings");

function Page() {
  const [place, id, tab] = route.value.parts;
  if (place === "datasets") return id ? html`<${Dataset} key=${id} id=${id} tab=${tab} />` : html`<${Datasets} />`;
  if (place === "models") return id ? html`<${Model} key=${id} id=${id} tab=${tab} />` : html`<${Models} />`;
  if (place === "batches") return html`<${Batches} id=${id} tab=${tab} />`;
  if (place === "operations") return id ? html`<${Operation} key=${id} id=${id} />` : html`<${Operations} />`;
  if (place === "settings") return html`<${Settings} />`;
  return html`<${Head} title=${t("lost.title")} sub=${t("lost.text")} /><div><a class="button" href=${href("datasets")}>${t("nav.datasets")}</a></div>`;
}

function App() {
  const { project, location } = store.place.value;
  useEffect(() => {
    if (store.needsSignIn.value) return;
    askPermissions();
    look();
  }, [project, location, store.credential.value, store.needsSignIn.value]);
  if (store.needsSignIn.value) return html`<${SignIn} />`;
  return html`<${Frame}><${Page} key=${`${project}/${location}/${route.value.parts[0]}`} /><//>`;
}

store.chooseTheme(/** @type {any} */ (store.theme.value));
await speak("");
if (/[?&](code|error)=/.test(location.search) && /[?&]state=/.test(location.search)) await (await import("./sign_in.js")).finish();
else if (store.session.value) await import("./sign_in.js");
store.chooseLanguage(store.language.value);
keepFocus();
if (!location.hash) go("datasets");
let shown = "";
effect(() => {
  const [place] = route.value.parts;
  if (place !== shown) store.calls.value = [];
  shown = place;
});
render(html`<${App} />`, /** @type {any} */ (document.getElementById("app")));
