// @ts-check
// A dataset's images as the API lists them: by what an address asks for; their labels and colours.
import { BASE, get, list } from "../app/api.js";
import { labelColour } from "./picture.js";

export const SETS = ["TRAIN", "VALIDATION", "TEST", "UNASSIGNED"];
export const STATES = ["LABELED", "SUGGESTED", "UNLABELED"];
export const ORDERS = ["import_order", "update_time desc", "display_name", "boxes desc", "boxes"];
/** What an address may ask for: label, set, state, boxes (`none`, `some`, `tiny`), name, order. */
export const ASKED = ["label", "set", "state", "boxes", "name", "order"];
const BOXES = { none: "boxes=0", some: "boxes>0", many: "boxes>=20", tiny: "min_edge_px<16" };
export const BOX_CHOICES = Object.keys(BOXES);
const INCOMPLETE = "boxes>=0";

/** @param {string} text as a value of a filter */
export const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

/** The filter of ListExamples for what an address asks for. @param {URLSearchParams} query */
export function filterOf(query) {
  const [label, set, state, boxes, name] = ASKED.map((one) => query.get(one) ?? "");
  const terms = [
    label && `label=${quoted(label)}`, SETS.includes(set) && `ml_use=${set}`, STATES.includes(state) && `state=${state}`,
    /** @type {any} */ (BOXES)[boxes], name && `uri=${quoted(name)}`,
  ];
  return terms.filter(Boolean).join(" AND ");
}

/** A filter that a change of many takes: it must say something. @param {URLSearchParams} query */
export const filterOfAll = (query) => filterOf(query) || INCOMPLETE;

/** @param {URLSearchParams} query */
export const orderOf = (query) => (ORDERS.includes(query.get("order") ?? "") ? query.get("order") ?? "" : "");

/** The path of a page of examples. @param {string} dataset its name @param {URLSearchParams} query @param {number} skip @param {number} count */
export function examplesPath(dataset, query, skip, count) {
  const url = new URL(`${dataset}/examples`, BASE);
  for (const [key, value] of Object.entries({ filter: filterOf(query), orderBy: orderOf(query), pageSize: String(count), skip: String(skip || "") })) {
    if (value) url.searchParams.set(key, value);
  }
  return url.href.slice(BASE.href.length);
}

/** Examples from a place in the list on. @param {string} dataset @param {URLSearchParams} query @param {number} skip @param {number} count @param {AbortSignal} [signal] */
export async function readExamples(dataset, query, skip, count, signal) {
  const page = await get(examplesPath(dataset, query, skip, count), signal);
  return { items: page.examples ?? [], total: page.totalSize ?? 0 };
}

/** A dataset's labels, each with its colour. @param {string} dataset its name */
export async function labelsOf(dataset) {
  const found = await list(`${dataset}/annotationSpecs`, "annotationSpecs", 10000);
  return found.map((one, index) => ({ ...one, shade: one.colour || labelColour(index), index }));
}

/** The name of an example's file. @param {any} example */
export const fileOf = (example) => (example.displayName || example.uri || "").replace(/^.*\//, "");
