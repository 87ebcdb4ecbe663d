// @ts-check
// Pages of a batch job's results: the service may answer with short pages, which are put together here.
import { useCallback, useEffect, useRef, useState } from "../vendor/ui.js";
import { BASE, get } from "../app/api.js";
import { useLoad } from "./page.js";

const [MOST_ASKED, MOST_EMPTY] = [8, 200]; // calls for one page: a rare label may be far away, and an order of all takes a while

/** @typedef {{read: number, of: number}} Far files that are read, of all */
/**
 * Results from a page's token on, until `size` are there or the list ends.
 * @param {string} operation its name @param {Record<string, string>} query @param {string} token @param {number} size @param {AbortSignal} [signal]
 * @param {(far: Far) => boolean} [goesOn] is told how many files are read, when the page needs another call; false: it ends there
 * @returns {Promise<{results: any[], token: string, total: number}>} `token`: of the next page; `total`: -1 while it is not known
 */
export async function readPage(operation, query, token, size, signal, goesOn = () => true) {
  const url = new URL(`${operation}/results`, BASE);
  for (const [key, value] of Object.entries(query)) if (value) url.searchParams.set(key, value);
  const results = [];
  let total = -1;
  let next = token;
  for (let asked = 0; asked < (results.length ? MOST_ASKED : MOST_EMPTY) && results.length < size; asked++) {
    url.searchParams.set("pageSize", String(size - results.length));
    if (next) url.searchParams.set("pageToken", next);
    const page = await get(url.href.slice(BASE.href.length), signal);
    results.push(...(page.results ?? []));
    total = page.totalSize ?? 0;
    next = page.nextPageToken ?? "";
    if (!next || (results.length < size && !goesOn({ read: page.readFileCount ?? 0, of: page.fileCount ?? 0 }))) break;
  }
  return { results, token: next, total };
}

/**
 * The pages of a query, one at a time; another query begins at its first page.
 * @param {string} operation @param {Record<string, string>} query @param {number} size
 */
export function usePages(operation, query, size) {
  const key = JSON.stringify(query);
  const [place, setPlace] = useState({ key, tokens: [""] });
  const tokens = place.key === key ? place.tokens : [""];
  const token = tokens[tokens.length - 1];
  const [far, setFar] = useState(/** @type {Far | undefined} */ (undefined));
  const stopped = useRef(false);
  const from = useLoad(async (signal) => {
    stopped.current = false;
    try {
      return await readPage(operation, query, token, size, signal, (now) => {
        if (!signal.aborted) setFar(now);
        return !stopped.current;
      });
    } finally {
      if (!signal.aborted) setFar(undefined);
    }
  }, [operation, key, token]);
  const stop = useCallback(() => void (stopped.current = true), []);
  useEffect(() => {
    if (place.key !== key) setPlace({ key, tokens: [""] });
  }, [key]);
  const next = from.value?.token;
  const on = useCallback(() => void (next && setPlace({ key, tokens: [...tokens, next] })), [next, key, tokens.length]);
  const back = useCallback(() => setPlace({ key, tokens: tokens.slice(0, -1) }), [key, tokens.length]);
  return { from, number: tokens.length, on: next ? on : undefined, back: tokens.length > 1 ? back : undefined, far: from.value ? undefined : far, stop };
}
