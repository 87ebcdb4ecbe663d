// @ts-check
// Sizes in bytes as people read them.
import { language } from "../app/store.js";

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** In units of thousands. @param {number} count */
export function bytes(count) {
  const step = Math.min(Math.max(0, Math.floor(Math.log10(Math.max(count, 1)) / 3)), UNITS.length - 1);
  const value = count / 1000 ** step;
  return new Intl.NumberFormat(language.value, { style: "unit", unit: UNITS[step], unitDisplay: step ? "short" : "long", maximumFractionDigits: value < 10 && step ? 1 : 0 }).format(value);
}
