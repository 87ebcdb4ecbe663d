// @ts-check
// The public REST API: one function a verb, errors as the API says them, operations followed until they are done.
import { credential, needsSignIn, renewer, session } from "./store.js";

export const BASE = new URL("../v1/", document.baseURI);
const PAGE_SIZE = 100;
const EARLY_MS = 30_000; // before its end a token is renewed: refused calls count against the address
export const API_KEY = /^bxk_/; // an API key; anything else is a bearer token

/** What the API answered instead of a result; `code` is its name in google.rpc.Code, or UNREACHABLE. */
export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function headers() {
  /** @type {Record<string, string>} */
  const found = {};
  const token = session.value?.access ?? credential.value;
  if (API_KEY.test(token)) found["X-Goog-Api-Key"] = token;
  else if (token) found.Authorization = `Bearer ${token}`;
  return found;
}

/**
 * Sends a request; an answer other than of success is raised.
 * @param {string} verb @param {string} path below /v1/ @param {BodyInit} [body] @param {string} [type] of the body @param {AbortSignal} [signal]
 * @param {boolean} [keepalive] whether it is sent even when the page goes
 */
async function ask(verb, path, body, type, signal, keepalive = false) {
  const answered = async () => {
    const sent = headers();
    if (type) sent["Content-Type"] = type;
    try {
      return await fetch(new URL(path, BASE), { method: verb, headers: sent, body, signal, keepalive });
    } catch (failure) {
      if (signal?.aborted) throw failure;
      throw new ApiError(0, "UNREACHABLE", "The service did not answer.");
    }
  };
  const isRenewed = !keepalive; // a page that goes waits for nothing
  if (isRenewed && session.value && session.value.ends_ms < Date.now() + EARLY_MS) await renewer.renew(session.value.access);
  const used = session.value?.access;
  let response = await answered();
  if (response.status === 401 && isRenewed && used && (await renewer.renew(used))) response = await answered();
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  if (response.status === 401) needsSignIn.value = true;
  throw new ApiError(response.status, error?.status ?? String(response.status), error?.message ?? response.statusText);
}

/**
 * Sends a request and returns the JSON of its answer.
 * @param {string} verb @param {string} path below /v1/ @param {any} [body] @param {AbortSignal} [signal] @param {boolean} [keepalive]
 */
export async function send(verb, path, body, signal, keepalive) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await ask(verb, path, text, text && "application/json", signal, keepalive);
  return response.json().catch(() => ({}));
}

/** The bytes of an answer: a picture, a file. @param {string} path @param {AbortSignal} [signal] @returns {Promise<Blob>} */
export const getBytes = async (path, signal) => (await ask("GET", path, undefined, undefined, signal)).blob();
/** Sends bytes and returns the JSON of the answer. @param {string} path @param {Blob} bytes @param {AbortSignal} [signal] */
export const sendBytes = async (path, bytes, signal) => (await ask("POST", path, bytes, bytes.type || "application/octet-stream", signal)).json();
const KEPT_MS = 10_000;
/** Answers that were asked for before what shows them is there; each is taken once. @type {Map<string, Promise<any>>} */
const begun = new Map();

/** Asks for what a part of the page will get in a moment. @param {string} path */
export function begin(path) {
  if (begun.has(path)) return;
  const answer = send("GET", path);
  answer.catch(() => {}); // the part that takes the answer shows the error
  begun.set(path, answer);
  setTimeout(() => begun.delete(path), KEPT_MS);
}

/** @param {string} path @param {AbortSignal} [signal] */
export function get(path, signal) {
  const answer = begun.get(path);
  begun.delete(path);
  return answer ?? send("GET", path, undefined, signal);
}
/** @param {string} path @param {any} body */
export const post = (path, body = {}) => send("POST", path, body);
/** @param {string} path */
export const remove = (path) => send("DELETE", path);

/**
 * All items of a list, page by page, at most `most`.
 * @param {string} path @param {string} field @param {number} [most]
 */
export async function list(path, field, most = 1000) {
  /** @type {any[]} */
  const found = [];
  let token = "";
  do {
    const url = new URL(path, BASE);
    url.searchParams.set("pageSize", String(PAGE_SIZE));
    if (token) url.searchParams.set("pageToken", token);
    const page = await get(url.href.slice(BASE.href.length));
    found.push(...(page[field] ?? []));
    token = page.nextPageToken ?? "";
  } while (token && found.length < most);
  return found;
}

/** Waits for an operation's end and returns it; raises what it ended with. @param {any} operation */
export async function finished(operation) {
  let found = operation;
  while (!found.done) found = await post(`${found.name}:wait`, { timeout: "20s" });
  if (found.error) throw new ApiError(0, codeName(found.error.code), found.error.message);
  return found.response ?? {};
}

const CODES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
  "UNAUTHENTICATED"];
/** @param {number} code */
export const codeName = (code) => CODES[code] ?? String(code);
/** The last part of a resource's name. @param {string} name */
export const idOf = (name) => name.slice(name.lastIndexOf("/") + 1);
