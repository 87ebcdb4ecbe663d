// @ts-check
// A grid of tiles over a list of any length: only the tiles that can be seen are there. One is active, any number are chosen.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { hold } from "./photo.js";

const [GAP_PX, CAPTION_PX, INSET_PX, MOST_HEIGHT_PX, OVERSCAN] = [10, 44, 12, 8_000_000, 1]; // inset: a tile's border and padding, twice
const [FAST, REST_MS] = [4, 80]; // heights a second, at which nobody sees a picture; without a step for so long it is no scrolling
const MOST_TILES = 90; // in the page at once: where there is room for more, tiles are larger

/**
 * @typedef {object} Chosen what is chosen: everything that is listed, or places in the list
 * @property {boolean} isAll @property {Set<number>} places
 */
/** @type {Chosen} */
export const NOTHING = { isAll: false, places: new Set() };
/** @param {Chosen} chosen @param {number} index */
export const isChosen = (chosen, index) => chosen.isAll || chosen.places.has(index);

/** @typedef {{columns: number, rowPx: number, rows: number, spacePx: number, scale: number, page: number, widthPx: number, heightPx: number}} Places `widthPx`, `heightPx`: of a tile's picture */
/**
 * Where tiles are: `columns` a row, rows of `rowPx`; a list that is higher than a browser can scroll is scaled.
 * @param {number} widthPx @param {number} heightPx of what is seen @param {number} total @param {number} tilePx the least width of a tile
 * @returns {Places}
 */
function geometry(widthPx, heightPx, total, tilePx) {
  const columns = Math.max(1, Math.floor((widthPx + GAP_PX) / (tilePx + GAP_PX)));
  const seenRows = Math.ceil(heightPx / (tilePx + CAPTION_PX + GAP_PX)) + 1 + 2 * OVERSCAN;
  if (columns > 1 && columns * seenRows > MOST_TILES) return geometry(widthPx, heightPx, total, tilePx * 1.1);
  const sidePx = Math.floor((widthPx - GAP_PX * (columns - 1)) / columns);
  const highPx = Math.floor(Math.min(sidePx, tilePx * 1.25));
  const rowPx = highPx + CAPTION_PX + GAP_PX;
  const rows = Math.ceil(total / columns);
  const realPx = rows * rowPx;
  const spacePx = Math.min(realPx, MOST_HEIGHT_PX);
  const scale = spacePx > heightPx ? Math.max(1, (realPx - heightPx) / (spacePx - heightPx)) : 1;
  return { columns, rowPx, rows, spacePx, scale, page: Math.max(1, Math.floor(heightPx / rowPx)) * columns, widthPx: sidePx - INSET_PX, heightPx: highPx - INSET_PX };
}

/** The rows that are drawn while so much is scrolled away. @param {Places} places @param {number} topPx @param {number} heightPx */
function rowsAt({ rows, rowPx, scale }, topPx, heightPx) {
  const seenPx = topPx * scale;
  return { firstRow: Math.max(0, Math.floor(seenPx / rowPx) - OVERSCAN), lastRow: Math.min(rows - 1, Math.floor((seenPx + heightPx) / rowPx) + OVERSCAN) };
}

/**
 * What can be seen of a scrolled part. A frame of a scroll that needs no other rows changes nothing.
 * @param {any} at @param {number} total @param {number} tilePx
 */
