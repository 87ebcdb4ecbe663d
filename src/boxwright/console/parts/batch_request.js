// @ts-check
// What a new batch job is made of: the form's draft, the request that it becomes, and drafts made from a former job.

/** Formats as the API has them, and by their own names. @type {Record<string, string>} */
export const FORMATS = { csv: "CSV", parquet: "Parquet", coco: "COCO", yolo: "YOLO", voc: "Pascal VOC", cvat: "CVAT", labelstudio: "Label Studio", labelme: "labelme", vertex: "Vertex AI" };
const MANIFEST = /\/manifest\.json$/;

/**
 * @typedef {{inputs: string, output: string, threshold: number, boxes: string, labels: string, byLabel: string, formats: string[],
 *   reuse: string, reuseOf: string, onlyNew: boolean, priority: string, hours: string, limit: string}} Draft
 *   `inputs`, `byLabel`: one entry a line; empty texts leave a parameter out.
 */

/** @returns {Draft} */
export const emptyDraft = () => ({
  inputs: "", output: "", threshold: 0.5, boxes: "", labels: "", byLabel: "", formats: [], reuse: "", reuseOf: "", onlyNew: false, priority: "normal",
  hours: "", limit: "",
});

/** Addresses, one a line; blanks inside a line belong to the address. @param {string} text */
export const lines = (text) => text.split(/[\r\n]+/).map((one) => one.trim()).filter(Boolean);

/** A folder for the results in the bucket of the first input; empty if there is no input yet. @param {string} inputs */
export const proposedOutput = (inputs) => {
  const bucket = /^[a-z][a-z0-9+.-]*:\/\/[^/]+/.exec(lines(inputs)[0] ?? "")?.[0];
  return bucket ? `${bucket}/results/` : "";
};

/** Whether results are made again from candidates: nothing is predicted then. @param {Draft} draft */
export const isRewrite = (draft) => lines(draft.inputs).length > 0 && lines(draft.inputs).every((one) => MANIFEST.test(one));

/** The parameters as the API has them: texts. @param {Draft} draft */
export function paramsOf(draft) {
  /** @type {Record<string, string>} */
  const params = { score_threshold: String(draft.threshold) };
  if (draft.boxes) params.max_bounding_box_count = draft.boxes;
  if (draft.labels.trim()) params.labels = draft.labels.split(",").map((one) => one.trim()).filter(Boolean).join(",");
  for (const line of lines(draft.byLabel)) {
    const cut = line.lastIndexOf("=");
    if (cut > 0) params[`score_threshold.${line.slice(0, cut).trim()}`] = line.slice(cut + 1).trim();
  }
  if (draft.formats.length) params.formats = draft.formats.join(",");
  if (draft.reuse === "named") params.reuse = draft.reuseOf.trim();
  else if (draft.reuse) params.reuse = draft.reuse;
  if (draft.onlyNew && draft.reuse && draft.reuse !== "none") params.only_new = "true";
  if (draft.priority !== "normal") params.priority = draft.priority;
  if (Number(draft.hours) > 0) params.deadline_s = String(Math.round(Number(draft.hours) * 3600));
  if (draft.limit !== "") params.image_failure_limit = String(Number(draft.limit) / 100);
  return params;
}

/** The body of BatchPredict. @param {Draft} draft @param {Record<string, string>} more parameters */
export const requestOf = (draft, more = {}) => ({
  inputConfig: { gcsSource: { inputUris: draft.inputs.trim() ? lines(draft.inputs) : ["gs://BUCKET/images.csv"] } },
  outputConfig: { gcsDestination: { outputUriPrefix: draft.output.trim() || "gs://BUCKET/results/" } },
  params: { ...paramsOf(draft), ...more },
});

/** The folder of an operation's results, without a slash at its end. @param {any} operation */
export const outputOf = (operation) => (operation.metadata?.batchPredictDetails?.outputInfo?.gcsOutputDirectory ?? "").replace(/\/+$/, "");

/** The files that list a job's failed images. @param {any} operation @param {any} progress */
export const errorFiles = (operation, progress) =>
  Array.from({ length: Number(progress.errors_files ?? 0) }, (_, index) => `${outputOf(operation)}/errors_${index + 1}.jsonl`);

/**
 * A draft with what a former job was asked for.
 * @param {any} operation @param {any} progress @param {string} as "same"; "retry": its failed images; "rewrite": its results made again
 * @returns {Draft}
 */
export function draftOf(operation, progress, as) {
  const details = operation.metadata?.batchPredictDetails ?? {};
  const inputs = { retry: errorFiles(operation, progress), rewrite: [`${outputOf(operation)}/manifest.json`] }[as];
  const limit = progress.image_failure_limit;
  return {
    ...emptyDraft(),
    inputs: (inputs ?? details.inputConfig?.gcsSource?.inputUris ?? progress.input_uris ?? []).join("\n"),
    output: progress.output_uri_prefix ?? "",
    threshold: progress.score_threshold ?? 0.5,
    boxes: as === "rewrite" || !progress.max_bounding_box_count ? "" : String(progress.max_bounding_box_count),
    labels: (progress.labels ?? []).join(","),
    byLabel: Object.entries(progress.score_thresholds ?? {}).map(([label, score]) => `${label}=${score}`).join("\n"),
    formats: progress.formats ?? [],
    limit: limit == null ? "" : String(Math.round(limit * 1e6) / 1e4),
  };
}
