// @ts-check
// Signing in at an identity provider: OIDC's authorization code with PKCE (RFC 7636). What the provider says of the person is
// exchanged at the service for a token that only renews; calls present the short ones that it is renewed to.
import { ApiError } from "./api.js";
import * as store from "./store.js";

/** As /console/sign-in.json has it. @typedef {{name: string, issuer: string, clientId: string, authorizationEndpoint: string, tokenEndpoint: string, endSessionEndpoint: string}} Provider */
/** What this tab has asked for. @typedef {Provider & {state: string, nonce: string, verifier: string, hash: string}} Pending */

const PENDING = "boxwright.pending";
const TYPE = "urn:ietf:params:oauth:token-type:";
const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const SKEW_S = 60;
const PATIENCE_MS = 20_000; // with a provider that does not answer
/** Where the provider leads back to: the console itself, whatever page it shows. */
const BACK = new URL(".", document.baseURI).href;

/** Why nobody is signed in: a sentence of this console by its key, and what was said elsewhere, in English. */
export class Refused extends Error {
  /** @param {string} key @param {Record<string, any>} [values] @param {string} [detail] */
  constructor(key, values = {}, detail = "") {
    super(detail);
    this.key = key;
    this.values = values;
  }
}

/** @param {ArrayBuffer | Uint8Array} bytes */
const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const secret = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** Leads to the provider's own page. @param {Provider} provider @param {string} scope */
export async function begin(provider, scope) {
  const pending = { ...provider, state: secret(), nonce: secret(), verifier: secret(), hash: location.hash };
  try {
    sessionStorage.setItem(PENDING, JSON.stringify(pending));
  } catch {
    throw new Refused("storage");
  }
  const challenge = base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(pending.verifier)));
  const url = new URL(provider.authorizationEndpoint);
  const asked = { response_type: "code", client_id: provider.clientId, redirect_uri: BACK, scope, state: pending.state, nonce: pending.nonce, code_challenge: challenge, code_challenge_method: "S256" };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Ends what `begin` has begun: the provider has led back here, with a code or an error in the address. */
export async function finish() {
  const answer = new URLSearchParams(location.search);
  const pending = taken(answer.get("state"));
  history.replaceState(null, "", location.pathname + (pending?.hash ?? ""));
  dispatchEvent(new HashChangeEvent("hashchange"));
  try {
    if (!pending) throw new Refused("state");
    const { refresh, claims, idToken } = await exchanged(pending, answer);
    const { access, ends_ms } = await renewal(refresh);
    const who = [claims.email, claims.preferred_username, claims.name, claims.sub].find((one) => typeof one === "string" && one) ?? "";
    const { name, issuer, clientId, endSessionEndpoint } = pending;
    const session = { access, ends_ms, who, idToken, provider: name, issuer, clientId, endSessionEndpoint };
    enter(refresh, session);
    store.hasReturned.value = true;
    channel?.postMessage({ entered: { credential: refresh, session } });
  } catch (failure) {
    store.signInTrouble.value = failure;
    if (!store.credential.value) store.needsSignIn.value = true;
  }
}

/** What this tab has asked for under this state, once. @param {string | null} state @returns {Pending | null} */
function taken(state) {
  try {
    const found = JSON.parse(sessionStorage.getItem(PENDING) ?? "null");
    if (!found || !state || found.state !== state) return null;
    sessionStorage.removeItem(PENDING);
    return found;
  } catch {
    return null;
  }
}

/** The service's token for the provider's answer. @param {Pending} pending @param {URLSearchParams} answer */
async function exchanged(pending, answer) {
  const name = pending.name;
  const said = answer.get("error_description") ?? "";
  if (answer.get("error") === "access_denied") throw new Refused("denied", { name }, said);
  if (answer.has("error")) throw new Refused("provider", { name, error: answer.get("error") }, said);
  if (answer.has("iss") && answer.get("iss") !== pending.issuer) throw new Refused("issuer", { name }); // RFC 9207
  const idToken = await redeemed(pending, answer.get("code") ?? "");
  const claims = claimsOf(idToken);
  if (!claims) throw new Refused("token", { name });
  if (claims.nonce !== pending.nonce) throw new Refused("nonce", { name });
  if (![claims.aud].flat().includes(pending.clientId)) throw new Refused("audience", { name, audience: String(claims.aud), wanted: pending.clientId });
  const { status, found, now_s } = await asked("token", {
    grant_type: EXCHANGE, audience: `//boxwright/providers/${name}`, requested_token_type: `${TYPE}refresh_token`, subject_token: idToken,
    subject_token_type: `${TYPE}id_token`,
  });
  if (status === 200) return { refresh: String(found.access_token), claims, idToken };
  if (claims.iat > now_s + SKEW_S) throw new Refused("early", { name, s: Math.round(claims.iat - now_s) });
  if (claims.exp <= now_s) throw new Refused("late", { name, s: Math.round(now_s - claims.exp) });
  throw new Refused("service", { name }, found.error_description ?? "");
}