function useView(at, total, tilePx) {
  const [view, setView] = useState({ widthPx: 0, heightPx: 0, topPx: 0 });
  const places = geometry(view.widthPx, view.heightPx, total, tilePx);
  const latest = useRef(/** @type {any} */ (null));
  latest.current = { view, places };
  useEffect(() => {
    const seen = at.current; // it outlives its place in the page by a frame
    const measure = () => setView({ widthPx: seen.clientWidth - 2 * GAP_PX, heightPx: seen.clientHeight, topPx: seen.scrollTop });
    let last = { topPx: 0, at_ms: 0 };
    const scroll = () => {
      const { view: drawn, places: now } = latest.current;
      const [topPx, now_ms] = [seen.scrollTop, performance.now()];
      if (Math.abs(topPx - last.topPx) * now.scale > ((now_ms - last.at_ms) / 1000) * FAST * drawn.heightPx && now_ms - last.at_ms < REST_MS) hold(REST_MS);
      last = { topPx, at_ms: now_ms };
      const [before, after] = [rowsAt(now, drawn.topPx, drawn.heightPx), rowsAt(now, topPx, drawn.heightPx)];
      if (now.scale > 1 || before.firstRow !== after.firstRow || before.lastRow !== after.lastRow) setView({ ...drawn, topPx });
    };
    const watch = new ResizeObserver(measure);
    watch.observe(seen);
    seen.addEventListener("scroll", scroll, { passive: true });
    measure();
    return () => watch.disconnect();
  }, []);
  return { view, places, ...(view.widthPx > 0 ? rowsAt(places, view.topPx, view.heightPx) : { firstRow: 0, lastRow: -1 }) };
}

/**
 * Keeps what was drawn for a place until something that it shows is another: the same object is not compared again.
 * @returns {(index: number, inputs: any[], draw: () => any) => any}
 */
function useKept() {
  const { current } = useRef(/** @type {{kept: Map<number, {inputs: any[], drawn: any}>}} */ ({ kept: new Map() }));
  const before = current.kept;
  current.kept = new Map();
  return (index, inputs, draw) => {
    const old = before.get(index);
    const isSame = old !== undefined && old.inputs.every((/** @type {any} */ one, /** @type {number} */ k) => Object.is(one, inputs[k]));
    const found = isSame ? old : { inputs, drawn: draw() };
    current.kept.set(index, found);
    return found.drawn;
  };
}

/** Places from one to another. @param {number} from @param {number} to @returns {Chosen} */
function range(from, to) {
  const places = new Set();
  for (let index = Math.min(from, to); index <= Math.max(from, to); index++) places.add(index);
  return { isAll: false, places };
}

/** @param {Chosen} chosen @param {number} index @returns {Chosen} with this place turned over */
function toggled(chosen, index) {
  const places = new Set(chosen.isAll ? [] : chosen.places);
  if (!places.delete(index)) places.add(index);
  return { isAll: false, places };
}

/**
 * What keys and clicks do: they move the active tile, choose, and open.
 * @param {{total: number, columns: number, page: number, start: number, chosen: Chosen, choose: (chosen: Chosen) => void, open: (index: number) => void,
 *   reveal: (index: number) => void, press?: (event: any, active: number, move: (index: number) => void) => boolean}} props
 */
function useActs({ total, columns, page, start, chosen, choose, open, reveal, press }) {
  const [last, setActive] = useState(start);
  const active = Math.max(0, Math.min(total - 1, last)); // a list may become shorter
  const [anchor, setAnchor] = useState(start);
  const pick = (/** @type {number} */ index, /** @type {any} */ event) => {
    setActive(index);
    if (event.shiftKey) return choose(range(anchor, index));
    setAnchor(index);
    choose(event.ctrlKey || event.metaKey ? toggled(chosen, index) : range(index, index));
  };
  const move = (/** @type {number} */ index, /** @type {any} */ event) => {
    const to = Math.max(0, Math.min(total - 1, index));
    setActive(to);
    if (event.shiftKey) choose(range(anchor, to));
    else setAnchor(to);
    reveal(to);
  };
  const keys = (/** @type {any} */ event) => {
    const leads = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: page, PageUp: -page, Home: -total, End: total };
    const step = /** @type {any} */ (leads)[event.key];
    const isCommand = event.ctrlKey || event.metaKey;
    if (step !== undefined && !event.altKey) move(active + step, event);
    else if (event.key === "Enter") open(active);
    else if (event.key === " ") pick(active, { ctrlKey: true });
    else if (isCommand && event.key.toLowerCase() === "a") choose({ isAll: true, places: new Set() });
    else if (event.key === "Escape" && (chosen.isAll || chosen.places.size)) choose(NOTHING);
    else if (isCommand || event.altKey || !press?.(event, active, (/** @type {number} */ index) => move(index, {}))) return;
    event.preventDefault();
    event.stopPropagation();
  };
  return { active, pick, keys };
}

