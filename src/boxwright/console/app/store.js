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
/** A token, an API key, or what a sign-in at a provider is renewed by. It stays the same while somebody is signed in. */
export const credential = signal(held("credential"));
/**
 * A sign-in at an identity provider: `access` is what calls present until `ends_ms`.
 * @typedef {{access: string, ends_ms: number, who: string, idToken: string, provider: string, issuer: string, clientId: string, endSessionEndpoint: string}} Session
 */
/** Of `credential`; null: it is presented itself. @type {{value: Session | null}} */
export const session = signal(heldSession());
/** Renews a session; set by the module that signs in. @type {{renew: (used: string) => Promise<boolean>}} */
export const renewer = { renew: async () => false };
/** Why the last sign-in at a provider has failed. @type {{value: any}} */
export const signInTrouble = signal(null);
/** Whether this page was loaded by a provider that has led back here. */
export const hasReturned = signal(false);
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

/** @param {string} key */
function held(key) {
  try {
    return sessionStorage.getItem(`boxwright.${key}`) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} key @param {string} value empty: it is forgotten */
function hold(key, value) {
  try {
    if (value) sessionStorage.setItem(`boxwright.${key}`, value);
    else sessionStorage.removeItem(`boxwright.${key}`);
  } catch {
    // refused: it is held in memory only
  }
}

/** Holds a token, an API key or a sign-in at a provider in memory and for this tab; empty signs out. @param {string} value @param {Session | null} [of] */
export function holdCredential(value, of = null) {
  holdSession(of);
  hold("credential", value);
  granted.value = null;
  credential.value = value;
}

/** @returns {Session | null} */
function heldSession() {
  try {
    return JSON.parse(held("session") || "null");
  } catch {
    return null;
  }
}

/** @param {Session | null} value */
export function holdSession(value) {
  hold("session", value ? JSON.stringify(value) : "");
  session.value = value;
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
