// @ts-check
// One dataset being edited: the image shown, its history, what is selected, the label in use, suggestions. No DOM.
import { get, post } from "../app/api.js";
import { labelsOf } from "../parts/examples.js";
import { signal } from "../vendor/ui.js";
import * as geometry from "./geometry.js";
import * as model from "./model.js";
import * as save from "./save.js";
import { copied, isSameContent, suggestionsFor } from "./wire.js";

/** @typedef {import("./model.js").Item} Item */
/** @typedef {import("./model.js").Box} Box */

const LEAST_EDGE_PX = 2; // the API's rule, with the next one for small images
const LEAST_EDGE_NORM = 0.01;
export const MOST_ITEMS = 5000; // the API's rule
const KEPT_HISTORIES = 50;

export class Session {
  /** @param {any} dataset @param {boolean} hasBoxes @param {boolean} isSingle whether an image has one label at most */
  constructor(dataset, hasBoxes, isSingle) {
    this.dataset = dataset;
    this.hasBoxes = hasBoxes;
    this.isSingle = isSingle;
    /** @type {{value: any}} */
    this.example = signal(null);
    /** @type {{value: model.History}} */
    this.history = signal(model.begin({ items: [], state: "UNLABELED", mlUse: "UNASSIGNED" }));
    /** Keys of selected labels. @type {{value: ReadonlySet<number>}} */
    this.selected = signal(new Set());
    /** Labels of the dataset. @type {{value: any[]}} */
    this.specs = signal([]);
    /** The id of the label that a new box gets. @type {{value: string}} */
    this.specId = signal("");
    /** What a model finds in this image. @type {{value: Item[]}} */
    this.found = signal([]);
    this.isFoundShown = signal(true);
    this.threshold = signal(0.5);
    this.areHidden = signal(false);
    /** The first corner of a box that two clicks draw. @type {{value: [number, number] | null}} */
    this.corner = signal(null);
    /** A sentence's id with its values, said politely. @type {{value: [string, any] | null}} */
    this.said = signal(null);
    /** Labels that are drawn instead of the image's own, to compare. @type {{value: readonly Item[] | null}} */
    this.preview = signal(null);
    /** Why nothing may be changed, or empty. */
    this.off = "";
    this.wanted = ""; // the name of the image that the page is to show; until it is there, nothing is changed
    /** @type {Map<string, model.History>} */
    this.histories = new Map();
    /** @type {Item[]} */
    this.clipboard = [];
    /** @type {readonly Item[]} */
    this.before = []; // the labels of the image that was shown before
    this.isChanged = false;
    this.gestures = 0;
    save.listeners.add((name, content, isMerged) => this.take(name, content, isMerged));
  }

  get content() { return this.history.value.present; }
  get image() { return { width_px: this.example.value?.widthPx || 1, height_px: this.example.value?.heightPx || 1 }; }
  /** The shortest edges of a box. @returns {[number, number]} */
  get least_norm() { return [Math.min(LEAST_EDGE_NORM, LEAST_EDGE_PX / this.image.width_px), Math.min(LEAST_EDGE_NORM, LEAST_EDGE_PX / this.image.height_px)]; }
  get isThere() { return this.example.value?.name === this.wanted; }
  get isEdited() { return this.content.state !== "LABELED" || this.isChanged; }
  /** What can be seen and selected: labels, then suggestions above the threshold. @returns {Item[]} */
  get visible() {
    return [...this.content.items, ...this.suggestions];
  }
  /** @returns {Item[]} */
  get suggestions() {
    return this.isFoundShown.value ? this.found.value.filter((one) => one.score >= this.threshold.value) : [];
  }
  get chosen() { return this.visible.filter((one) => this.selected.value.has(one.key)); }
  /** The one that is selected, if it is one. @returns {Item | undefined} */
  get active() { return this.selected.value.size === 1 ? this.chosen[0] : undefined; }
  get spec() { return this.specs.value.find((one) => specIdOf(one) === this.specId.value); }

  async loadSpecs() {
    this.specs.value = await labelsOf(this.dataset.name);
    if (!this.spec) this.specId.value = this.specs.value[0] ? specIdOf(this.specs.value[0]) : "";
  }

