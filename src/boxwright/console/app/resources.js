// @ts-check
// The API's resources as the pages see them: kinds, model types, lists.
import { idOf, list } from "./api.js";
import { parent } from "./store.js";

/** The kinds of datasets that are served; `name` begins the API's names of fields. */
export const KINDS = {
  detection: { name: "imageObjectDetection", types: ["cloud-high-accuracy-1", "cloud-low-latency-1", "mobile-low-latency-1", "mobile-versatile-1", "mobile-high-accuracy-1"] },
  classification: { name: "imageClassification", types: ["cloud", "mobile-low-latency-1", "mobile-versatile-1", "mobile-high-accuracy-1"] },
};

/** Milli node hours that a type takes: least, most, default. @param {string} type */
export function budgetOf(type) {
  if (type === "cloud") return { least: 1000, most: 800_000, usual: 192_000 };
  return type.startsWith("cloud") ? { least: 20_000, most: 900_000, usual: 216_000 } : { least: 1000, most: 100_000, usual: 24_000 };
}

/** `detection`, `classification`, or empty for others. @param {any} resource a dataset or a model */
export function kindOf(resource) {
  for (const [kind, { name }] of Object.entries(KINDS)) {
    if (resource[`${name}DatasetMetadata`] || resource[`${name}ModelMetadata`]) return kind;
  }
  return "";
}

/** The sentence's id of a dataset's kind. @param {any} dataset */
export function kindKey(dataset) {
  const isMany = dataset.imageClassificationDatasetMetadata?.classificationType === "MULTILABEL";
  return `kind.${isMany ? "classification.multi" : kindOf(dataset) || "other"}`;
}

/** @param {any} model */
export const metadataOf = (model) => model.imageObjectDetectionModelMetadata ?? model.imageClassificationModelMetadata ?? {};
export const datasets = () => list(`${parent()}/datasets`, "datasets");
export const models = () => list(`${parent()}/models`, "model");
/** @param {number} [most] */
export const operations = (most = 300) => list(`${parent()}/operations`, "operations", most);
/** The models of a dataset, newest first. @param {string} dataset its id */
export const modelsOf = async (dataset) => newestFirst((await models()).filter((one) => one.datasetId === dataset));
/** Models that can suggest labels for a dataset: its own, then others of its kind, newest first. @param {any} dataset */
export async function suggesting(dataset) {
  const found = newestFirst((await models()).filter((one) => kindOf(one) === kindOf(dataset)));
  const isOwn = (/** @type {any} */ one) => one.datasetId === idOf(dataset.name);
  return [...found.filter(isOwn), ...found.filter((one) => !isOwn(one))];
}
/** @param {any[]} resources */
export const newestFirst = (resources) => [...resources].sort((a, b) => (b.createTime ?? "").localeCompare(a.createTime ?? ""));

const DETAILS = {
  importDataDetails: "import_data", exportDataDetails: "export_data", createModelDetails: "create_model", batchPredictDetails: "batch_predict",
  deleteDetails: "delete", deployModelDetails: "deploy_model", undeployModelDetails: "undeploy_model", exportModelDetails: "export_model",
  createDatasetDetails: "create_dataset",
};

/** @param {any} operation */
export const operationKind = (operation) =>
  Object.entries(DETAILS).find(([name]) => operation.metadata?.[name])?.[1] ?? "operation";

/** @param {any} operation */
export function stateOf(operation) {
  if (!operation.done) return "RUNNING";
  if (!operation.error) return "SUCCEEDED";
  return operation.error.code === 1 ? "CANCELLED" : "FAILED";
}

/** Each evaluation's numbers: of the whole model, and by label. @param {any[]} evaluations */
export function readEvaluations(evaluations) {
  const found = evaluations.map((one) => {
    const boxes = one.imageObjectDetectionEvaluationMetrics;
    const classes = one.classificationEvaluationMetrics;
    const grid = boxes ? (boxes.boundingBoxMetricsEntries ?? []) : [];
    return {
      id: idOf(one.name), label: one.displayName ?? "", isWhole: !one.annotationSpecId, images: one.evaluatedExampleCount ?? 0,
      objects: boxes?.evaluatedBoundingBoxCount, precision: boxes?.boundingBoxMeanAveragePrecision ?? classes?.auPrc ?? 0, grid,
      entries: classes?.confidenceMetricsEntry ?? [], confusion: classes?.confusionMatrix,
    };
  });
  return { whole: found.find((one) => one.isWhole), labels: found.filter((one) => !one.isWhole) };
}

/** The entries at an IoU, by rising confidence. @param {any} evaluation @param {number} iou */
export function entriesAt(evaluation, iou) {
  const near = (/** @type {any} */ row) => Math.abs((row.iouThreshold ?? 0) - iou);
  const row = evaluation.grid.length ? evaluation.grid.reduce((/** @type {any} */ a, /** @type {any} */ b) => (near(b) < near(a) ? b : a)) : null;
  const entries = row ? (row.confidenceMetricsEntries ?? []) : evaluation.entries;
  return entries
    .map((/** @type {any} */ one) => ({ confidence: one.confidenceThreshold ?? 0, precision: one.precision ?? 0, recall: one.recall ?? 0, f1: one.f1Score ?? 0 }))
    .sort((/** @type {any} */ a, /** @type {any} */ b) => a.confidence - b.confidence);
}
