// @ts-check
// Keeps the focus in the page and in sight: where the element that has it goes or is switched off, what is nearest gets it;
// notices give way to it.

const FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), summary, [tabindex='0']";
const EDGE_PX = 20; // between the notices and the window's edge
/** What had the focus last, and the elements around it, the nearest first. @type {Element[]} */
let around = [];

/** Where a person is who had the focus in an element that is gone. */
function nearest() {
  for (const one of around.slice(1)) {
    if (one.matches("main") || !one.isConnected) continue;
    if (!one.closest("main, dialog")) break;
    const found = [...one.querySelectorAll(FOCUSABLE)].find((other) => other.checkVisibility());
    if (found) return found;
  }
  return document.querySelector("dialog[open]") ?? document.querySelector("main");
}

function mend() {
  const [last] = around;
  if (!last || (document.activeElement ?? document.body) !== document.body) return;
  if (last.isConnected && !last.matches(":disabled")) return;
  /** @type {any} */ (nearest())?.focus({ preventScroll: true });
}

/** Notices are below, or above if they would hide what has the focus. */
function giveWay() {
  const notices = /** @type {HTMLElement | null} */ (document.querySelector(".notices"));
  const at = document.activeElement;
  if (!notices || !at || at === document.body || at.matches("main") || notices.contains(at)) return;
  const box = at.getBoundingClientRect();
  const isBelow = box.bottom > innerHeight - notices.offsetHeight - 2 * EDGE_PX && box.right > innerWidth - notices.offsetWidth - 2 * EDGE_PX;
  notices.classList.toggle("above", notices.offsetHeight > 0 && isBelow && box.top > notices.offsetHeight + 2 * EDGE_PX);
}

/** Looks after the focus from now on. */
export function keepFocus() {
  addEventListener("focusin", (event) => {
    around = [];
    for (let one = /** @type {Element | null} */ (event.target); one && one !== document.body; one = one.parentElement) around.push(one);
    requestAnimationFrame(giveWay);
  });
  addEventListener("pointerdown", () => void (around = []), true); // who points has no need of it
  new MutationObserver(() => {
    if (around.length && document.activeElement === document.body) requestAnimationFrame(mend); // what is drawn next may take it
    if (document.querySelector(".notices > div")) giveWay();
  }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["disabled"] });
}
