// @ts-check
// Pages of a batch job's results: the service may answer with short pages, which are put together here.
import { useCallback, useEffect, useState } from "../vendor/ui.js";
import { BASE, get } from "../app/api.js";
import { useLoad } from "./page.js";

const [MOST_ASKED, MOST_EMPTY] = [8, 200]; // calls for one page: a rare label may be far away, and an order of all takes a while

/**
 * Results from a page's token on, until `size` are there or the list ends.
 * @param {string} operation its name @param {Record<string, string>} query @param {string} token @param {number} size @param {AbortSignal} [signal]
 * @returns {Promise<{results: any[], token: string, total: number}>} `token`: of the next page; `total`: -1 while it is not known
 */
export async function readPage(operation, query, token, size, signal) {
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
    if (!next) break;
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
  const from = useLoad((signal) => readPage(operation, query, token, size, signal), [operation, key, token]);
  useEffect(() => {
    if (place.key !== key) setPlace({ key, tokens: [""] });
  }, [key]);
  const next = from.value?.token;
  const on = useCallback(() => void (next && setPlace({ key, tokens: [...tokens, next] })), [next, key, tokens.length]);
  const back = useCallback(() => setPlace({ key, tokens: tokens.slice(0, -1) }), [key, tokens.length]);
  return { from, number: tokens.length, on: next ? on : undefined, back: tokens.length > 1 ? back : undefined };
}
