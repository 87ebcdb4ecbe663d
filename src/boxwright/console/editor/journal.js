// @ts-check
// What is not saved yet, kept in this browser (IndexedDB) from the moment of the change, so that a closed tab loses nothing.

/**
 * `base` is what the service had (with `etag`), `mine` what is to be saved.
 * @typedef {{id: string, tab: string, name: string, etag: string, base: import("./model.js").Content, mine: import("./model.js").Content, isSingle: boolean, time_ms: number}} Entry
 */

const DATABASE = "boxwright.edits";
const STORE = "edits";
const ALIVE_MS = 30_000; // without locks: another tab's entry that is older was left behind
export const TAB = [...crypto.getRandomValues(new Uint32Array(3))].join("-");
/** What this tab was called before it was loaded anew. */
export const FORMER = succeed();
/** @type {Promise<IDBDatabase | null> | undefined} */
let opened;

function succeed() {
  try {
    const former = sessionStorage.getItem("boxwright.tab");
    sessionStorage.setItem("boxwright.tab", TAB);
    return former;
  } catch {
    return null;
  }
}

navigator.locks?.request(`boxwright.tab.${TAB}`, () => new Promise(() => {})).catch(() => {}); // held as long as the tab lives

/** The database, or null where the browser refuses one. @returns {Promise<IDBDatabase | null>} */
export function open() {
  opened ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
  return opened;
}

/** @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest} ask @returns {Promise<any>} */
async function asked(mode, ask) {
  const database = await open();
  if (!database) return undefined;
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const request = ask(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

/** @param {string} name of the example */
const idOf = (name) => `${TAB} ${name}`;

/** Keeps an entry; true if it is kept. @param {Omit<Entry, "id" | "tab" | "time_ms">} entry @returns {Promise<boolean>} */
export async function write(entry) {
  try {
    const kept = await asked("readwrite", (store) => store.put({ ...entry, id: idOf(entry.name), tab: TAB, time_ms: Date.now() }));
    return kept !== undefined;
  } catch {
    return false; // the disk is full, or the browser has taken the database away
  }
}

/** @param {string} name of the example */
export const remove = (name) => drop(idOf(name));
/** @param {string} id of an entry */
export const drop = (id) => asked("readwrite", (store) => store.delete(id)).catch(() => undefined);

/** What closed tabs have left behind, oldest first. @returns {Promise<Entry[]>} */
export async function leftBehind() {
  /** @type {Entry[]} */
  const all = (await asked("readonly", (store) => store.getAll()).catch(() => [])) ?? [];
  const locks = await navigator.locks?.query();
  const alive = new Set((locks?.held ?? []).map((one) => one.name));
  const isLeft = (/** @type {Entry} */ one) => (locks ? !alive.has(`boxwright.tab.${one.tab}`) : Date.now() - one.time_ms > ALIVE_MS);
  return all.filter((one) => one.tab !== TAB && isLeft(one)).sort((a, b) => a.time_ms - b.time_ms);
}
