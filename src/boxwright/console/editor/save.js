// @ts-check
// Saves by itself: the journal at once, the service a moment later, one request at a time an image; again until it is saved.
import { get, send } from "../app/api.js";
import { credential } from "../app/store.js";
import { effect, signal } from "../vendor/ui.js";
import * as journal from "./journal.js";
import { contentOf, exampleOf, isSameContent, merged, united } from "./wire.js";

/** @typedef {import("./model.js").Content} Content */
/**
 * An image that is edited in this tab. `state`: "saved", "waits", "sending", "away" (no answer), "signedOut", "refused", "conflict".
 * @typedef {{name: string, etag: string, base: Content, mine: Content, isSingle: boolean, state: string, tries: number, timer: number, theirs?: any, error?: any}} Tracked
 */

export const PAUSE_MS = 400;
const MOST_PAUSE_MS = 30_000;
const MASK = "updateMask=annotations,sources,state,mlUse";
/** @type {Map<string, Tracked>} */
const images = new Map();
/** How it stands: of all images of this tab; `kept` are not saved yet. @type {{value: {state: string, kept: number, error?: any, name: string, isJournalled: boolean}}} */
export const saving = signal({ state: "saved", kept: 0, name: "", isJournalled: true });
/** Told of a content that has come from elsewhere. @type {Set<(name: string, content: Content, isMerged: boolean) => void>} */
export const listeners = new Set();

const ORDER = ["conflict", "refused", "signedOut", "away", "sending", "waits"];

function tell() {
  const open = [...images.values()].filter((one) => one.state !== "saved");
  const [worst] = open.sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
  saving.value = { ...saving.value, state: worst?.state ?? "saved", kept: open.length, error: worst?.error, name: worst?.name ?? "" };
}

/** @param {string} name */
export const tracked = (name) => images.get(name);

/** Begins with what the service has; an image with unsaved changes keeps them. @param {any} example @param {boolean} isSingle @returns {Tracked} */
export function track(example, isSingle) {
  const had = images.get(example.name);
  if (had && had.state !== "saved") return had;
  const content = contentOf(example);
  const isSameAsBefore = had && isSameContent(content, had.mine);
  const found = { name: example.name, etag: example.etag, base: isSameAsBefore ? had.mine : content, mine: isSameAsBefore ? had.mine : content, isSingle, state: "saved", tries: 0, timer: 0 };
  images.set(example.name, found);
  return found;
}

/** Takes a change of an image: kept at once, sent a moment later. @param {string} name @param {Content} mine */
export function changed(name, mine) {
  const one = images.get(name);
  if (!one || one.mine === mine) return;
  one.mine = mine;
  keep(one);
  if (one.state === "sending" || one.state === "conflict") return; // it is looked at afterwards
  later(one, "waits", PAUSE_MS);
}

/** @param {Tracked} one */
async function keep({ name, etag, base, mine, isSingle }) {
  const isJournalled = await journal.write({ name, etag, base, mine, isSingle });
  if (isJournalled !== saving.value.isJournalled) saving.value = { ...saving.value, isJournalled };
}

/** @param {Tracked} one @param {string} state @param {number} pause_ms */
function later(one, state, pause_ms) {
  clearTimeout(one.timer);
  one.state = state;
  one.timer = setTimeout(() => save(one), pause_ms);
  tell();
}

/** Sends what waits, now. @param {string} [name] of one image; without: all */
export function flush(name) {
  for (const one of images.values()) {
    if ((!name || one.name === name) && ["waits", "away", "refused", "signedOut"].includes(one.state)) save(one);
  }
}

/** @param {Tracked} one */
async function save(one) {
  clearTimeout(one.timer);
  if (one.state === "sending" || one.state === "conflict") return;
  if (isSameContent(one.mine, one.base)) return settle(one, one.mine);
  one.state = "sending";
  tell();
  const sent = one.mine;
  const signedIn = credential.value;
  try {
    const answer = await send("PATCH", `${one.name}?${MASK}`, exampleOf(one.name, one.etag, sent));
    one.etag = answer.etag;
    settle(one, sent);
  } catch (failure) {
    await mend(one, /** @type {any} */ (failure));
    if (one.state === "signedOut" && credential.value !== signedIn) later(one, "waits", 0); // somebody has signed in meanwhile
  }
}

