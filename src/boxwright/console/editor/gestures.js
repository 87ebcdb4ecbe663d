// @ts-check
// What the pointer does: mouse, pen and fingers. There are no modes: where a press begins says what it means.
import * as geometry from "./geometry.js";
import { MODEL } from "./model.js";
import { place } from "./view.js";

/** @typedef {import("./model.js").Box} Box */
/** @typedef {{kind: string, handle?: string, start: [number, number], from: [number, number], box?: Box | null, isShift?: boolean, hasMoved?: boolean, view?: geometry.View}} Gesture */

const CLICK_PX = 4; // a press that moves less is a click
const FINGER_CLICK_PX = 10;
const WHEEL_STEP = 1.0015;
const PINCH_STEP = 1.01; // two fingers on a touchpad are a wheel with Ctrl, in small steps
const MOST_PINCH = 25; // of a wheel's notch with Ctrl
const LINE_PX = [1, 20, 400]; // by deltaMode: pixels, lines, pages

export class Gestures {
  /**
   * @param {import("./session.js").Session} session
   * @param {{value: geometry.View}} view @param {() => geometry.Size} field its size
   * @param {HTMLElement} frame the edited box @param {(specId: string) => string} colour of a label
   */
  constructor(session, view, field, frame, colour) {
    this.colour = colour;
    this.session = session;
    this.view = view;
    this.field = field;
    this.frame = frame;
    /** Pointers that are down, and where. @type {Map<number, [number, number]>} */
    this.down = new Map();
    /** @type {Gesture | null} */
    this.gesture = null;
    this.isPanning = false; // while Space is held
    /** Where the pointer was last. @type {[number, number] | null} */
    this.at = null;
  }

  /** @param {[number, number]} at in the field @returns {[number, number]} in the image */
  norm([x_px, y_px]) { return geometry.toNorm(this.view.value, this.session.image, x_px, y_px); }

  /** @param {PointerEvent} event */
  where(event) {
    const { left, top } = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    return /** @type {[number, number]} */ ([event.clientX - left, event.clientY - top]);
  }

  /** @param {PointerEvent} event */
  press(event) {
    const target = /** @type {HTMLElement} */ (event.currentTarget);
    if (event.button > 1) return;
    target.focus({ preventScroll: true });
    event.preventDefault();
    target.setPointerCapture(event.pointerId);
    const at = this.where(event);
    this.down.set(event.pointerId, at);
    if (this.down.size === 2) return this.pinch();
    if (this.down.size > 2) return;
    this.gesture = event.button === 1 || this.isPanning ? { kind: "pan", start: at, from: at, view: this.view.value } : this.meaning(event, at);
  }

  /** @param {PointerEvent} event @param {[number, number]} at @returns {Gesture} */
  meaning(event, at) {
    const start = this.norm(at);
    const { active, hasBoxes } = this.session;
    if (!hasBoxes) return { kind: "pan", start: at, from: at, view: this.view.value };
    const box = active?.box_norm;
    if (box && !event.altKey && !event.shiftKey) {
      const handle = geometry.handleAt(geometry.toField(this.view.value, this.session.image, box), ...at);
      if (handle && active.key > 0) return { kind: "resize", handle, start, from: at, box };
    }
    const isInside = this.session.chosen.some((one) => one.key > 0 && geometry.under([one], ...start).length);
    if (isInside && !event.altKey && !event.shiftKey) return { kind: "move", start, from: at, box };
    return { kind: event.shiftKey ? "many" : "draw", start, from: at, isShift: event.shiftKey };
  }

  /** @param {PointerEvent} event */
  move(event) {
    const at = this.where(event);
    this.at = at;
    if (!this.down.has(event.pointerId)) return;
    const before = [...this.down.values()];
    this.down.set(event.pointerId, at);
    const gesture = this.gesture;
    if (!gesture) return;
    if (gesture.kind === "pinch") return this.pinched(before);
    const least_px = event.pointerType === "mouse" ? CLICK_PX : FINGER_CLICK_PX;
    if (Math.hypot(at[0] - gesture.from[0], at[1] - gesture.from[1]) >= least_px) gesture.hasMoved = true;
    if (!gesture.hasMoved) return;
    if (gesture.kind === "pan") {
      const view = /** @type {geometry.View} */ (gesture.view);
      this.view.value = { ...view, left_px: view.left_px + at[0] - gesture.from[0], top_px: view.top_px + at[1] - gesture.from[1] };
      return;
    }
    const box = this.boxOf(gesture, this.norm(at));
    if (box) place(this.frame, geometry.toField(this.view.value, this.session.image, box), gesture.kind === "draw" ? this.colour(this.session.specId.value) : "");
  }

