// @ts-check
// Sentences by their ids, in the chosen language; numbers, times and plurals by Intl.
import { chooseLanguage, language } from "./store.js";

export const LANGUAGES = { en: "English", id: "Bahasa Indonesia" };
/** Sentences by language: those of the pages that have been opened. @type {Record<string, Record<string, any>>} */
export const TEXTS = { en: {}, id: {} };
/** @type {Set<string>} */
const spoken = new Set();

/** @param {string} code of a language @param {string} part */
async function learn(code, part) {
  const { default: sentences } = await import(`../text/${code}${part && `_${part}`}.js`);
  Object.assign(TEXTS[code], sentences);
}

/** Fetches the sentences of a part of the console, in the chosen language; empty: those of every page. @param {string} part */
export async function speak(part) {
  spoken.add(part);
  await learn(code(), part);
}

const code = () => (language.value in TEXTS ? language.value : "en");

/** Turns to another language, once its sentences are there. @param {string} chosen */
export async function turnTo(chosen) {
  await Promise.all([...spoken].map((part) => learn(chosen, part)));
  chooseLanguage(chosen);
}

/**
 * The sentence with its placeholders filled in. A sentence with forms is chosen by `n`.
 * @param {string} key @param {Record<string, any>} [values]
 */
export function t(key, values = {}) {
  let text = TEXTS[code()][key];
  if (text === undefined) return key;
  if (typeof text === "object") text = text[new Intl.PluralRules(language.value).select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (/** @type {string} */ whole, /** @type {string} */ name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** Whether there is a sentence of this id. @param {string} key */
export const has = (key) => key in TEXTS[code()];

/** @type {Map<string, Intl.NumberFormat>} */
const formatters = new Map();

/** What writes numbers in the chosen language; to make one takes longer than to use it. @param {string} key @param {Intl.NumberFormatOptions} options */
function formatter(key, options) {
  const name = `${language.value} ${key}`;
  const found = formatters.get(name) ?? new Intl.NumberFormat(language.value, options);
  formatters.set(name, found);
  return found;
}

/** @param {number} value @param {number} [digits] */
export function number(value, digits = 0) {
  return formatter(`${digits}`, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

/** A share of 1 in percent. @param {number} value @param {number} [least] digits at least: 1 where shares stand beside each other */
export const percent = (value, least = 0) =>
  formatter(`% ${least}`, { style: "percent", maximumFractionDigits: 1, minimumFractionDigits: least }).format(value);

/** A score from 0 to 1, in the unit of the thresholds that it is held against. @param {number} value */
export const score = (value) => number(value, 3);

/** On one line. @param {string | undefined} text RFC 3339 */
export function time(text) {
  if (!text) return "–";
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text)).replaceAll(" ", "\u00a0");
}

/** Seconds in words of at most two units. @param {number} seconds */
export function duration(seconds) {
  const all = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60)];
  if (hours) return t(minutes ? "time.hours" : "time.hours.whole", { h: hours, m: minutes });
  if (minutes) return t(all % 60 ? "time.minutes" : "time.minutes.whole", { m: minutes, s: all % 60 });
  return t("time.seconds", { s: all });
}
