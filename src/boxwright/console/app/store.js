// @ts-check
// What the whole console knows: choices kept in this browser, the place in it, running operations, permissions, notices.
import { signal } from "../vendor/ui.js";

/** Reads a kept choice; storage may be refused. @param {string} key @param {string} otherwise */
function kept(key, otherwise) {
  try {
    return localStorage.getItem(`boxwright.${key}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** @param {string} key @param {string} value */
function keep(key, value) {
  try {
    localStorage.setItem(`boxwright.${key}`, value);
  } catch {
    // refused: the choice holds until the page is closed
  }
}

export const theme = signal(kept("theme", "system"));
export const language = signal(kept("language", navigator.language.startsWith("id") ? "id" : "en"));
export const place = signal({ project: kept("project", "demo"), location: kept("location", "us-central1") });
export const shortcuts = signal(kept("shortcuts", "on"));
export const credential = signal(heldCredential());
export const needsSignIn = signal(false);
/** Unfinished operations with their progress. @type {{value: any[]}} */
export const running = signal([]);
/** Counts up when an operation has begun or ended while this page looked on. @type {{value: number}} */
export const changed = signal(0);
/** Permissions on the location that the caller has; null until known. @type {{value: Set<string> | null}} */
export const granted = signal(null);
/** @type {{value: {id: number, text: string, act?: {label: string, does: () => any}}[]}} */
export const notices = signal([]);
/** What the page asks of the API, for "Show as API call". @type {{value: {verb: string, path: string, body?: any}[]}} */
export const calls = signal([]);

export const parent = () => `projects/${place.value.project}/locations/${place.value.location}`;

/** @param {"light" | "dark" | "system"} value */
export function chooseTheme(value) {
  theme.value = value;
  keep("theme", value);
  document.documentElement.dataset.theme = value;
}

/** @param {string} value */
export function chooseLanguage(value) {
  language.value = value;
  keep("language", value);
  document.documentElement.lang = value;
}

/** @param {string} project @param {string} location */
export function choosePlace(project, location) {
  place.value = { project, location };
  keep("project", project);
  keep("location", location);
  running.value = [];
  granted.value = null;
}

/** @param {string} value */
export function chooseShortcuts(value) {
  shortcuts.value = value;
  keep("shortcuts", value);
}

function heldCredential() {
  try {
    return sessionStorage.getItem("boxwright.credential") ?? "";
  } catch {
    return "";
  }
}

/** Holds a token or an API key in memory and for this tab; empty signs out. @param {string} value */
export function holdCredential(value) {
  credential.value = value;
  granted.value = null;
  try {
    if (value) sessionStorage.setItem("boxwright.credential", value);
    else sessionStorage.removeItem("boxwright.credential");
  } catch {
    // refused: it is held in memory only
  }
}

let numbered = 0;
const MOST_NOTICES = 3;

/** Shows a sentence for some seconds, longer with an act that takes something back. @param {string} text @param {{label: string, does: () => any}} [act] */
export function notify(text, act) {
  const id = ++numbered;
  notices.value = [...notices.value.slice(1 - MOST_NOTICES), { id, text, act }];
  setTimeout(() => dismiss(id), act ? 30000 : 8000);
}

/** @param {number} id */
export function dismiss(id) {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}
