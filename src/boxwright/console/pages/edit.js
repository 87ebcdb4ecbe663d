// @ts-check
// The label editor: one image after the other of those that a filter has found; it saves by itself.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/ui.js";
import { idOf } from "../app/api.js";
import { speak, t } from "../app/i18n.js";
import { kindOf, suggesting } from "../app/resources.js";
import { href, route } from "../app/router.js";
import { may } from "../app/watch.js";
import { perform } from "../editor/acts.js";
import { SHEET } from "../editor/keys.js";
import { pathOf, picture } from "../editor/pictures.js";
import { Queue } from "../editor/queue.js";
import { flush } from "../editor/save.js";
import { Session } from "../editor/session.js";
import { ASKED, SETS, filterOf, fileOf, orderOf } from "../parts/examples.js";
import { Dialog, Trouble, useCalls } from "../parts/page.js";
import { Field } from "./edit_field.js";
import { SavingTrouble, Status } from "./edit_saving.js";
import { Side } from "./edit_side.js";

await speak("edit");
const PASSING = ["UNREACHABLE", "UNAVAILABLE"]; // the image is asked for again by itself
const AGAIN_MS = 3000;
const UPDATE = "automl.examples.update";
/** Sessions outlive the page: who signs in again, or looks at another tab, has the same history. @type {Map<string, Session>} */
const sessions = new Map();

/** @param {any} dataset */
function sessionOf(dataset) {
  let found = sessions.get(dataset.name);
  if (!found) {
    const isSingle = dataset.imageClassificationDatasetMetadata?.classificationType === "MULTICLASS";
    found = new Session(dataset, kindOf(dataset) !== "classification", isSingle);
    sessions.set(dataset.name, found);
  }
  return found;
}

/** @param {{dataset: any, example: string, filter?: string, models?: any[]}} props `models` of the dataset, until others are known; `filter` as the API's; without it that of the address */
export function Edit({ dataset, example, filter, models: own = [] }) {
  const session = sessionOf(dataset);
  const query = useMemo(() => new URLSearchParams([...route.value.query].filter(([key]) => ASKED.includes(key))), [String(route.value.query)]);
  const queue = useMemo(() => new Queue(dataset.name, filter ?? filterOf(query), orderOf(query)), [dataset.name, filter, String(query)]);
  const [error, setError] = useState(/** @type {any} */ (null));
  const [isSheet, setSheet] = useState(false);
  const [turn, setTurn] = useState(0);
  const [place, setPlace] = useState({ at: 0, of: 0 });
  const [models, setModels] = useState(own);
  useEffect(() => { suggesting(dataset).then(setModels, () => {}); }, [dataset.name]); // without an answer: its own
  const tools = useRef(/** @type {any} */ (null));
  const name = `${dataset.name}/examples/${example}`;
  session.wanted = name;
  session.off = may(UPDATE) ? "" : t("denied", { permission: UPDATE });
  useCalls([{ verb: "GET", path: name }, { verb: "GET", path: pathOf(name) }, { verb: "PATCH", path: `${name}?updateMask=annotations,state`, body: { name, etag: session.example.value?.etag, state: "LABELED", annotations: [] } }]);
  const host = useMemo(() => ({}), []);
  Object.assign(host, { go: (/** @type {1 | -1} */ step) => go(session, queue, step, query), sheet: () => setSheet(true), focus: focusField, leave: () => /** @type {any} */ (document.querySelector(".editor .bar a"))?.focus() });
  useEffect(() => {
    const control = new AbortController();
    const at = route.value.query.get("at");
    Promise.all([session.specs.value.length && turn === 0 ? null : session.loadSpecs(), session.open(name, control.signal), queue.find(name, at === null ? null : Number(at) || 0)])
      .then(() => control.signal.aborted || (setError(null), setPlace({ at: queue.placeOf(name), of: queue.total }), preload(queue, name)))
      .catch((failure) => control.signal.aborted || setError(failure));
    return () => control.abort();
  }, [name, queue, turn]);
  useEffect(() => {
    if (!PASSING.includes(error?.code)) return undefined;
    const again = () => setTurn(turn + 1);
    const timer = setInterval(again, AGAIN_MS);
    addEventListener("online", again);
    return () => {
      clearInterval(timer);
      removeEventListener("online", again);
    };
  }, [error]);
  useEffect(() => () => session.leave(), [session]);
  const { isThere } = session;
  return html`<div class="editor"><${Bar} session=${session} query=${query} host=${host} tools=${tools} isThere=${isThere} place=${place} />
    <${SavingTrouble} session=${session} />
    ${error && html`<${Trouble} error=${error} again=${() => setTurn(turn + 1)} />`}
    <div class="work${isThere ? "" : " coming"}" aria-busy=${!isThere}><${Field} session=${session} host=${host} bind=${(/** @type {any} */ one) => { tools.current = one; }} /><${Side} session=${session} host=${host} models=${models} /></div>
    <${Said} session=${session} />${isSheet && html`<${Sheet} close=${() => setSheet(false)} />`}</div>`;
}

