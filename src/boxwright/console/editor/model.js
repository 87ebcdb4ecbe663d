// @ts-check
// What is edited of one image: its labels, state and set, as values that never change. Commands make new ones; undo and redo.

/** x_min, y_min, x_max, y_max as fractions of the upright image's sides. @typedef {readonly [number, number, number, number]} Box */
/** A label of the image; box_norm is null where labels have no boxes. @typedef {{key: number, specId: string, label: string, box_norm: Box | null, score: number, source: string}} Item */
/** @typedef {{items: readonly Item[], state: string, mlUse: string}} Content */
/** @typedef {{past: readonly Content[], present: Content, future: readonly Content[], gesture: string}} History */
/** What is done; commands of the same `gesture` are one step. @typedef {{kind: string, gesture?: string, items?: readonly Item[], keys?: readonly number[], boxes?: readonly (readonly [number, Box])[], specId?: string, label?: string, isSingle?: boolean, state?: string, mlUse?: string}} Command */

export const MOST_STEPS = 200;
export const MODEL = "MODEL";
export const ACCEPTED = "ACCEPTED";
export const HUMAN = "HUMAN";

/** @param {Content} content @returns {History} */
export const begin = (content) => ({ past: [], present: content, future: [], gesture: "" });

/** Does a command; what changes nothing is no step. @param {History} history @param {Command} command @returns {History} */
export function run(history, command) {
  const next = applied(history.present, command);
  if (next === history.present) return history;
  const gesture = command.gesture ?? "";
  if (gesture && gesture === history.gesture) return { ...history, present: next, future: [] };
  return { past: [...history.past, history.present].slice(-MOST_STEPS), present: next, future: [], gesture };
}

/** @param {History} history @returns {History} */
export function undo(history) {
  const last = history.past.at(-1);
  if (!last) return history;
  return { past: history.past.slice(0, -1), present: last, future: [history.present, ...history.future], gesture: "" };
}

/** @param {History} history @returns {History} */
export function redo(history) {
  const [next, ...future] = history.future;
  if (!next) return history;
  return { past: [...history.past, history.present], present: next, future, gesture: "" };
}

/** The content after a command; the same object where nothing changes. @param {Content} content @param {Command} command @returns {Content} */
export function applied(content, command) {
  if (command.kind === "state") return content.state === command.state ? content : { ...content, state: command.state ?? "" };
  if (command.kind === "mlUse") return content.mlUse === command.mlUse ? content : { ...content, mlUse: command.mlUse ?? "" };
  if (command.kind === "complete") return completed(content, command);
  if (command.kind === "replace") return settled(content, command.items ?? []);
  return settled(content, changedItems(content.items, command));
}

/** @param {readonly Item[]} items @param {Command} command @returns {readonly Item[]} */
function changedItems(items, command) {
  const keys = new Set(command.keys ?? []);
  switch (command.kind) {
    case "add":
      return command.items?.length ? [...items, ...command.items] : items;
    case "remove":
      return items.some((one) => keys.has(one.key)) ? items.filter((one) => !keys.has(one.key)) : items;
    case "place":
      return placed(items, new Map(command.boxes ?? []));
    case "relabel":
      return mapped(items, (one) => (keys.has(one.key) && one.specId !== command.specId ? made(one, { specId: command.specId ?? "", label: command.label ?? "" }) : one));
    case "accept":
      return mapped(items, (one) => (keys.has(one.key) && one.source === MODEL ? { ...one, source: ACCEPTED } : one));
    case "toggle":
      return toggled(items, command);
    default:
      throw new Error(`no such command: ${command.kind}`);
  }
}

/** A label that a person has changed is a person's. @param {Item} one @param {Partial<Item>} values @returns {Item} */
const made = (one, values) => ({ ...one, ...values, source: HUMAN, score: 1 });

/** @param {readonly Item[]} items @param {Map<number, Box>} boxes */
const placed = (items, boxes) =>
  mapped(items, (one) => {
    const box_norm = boxes.get(one.key);
    return !box_norm || !one.box_norm || isSame(box_norm, one.box_norm) ? one : made(one, { box_norm });
  });

/** @param {readonly Item[]} items @param {(one: Item) => Item} change */
function mapped(items, change) {
  const found = items.map(change);
  return found.some((one, index) => one !== items[index]) ? found : items;
}

/** A label of the whole image is given or taken away; where there is one only, it takes the other's place. @param {readonly Item[]} items @param {Command} command */
function toggled(items, command) {
  const had = items.find((one) => one.specId === command.specId);
  if (had && had.source !== MODEL) return items.filter((one) => one !== had);
  const given = command.items ?? [];
  return command.isSingle ? given : [...items.filter((one) => one !== had), ...given];
}

/** Labels are never in an UNLABELED image: until it is completed they are to be looked at again. @param {Content} content @param {readonly Item[]} items */
function settled(content, items) {
  if (items === content.items) return content;
  return { ...content, items, state: content.state === "UNLABELED" && items.length ? "SUGGESTED" : content.state };
}

/** What a model has found and nobody has accepted goes. Where an image has exactly one label, none is not complete. @param {Content} content @param {Command} command @returns {Content} */
function completed(content, command) {
  const items = content.items.some((one) => one.source === MODEL) ? content.items.filter((one) => one.source !== MODEL) : content.items;
  const state = command.isSingle && !items.length ? "UNLABELED" : "LABELED";
  return items === content.items && state === content.state ? content : { ...content, items, state };
}

/** @param {Box} a @param {Box} b */
export const isSame = (a, b) => a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];

/** A new key, greater than all. @param {readonly Item[]} items */
export const freeKey = (items) => items.reduce((most, one) => Math.max(most, one.key), 0) + 1;
