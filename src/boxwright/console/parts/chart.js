// @ts-check
// A line chart as SVG: axes, up to three lines, a mark, and the values at the pointer. Its numbers stand in a table beside it.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/ui.js";
import { number } from "../app/i18n.js";

const [HEIGHT_PX, LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX] = [280, 56, 14, 10, 46];
const TICKS = 5;

/** Round numbers in a range, about five of them. @param {number} low @param {number} high */
export function ticks(low, high) {
  const rough = (high - low) / TICKS || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((one) => one * power >= rough) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, index) => (first + index) * step);
}

/** The least and the largest number; of one number or none, a range that holds it. @param {(number | null)[]} values @returns {[number, number]} */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const one of values) {
    if (one === null) continue;
    low = Math.min(low, one);
    high = Math.max(high, one);
  }
  if (low > high) return [0, 1];
  return low === high ? [low - 1, high + 1] : [low, high];
}

/** @param {number} value */
const shortNumber = (value) => number(value, Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 1 ? 1 : 2);

/**
 * @param {{label: string, x: string, lines: string[], data: (number | null)[][], mark?: number, unit?: boolean}} props
 *   `data`: the values of x, rising, then of each line, null where there is none; `mark`: an x to point at; `unit`: both axes go from 0 to 1.
 */
export function Chart({ label, x, lines, data, mark, unit = true }) {
  const at = useRef(/** @type {any} */ (null));
  const [width, setWidth] = useState(600);
  const [pointed, setPointed] = useState(-1);
  useEffect(() => {
    const resized = new ResizeObserver(() => setWidth(Math.max(200, at.current?.clientWidth ?? 0)));
    resized.observe(at.current);
    return () => resized.disconnect();
  }, []);
  const [xs, ...rows] = data;
  /** @type {{left: (value: number) => number, down: (value: number) => number, paths: string[], across: number[], up: number[]}} */
  const drawn = useMemo(() => {
    const [low, high] = unit ? [0, 1] : extent(xs);
    const [bottom, top] = unit ? [0, 1.02] : extent(rows.flat());
    const left = (/** @type {number} */ value) => LEFT_PX + ((value - low) / (high - low)) * (width - LEFT_PX - RIGHT_PX);
    const down = (/** @type {number} */ value) => HEIGHT_PX - BOTTOM_PX - ((value - bottom) / (top - bottom)) * (HEIGHT_PX - TOP_PX - BOTTOM_PX);
    const paths = rows.map((row) => xs.map((one, index) => (row[index] == null ? "" : `${left(/** @type {number} */ (one)).toFixed(1)} ${down(/** @type {number} */ (row[index])).toFixed(1)}`)).filter(Boolean));
    return { left, down, paths: paths.map((points) => (points.length ? `M${points.join("L")}` : "")), across: ticks(low, high), up: ticks(bottom, top) };
  }, [data, width, unit]);
  const { left, down } = drawn;
  const point = (/** @type {PointerEvent} */ event) => {
    const at_px = event.clientX - at.current.getBoundingClientRect().left;
    setPointed(xs.reduce((/** @type {number} */ best, one, index) => (best < 0 || Math.abs(left(Number(one)) - at_px) < Math.abs(left(Number(xs[best])) - at_px) ? index : best), -1));
  };
  const floor = HEIGHT_PX - BOTTOM_PX;
  return html`<div class="chart"><svg ref=${at} role="img" aria-label=${label} height=${HEIGHT_PX} onPointerMove=${point} onPointerLeave=${() => setPointed(-1)}>
      ${drawn.up.map((one) => html`<path class="grid" d=${`M${LEFT_PX} ${down(one)}H${width - RIGHT_PX}`} /><text x=${LEFT_PX - 8} y=${down(one) + 4} text-anchor="end">${shortNumber(one)}</text>`)}
      ${drawn.across.map((one) => html`<path class="grid" d=${`M${left(one)} ${TOP_PX}V${floor}`} /><text x=${left(one)} y=${floor + 18} text-anchor="middle">${shortNumber(one)}</text>`)}
      <text x=${(LEFT_PX + width) / 2} y=${HEIGHT_PX - 6} text-anchor="middle">${x}</text>
      ${drawn.paths.map((path, index) => html`<path class=${`line line${index % 3}`} d=${path} />`)}
      ${mark !== undefined && html`<path class="mark" d=${`M${left(mark)} ${TOP_PX}V${floor}`} />`}
      ${pointed >= 0 && html`<path class="pointed" d=${`M${left(Number(xs[pointed]))} ${TOP_PX}V${floor}`} />`}</svg>
    <div class="row small legend">${lines.map((one, index) => html`<span><svg width="26" height="10" aria-hidden="true"><path class=${`line line${index % 3}`} d="M0 5H26" /></svg> ${one}${pointed >= 0 && rows[index]?.[pointed] != null ? `: ${number(/** @type {number} */ (rows[index][pointed]), 3)}` : ""}</span>`)}
      ${pointed >= 0 && html`<span class="quiet">${x}: ${number(Number(xs[pointed]), 3)}</span>`}</div></div>`;
}
