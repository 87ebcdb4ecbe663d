// @ts-check
// How the editor's saving stands: in words; what closed tabs have left; what two people have changed at once.
import { html, useEffect, useState } from "../vendor/ui.js";
import { idOf } from "../app/api.js";
import { number, t } from "../app/i18n.js";
import { href } from "../app/router.js";
import { hasReturned } from "../app/store.js";
import { FORMER } from "../editor/journal.js";
import * as save from "../editor/save.js";
import { contentOf } from "../editor/wire.js";
import { Trouble } from "../parts/page.js";

const LOOKS = /** @type {Record<string, string>} */ ({ saved: "good", waits: "runs", sending: "runs", away: "warn", signedOut: "warn", refused: "bad", conflict: "bad" });

const LOOK_MS = 5000;

/** One line: saved or not, and what is kept here. */
export function Status() {
  const { state, kept } = save.saving.value;
  const isOpen = !["saved", "waits", "sending"].includes(state);
  return html`<span class="state ${LOOKS[state]}" role="status" data-saving=${state}>${t(`edit.save.${state}`)}${isOpen ? ` · ${t("edit.save.kept", { n: kept })}` : ""}</span>`;
}

/** @param {{session: import("../editor/session.js").Session}} props */
export function SavingTrouble({ session }) {
  const { state, error, name, isJournalled } = save.saving.value;
  const shownName = session.example.value?.name;
  return html`${!isJournalled && html`<p class="note" role="alert">${t("edit.save.memory")}</p>`}<${Left} />
    ${state === "refused" && html`<div class="stack"><${Trouble} error=${error} again=${() => save.flush(name)} />
      <div class="row"><button type="button" onClick=${() => giveUp(session, name)}>${t("edit.save.discard")}</button>${name !== shownName && html`<${Shown} name=${name} />`}</div></div>`}
    ${state === "conflict" && (name === shownName ? html`<${Conflict} session=${session} name=${name} />` : html`<div class="note"><strong>${t("edit.conflict")}</strong> <${Shown} name=${name} /></div>`)}`;
}

/** @param {{name: string}} props of an example */
function Shown({ name }) {
  const [dataset, example] = [name.split("/").at(-3) ?? "", idOf(name)];
  return html`<a class="button" href=${href("datasets", dataset, "images", example)}>${t("edit.save.show")}</a>`;
}

/** @param {import("../editor/session.js").Session} session @param {string} name */
async function giveUp(session, name) {
  await save.discard(name);
  session.histories.delete(name);
  if (session.example.value?.name === name) await session.open(name);
}

/** @param {{session: import("../editor/session.js").Session, name: string}} props */
function Conflict({ session, name }) {
  const one = save.tracked(name);
  if (!one?.theirs) return null;
  const theirs = contentOf(one.theirs);
  const show = (/** @type {any} */ items) => () => { session.preview.value = items; };
  const end = (/** @type {"mine" | "theirs" | "both"} */ choice) => () => {
    session.preview.value = null;
    save.resolve(name, choice);
  };
  return html`<div class="trouble" role="alert"><strong>${t("edit.conflict")}</strong>
    <p>${t("edit.conflict.text", { mine: number(one.mine.items.length), theirs: number(theirs.items.length) })}</p>
    <div class="row"><span>${t("edit.conflict.see")}</span><button type="button" onClick=${show(null)}>${t("edit.conflict.see.mine")}</button><button type="button" onClick=${show(theirs.items)}>${t("edit.conflict.see.theirs")}</button></div>
    <div class="row"><button type="button" onClick=${end("mine")}>${t("edit.conflict.mine")}</button><button type="button" onClick=${end("theirs")}>${t("edit.conflict.theirs")}</button>
      ${!one.isSingle && html`<button type="button" onClick=${end("both")}>${t("edit.conflict.both")}</button>`}</div></div>`;
}

/** What closed tabs have left behind is offered. */
function Left() {
  const [entries, setEntries] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    const look = async () => {
      const found = await save.leftBehind();
      const own = found.filter((one) => hasReturned.value && one.tab === FORMER); // this tab has only been to sign in
      if (own.length) await save.takeOver(own);
      setEntries(found.filter((one) => !own.includes(one)));
    };
    look();
    const timer = setInterval(look, LOOK_MS); // a tab that is being closed still holds its lock for a moment
    return () => clearInterval(timer);
  }, []);
  if (!entries.length) return null;
  const end = (/** @type {any} */ does) => async () => {
    await does(entries);
    setEntries([]);
  };
  return html`<div class="note row" role="alert"><span>${t("edit.save.left", { n: entries.length })}</span><button type="button" class="first" onClick=${end(save.takeOver)}>${t("edit.save.send")}</button>
    <button type="button" onClick=${end(save.forget)}>${t("edit.save.forget")}</button></div>`;
}
