// @ts-check
// A link to a dataset or a model by the name that people gave it; the last part of its resource name until that is known.
import { html } from "../vendor/ui.js";
import { idOf } from "../app/api.js";
import { t } from "../app/i18n.js";
import { datasets, models } from "../app/resources.js";
import { href } from "../app/router.js";
import { useLoad } from "./page.js";

/** The name; null if it is deleted, undefined if the reader may not see the list. @param {string} place @param {string} id */
async function nameOf(place, id) {
  const found = await (place === "datasets" ? datasets() : models()).catch(() => undefined);
  return found && (found.find((one) => idOf(one.name) === id)?.displayName ?? null);
}

/** @param {{of: string | undefined}} props a resource name */
export function Named({ of = "" }) {
  const place = /\/(models|datasets)\/[^/]+$/.exec(of)?.[1];
  const from = useLoad(async () => (place ? nameOf(place, idOf(of)) : undefined), [of]);
  if (!place || from.value === null) return html`${idOf(of)}${place && html` <span class="quiet">(${t("models.gone")})</span>`}`;
  return html`<a href=${href(place, idOf(of))}>${from.value || idOf(of)}</a>`;
}
