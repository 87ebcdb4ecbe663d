// @ts-check
// Counts at a score threshold, from a batch job's summary in memory: no request, no row is read.

export const STEPS = 100; // thresholds are k / 100

/**
 * @typedef {{name: string, found: number[], images: number[]}} LabelCounts entry k: for scores of k / 100 or more
 * @typedef {{imageCount: number, errorCount: number, threshold: number, hasCandidates: boolean, reason: string, folder: string,
 *   labels: LabelCounts[], imagesAbove: number[], errors: any[], files: any[]}} Counts
 */

/** Where the summary of a job is. @param {string} operation its name */
export const summaryPath = (operation) => `${operation}:summarizeResults`;

/** A summary with numbers instead of the API's texts. @param {any} summary @returns {Counts} */
export function readSummary(summary) {
  const row = (/** @type {any[] | undefined} */ values) => Array.from({ length: STEPS + 1 }, (_, k) => Number(values?.[k] ?? 0));
  return {
    imageCount: Number(summary.imageCount ?? 0), errorCount: Number(summary.errorCount ?? 0), threshold: summary.scoreThreshold ?? 0,
    hasCandidates: Boolean(summary.hasCandidates), reason: summary.reason ?? "", folder: (summary.outputDirectory ?? "").replace(/\/+$/, ""),
    labels: (summary.labels ?? []).map((/** @type {any} */ one) => ({ name: one.displayName ?? "", found: row(one.foundAbove), images: row(one.imagesAbove) }))
      .sort((/** @type {LabelCounts} */ a, /** @type {LabelCounts} */ b) => (a.name < b.name ? -1 : 1)), // as a dataset's labels, so that their colours are the same
    imagesAbove: row(summary.imagesAbove),
    errors: (summary.errors ?? []).map((/** @type {any} */ one) => ({ code: one.code ?? 0, message: one.message ?? "", images: Number(one.imageCount ?? 0) })),
    files: (summary.files ?? []).map((/** @type {any} */ one) => ({ path: one.path ?? "", bytes: Number(one.sizeBytes ?? 0) })),
  };
}

/** The step of a threshold: the least one that leaves nothing below the threshold in. @param {number} threshold */
export const stepOf = (threshold) => Math.min(STEPS, Math.max(0, Math.ceil(threshold * STEPS - 1e-6)));

/** @param {Counts} counts @param {string} label its name; empty: all labels @returns {LabelCounts[]} */
const labelsOf = (counts, label) => (label ? counts.labels.filter((one) => one.name === label) : counts.labels);

/**
 * Findings, and images with any of them, at a threshold.
 * @param {Counts} counts @param {number} threshold @param {string} label its name; empty: all labels
 */
export function countAt(counts, threshold, label) {
  const k = stepOf(threshold);
  const found = labelsOf(counts, label).reduce((sum, one) => sum + one.found[k], 0);
  const images = label ? (labelsOf(counts, label)[0]?.images[k] ?? 0) : counts.imagesAbove[k];
  return { found, images };
}

/** The highest threshold at which there is any finding; 0 if there is none above that. @param {Counts} counts @param {string} label its name; empty: all labels */
export function highestWithFindings(counts, label) {
  for (let k = STEPS; k > 0; k--) if (countAt(counts, k / STEPS, label).found) return k / STEPS;
  return 0;
}

/** Findings by score, in intervals of 1 / 100. @param {Counts} counts @param {string} label @returns {number[]} 100 counts */
export function histogram(counts, label) {
  const above = Array.from({ length: STEPS + 1 }, (_, k) => labelsOf(counts, label).reduce((sum, one) => sum + one.found[k], 0));
  return Array.from({ length: STEPS }, (_, k) => Math.max(0, above[k] - (k === STEPS - 1 ? 0 : above[k + 1])));
}

/** A text in a filter. @param {string} text */
export const quotedText = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