  /** The box that a gesture gives at a point. @param {Gesture} gesture @param {[number, number]} to @returns {Box | null} */
  boxOf(gesture, to) {
    const [x, y] = [to[0] - gesture.start[0], to[1] - gesture.start[1]];
    if (gesture.kind === "resize") return geometry.resized(/** @type {Box} */ (gesture.box), gesture.handle ?? "", x, y, this.session.least_norm);
    if (gesture.kind === "move") return gesture.box ? geometry.moved(gesture.box, x, y) : null;
    return geometry.boxOf(...gesture.start, ...to);
  }

  /** @param {PointerEvent} event */
  release(event) {
    if (!this.down.delete(event.pointerId)) return;
    const gesture = this.gesture;
    if (this.down.size || !gesture) return;
    this.gesture = null;
    const at = this.where(event);
    if (event.type === "pointercancel" || gesture.kind === "pinch" || gesture.kind === "pan") return this.restore();
    const to = this.norm(at);
    if (!gesture.hasMoved) return this.click(gesture, to);
    const { session } = this;
    const [x, y] = [to[0] - gesture.start[0], to[1] - gesture.start[1]];
    if (gesture.kind === "resize") session.place((box) => geometry.resized(box, gesture.handle ?? "", x, y, session.least_norm));
    else if (gesture.kind === "move") session.place((box) => geometry.moved(box, x, y));
    else if (gesture.kind === "many") session.select([...session.selected.value, ...geometry.inside(session.visible, geometry.boxOf(...gesture.start, ...to)).map((one) => one.key)]);
    else session.add(geometry.boxOf(...gesture.start, ...to));
    session.corner.value = null;
    this.restore();
  }

  /** Whether the pointer holds the edited box; else it lies where its label is, also while the view moves. */
  get isHolding() { return this.gesture !== null && this.gesture.kind !== "pan" && this.gesture.kind !== "pinch"; }

  /** The edited box as its label is. @returns {[[number, number, number, number] | null, string, boolean]} its place in the field, its colour, whether it is a suggestion */
  shown() {
    const { session, view: { value: view } } = this;
    const [isUnseen, active] = [session.areHidden.value || session.preview.value !== null, session.active];
    const box_px = active?.box_norm && !isUnseen ? geometry.toField(view, session.image, active.box_norm) : null;
    return [box_px, this.colour(active?.specId ?? ""), active?.source === MODEL];
  }

  /** The edited box is where its label is again. */
  restore() { place(this.frame, ...this.shown()); }

  /** Selects what is under the pointer; on nothing, two clicks draw a box. @param {Gesture} gesture @param {[number, number]} to */
  click(gesture, to) {
    const { session } = this;
    this.restore();
    const corner = session.corner.value;
    if (corner) {
      session.corner.value = null;
      return session.add(geometry.boxOf(...corner, ...to));
    }
    const slack = /** @type {[number, number]} */ ([3 / (this.view.value.scale * session.image.width_px), 3 / (this.view.value.scale * session.image.height_px)]);
    const found = geometry.under(session.visible, ...to, slack);
    if (found.length) {
      const selected = [...session.selected.value];
      if (!gesture.isShift) return session.select([geometry.nextUnder(found, selected.length === 1 ? selected[0] : undefined).key]);
      const { key } = found[0];
      return session.select(selected.includes(key) ? selected.filter((one) => one !== key) : [...selected, key]);
    }
    if (session.selected.value.size) return session.select([]);
    if (to.every((one) => one >= 0 && one <= 1)) {
      session.corner.value = to;
      session.say("edit.corner");
    }
  }

  /** Two fingers zoom and move; what one of them has begun is given up. */
  pinch() {
    this.restore();
    this.gesture = { kind: "pinch", start: [0, 0], from: [0, 0] };
  }

  /** @param {[number, number][]} before */
  pinched(before) {
    const after = [...this.down.values()];
    if (before.length < 2 || after.length < 2) return;
    const middle = (/** @type {[number, number][]} */ [a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const apart = (/** @type {[number, number][]} */ [a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
    const [[x_from, y_from], [x, y]] = [middle(before), middle(after)];
    const view = geometry.zoomed(this.view.value, apart(after) / apart(before), x_from, y_from);
    this.view.value = { ...view, left_px: view.left_px + x - x_from, top_px: view.top_px + y - y_from };
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const { left, top } = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    const moved_px = -event.deltaY * (LINE_PX[event.deltaMode] ?? 1);
    const factor = event.ctrlKey ? PINCH_STEP ** geometry.clamped(moved_px, -MOST_PINCH, MOST_PINCH) : WHEEL_STEP ** moved_px;
    this.zoom(factor, event.clientX - left, event.clientY - top);
  }

  /** Larger or smaller around a point, without one around the middle. @param {number} factor @param {number} [x_px] @param {number} [y_px] */
  zoom(factor, x_px, y_px) {
    const { width_px, height_px } = this.field();
    this.view.value = geometry.zoomed(this.view.value, factor, x_px ?? width_px / 2, y_px ?? height_px / 2);
  }
}
