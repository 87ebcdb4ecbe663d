// @ts-check
// An example of the API as what is edited, and back; what two people have made of one image, brought together.
import { atLeast, boxOf, iouOf } from "./geometry.js";
import { ACCEPTED, HUMAN, MODEL, freeKey } from "./model.js";

/** @typedef {import("./model.js").Content} Content */
/** @typedef {import("./model.js").Item} Item */

export const OVERLAP_IOU = 0.7; // from which a suggestion is the label that is there already
const SAME_IOU = 0.5; // from which two people have drawn the same object

/** @param {any} example @returns {Content} */
export function contentOf(example) {
  const sources = example.sources ?? [];
  const items = (example.annotations ?? []).map((/** @type {any} */ one, /** @type {number} */ index) => itemOf(one, index + 1, sources[index] ?? "IMPORTED"));
  return { items, state: example.state ?? "UNLABELED", mlUse: example.mlUse ?? "UNASSIGNED" };
}

/** @param {any} payload an AnnotationPayload @param {number} key @param {string} source @returns {Item} */
export function itemOf(payload, key, source) {
  const found = payload.imageObjectDetection;
  const corners = found?.boundingBox?.normalizedVertices ?? [];
  const [xs, ys] = [corners.map((/** @type {any} */ one) => one.x ?? 0), corners.map((/** @type {any} */ one) => one.y ?? 0)];
  const box_norm = corners.length ? /** @type {const} */ ([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]) : null;
  const score = found?.score ?? payload.classification?.score ?? 1;
  return { key, specId: payload.annotationSpecId ?? "", label: payload.displayName ?? "", box_norm, score, source };
}

/** @param {Item} item */
function payloadOf({ specId, box_norm, score, source }) {
  const given = source === MODEL || source === ACCEPTED ? { score } : {};
  if (!box_norm) return { annotationSpecId: specId, classification: given };
  const [x_min, y_min, x_max, y_max] = box_norm;
  const normalizedVertices = [{ x: x_min, y: y_min }, { x: x_max, y: y_max }];
  return { annotationSpecId: specId, imageObjectDetection: { boundingBox: { normalizedVertices }, ...given } };
}

/** What UpdateExample is sent. @param {string} name @param {string} etag @param {Content} content */
export const exampleOf = (name, etag, content) => ({
  name, etag, state: content.state, mlUse: content.mlUse, annotations: content.items.map(payloadOf), sources: content.items.map((one) => one.source),
});

/** What makes a label the same label: its spec, and its box as precise as the messages are. @param {Item} one */
export const signature = (one) => `${one.specId} ${one.box_norm ? one.box_norm.map(Math.fround).join(" ") : ""}`;

/** @param {Content} a @param {Content} b */
export const isSameContent = (a, b) => {
  if (a.state !== b.state || a.mlUse !== b.mlUse || a.items.length !== b.items.length) return false;
  const marks = (/** @type {Content} */ one) => one.items.map((item) => `${signature(item)} ${item.source === MODEL}`).sort().join("|");
  return marks(a) === marks(b);
};

/**
 * Two changes of one content as one, or null where they touch the same things.
 * @param {Content} base what both began with @param {Content} mine @param {Content} theirs its items have keys of their own
 * @param {boolean} isSingle whether an image has one label at most
 * @returns {Content | null}
 */
export function merged(base, mine, theirs, isSingle) {
  const before = new Map(base.items.map((one) => [one.key, one]));
  const after = new Map(mine.items.map((one) => [one.key, one]));
  const [baseMarks, theirMarks] = [new Set(base.items.map(signature)), new Set(theirs.items.map(signature))];
  const touched = base.items.filter((one) => !isUntouched(one, after.get(one.key)));
  const brought = mine.items.filter((one) => !isUntouched(before.get(one.key), one));
  const theirGone = base.items.filter((one) => !theirMarks.has(signature(one)));
  const theirNew = theirs.items.filter((one) => !baseMarks.has(signature(one)));
  for (const one of touched) {
    const mineNow = after.get(one.key);
    const isAlike = mineNow && theirMarks.has(signature(mineNow)); // both have done the same
    if (!isAlike && theirGone.includes(one) && (after.has(one.key) || theirNew.some((other) => meets(one, other)))) return null;
  }
  const fresh = brought.filter((one) => !theirMarks.has(signature(one)));
  if (fresh.some((one) => theirNew.some((other) => meets(one, other)))) return null;
  const dropped = new Set(touched.map(signature));
  const kept = theirs.items.filter((one) => !dropped.has(signature(one)) || brought.some((item) => signature(item) === signature(one)));
  const items = keyed(kept, fresh.concat(brought.filter((one) => !fresh.includes(one) && !kept.some((item) => signature(item) === signature(one)))));
  const state = chosen(base.state, mine.state, theirs.state);
  const mlUse = chosen(base.mlUse, mine.mlUse, theirs.mlUse);
  if (state === null || mlUse === null || (isSingle && items.length > 1)) return null;
  return { items, state: state === "UNLABELED" && items.length ? "SUGGESTED" : state, mlUse };
}

/** @param {Item | undefined} one @param {Item | undefined} other */
const isUntouched = (one, other) => Boolean(one && other && signature(one) === signature(other) && one.source === other.source);
/** @param {Item} a @param {Item} b */
const meets = (a, b) => (a.box_norm && b.box_norm ? iouOf(a.box_norm, b.box_norm) >= SAME_IOU : a.specId === b.specId);

/** @param {string} base @param {string} mine @param {string} theirs */
function chosen(base, mine, theirs) {
  if (mine === base || mine === theirs) return theirs;
  return theirs === base ? mine : null;
}

/** All of theirs and what I have beside it. @param {Content} mine @param {Content} theirs @returns {Content} */
export function united(mine, theirs) {
  const marks = new Set(theirs.items.map(signature));
  const items = keyed(theirs.items, mine.items.filter((one) => !marks.has(signature(one))));
  return { items, state: mine.state === "UNLABELED" && items.length ? "SUGGESTED" : mine.state, mlUse: mine.mlUse };
}

/** @param {readonly Item[]} first @param {readonly Item[]} more */
function keyed(first, more) {
  const from = freeKey(first);
  return [...first, ...more.map((one, index) => ({ ...one, key: from + index }))];
}

/** A model's findings that are not there yet: no box of the label overlaps. They can be saved: small boxes have the least edges, none is there twice. @param {any[]} annotations @param {readonly Item[]} items @param {readonly [number, number]} least_norm @returns {Item[]} */
export function suggestionsFor(annotations, items, least_norm) {
  const found = annotations.map((one, index) => itemOf(one, -1 - index, MODEL)).map((one) => ({ ...one, box_norm: one.box_norm && atLeast(boxOf(...one.box_norm), least_norm) }));
  const first = new Map([...found].reverse().map((one) => [signature(one), one]));
  return found.filter((one) => first.get(signature(one)) === one && !items.some((item) => item.specId === one.specId && isCovered(one, item)));
}

/** @param {Item} one @param {Item} item */
const isCovered = (one, item) => (one.box_norm && item.box_norm ? iouOf(one.box_norm, item.box_norm) >= OVERLAP_IOU : !one.box_norm);

/** A person's copy of a label. @param {Item} one @param {number} key @returns {Item} */
export const copied = (one, key) => ({ ...one, key, source: HUMAN, score: 1 });
