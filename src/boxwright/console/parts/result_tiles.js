// @ts-check
// Images of a batch job with what was found in them: small ones beside each other, and one large.
import { html, useEffect, useRef } from "../vendor/ui.js";
import { number, score, t } from "../app/i18n.js";
import { Dialog, Trouble } from "./page.js";
import { usePhoto } from "./photo.js";
import { Picture, boxesOf, scoreOf } from "./picture.js";
import { Table } from "./table.js";

const [SMALL_PX, LARGE_PX] = [256, 1280]; // edges that the service makes

/** The last part of an image's address, which people know it by. @param {string} id */
export const shortName = (id) => id.slice(Math.max(id.lastIndexOf("/"), id.lastIndexOf("#")) + 1) || id;

/** What was found, for who cannot see it. @param {any} result */
function words(result) {
  if (result.error) return `${shortName(result.imageId)}: ${result.error.message ?? ""}`;
  const found = (result.annotations ?? []).slice(0, 5).map((/** @type {any} */ one) => `${one.displayName} ${score(scoreOf(one))}`).join(", ");
  return `${shortName(result.imageId)}: ${found || t("results.nothing")}`;
}

/** @param {{result: any, labels: string[], edgePx: number}} props */
function Shown({ result, labels, edgePx }) {
  const { src, error } = usePhoto(`${result.name}:image?edgePx=${edgePx}`);
  if (error) return html`<span class="quiet small" lang="en">${error.message}</span>`;
  if (!src) return html`<span class="bone"></span>`;
  return html`<${Picture} src=${src} alt=${words(result)} found=${boxesOf(result.annotations ?? [], labels)} />`;
}

/** @param {{results: any[], labels: string[], open: (index: number) => void, showsReason?: boolean}} props `labels`: their order gives the colours */
export function ResultTiles({ results, labels, open, showsReason = false }) {
  return html`<ul class="tiles">${results.map((one, index) => html`<li key=${one.name}><button type="button" class="tile" onClick=${() => open(index)}>
    <span class="pane" style=${ratioOf(one)}>${one.error ? html`<span class="small" lang="en">${one.error.message}</span>` : html`<${Shown} result=${one} labels=${labels} edgePx=${SMALL_PX} />`}</span>
    <span class="caption small"><span class="mono">${shortName(one.imageId)}</span>
      <span class="quiet">${one.error ? t("results.failed.one") : best(one)}</span>
      ${showsReason && one.reason && html`<span lang="en">${one.reason}</span>`}</span></button></li>`)}</ul>`;
}

/** So that a picture fills its place, whatever its size. @param {any} result */
const ratioOf = (result) => (result.widthPx && result.heightPx ? { "--ratio": String(result.widthPx / result.heightPx) } : {});

/** @param {any} result */
function best(result) {
  const found = result.annotations ?? [];
  return found.length ? `${t("test.found", { n: found.length })}, ${t("results.best", { score: score(Math.max(...found.map(scoreOf))) })}` : t("results.nothing");
}

/**
 * One image large; arrow keys lead to the others.
 * @param {{result: any, labels: string[], back?: () => void, on?: () => void, close: () => void}} props
 */
export function ResultViewer({ result, labels, back, on, close }) {
  const leads = useRef(/** @type {any} */ ({}));
  leads.current = { ArrowLeft: back, ArrowRight: on }; // as of the image that is shown, also when keys come fast
  useEffect(() => {
    const press = (/** @type {KeyboardEvent} */ event) => {
      const go = leads.current[event.key];
      if (!go || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      go();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  const found = result.annotations ?? [];
  return html`<${Dialog} title=${shortName(result.imageId)} close=${close}><div class="viewer stack" style=${ratioOf(result)}>
    <div class="row"><button type="button" disabled=${!back} onClick=${back}>← ${t("results.back")}</button><button type="button" disabled=${!on} onClick=${on}>${t("results.on")} →</button></div>
    <p class="mono">${result.imageId}</p>
    ${result.error ? html`<${Trouble} error=${{ code: result.error.code, message: result.error.message }} />` : html`<${Shown} key=${result.name} result=${result} labels=${labels} edgePx=${LARGE_PX} />`}
    <p aria-live="polite">${t("test.found", { n: found.length })}${result.widthPx ? html` <span class="quiet">· ${number(result.widthPx)} × ${number(result.heightPx)} px</span>` : ""}</p>
    ${result.reason && html`<p lang="en">${result.reason}</p>`}
    ${found.length > 0 && html`<${Table} key=${result.name} label=${t("test.labels")} rows=${found} columns=${[
      { title: t("label"), value: (/** @type {any} */ one) => one.displayName }, { title: t("results.score"), isNumber: true, value: scoreOf, show: (/** @type {any} */ one) => score(scoreOf(one)) }]} />`}
    </div><form method="dialog" class="ends"><button>${t("close")}</button></form><//>`;
}
