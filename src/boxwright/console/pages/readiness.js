// @ts-check
// Whether a dataset can be trained from, in words: what a training is refused by, and what it is worse for.
import { html } from "../vendor/ui.js";
import { idOf, remove } from "../app/api.js";
import { has, number, t } from "../app/i18n.js";
import { href } from "../app/router.js";
import { notify } from "../app/store.js";
import { Act, Numbers } from "../parts/page.js";

const LOOKS = { BLOCKS: "bad", WARNS: "warn", TELLS: "" };
const MOST = 20; // findings that are shown
/** Findings that are mended on the Images page: the state that it shows then, and the words of the way there. */
const WAYS = { UNLABELED_LEFT_OUT: ["UNLABELED", "ready.to.unlabelled"], SUGGESTED_LEFT_OUT: ["SUGGESTED", "ready.to.suggested"] };
/** @param {any} summary @param {(count: any) => boolean} which */
const images = (summary, which) => (summary.counts ?? []).filter(which).reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.exampleCount, 0);
/** How many images a training is made from. @param {any} summary */
export const labelledImages = (summary) => images(summary, (one) => one.state === "LABELED");
/** What keeps a training from being started, if anything does. @param {any} summary */
export const blocks = (summary) => (summary?.findings ?? []).filter((/** @type {any} */ one) => one.level === "BLOCKS");

/** @param {{dataset: any, summary: any, again: () => void}} props */
export function Readiness({ dataset, summary, again }) {
  const found = summary.findings ?? [];
  const labelled = (/** @type {string[]} */ uses) => images(summary, (one) => one.state === "LABELED" && uses.includes(one.mlUse));
  return html`<section class="card"><h2>${t("ready.title")}</h2>
    <${Numbers} pairs=${[[t("ready.labels"), number((summary.labels ?? []).length)], [t("ready.train"), number(labelled(["TRAIN"]))],
      [t("ready.validation"), number(labelled(["VALIDATION"]))], [t("ready.test"), number(labelled(["TEST"]))], [t("ready.unassigned"), number(labelled(["UNASSIGNED"]))]]} />
    ${labelled(["UNASSIGNED"]) > 0 && html`<p class="small quiet">${t("ready.split")}</p>`}
    ${blocks(summary).length ? "" : html`<p><span class="state good">${t("ready.yes")}</span></p>`}
    ${found.length > 0 && html`<ul class="findings">${found.slice(0, MOST).map((/** @type {any} */ one) => html`<li>
      <span class="state ${/** @type {any} */ (LOOKS)[one.level] ?? ""}">${t(`level.${one.level}`)}</span> ${words(one)} <${Way} dataset=${dataset} code=${one.code} /><${Empties} finding=${one} summary=${summary} again=${again} /></li>`)}</ul>`}
    ${found.length > MOST && html`<p class="quiet">${t("ready.more", { n: found.length - MOST })}</p>`}
    <p class="small"><a href=${href("datasets", idOf(dataset.name), "labels")}>${t("ready.to.labels")}</a></p></section>`;
}

/** The way to the images that a finding is about. @param {{dataset: any, code: string}} props */
function Way({ dataset, code }) {
  const [state, key] = /** @type {any} */ (WAYS)[code] ?? [];
  return state ? html`<a href=${`${href("datasets", idOf(dataset.name), "images")}?state=${state}`}>${t(key)}</a>` : null;
}

/** Deletes a label that no image has, which is in the way of a training. @param {{finding: any, summary: any, again: () => void}} props */
function Empties({ finding, summary, again }) {
  const spec = finding.label && (summary.labels ?? []).map((/** @type {any} */ one) => one.annotationSpec).find((/** @type {any} */ one) => one.displayName === finding.label);
  if (finding.code !== "LABEL_WITH_FEW_IMAGES" || !spec || spec.annotationCount) return null;
  const erase = async () => {
    await remove(`${spec.name}?expectedCount=0`); // refused if somebody has used it meanwhile
    notify(t("ready.deleted", { label: finding.label }));
    again();
  };
  return html`<${Act} permission="automl.annotationSpecs.delete" does=${erase}>${t("ready.delete", { label: finding.label })}<//>`;
}

/** A finding in the page's language; one that it does not know in the API's own words. @param {any} one */
function words(one) {
  const isUnused = one.code === "LABEL_WITH_FEW_IMAGES" && !one.count;
  const key = `ready.${isUnused ? "LABEL_WITHOUT_IMAGES" : one.code}`;
  return has(key) ? t(key, { n: one.count ?? 0, label: one.label ?? "" }) : html`<span lang="en">${one.message}</span>`;
}
