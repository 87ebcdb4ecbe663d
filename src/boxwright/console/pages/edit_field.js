// @ts-check
// The picture of the editor: two canvases under the edited box; pointer and keys.
import { html, effect, signal, useEffect, useMemo, useRef, useState } from "../vendor/ui.js";
import { has, t } from "../app/i18n.js";
import { shortcuts } from "../app/store.js";
import { perform } from "../editor/acts.js";
import { HANDLES, fitted, toField } from "../editor/geometry.js";
import { actOf, hotKeysOf } from "../editor/keys.js";
import { needed, pathOf, picture } from "../editor/pictures.js";
import { specIdOf } from "../editor/session.js";
import { Gestures } from "../editor/gestures.js";
import { drawBoxes, drawPicture, place } from "../editor/view.js";

/** @typedef {import("../editor/session.js").Session} Session */

const REST_MS = 200;

/** The colour of each label of the dataset. @param {Session} session @returns {(specId: string) => string} */
export function coloursOf(session) {
  const found = new Map(session.specs.value.map((one) => [specIdOf(one), one.shade]));
  return (specId) => found.get(specId) ?? "#b00";
}

/** What is drawn, kept outside of the page's own tree. @param {Session} session */
function makeBoard(session) {
  const view = signal({ scale: 1, left_px: 0, top_px: 0 });
  const size = signal({ width_px: 0, height_px: 0 });
  /** @type {{value: import("../editor/view.js").Layer[]}} */
  const layers = signal([]);
  return { session, view, size, layers, isSmooth: signal(false), fitted: "", whole: /** @type {any} */ (null) };
}