const focusField = () => /** @type {any} */ (document.querySelector(".editor .field"))?.focus({ preventScroll: true });

/** Pictures of the images beside, before somebody asks for them. @param {Queue} queue @param {string} name */
function preload(queue, name) {
  const at = queue.names.indexOf(name);
  for (const one of [queue.names[at + 1], queue.names[at + 2], queue.names[at - 1]]) if (one) picture(pathOf(one)).catch(() => {});
}

/** Leads to the image beside; forward, a changed image is completed. @param {Session} session @param {Queue} queue @param {1 | -1} step @param {URLSearchParams} query */
async function go(session, queue, step, query) {
  const { name } = session.example.value;
  if (step > 0 && session.isChanged) session.complete();
  flush(name);
  const next = await queue.beside(name, step).catch(() => "");
  if (!next) return session.say(step > 0 ? "edit.end" : "edit.start");
  const at = new URLSearchParams(query);
  at.set("at", String(queue.placeOf(next) - 1));
  location.replace(`${href("datasets", idOf(session.dataset.name), "images", idOf(next))}?${at}`);
}

/** @param {{session: Session, query: URLSearchParams, host: any, tools: any, isThere: boolean, place: {at: number, of: number}}} props */
function Bar({ session, query, host, tools, isThere, place }) {
  const { example: { value: example }, content } = session;
  const act = (/** @type {string} */ name) => () => tools.current && perform({ act: name }, session, tools.current, host);
  const back = `${href("datasets", idOf(session.dataset.name), "images")}${query.size ? `?${query}` : ""}`;
  const done = () => {
    session.complete();
    host.go(1);
  };
  useEffect(() => { document.title = `${isThere ? fileOf(example) : "…"} · Boxwright`; }, [example]);
  return html`<div class="bar row"><a class="button" href=${back}>${t("edit.images")}</a>
    <h1 class="name">${isThere ? fileOf(example) : session.dataset.displayName}</h1>
    <span class="row tight"><button type="button" aria-label=${t("edit.back")} title=${t("edit.back")} onClick=${act("back")}>‹</button>
      <span class="small">${isThere && place.of ? t("edit.place", place) : "…"}</span>
      <button type="button" aria-label=${t("edit.forward")} title=${t("edit.forward")} onClick=${act("forward")}>›</button></span>
    <button type="button" class="first" title=${t("edit.done.hint")} onClick=${done}>${t("edit.done")}</button>
    ${!session.isSingle && html`<button type="button" title=${t("edit.empty.hint")} onClick=${act("empty")}>${t("edit.empty")}</button>`}
    <span class="state ${content.state === "LABELED" ? "good" : "warn"}">${t(`edit.state.${content.state}`)}</span>
    <label class="row small">${t("edit.set")}<select value=${content.mlUse} onChange=${(/** @type {any} */ e) => session.run({ kind: "mlUse", mlUse: e.target.value })}>${SETS.map((one) => html`<option value=${one}>${t(`edit.set.${one}`)}</option>`)}</select></label>
    <span class="row tight">${[["undo", "↶"], ["redo", "↷"], ["smaller", "−"], ["larger", "+"], ["fit", "⤢"]].map(([name, sign]) => html`<button type="button" key=${name} aria-label=${t(`edit.${name}`)} title=${t(`edit.${name}`)} onClick=${act(name)}>${sign}</button>`)}
      <button type="button" aria-label=${t("edit.keys")} title=${t("edit.keys")} onClick=${act("sheet")}><kbd>?</kbd></button></span>
    <${Status} /></div>`;
}

/** What has just happened, for those who see and those who listen. @param {{session: Session}} props */
function Said({ session }) {
  const said = session.said.value;
  return html`<p class="said small quiet" role="status" aria-live="polite">${said ? t(...said) : ""}</p>`;
}

/** @param {{close: () => void}} props */
const Sheet = ({ close }) => html`<${Dialog} title=${t("edit.keys")} close=${close}><p class="small">${t("edit.key.mouse")}</p>
  <dl class="facts">${SHEET.map(([keys, does]) => html`<dt><kbd>${keys}</kbd></dt><dd>${t(`edit.key.${does}`)}</dd>`)}</dl>
  <p class="quiet">${t("keys.off")}</p><form method="dialog" class="ends"><button>${t("close")}</button></form><//>`;