/** The service has what was sent; what was changed meanwhile goes on. @param {Tracked} one @param {Content} sent */
function settle(one, sent) {
  one.base = sent;
  one.tries = 0;
  one.error = undefined;
  one.state = "saved";
  if (one.mine !== sent) {
    keep(one);
    return later(one, "waits", 0);
  }
  journal.remove(one.name);
  tell();
}

/** @param {Tracked} one @param {any} failure @returns {Promise<void>} */
async function mend(one, failure) {
  one.error = failure;
  if (failure.status === 401) one.state = "signedOut";
  else if (failure.code === "ABORTED") return reconcile(one);
  else if (failure.status === 0 || failure.status >= 500 || failure.status === 429) {
    return later(one, "away", Math.min(MOST_PAUSE_MS, 1000 * 2 ** one.tries++));
  } else one.state = "refused";
  tell();
}

/** Somebody has changed the image: both changes as one, or a choice. @param {Tracked} one @returns {Promise<void>} */
async function reconcile(one) {
  try {
    one.theirs = await get(one.name);
  } catch (failure) {
    return mend(one, failure);
  }
  const theirs = contentOf(one.theirs);
  const both = merged(one.base, one.mine, theirs, one.isSingle);
  if (!both) {
    one.state = "conflict";
    keep(one);
    return tell();
  }
  adopt(one, theirs, both, true);
}

/** @param {Tracked} one @param {Content} base @param {Content} mine @param {boolean} isMerged */
function adopt(one, base, mine, isMerged) {
  one.etag = one.theirs.etag;
  one.base = base;
  one.mine = mine;
  one.theirs = undefined;
  one.error = undefined;
  keep(one);
  for (const listen of listeners) listen(one.name, mine, isMerged);
  later(one, "waits", 0);
}

/** Ends a conflict. @param {string} name @param {"mine" | "theirs" | "both"} choice */
export function resolve(name, choice) {
  const one = images.get(name);
  if (one?.state !== "conflict") return;
  const theirs = contentOf(one.theirs);
  const mine = choice === "theirs" ? theirs : choice === "both" ? united(one.mine, theirs) : one.mine;
  adopt(one, theirs, mine, false);
}

/** Gives up what the service refuses. @param {string} name */
export async function discard(name) {
  const one = images.get(name);
  if (!one) return;
  clearTimeout(one.timer);
  images.delete(name);
  await journal.remove(name);
  tell();
}

/** Takes over what a closed tab has left behind, and saves it. @param {journal.Entry[]} entries */
export async function takeOver(entries) {
  for (const { id, name, etag, base, mine, isSingle } of entries) {
    const had = images.get(name);
    const isBusy = had && had.state !== "saved";
    const one = isBusy ? had : { name, etag, base, mine, isSingle, state: "waits", tries: 0, timer: 0 };
    if (isBusy) one.mine = united(had.mine, mine);
    images.set(name, one);
    await keep(one);
    await journal.drop(id);
    for (const listen of listeners) listen(name, one.mine, false);
    if (one.state !== "sending" && one.state !== "conflict") later(one, "waits", 0);
  }
}

addEventListener("online", () => flush());
addEventListener("pagehide", () => {
  // the tab may be gone before the answer comes: the journal keeps what does not arrive
  for (const one of images.values()) {
    if (one.state === "saved" || one.state === "conflict" || one.state === "sending") continue;
    send("PATCH", `${one.name}?${MASK}`, exampleOf(one.name, one.etag, one.mine), undefined, true).catch(() => {});
  }
});
effect(() => {
  if (credential.value !== undefined) queueMicrotask(() => flush());
});

/** What closed tabs have left behind and the service does not have yet. */
export async function leftBehind() {
  const found = await journal.leftBehind();
  const news = await Promise.all(found.map(async (entry) => {
    const theirs = await get(entry.name).catch(() => null);
    if (!theirs || !isSameContent(entry.mine, contentOf(theirs))) return entry;
    await journal.drop(entry.id);
    return null;
  }));
  return /** @type {journal.Entry[]} */ (news.filter(Boolean));
}

/** Gives up what closed tabs have left behind. @param {journal.Entry[]} entries */
export const forget = (entries) => Promise.all(entries.map((one) => journal.drop(one.id)));