/** @param {{session: Session, host: any, bind: (tools: Gestures) => void}} props */
export function Field({ session, host, bind }) {
  const field = useRef(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const board = useMemo(() => makeBoard(session), [session]);
  const [picked, drawn, frame] = [useRef(/** @type {any} */ (null)), useRef(/** @type {any} */ (null)), useRef(/** @type {any} */ (null))];
  const tools = useRef(/** @type {any} */ (null));
  useEffect(() => {
    tools.current = new Gestures(session, board.view, () => board.size.value, frame.current, (specId) => coloursOf(session)(specId));
    bind(tools.current);
    const watcher = new ResizeObserver(([{ contentRect }]) => (board.size.value = { width_px: contentRect.width, height_px: contentRect.height }));
    watcher.observe(field.current);
    const stops = [fitting(board), painting(board, picked.current, drawn.current), framing(tools.current), loading(board, setError)];
    return () => {
      watcher.disconnect();
      for (const stop of stops) stop();
    };
  }, [session]);
  const name = session.example.value?.name;
  useEffect(() => field.current.focus({ preventScroll: true }), [name]);
  const to = (/** @type {string} */ act) => (/** @type {any} */ event) => tools.current?.[act](event);
  return html`<div class="field" ref=${field} tabindex="0" data-stays role="application" aria-label=${t(session.hasBoxes ? "edit.field" : "edit.field.labels")}
      onPointerDown=${to("press")} onPointerMove=${to("move")} onPointerUp=${to("release")} onPointerCancel=${to("release")} onWheel=${to("wheel")}
      onKeyDown=${(/** @type {any} */ event) => pressed(event, session, tools.current, host)} onKeyUp=${(/** @type {any} */ event) => released(event, session, tools.current)}
      onBlur=${() => left(session, tools.current)} onContextMenu=${(/** @type {Event} */ event) => event.preventDefault()}>
    <canvas ref=${picked} aria-hidden="true"></canvas><canvas ref=${drawn} aria-hidden="true"></canvas>
    <div class="edited" ref=${frame} hidden aria-hidden="true">${HANDLES.map((one) => html`<span class="handle" data-handle=${one}></span>`)}</div>
    <${Corner} board=${board} />
    ${error && html`<p class="unseen" role="alert">${t("edit.picture")} ${has(`code.${error.code}`) ? t(`code.${error.code}`) : ""} <span lang="en">${error.message ?? ""}</span></p>`}
    <${Drop} board=${board} host=${host} /></div>`;
}

/** Gives the host what it may ask of the view. @param {{board: any, host: any}} props */
function Drop({ board, host }) {
  host.pixels = () => void (board.isSmooth.value = !board.isSmooth.value);
  return null;
}

/** The first of two corners. @param {{board: any}} props */
function Corner({ board }) {
  const corner = board.session.corner.value;
  if (!corner) return null;
  const [left, top] = toField(board.view.value, board.session.image, /** @type {any} */ ([...corner, ...corner]));
  return html`<span class="corner" style=${{ transform: `translate(${left}px, ${top}px)` }}></span>`;
}

/** Shows the whole of each new image, once its size and the field's are known. @param {any} board */
const fitting = (board) => effect(() => {
  const { value: example } = board.session.example;
  const size = board.size.value;
  if (!example || size.width_px < 10 || (board.fitted === example.name && board.view.peek() !== board.whole)) return;
  board.fitted = example.name;
  board.whole = board.view.value = fitted(board.session.image, size); // fitted again as long as nobody has zoomed
});

/** Draws at most once a frame, and only what has changed. @param {any} board @param {HTMLCanvasElement} below @param {HTMLCanvasElement} above */
function painting(board, below, above) {
  const { session } = board;
  const frames = { below: 0, above: 0 };
  const once = (/** @type {"below" | "above"} */ which, /** @type {() => void} */ draw) => {
    cancelAnimationFrame(frames[which]);
    frames[which] = requestAnimationFrame(draw);
  };
  const stops = [effect(() => {
    const [size, view, layers, isSmooth, { image }] = [board.size.value, board.view.value, board.layers.value, board.isSmooth.value, session];
    if (size.width_px) once("below", () => drawPicture(below, size, view, image, layers, isSmooth));
  }), effect(() => {
    const [size, view, { image }] = [board.size.value, board.view.value, session];
    const preview = session.preview.value;
    const items = session.areHidden.value ? [] : (preview ?? session.visible);
    const shown = { items, selected: session.selected.value, active: preview || session.areHidden.value ? undefined : session.active?.key, colour: coloursOf(session) };
    if (size.width_px) once("above", () => drawBoxes(above, size, view, image, shown));
  })];
  return () => stops.forEach((stop) => stop());
}

/** Keeps the edited box at its place. @param {Gestures} tools */
const framing = (tools) => effect(() => {
  const shown = tools.shown(); // read before anything else: an effect follows what its last run has read
  if (!tools.isHolding) place(tools.frame, ...shown);
});

/** Fetches the picture of each image, and a finer one where the view has come to rest closer. @param {any} board @param {(error: any) => void} setError */
function loading(board, setError) {
  let timer = 0, shown = "";
  const base = effect(() => {
    const name = board.session.example.value?.name;
    if (!name || name === shown) return;
    shown = name;
    board.layers.value = [];
    setError(null);
    picture(pathOf(name)).then((bitmap) => name === shown && (board.layers.value = [{ bitmap, region: [0, 0, 1, 1] }]))
      .catch((failure) => name === shown && setError(failure));
  });
  const finer = effect(() => {
    const [view, size, name] = [board.view.value, board.size.value, board.session.example.value?.name];
    clearTimeout(timer);
    if (!name || !size.width_px) return;
    timer = setTimeout(async () => {
      const { path, region } = needed(name, board.session.image, view, size, devicePixelRatio || 1);
      if (path === pathOf(name)) return;
      const bitmap = await picture(path).catch(() => null); // the coarser one stays
      if (bitmap && name === shown && board.layers.value.length) board.layers.value = [board.layers.value[0], { bitmap, region }];
    }, REST_MS);
  });
  return () => {
    clearTimeout(timer);
    base();
    finer();
  };
}

/** @param {KeyboardEvent} event @param {Session} session @param {Gestures} tools @param {any} host */
function pressed(event, session, tools, host) {
  if (event.key === " ") {
    tools.isPanning = true;
    return event.preventDefault();
  }
  const asked = actOf(event, hotKeysOf(session.specs.value), shortcuts.value !== "off");
  if (!asked || !session.example.value) return;
  if (perform(asked, session, tools, host)) event.preventDefault();
  event.stopPropagation(); // the frame's keys are not meant
}

/** Keys that are held are released where nobody hears of it. @param {Session} session @param {Gestures | null} tools */
function left(session, tools) {
  session.areHidden.value = false;
  if (tools) tools.isPanning = false;
}

/** @param {KeyboardEvent} event @param {Session} session @param {Gestures} tools */
function released(event, session, tools) {
  if (event.key === " ") tools.isPanning = false;
  if (event.key.toLowerCase() === "h") session.areHidden.value = false;
}
