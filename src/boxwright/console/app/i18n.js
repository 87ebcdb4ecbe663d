// @ts-check
// Sentences by their ids, in the chosen language; numbers, times and plurals by Intl.
import en from "../text/en.js";
import id from "../text/id.js";
import { language } from "./store.js";

export const LANGUAGES = { en: "English", id: "Bahasa Indonesia" };
/** @type {Record<string, Record<string, any>>} */
export const TEXTS = { en: { ...en }, id: { ...id } };

/** Adds the sentences of a page that is loaded later. @param {Record<string, any>} english @param {Record<string, any>} indonesian */
export function speak(english, indonesian) {
  Object.assign(TEXTS.en, english);
  Object.assign(TEXTS.id, indonesian);
}

/**
 * The sentence with its placeholders filled in. A sentence with forms is chosen by `n`.
 * @param {string} key @param {Record<string, any>} [values]
 */
export function t(key, values = {}) {
  const chosen = TEXTS[language.value] ?? TEXTS.en;
  let text = chosen[key] ?? TEXTS.en[key];
  if (text === undefined) return key;
  if (typeof text === "object") text = text[new Intl.PluralRules(language.value).select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (/** @type {string} */ whole, /** @type {string} */ name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/** Whether there is a sentence of this id. @param {string} key */
export const has = (key) => key in TEXTS.en;

/** @param {number} value @param {number} [digits] */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(language.value, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

/** A share of 1 in percent. @param {number} value */
export const percent = (value) =>
  new Intl.NumberFormat(language.value, { style: "percent", maximumFractionDigits: 1 }).format(value);

/** @param {string | undefined} text RFC 3339 */
export function time(text) {
  if (!text) return "–";
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));
}

/** Seconds in words of at most two units. @param {number} seconds */
export function duration(seconds) {
  const all = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60)];
  if (hours) return t("time.hours", { h: hours, m: minutes });
  return minutes ? t("time.minutes", { m: minutes, s: all % 60 }) : t("time.seconds", { s: all });
}
