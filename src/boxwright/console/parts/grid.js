// @ts-check
// A grid of tiles over a list of any length: only the tiles that can be seen are there. One is active, any number are chosen.
import { html, useEffect, useRef, useState } from "../vendor/ui.js";

const [GAP_PX, CAPTION_PX, MOST_HEIGHT_PX, OVERSCAN] = [10, 44, 8_000_000, 1];

/**
 * @typedef {object} Chosen what is chosen: everything that is listed, or places in the list
 * @property {boolean} isAll @property {Set<number>} places
 */
/** @type {Chosen} */
export const NOTHING = { isAll: false, places: new Set() };
/** @param {Chosen} chosen @param {number} index */
export const isChosen = (chosen, index) => chosen.isAll || chosen.places.has(index);

/**
 * Where tiles are: `columns` a row, rows of `rowPx`; a list that is higher than a browser can scroll is scaled.
 * @param {number} widthPx @param {number} heightPx of what is seen @param {number} total @param {number} tilePx the least width of a tile
 */
function geometry(widthPx, heightPx, total, tilePx) {
  const columns = Math.max(1, Math.floor((widthPx + GAP_PX) / (tilePx + GAP_PX)));
  const sidePx = Math.floor((widthPx - GAP_PX * (columns - 1)) / columns);
  const rowPx = Math.min(sidePx, tilePx * 1.25) + CAPTION_PX + GAP_PX;
  const rows = Math.ceil(total / columns);
  const realPx = rows * rowPx;
  const spacePx = Math.min(realPx, MOST_HEIGHT_PX);
  const scale = spacePx > heightPx ? Math.max(1, (realPx - heightPx) / (spacePx - heightPx)) : 1;
  return { columns, rowPx, rows, spacePx, scale, page: Math.max(1, Math.floor(heightPx / rowPx)) * columns };
}

/** What can be seen of a scrolled part. @param {any} at */
function useView(at) {
  const [view, setView] = useState({ widthPx: 0, heightPx: 0, topPx: 0 });
  useEffect(() => {
    const seen = at.current; // it outlives its place in the page by a frame
    const measure = () => setView({ widthPx: seen.clientWidth - 2 * GAP_PX, heightPx: seen.clientHeight, topPx: seen.scrollTop });
    const watch = new ResizeObserver(measure);
    watch.observe(seen);
    seen.addEventListener("scroll", measure, { passive: true });
    measure();
    return () => watch.disconnect();
  }, []);
  return view;
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
 *   chosen: Chosen, choose: (chosen: Chosen) => void, open: (index: number) => void, tile: (item: any, index: number) => any,
 *   name: (item: any) => string, start?: number, press?: (event: any, active: number, move: (index: number) => void) => boolean}} props
 *   `tile`: what a tile shows; `name`: what it is called; `press`: keys of the page, true if it has taken one; `move` makes another tile active
 */
export function Grid({ total, item, want, tilePx, label, chosen, choose, open, tile, name, start = 0, press }) {
  const at = useRef(/** @type {any} */ (null));
  const view = useView(at);
  const { columns, rowPx, rows, spacePx, scale, page } = geometry(view.widthPx, view.heightPx, total, tilePx);
  const seenPx = view.topPx * scale;
  const firstRow = Math.max(0, Math.floor(seenPx / rowPx) - OVERSCAN);
  const lastRow = view.widthPx > 0 ? Math.min(rows - 1, Math.floor((seenPx + view.heightPx) / rowPx) + OVERSCAN) : -1;
  useEffect(() => {
    if (lastRow >= 0) want(firstRow * columns, Math.min(total, (lastRow + 1) * columns) - 1);
  }, [firstRow, lastRow, columns, total, want]);
  const reveal = (/** @type {number} */ index) => {
    const topPx = Math.floor(index / columns) * rowPx;
    const mostPx = topPx + rowPx - view.heightPx;
    if (topPx < seenPx) at.current.scrollTop = topPx / scale;
    else if (mostPx > seenPx) at.current.scrollTop = Math.ceil(mostPx / scale) + GAP_PX;
  };
  useEffect(() => {
    if (start && view.widthPx > 0) reveal(start);
  }, [view.widthPx > 0]);
  const { active, pick, keys } = useActs({ total, columns, page, start, chosen, choose, open, reveal, press });
  const drawn = [];
  for (let row = firstRow; row <= lastRow; row++) {
    const cells = [];
    for (let index = row * columns; index < Math.min(total, (row + 1) * columns); index++) {
      const one = item(index);
      cells.push(html`<div key=${index} id=${`tile-${index}`} role="gridcell" class=${`cell${index === active ? " active" : ""}`} aria-selected=${isChosen(chosen, index)}
        aria-colindex=${(index % columns) + 1} aria-label=${one ? name(one) : String(index + 1)} onClick=${(/** @type {any} */ event) => pick(index, event)} onDblClick=${() => open(index)}>
        ${one ? tile(one, index) : html`<span class="bone"></span>`}</div>`);
    }
    drawn.push(html`<div key=${row} role="row" class="cells" aria-rowindex=${row + 1} style=${{
      top: `${view.topPx + row * rowPx - seenPx}px`, height: `${rowPx - GAP_PX}px`, gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}>${cells}</div>`);
  }
  return html`<div class="grid" ref=${at} role="grid" tabindex="0" aria-label=${label} aria-rowcount=${rows} aria-colcount=${columns} aria-multiselectable="true"
      aria-activedescendant=${firstRow * columns <= active && active < (lastRow + 1) * columns ? `tile-${active}` : undefined} onKeyDown=${keys}>
    <div class="space" role="presentation" style=${{ height: `${spacePx}px` }}>${drawn}</div></div>`;
}
