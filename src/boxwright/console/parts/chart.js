// @ts-check
// A line chart by uPlot, which is fetched when the first chart is shown. Its numbers stand in a table beside it.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { t } from "../app/i18n.js";
import { theme } from "../app/store.js";

const HEIGHT_PX = 280;
/** @type {Promise<any> | undefined} */
let drawing;

function uplot() {
  if (!drawing) {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = new URL("../vendor/uplot.css", import.meta.url).href;
    document.head.append(sheet);
    drawing = import("../vendor/uplot.js").then((one) => one.default);
  }
  return drawing;
}

/** A colour of the sheet as it is now: a canvas knows no variables. @param {string} name */
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/**
 * @param {{label: string, x: string, lines: string[], data: number[][], mark?: number, unit?: boolean}} props
 *   `data`: the values of x, then of each line; `mark`: an x to point at; `unit`: both axes go from 0 to 1.
 */
export function Chart({ label, x, lines, data, mark, unit = true }) {
  const at = useRef(/** @type {any} */ (null));
  const chart = useRef(/** @type {any} */ (null));
  const point = useRef(mark);
  const [failed, setFailed] = useState(false);
  point.current = mark;
  useEffect(() => {
    let isGone = false;
    const resized = new ResizeObserver(() => chart.current?.setSize({ width: at.current.clientWidth, height: HEIGHT_PX }));
    uplot()
      .then((Plot) => {
        if (isGone) return;
        chart.current = new Plot(options({ x, lines, unit, width: at.current.clientWidth, point }), data, at.current);
        resized.observe(at.current);
      })
      .catch(() => setFailed(true));
    return () => {
      isGone = true;
      resized.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [theme.value, lines.join(), x]);
  useEffect(() => chart.current?.setData(data), [data]);
  useEffect(() => chart.current?.redraw(false), [mark]);
  if (failed) return html`<p class="quiet">${t("chart.failed")}</p>`;
  return html`<div class="chart" role="img" aria-label=${label} ref=${at}></div>`;
}

/** @param {{x: string, lines: string[], unit: boolean, width: number, point: {current: number | undefined}}} what */
function options({ x, lines, unit, width, point }) {
  const colours = [colour("--accent"), colour("--bad"), colour("--warn")];
  const ink = colour("--quiet");
  const axis = { stroke: ink, grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const scale = unit ? { range: [0, 1.02] } : {};
  const shown = (/** @type {any} */ _, /** @type {number | null} */ value) => (value === null ? "–" : value.toFixed(3));
  return {
    width, height: HEIGHT_PX,
    scales: { x: { time: false, ...(unit ? { range: [0, 1] } : {}) }, y: scale },
    axes: [{ ...axis, label: x, labelSize: 24 }, { ...axis, size: 56 }],
    series: [{ label: x, value: shown }, ...lines.map((one, index) => ({
      label: one, stroke: colours[index % 3], width: 2, dash: [[], [6, 4], [2, 3]][index % 3], value: shown, spanGaps: true, points: { show: !unit },
    }))],
    hooks: {
      draw: [(/** @type {any} */ u) => {
        if (point.current === undefined) return;
        const left = Math.round(u.valToPos(point.current, "x", true));
        u.ctx.save();
        u.ctx.strokeStyle = ink;
        u.ctx.lineWidth = 2;
        u.ctx.beginPath();
        u.ctx.moveTo(left, u.bbox.top);
        u.ctx.lineTo(left, u.bbox.top + u.bbox.height);
        u.ctx.stroke();
        u.ctx.restore();
      }],
    },
  };
}