  /** Shows an image. @param {string} name @param {AbortSignal} [aborted] */
  async open(name, aborted) {
    let example = await get(name, aborted);
    let known = example.etag;
    // an answer that was asked for before a change was saved may be from before it: asked again, once for each change
    while (!aborted?.aborted && ![example.etag, known, undefined].includes(save.tracked(name)?.etag)) {
      known = save.tracked(name)?.etag;
      example = await get(name, aborted);
    }
    if (aborted?.aborted) return;
    this.leave();
    const { mine } = save.track(example, this.isSingle);
    const kept = this.histories.get(name);
    this.history.value = kept && isSameContent(kept.present, mine) ? kept : model.begin(mine);
    if (this.history.value === kept && kept.present !== mine) save.changed(name, kept.present);
    this.selected.value = new Set();
    this.found.value = [];
    this.corner.value = null;
    this.preview.value = null;
    this.said.value = null;
    this.isChanged = false;
    this.example.value = example;
  }

  /** Sends what the image that is shown still has to save. */
  leave() {
    const name = this.example.value?.name;
    if (!name) return;
    save.flush(name);
    if (this.content.items.length) this.before = this.content.items;
  }

  /** A content that came from elsewhere: a step of its own. @param {string} name @param {model.Content} content @param {boolean} isMerged */
  take(name, content, isMerged) {
    if (name !== this.example.value?.name) return void this.histories.delete(name);
    const history = this.history.value;
    this.history.value = { past: [...history.past, history.present].slice(-model.MOST_STEPS), present: content, future: [], gesture: "" };
    this.selected.value = new Set();
    if (isMerged) this.say("edit.merged");
  }

  /** @param {string} key @param {any} [values] */
  say(key, values = {}) { this.said.value = [key, values]; }

  /** Whether nothing may be changed now; it says why. */
  refuses() {
    if (this.off) this.say("edit.off", { why: this.off });
    else if (!this.isThere) this.say("edit.coming");
    else return false;
    return true;
  }

  /** Does a command and saves what it makes. @param {model.Command} command */
  run(command) { this.refuses() || this.become(model.run(this.history.value, command)); }
  undo() { this.refuses() || this.become(model.undo(this.history.value)); }
  redo() { this.refuses() || this.become(model.redo(this.history.value)); }

  /** @param {model.History} history */
  become(history) {
    if (history === this.history.value) return;
    if (history.present.items !== this.content.items || history.present.state !== this.content.state) this.isChanged = true;
    this.history.value = history;
    const there = new Set(this.visible.map((one) => one.key));
    if ([...this.selected.value].some((key) => !there.has(key))) this.select([...this.selected.value].filter((key) => there.has(key)));
    const { name } = this.example.value;
    this.histories.delete(name);
    this.histories.set(name, history);
    if (this.histories.size > KEPT_HISTORIES) this.histories.delete(/** @type {string} */ (this.histories.keys().next().value));
    save.changed(name, history.present);
  }

  /** @param {Iterable<number>} keys */
  select(keys) { this.selected.value = new Set(keys); }

  /** Adds a box with the label in use, and selects it. @param {Box} box_norm */
  add(box_norm) {
    if (this.refuses()) return;
    if (!this.spec) return this.say("edit.label.first");
    if (this.content.items.length >= MOST_ITEMS) return this.say("edit.full", { n: MOST_ITEMS });
    const key = model.freeKey(this.content.items);
    const box = geometry.atLeast(box_norm, this.least_norm);
    this.run({ kind: "add", items: [{ key, specId: this.specId.value, label: this.spec.displayName, box_norm: box, score: 1, source: model.HUMAN }] });
    this.select([key]);
    this.say("edit.added", { label: this.spec.displayName });
  }

  /** Moves or resizes what is selected. @param {(box: Box) => Box} change @param {string} [gesture] */
  place(change, gesture) {
    const boxes = this.chosen.filter((one) => one.key > 0 && one.box_norm).map((one) => /** @type {[number, Box]} */ ([one.key, change(/** @type {Box} */ (one.box_norm))]));
    if (boxes.length) this.run({ kind: "place", boxes, gesture });
  }

  /** Chooses the label in use and gives it to what is selected; without boxes, to the image. @param {string} specId */
  label(specId) {
    const spec = this.specs.value.find((one) => specIdOf(one) === specId);
    if (!spec) return;
    this.specId.value = specId;
    const label = spec.displayName;
    if (this.hasBoxes) return this.run({ kind: "relabel", keys: this.content.items.filter((one) => this.selected.value.has(one.key)).map((one) => one.key), specId, label });
    const item = { key: model.freeKey(this.content.items), specId, label, box_norm: null, score: 1, source: model.HUMAN };
    this.run({ kind: "toggle", specId, items: [item], isSingle: this.isSingle });
  }

