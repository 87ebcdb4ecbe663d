// @ts-check
// What the keys and buttons ask for, done to the session and the view.
import * as geometry from "./geometry.js";
import { hotKeysOf } from "./keys.js";
import { MODEL } from "./model.js";
import { specIdOf } from "./session.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("./gestures.js").Gestures} Gestures */
/** What the page itself does. @typedef {{go: (step: 1 | -1) => void, sheet: () => void, search: () => void, leave: () => void, suggest: () => void, pixels: () => void}} Host */

const NEW_PX = 40; // half the edge of a box that a key makes, on the screen
const SETS = ["TRAIN", "VALIDATION", "TEST", "UNASSIGNED"];
const CHAINED_MS = 1000; // arrows within this time are one step of undo
let chain = { at_ms: 0, number: 0, act: "" };

/** @param {string} act */
function gestureOf(act) {
  const now_ms = performance.now();
  if (act !== chain.act || now_ms - chain.at_ms > CHAINED_MS) chain = { at_ms: now_ms, number: chain.number + 1, act };
  chain.at_ms = now_ms;
  return `${act} ${chain.number}`;
}

/** Does what a key asks for; false where there is nothing to do and the key keeps its usual meaning. @param {{act: string, value?: any}} asked @param {Session} session @param {Gestures} tools @param {Host} host @returns {boolean} */
export function perform({ act, value }, session, tools, host) {
  const done = /** @type {any} */ (ACTS)[act]?.(session, tools, host, value);
  return done !== false;
}

