// @ts-check
// The keys of the picture: which key asks for what, and the sheet that says so. They act only while the picture has the focus.

/** Keys as people read them, and the sentence that says what they do. @type {[string, string][]} */
export const SHEET = [
  ["W / N", "new"], ["← ↑ → ↓", "move"], ["Shift + ←", "move10"], ["Ctrl + ←", "resize"], ["Ctrl + Alt + ←", "resize2"],
  ["Tab / Shift + Tab", "next"], ["1 – 9", "label"], ["L", "search"], ["Del", "delete"], ["Ctrl + Z", "undo"],
  ["Ctrl + Y", "redo"], ["Ctrl + C, V, D", "copy"], ["R", "repeat"], ["Ctrl + A", "all"], ["D / A", "image"], ["E", "empty"],
  ["S", "suggest"], ["Enter / X", "judge"], ["Shift + Enter", "acceptall"], ["Z", "zoom"], ["+ / − / 0", "scale"],
  ["Shift + 0", "one"], ["I", "pixels"], ["H", "hide"], ["T", "set"], ["Esc", "leave"], ["?", "sheet"],
];
const LETTERS = {
  w: "new", n: "new", l: "search", r: "repeat", d: "forward", a: "back", e: "empty", s: "suggest", x: "reject", z: "zoom", h: "hide", t: "set", i: "pixels",
  "?": "sheet", "+": "larger", "=": "larger", "-": "smaller",
};
const NAMED = { Delete: "remove", Backspace: "remove", Tab: "next", Enter: "accept", Escape: "leave" };
const CONTROLLED = { z: "undo", y: "redo", c: "copy", v: "paste", d: "duplicate", a: "all" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * What a key asks for, with a value for some: arrows have image pixels, labels their hot key.
 * @param {{key: string, code?: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean}} event
 * @param {string[]} hotKeys of the labels @param {boolean} areLettersOn as Settings says
 * @returns {{act: string, value?: any} | null}
 */
export function actOf(event, hotKeys, areLettersOn) {
  const { key, shiftKey } = event;
  const isControlled = event.ctrlKey || event.metaKey;
  const arrow = /** @type {any} */ (ARROWS)[key];
  if (arrow) {
    const value = arrow.map((/** @type {number} */ one) => one * (shiftKey ? 10 : 1));
    if (isControlled) return { act: event.altKey ? "resizeNear" : "resizeFar", value };
    return event.altKey ? null : { act: "move", value };
  }
  if (isControlled) {
    if (event.altKey) return null;
    const act = /** @type {any} */ (CONTROLLED)[key.toLowerCase()];
    return act ? { act: act === "undo" && shiftKey ? "redo" : act } : null;
  }
  if (event.altKey) return null;
  const named = /** @type {any} */ (NAMED)[key];
  if (named) return { act: shiftKey && named === "next" ? "previous" : shiftKey && named === "accept" ? "acceptAll" : named };
  if (!areLettersOn) return null;
  if (shiftKey && event.code === "Digit0") return { act: "one" };
  const letter = key.length === 1 ? key.toLowerCase() : "";
  if (letter && hotKeys.includes(letter)) return { act: "label", value: letter };
  if (key === "0") return { act: "fit" };
  const act = /** @type {any} */ (LETTERS)[letter];
  return act ? { act } : null;
}

/** The hot key of each label: its own, then free digits by order. @param {any[]} specs @returns {string[]} */
export function hotKeysOf(specs) {
  const own = specs.map((one) => one.hotKey ?? "");
  const free = [..."123456789"].filter((one) => !own.includes(one));
  return own.map((one) => one || (free.shift() ?? ""));
}
