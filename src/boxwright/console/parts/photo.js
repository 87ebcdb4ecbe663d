// @ts-check
// Pictures of the API as addresses of this browser: few are asked for at once, the latest are kept, what nobody shows is given up.
import { effect, useEffect, useState } from "../vendor/ui.js";
import { getBytes } from "../app/api.js";
import { credential, place } from "../app/store.js";

const [MOST_ASKED, MOST_KEPT] = [5, 240]; // a browser has six lines to a service: one stays for lists
/**
 * @typedef {{path: string, users: Set<(entry: Entry) => void>, bytes?: Blob, src?: string, error?: any, control?: AbortController}} Entry
 * @type {Map<string, Entry>}
 */
const entries = new Map(); // the oldest first
/** @type {Entry[]} */
let waiting = [];
let asked = 0;
let heldUntil_ms = 0;
let timer = 0;

effect(() => {
  void [credential.value, place.value]; // of another caller or place: nothing is kept
  for (const entry of [...entries.values()]) if (!entry.users.size) drop(entry);
});

/** @param {Entry} entry */
function drop(entry) {
  entry.control?.abort();
  if (entry.src) URL.revokeObjectURL(entry.src);
  waiting = waiting.filter((one) => one !== entry);
  if (entries.get(entry.path) === entry) entries.delete(entry.path);
}

/** Nothing is asked for or decoded for so long: what is passed by quickly is seen by nobody. @param {number} ms */
export function hold(ms) {
  heldUntil_ms = performance.now() + ms;
  clearTimeout(timer);
  timer = setTimeout(() => {
    heldUntil_ms = 0;
    askNext();
  }, ms);
}

/** Waits until nothing is held. */
async function rested() {
  while (heldUntil_ms) await new Promise((done) => setTimeout(done, Math.max(1, heldUntil_ms - performance.now())));
}

function askNext() {
  while (!heldUntil_ms && asked < MOST_ASKED && waiting.length) ask(/** @type {Entry} */ (waiting.shift()));
}

/** @param {Entry} entry */
async function ask(entry) {
  asked++;
  entry.control = new AbortController();
  try {
    const bytes = await getBytes(entry.path, entry.control.signal);
    if (!entry.control.signal.aborted) entry.bytes = bytes;
  } catch (error) {
    entry.error = error;
  }
  asked--;
  const isAborted = entry.control.signal.aborted;
  entry.control = undefined;
  if (!isAborted) for (const tell of [...entry.users]) tell(entry);
  for (const old of [...entries.values()].slice(0, Math.max(0, entries.size - MOST_KEPT))) if (!old.users.size) drop(old);
  askNext();
}

/** Asks for a picture, or finds it; returns what gives it back. @param {string} path @param {(entry: Entry) => void} tell */
function use(path, tell) {
  const found = entries.get(path);
  /** @type {Entry} */
  const entry = found && !found.error ? found : { path, users: new Set() };
  entries.delete(path);
  entries.set(path, entry);
  entry.users.add(tell);
  if (entry.bytes) tell(entry);
  else if (entry !== found) waiting.push(entry);
  askNext();
  return () => {
    entry.users.delete(tell);
    if (!entry.users.size && !entry.bytes) drop(entry);
  };
}

/** A picture below /v1/ while a part shows it: an address of this browser, or why there is none. @param {string} path empty: none */
export function usePhoto(path) {
  const [state, setState] = useState(/** @type {{path?: string, src?: string, error?: any}} */ ({}));
  useEffect(() => (path ? use(path, (entry) => {
    if (entry.bytes) entry.src ??= URL.createObjectURL(entry.bytes);
    setState({ path, src: entry.src, error: entry.error });
  }) : undefined), [path]);
  return state.path === path ? state : {};
}

/** As `usePhoto`, but decoded beside the page's own work, for a canvas. @param {string} path @returns {{picture?: ImageBitmap, error?: any}} */
export function usePixels(path) {
  const [state, setState] = useState(/** @type {{path?: string, picture?: ImageBitmap, error?: any}} */ ({}));
  useEffect(() => {
    let isGone = false;
    let picture = /** @type {ImageBitmap | undefined} */ (undefined);
    const giveBack = use(path, async ({ bytes, error }) => {
      try {
        if (error || !bytes) throw error;
        if (heldUntil_ms) await rested();
        if (isGone) return;
        const decoded = await createImageBitmap(bytes);
        if (isGone) return decoded.close();
        picture?.close();
        picture = decoded;
        setState({ path, picture });
      } catch (failure) {
        if (!isGone) setState({ path, error: failure });
      }
    });
    return () => {
      isGone = true;
      giveBack();
      picture?.close();
    };
  }, [path]);
  return state.path === path ? state : {};
}
