// @ts-check
// A long list by place: the pages around what is looked at are asked for, and kept while they are near.
import { useCallback, useEffect, useMemo, useRef, useState } from "../vendor/ui.js";

export const PAGE = 40; // about what is seen at once
const [MOST_PAGES, REST_MS] = [40, 60];

/**
 * What is known of a list before it is read: what was known of it before, until that is read again.
 * @param {string} key @param {any} before of this or another list
 */
function begun(key, before) {
  const old = before?.key === key ? before : undefined;
  const former = old?.pages.size ? old.pages : (old?.former ?? new Map());
  const nothing = /** @type {any} */ (undefined);
  return { key, pages: new Map(), former, asked: new Map(), total: /** @type {number | undefined} */ (old?.total), error: nothing, first: 0, last: 0, timer: 0, wanted: 0, isGone: false };
}

/** Gives up what is still asked for. @param {any} held */
function leave(held) {
  held.isGone = true;
  clearTimeout(held.timer);
  for (const control of held.asked.values()) control.abort();
}

/** Keeps a page, and no more of them than `MOST_PAGES`. @param {Map<number, any[]>} pages @param {number} page @param {any[]} items */
function keep(pages, page, items) {
  pages.delete(page);
  pages.set(page, items);
  for (const old of [...pages.keys()].slice(0, Math.max(0, pages.size - MOST_PAGES))) pages.delete(old);
}

/**
 * @param {(skip: number, count: number, signal: AbortSignal) => Promise<{items: any[], total: number}>} load
 * @param {string} key names what is listed: another key begins anew
 * @returns {{total: number | undefined, error: any, item: (index: number) => any, want: (first: number, last: number) => void, again: () => void}}
 */
export function usePaged(load, key) {
  const [, setTurn] = useState(0);
  const [since, setSince] = useState(0);
  const before = useRef(/** @type {any} */ (undefined));
  const held = useMemo(() => begun(key, before.current), [key, since]);
  before.current = held;
  const show = useCallback(() => void (held.isGone || setTurn((/** @type {number} */ one) => one + 1)), [held]);
  const loader = useRef(load);
  loader.current = load;

  const ask = useCallback((/** @type {number} */ page) => {
    const control = new AbortController();
    held.asked.set(page, control);
    loader.current(page * PAGE, PAGE, control.signal).then((/** @type {{items: any[], total: number}} */ { items, total }) => {
      held.asked.delete(page);
      if (control.signal.aborted) return;
      keep(held.pages, page, items);
      held.total = total;
      held.error = undefined;
      show();
    }, (/** @type {any} */ error) => {
      held.asked.delete(page);
      if (control.signal.aborted) return;
      held.error = error;
      show();
    });
  }, [held]);

  const fetchNear = useCallback(() => {
    const [from, to] = [Math.floor(held.first / PAGE), Math.floor(held.last / PAGE)];
    for (const [page, control] of held.asked) {
      if (page < from - 1 || page > to + 1) {
        control.abort();
        held.asked.delete(page);
      }
    }
    for (let page = from; page <= to; page++) if (!held.pages.has(page) && !held.asked.has(page)) ask(page);
  }, [held]);

  const want = useCallback((/** @type {number} */ first, /** @type {number} */ last) => {
    [held.first, held.last] = [first, last];
    clearTimeout(held.timer);
    const now = performance.now();
    const hasRested = now - held.wanted > REST_MS;
    held.wanted = now;
    if (hasRested) fetchNear(); // a jump
    else held.timer = setTimeout(fetchNear, REST_MS); // what is only passed by is never asked for
  }, [held]);

  useEffect(() => {
    ask(0);
    return () => leave(held);
  }, [held]);
  return {
    total: held.total, error: held.error, want,
    item: (index) => (held.pages.get(Math.floor(index / PAGE)) ?? held.former.get(Math.floor(index / PAGE)))?.[index % PAGE],
    again: useCallback(() => setSince((/** @type {number} */ one) => one + 1), []),
  };
}