const ACTS = {
  new: (/** @type {Session} */ session, /** @type {Gestures} */ tools) => {
    if (!session.hasBoxes) return false;
    const { width_px, height_px } = tools.field();
    const [x, y] = tools.at ?? [width_px / 2, height_px / 2];
    const [left, top] = tools.norm([x - NEW_PX, y - NEW_PX]);
    const [right, bottom] = tools.norm([x + NEW_PX, y + NEW_PX]);
    session.corner.value = null;
    session.add(geometry.boxOf(left, top, right, bottom));
  },
  move: (/** @type {Session} */ session, /** @type {Gestures} */ tools, /** @type {Host} */ _host, /** @type {[number, number]} */ [x, y]) => {
    const { width_px, height_px } = session.image;
    if (session.chosen.some((one) => one.key > 0)) return session.place((box) => geometry.moved(box, x / width_px, y / height_px), gestureOf("move"));
    const view = tools.view.value; // nothing is selected: the view moves
    tools.view.value = { ...view, left_px: view.left_px - x * 40, top_px: view.top_px - y * 40 };
  },
  resizeFar: resizing("e", "s"),
  resizeNear: resizing("w", "n"),
  next: (/** @type {Session} */ session) => stepped(session, 1),
  previous: (/** @type {Session} */ session) => stepped(session, -1),
  label: (/** @type {Session} */ session, /** @type {Gestures} */ _tools, /** @type {Host} */ _host, /** @type {string} */ key) => {
    const spec = session.specs.value[hotKeysOf(session.specs.value).indexOf(key)];
    if (spec) session.label(specIdOf(spec));
  },
  search: (/** @type {Session} */ _session, /** @type {Gestures} */ _tools, /** @type {Host} */ host) => host.search(),
  remove: (/** @type {Session} */ session) => session.remove(),
  reject: (/** @type {Session} */ session) => (session.chosen.some((one) => one.source === MODEL) ? session.remove() : false),
  accept: (/** @type {Session} */ session) => {
    const chosen = session.chosen.filter((one) => one.source === MODEL);
    if (!chosen.length) return false;
    const after = session.visible.filter((one) => one.source === MODEL && !chosen.includes(one))[0];
    session.accept(chosen);
    if (after) session.select([after.key]);
  },
  acceptAll: (/** @type {Session} */ session) => session.acceptAll(),
  undo: (/** @type {Session} */ session) => session.undo(),
  redo: (/** @type {Session} */ session) => session.redo(),
  copy: (/** @type {Session} */ session) => session.copy(),
  paste: (/** @type {Session} */ session) => session.paste(session.clipboard, 10),
  duplicate: (/** @type {Session} */ session) => session.paste(session.chosen, 10),
  all: (/** @type {Session} */ session) => session.select(session.content.items.map((one) => one.key)),
  repeat: (/** @type {Session} */ session) => session.repeat(),
  forward: (/** @type {Session} */ _session, /** @type {Gestures} */ _tools, /** @type {Host} */ host) => host.go(1),
  back: (/** @type {Session} */ _session, /** @type {Gestures} */ _tools, /** @type {Host} */ host) => host.go(-1),
  empty: (/** @type {Session} */ session, /** @type {Gestures} */ _tools, /** @type {Host} */ host) => {
    if (session.isSingle) return session.say("edit.single");
    session.complete(true);
    host.go(1);
  },
  suggest: (/** @type {Session} */ session, /** @type {Gestures} */ _tools, /** @type {Host} */ host) => {
    if (!session.found.value.length) return host.suggest();
    session.isFoundShown.value = !session.isFoundShown.value;
  },
  zoom: (/** @type {Session} */ session, /** @type {Gestures} */ tools) => {
    const shown = geometry.zoomedTo(session.image, tools.field(), session.active?.box_norm ?? [0, 0, 1, 1]);
    const { left_px, top_px, scale } = tools.view.value;
    const isThere = Math.hypot(shown.left_px - left_px, shown.top_px - top_px) < 1 && Math.abs(shown.scale - scale) < 1e-6;
    if (session.active && !isThere) return void (tools.view.value = shown);
    if (stepped(session, 1) === false) stepped(session, 1);
    if (session.active?.box_norm) tools.view.value = geometry.zoomedTo(session.image, tools.field(), session.active.box_norm);
  },
  hide: (/** @type {Session} */ session) => void (session.areHidden.value = true),
  set: (/** @type {Session} */ session) => {
    const mlUse = SETS[(SETS.indexOf(session.content.mlUse) + 1) % SETS.length];
    session.run({ kind: "mlUse", mlUse });
    session.say(`edit.set.${mlUse}`);
  },
  sheet: (/** @type {Session} */ _session, /** @type {Gestures} */ _tools, /** @type {Host} */ host) => host.sheet(),
  pixels: (/** @type {Session} */ _session, /** @type {Gestures} */ _tools, /** @type {Host} */ host) => host.pixels(),
  leave: (/** @type {Session} */ session, /** @type {Gestures} */ tools, /** @type {Host} */ host) => {
    if (session.corner.value) session.corner.value = null;
    else if (session.selected.value.size) session.select([]);
    else host.leave();
    tools.restore();
  },
  larger: (/** @type {Session} */ _session, /** @type {Gestures} */ tools) => tools.zoom(1.25),
  smaller: (/** @type {Session} */ _session, /** @type {Gestures} */ tools) => tools.zoom(0.8),
  fit: (/** @type {Session} */ session, /** @type {Gestures} */ tools) => void (tools.view.value = geometry.fitted(session.image, tools.field())),
  one: (/** @type {Session} */ _session, /** @type {Gestures} */ tools) => tools.zoom(1 / tools.view.value.scale),
};

/** @param {string} across @param {string} down */
function resizing(across, down) {
  return (/** @type {Session} */ session, /** @type {Gestures} */ _tools, /** @type {Host} */ _host, /** @type {[number, number]} */ [x, y]) => {
    const { width_px, height_px } = session.image;
    session.place((box) => geometry.resized(box, x ? across : down, x / width_px, y / height_px, session.least_norm), gestureOf(across));
  };
}

/** Selects the next box; past the last one the key keeps its usual meaning, so that nobody is held in the picture. @param {Session} session @param {1 | -1} step */
function stepped(session, step) {
  const items = session.visible.filter((one) => one.box_norm || !session.hasBoxes);
  const at = items.findIndex((one) => session.selected.value.has(one.key));
  const next = at < 0 ? (step > 0 ? 0 : items.length - 1) : at + step;
  if (!items[next]) {
    session.select([]);
    return false;
  }
  session.select([items[next].key]);
}

