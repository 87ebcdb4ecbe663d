// @ts-check
// Addresses after the #: parts between slashes, and a query. Nothing of them reaches the server.
import { signal } from "../vendor/ui.js";

/** @type {{value: {parts: string[], query: URLSearchParams}}} */
export const route = signal(read());

function read() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts: parts.length ? parts : ["datasets"], query: new URLSearchParams(query) };
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

addEventListener("hashchange", () => {
  route.value = read();
  for (const one of document.querySelectorAll("dialog[open]")) /** @type {HTMLDialogElement} */ (one).close(); // it belongs to the page before
  if (document.activeElement?.closest("[data-stays]")) return; // a part that the next page has as well
  document.querySelector("main")?.focus();
  scrollTo(0, 0);
});

/** The address of a page. @param {string[]} parts */
export const href = (...parts) => "#/" + parts.map(encodeURIComponent).join("/");
/** Leads to a page. @param {string[]} parts */
export const go = (...parts) => void (location.hash = href(...parts));