/** The provider's token for its code. @param {Pending} pending @param {string} code @returns {Promise<string>} */
async function redeemed(pending, code) {
  const name = pending.name;
  const body = new URLSearchParams({ grant_type: "authorization_code", code, redirect_uri: BACK, client_id: pending.clientId, code_verifier: pending.verifier });
  let response;
  try {
    response = await fetch(pending.tokenEndpoint, { method: "POST", body, credentials: "omit", redirect: "error", cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Refused("away", { name, origin: location.origin });
  }
  const found = await response.json().catch(() => ({}));
  const said = [found.error, found.error_description].filter((one) => typeof one === "string").join(": ");
  if (!response.ok || found.error) throw new Refused(response.status === 401 || /client/.test(said) ? "client" : "code", { name }, said);
  if (typeof found.id_token !== "string") throw new Refused("openid", { name });
  return found.id_token;
}

/** What a token says. Its signature is the service's business. @param {string} token @returns {any} */
function claimsOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
    return Object(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return null;
  }
}

/**
 * Sends a form to the service; `now_s` is its clock's.
 * @param {"token" | "revoke"} path @param {Record<string, string>} form @returns {Promise<{status: number, found: any, now_s: number}>}
 */
async function asked(path, form) {
  let response;
  try {
    response = await fetch(new URL(`../${path}`, document.baseURI), { method: "POST", body: new URLSearchParams(form), cache: "no-store" });
  } catch {
    throw new ApiError(0, "UNREACHABLE", "The service did not answer.");
  }
  const found = await response.json().catch(() => ({}));
  if (response.status === 429 || response.status >= 500) {
    throw new ApiError(response.status, response.status === 429 ? "RESOURCE_EXHAUSTED" : "UNAVAILABLE", found.error_description ?? "The service is busy. Try again shortly.");
  }
  return { status: response.status, found, now_s: Date.parse(response.headers.get("date") ?? "") / 1000 || Date.now() / 1000 };
}

/** A token for calls. @param {string} refresh */
async function renewal(refresh) {
  const { status, found } = await asked("token", { grant_type: "refresh_token", refresh_token: refresh });
  if (status !== 200) throw new Refused("ended", {}, found.error_description ?? "");
  return { access: String(found.access_token), ends_ms: Date.now() + found.expires_in * 1000 };
}

/** @type {Promise<boolean> | null} */
let renewing = null;
let former = ""; // whose sign-in has ended in this tab: what is not saved is theirs

/** Renews the token that calls present, once for all that wait; false: the sign-in has ended. @param {string} used the token that is to be replaced */
store.renewer.renew = (used) => {
  const held = store.session.value;
  if (!held) return Promise.resolve(false);
  if (held.access !== used) return Promise.resolve(true); // another call has renewed it
  renewing ??= renewed(held).finally(() => (renewing = null));
  return renewing;
};

/** @param {store.Session} held */
async function renewed(held) {
  const credential = store.credential.value;
  try {
    const news = await renewal(credential);
    if (store.credential.value === credential) store.holdSession({ ...held, ...news });
    return true;
  } catch (failure) {
    if (!(failure instanceof Refused)) throw failure;
    if (store.credential.value === credential) {
      former = held.who;
      store.holdSession(null);
      store.signInTrouble.value = failure;
    }
    return false;
  }
}

const channel = typeof BroadcastChannel === "function" ? new BroadcastChannel(`boxwright.signin ${BACK}`) : null;
channel?.addEventListener("message", ({ data }) => {
  if (store.session.value && data?.left === store.session.value.issuer) leave();
  const isAwaited = store.needsSignIn.value && data?.entered && (!store.credential.value || data.entered.session.who === former);
  if (isAwaited) enter(data.entered.credential, data.entered.session);
});

/** Goes on as the person who has signed in. @param {string} credential @param {store.Session} session */
function enter(credential, session) {
  store.holdCredential(credential, session);
  store.signInTrouble.value = null;
  store.needsSignIn.value = false;
}

/** Forgets the sign-in in this tab, and ends it at the service. */
async function leave() {
  const refresh = store.credential.value;
  store.holdCredential("");
  store.needsSignIn.value = true;
  store.signInTrouble.value = null;
  try {
    await asked("revoke", { token: refresh });
  } catch {
    store.signInTrouble.value = new Refused("unrevoked");
  }
}

/** Signs out in all tabs of this browser; with `isThere` at the provider too, on a page of its own. @param {boolean} isThere */
export async function signOut(isThere) {
  const held = store.session.value;
  if (!held) return;
  channel?.postMessage({ left: held.issuer });
  await leave();
  if (!isThere) return;
  const form = document.createElement("form"); // sent as a body: what is in an address is kept in logs
  form.method = "post";
  form.action = held.endSessionEndpoint;
  const fields = { id_token_hint: held.idToken, client_id: held.clientId, post_logout_redirect_uri: BACK };
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
  }
  document.body.append(form);
  form.submit();
}
