// @ts-check
// The estimate of a batch job: a dry run of the service itself, before anything is predicted.
import { html, useState } from "../vendor/ui.js";
import { finished, post } from "../app/api.js";
import { duration, number, percent, t } from "../app/i18n.js";
import { requestOf } from "../parts/batch_request.js";
import { Act, Facts } from "../parts/page.js";
import { bytes } from "../parts/sizes.js";

/** @param {{model: any, draft: any, off: string}} props */
export function Estimate({ model, draft, off }) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const body = requestOf(draft, { validate_only: "true" });
  const key = JSON.stringify(body);
  const ask = async () => {
    setFound(null);
    const answer = await finished(await post(`${model.name}:batchPredict`, body));
    setFound({ key, numbers: answer.metadata ?? {} });
  };
  return html`<p class="quiet">${t("estimate.text")}</p><div><${Act} permission="automl.models.predict" off=${off} does=${ask}>${t("estimate.ask")}<//></div>
    <div role="status" aria-live="polite" class="stack">${found && found.key === key && html`<${Answer} numbers=${found.numbers} />`}
    ${found && found.key !== key && html`<p class="quiet">${t("estimate.old")}</p>`}</div>`;
}

/** @param {{numbers: Record<string, string>}} props texts, as the API has them */
function Answer({ numbers }) {
  const of = (/** @type {string} */ key) => (numbers[key] === undefined ? undefined : Number(numbers[key]));
  const [low, high, free] = [of("seconds_low") ?? 0, of("seconds_high") ?? 0, of("free_bytes")];
  const disk = (of("jsonl_bytes") ?? 0) + (of("candidates_bytes") ?? 0);
  const missing = of("missing_share");
  const range = missing === undefined ? undefined : `${percent(missing)}${of("missing_share_low") === of("missing_share_high") ? "" : ` (${percent(of("missing_share_low") ?? 0)} – ${percent(of("missing_share_high") ?? 0)})`}`;
  const tried = of("sample_images") ?? 0;
  return html`<p class="big">${t("estimate.in", { images: number(of("images") ?? 0), low: duration(low), high: duration(high) })}</p>
    ${numbers.warnings && html`<div class="trouble" lang="en"><strong lang=${document.documentElement.lang}>${t("estimate.mend")}</strong>${numbers.warnings.split("\n").map((one) => html`<p>${one}</p>`)}</div>`}
    <${Facts} pairs=${[
      [t("estimate.rows"), of("rows") && number(of("rows") ?? 0)], [t("estimate.duplicates"), of("duplicates") && number(of("duplicates") ?? 0)],
      [t("estimate.unusable"), of("unusable") && number(of("unusable") ?? 0)], [t("estimate.missing"), range],
      [t("estimate.unreadable"), tried ? t("estimate.of", { n: of("sample_failed") ?? 0, all: number(tried) }) : undefined],
      [t("estimate.rate"), of("images_per_s") && number(of("images_per_s") ?? 0, 1)], [t("estimate.found"), of("results_per_image") !== undefined ? number(of("results_per_image") ?? 0, 1) : undefined],
      [t("estimate.disk"), `${bytes(disk)}${free === undefined ? "" : ` · ${t("estimate.free", { size: bytes(free) })}`}`],
      [t("estimate.reused"), of("reused_share") !== undefined ? percent(of("reused_share") ?? 0) : undefined], [t("estimate.reuse"), numbers.reuse && html`<span lang="en">${numbers.reuse}</span>`],
      [t("estimate.limited"), numbers.limited_by && html`<span lang="en">${numbers.limited_by}</span>`], [t("estimate.advice"), numbers.advice && html`<span lang="en">${numbers.advice}</span>`],
      [t("estimate.cost"), of("cost") !== undefined ? number(of("cost") ?? 0, 2) : undefined]]} />
    ${disk > (free ?? Infinity) && html`<p class="trouble">${t("estimate.full")}</p>`}`;
}