  /** Makes a label of the dataset and uses it. @param {string} displayName */
  async createLabel(displayName) {
    const made = await post(`${this.dataset.name}/annotationSpecs`, { displayName });
    await this.loadSpecs();
    this.label(specIdOf(made));
  }

  /** Takes what is selected away; of suggestions too. */
  remove() {
    const keys = [...this.selected.value];
    if (!keys.length || this.refuses()) return;
    const next = this.visible.findIndex((one) => one.key === keys[0]);
    this.found.value = this.found.value.filter((one) => !keys.includes(one.key));
    this.run({ kind: "remove", keys });
    this.say("edit.removed", { n: keys.length });
    const beside = this.visible[Math.min(next, this.visible.length - 1)];
    this.select(beside && keys.length === 1 ? [beside.key] : []);
  }

  /** A person agrees with a model. @param {Item[]} items labels not accepted yet, or findings */
  accept(items) {
    if (this.refuses()) return;
    const room = this.hasBoxes ? MOST_ITEMS - this.content.items.length : Infinity;
    const given = new Set(this.content.items.filter((one) => one.source !== model.MODEL).map((one) => one.specId));
    const found = items.filter((one) => one.key < 0 && (this.hasBoxes || !given.has(one.specId))).sort((a, b) => b.score - a.score);
    const fresh = found.slice(0, this.isSingle ? 1 : room);
    const labels = items.filter((one) => one.key > 0 && one.source === model.MODEL);
    let key = model.freeKey(this.content.items);
    const gesture = `accept ${++this.gestures}`;
    if (labels.length) this.run({ kind: "accept", keys: labels.map((one) => one.key), gesture });
    if (fresh.length) {
      const more = fresh.map((one) => ({ ...one, key: key++, source: model.ACCEPTED }));
      if (this.hasBoxes) this.run({ kind: "add", items: more, gesture });
      else for (const one of more) this.run({ kind: "toggle", specId: one.specId, items: [one], isSingle: this.isSingle, gesture });
      this.found.value = this.found.value.filter((one) => !fresh.includes(one));
    }
    if (found.length > room) this.say("edit.full", { n: MOST_ITEMS });
    else if (labels.length + fresh.length) this.say("edit.accepted", { n: labels.length + fresh.length });
  }

  /** All suggestions at or above the threshold. */
  acceptAll() {
    this.accept(this.visible.filter((one) => one.source === model.MODEL && one.score >= this.threshold.value));
  }

  copy() { this.clipboard = this.chosen.filter((one) => one.box_norm); }

  /** Adds copies, a little aside where they would hide what is there. @param {readonly Item[]} items @param {number} aside_px */
  paste(items, aside_px) {
    const room = MOST_ITEMS - this.content.items.length;
    if (items.length > room) this.say("edit.full", { n: MOST_ITEMS });
    const from = model.freeKey(this.content.items);
    const added = items.slice(0, room).filter((one) => one.source !== model.MODEL).map((one, index) => {
      const box = one.box_norm && geometry.moved(one.box_norm, aside_px / this.image.width_px, aside_px / this.image.height_px);
      return { ...copied(one, from + index), box_norm: box };
    });
    if (!added.length || this.refuses()) return;
    this.run({ kind: "add", items: added });
    this.select(added.map((one) => one.key));
  }

  /** The labels of the image that was shown before. */
  repeat() {
    if (this.hasBoxes) this.paste(this.before, 0);
    else if (this.before[0]) this.label(this.before[0].specId);
  }

  /** Says that the image has its labels. @param {boolean} [isEmpty] whether there is nothing in it */
  complete(isEmpty = false) {
    if (isEmpty) this.run({ kind: "remove", keys: this.content.items.map((one) => one.key) });
    this.run({ kind: "complete", isSingle: this.isSingle });
  }

  /** Asks a model what it finds here. @param {string} name of the model */
  async suggest(name) {
    const example = this.example.value.name;
    const answer = await post(`${example}:suggest`, { model: name, scoreThreshold: 0.05 });
    if (this.example.value.name !== example) return;
    this.found.value = suggestionsFor(answer.annotations ?? [], this.content.items, this.least_norm);
    this.isFoundShown.value = true;
    const labels = (answer.unknownLabels ?? []).join(", ");
    this.say(labels ? "edit.found.others" : "edit.found", { n: this.found.value.length, labels });
  }
}

/** @param {any} spec */
export const specIdOf = (spec) => spec.name.slice(spec.name.lastIndexOf("/") + 1);