/**
 * @param {{total: number, item: (index: number) => any, want: (first: number, last: number) => void, tilePx: number, label: string,
 *   chosen: Chosen, choose: (chosen: Chosen) => void, open: (index: number) => void, tile: (item: any, widthPx: number, heightPx: number) => any,
 *   name: (item: any) => string, start?: number, press?: (event: any, active: number, move: (index: number) => void) => boolean}} props
 *   `tile`: what a tile shows, its picture of that size; it is another function when it shows something else; `name`: what it is called; `press`: keys of the page, true if it has taken one; `move` makes another tile active
 */
export function Grid({ total, item, want, tilePx, label, chosen, choose, open, tile, name, start = 0, press }) {
  const at = useRef(/** @type {any} */ (null));
  const { view, places, firstRow, lastRow } = useView(at, total, tilePx);
  const { columns, rowPx, rows, spacePx, scale, page, widthPx, heightPx } = places;
  useEffect(() => {
    if (lastRow >= 0) want(firstRow * columns, Math.min(total, (lastRow + 1) * columns) - 1);
  }, [firstRow, lastRow, columns, total, want]);
  const reveal = (/** @type {number} */ index) => {
    const topPx = Math.floor(index / columns) * rowPx;
    const [mostPx, seenPx] = [topPx + rowPx - view.heightPx, at.current.scrollTop * scale];
    if (topPx < seenPx) at.current.scrollTop = topPx / scale;
    else if (mostPx > seenPx) at.current.scrollTop = Math.ceil(mostPx / scale) + GAP_PX;
  };
  useEffect(() => {
    if (start && view.widthPx > 0) reveal(start);
  }, [view.widthPx > 0]);
  const { active, pick, keys } = useActs({ total, columns, page, start, chosen, choose, open, reveal, press });
  const kept = useKept();
  const cell = (/** @type {number} */ index) => {
    const [one, isPicked, isActive] = [item(index), isChosen(chosen, index), index === active];
    return kept(index, [one, isPicked, isActive, columns, widthPx, heightPx, tile, name], () => html`<div key=${index} id=${`tile-${index}`} role="gridcell" class=${isActive ? "cell active" : "cell"}
      aria-selected=${isPicked} aria-colindex=${(index % columns) + 1} aria-label=${one ? name(one) : String(index + 1)}>${one ? tile(one, widthPx, heightPx) : html`<span class="bone"></span>`}</div>`);
  };
  const drawn = [];
  for (let row = firstRow; row <= lastRow; row++) {
    const cells = [];
    for (let index = row * columns; index < Math.min(total, (row + 1) * columns); index++) cells.push(cell(index));
    drawn.push(html`<div key=${row} role="row" class="cells" aria-rowindex=${row + 1} style=${{
      top: `${scale > 1 ? view.topPx + row * rowPx - view.topPx * scale : row * rowPx}px`, height: `${rowPx - GAP_PX}px`, gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}>${cells}</div>`);
  }
  const indexOf = (/** @type {any} */ event) => Number(event.target.closest(".cell")?.id.slice(5) ?? -1);
  const click = (/** @type {any} */ event) => indexOf(event) >= 0 && pick(indexOf(event), event);
  const twice = (/** @type {any} */ event) => indexOf(event) >= 0 && open(indexOf(event));
  return html`<div class="grid" ref=${at} role="grid" tabindex="0" aria-label=${label} aria-rowcount=${rows} aria-colcount=${columns} aria-multiselectable="true"
      aria-activedescendant=${firstRow * columns <= active && active < (lastRow + 1) * columns ? `tile-${active}` : undefined} onKeyDown=${keys} onClick=${click} onDblClick=${twice}>
    <div class="space" role="presentation" style=${{ height: `${spacePx}px` }}>${drawn}</div></div>`;
}
