// @ts-check
// Images on their way to a dataset: four at a time, each content once, again after an interruption. Files stay on the disk until
// it is their turn, and nothing of them is kept afterwards.
import { signal } from "../vendor/ui.js";
import { post, sendBytes } from "./api.js";
import { changed, credential, needsSignIn } from "./store.js";

export const AT_ONCE = 4;
export const MAX_IMAGE_BYTES = 30_000_000; // as the service has it
const LOOKED_UP = 50; // contents that are asked for in one request
const SHOWN_MS = 200; // how often a list of thousands is drawn anew
const PAUSES_S = [1, 2, 4, 8, 15];
const PASSING = ["UNREACHABLE", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED", "INTERNAL"];

/** One file. @typedef {{path: string, file: File | null, state: "waiting" | "sending" | "added" | "there" | "refused", digest: string, message: string}} Item */

/** The uploads of one dataset; they go on while other pages are shown. */
export class Uploads {
  /** @param {string} dataset its name */
  constructor(dataset) {
    this.dataset = dataset;
    /** @type {Item[]} */
    this.items = [];
    this.counts = { waiting: 0, sending: 0, added: 0, there: 0, refused: 0 };
    /** Counts up when there is something new to show. @type {{value: number}} */
    this.shown = signal(0);
    this.isPaused = false;
    /** What stops everything, or is waited for. @type {any} */
    this.trouble = null;
    /** @type {Set<string>} contents that this queue has sent or found */
    this.known = new Set();
    this.next = 0; // the first item that nobody has looked at
    /** @type {Item[]} */
    this.ready = [];
    this.workers = 0;
    this.failures = 0;
    this.timer = 0;
    this.drawn = 0;
    /** @type {Promise<void> | null} */
    this.preparing = null;
  }

  /** @param {import("./dropped.js").Chosen[]} chosen */
  add(chosen) {
    for (const { file, path } of chosen) {
      this.items.push({ path, file, state: "waiting", digest: "", message: "" });
      this.counts.waiting++;
    }
    this.trouble = null;
    this.isPaused = false;
    this.start();
  }

  pause() {
    this.isPaused = true;
    this.show();
  }

  resume() {
    this.isPaused = false;
    this.trouble = null;
    this.start();
  }

  get isDone() {
    return !this.counts.waiting && !this.counts.sending;
  }

  start() {
    clearTimeout(this.timer);
    while (this.workers < AT_ONCE && !this.isPaused && !this.isDone) {
      this.workers++;
      this.work().finally(() => {
        this.workers--;
        if (!this.workers && this.isDone) {
          this.forget();
          changed.value++; // the pages count the dataset's images anew
        }
        this.show();
      });
    }
    this.show();
  }

  async work() {
    for (;;) {
      if (this.isPaused || this.trouble) return;
      const item = this.ready.shift();
      if (item) await this.upload(item);
      else if (this.next < this.items.length || this.preparing) await this.prepare();
      else return;
    }
  }

  /** Looks at the next files, one worker for all. */
  prepare() {
    this.preparing ??= this.lookUp().finally(() => (this.preparing = null));
    return this.preparing;
  }

  async lookUp() {
    const some = this.items.slice(this.next, this.next + LOOKED_UP);
    this.next += some.length;
    for (const item of some) await this.look(item);
    const asked = some.filter((item) => item.state === "waiting" && item.digest && !this.known.has(item.digest));
    if (asked.length) {
      try {
        const found = await post(`${this.dataset}/examples:lookup`, { sha256: asked.map((item) => item.digest) });
        for (const digest of found.sha256 ?? []) this.known.add(digest);
      } catch (error) {
        this.next -= some.length;
        this.interrupted(error);
        return;
      }
    }
    for (const item of some.filter((one) => one.state === "waiting")) {
      if (item.digest && this.known.has(item.digest)) this.end(item, "there");
      else {
        if (item.digest) this.known.add(item.digest); // a second copy in the same drop is there already
        this.ready.push(item);
      }
    }
  }

  /** Sees that a file can be read and is not too large, and what it is. @param {Item} item */
  async look(item) {
    if (item.digest || item.state !== "waiting" || !item.file) return;
    if (!item.file.size) {
      this.end(item, "refused", "The file is empty.");
      return;
    }
    if (item.file.size > MAX_IMAGE_BYTES) {
      this.end(item, "refused", `The file is too large: ${item.file.size} bytes, at most ${MAX_IMAGE_BYTES} are allowed.`);
      return;
    }
    try {
      if (crypto.subtle) item.digest = hex(await crypto.subtle.digest("SHA-256", await item.file.arrayBuffer()));
      else await item.file.slice(0, 1).arrayBuffer();
    } catch (error) {
      this.end(item, "refused", `The browser cannot read the file: ${/** @type {any} */ (error).message}`);
    }
  }

  /** @param {Item} item */
  async upload(item) {
    const file = item.file;
    if (!file) return;
    this.turn(item, "sending");
    try {
      const path = `${this.dataset}/examples:upload?displayName=${encodeURIComponent(item.path)}`;
      const example = await sendBytes(path, file.slice(0, file.size, "application/octet-stream"));
      const digest = example.name.slice(example.name.lastIndexOf("/") + 1);
      const isSecond = !item.digest && this.known.has(digest);
      this.known.add(digest);
      this.failures = 0;
      this.end(item, isSecond ? "there" : "added");
    } catch (error) {
      const { code, message } = /** @type {any} */ (error);
      this.known.delete(item.digest);
      if (code === "INVALID_ARGUMENT") {
        this.end(item, "refused", message);
        return;
      }
      this.turn(item, "waiting");
      this.ready.unshift(item);
      this.interrupted(error);
    }
  }

  /** Waits for what passes; stops for what does not. @param {any} error */
  interrupted(error) {
    if (this.trouble) return;
    this.trouble = error;
    clearTimeout(this.timer);
    if (PASSING.includes(error.code)) {
      const pause_s = PAUSES_S[Math.min(this.failures++, PAUSES_S.length - 1)];
      this.timer = setTimeout(() => this.retry(), pause_s * 1000);
    }
    this.show();
  }

  retry() {
    if (this.isPaused) return;
    if (this.workers) {
      this.timer = setTimeout(() => this.retry(), 200); // those under way end first
      return;
    }
    this.trouble = null;
    this.start();
  }

  /** @param {Item} item @param {Item["state"]} state */
  turn(item, state) {
    this.counts[item.state]--;
    this.counts[state]++;
    item.state = state;
    this.show();
  }

  /** @param {Item} item @param {Item["state"]} state @param {string} [message] */
  end(item, state, message = "") {
    item.message = message;
    item.file = null;
    this.turn(item, state);
  }

  /** Lets go of what only work under way needs. */
  forget() {
    this.ready = [];
    this.known = new Set([...this.known].slice(-100_000));
  }

  show() {
    this.drawn ||= setTimeout(() => {
      this.drawn = 0;
      this.shown.value++;
    }, SHOWN_MS);
  }
}

/** @param {ArrayBuffer} bytes */
const hex = (bytes) => [...new Uint8Array(bytes)].map((one) => one.toString(16).padStart(2, "0")).join("");

/** @type {Map<string, Uploads>} */
const queues = new Map();

/** The uploads of a dataset. @param {string} dataset its name */
export function uploadsTo(dataset) {
  let found = queues.get(dataset);
  if (!found) queues.set(dataset, (found = new Uploads(dataset)));
  return found;
}

const areDone = () => [...queues.values()].every((one) => one.isDone);
addEventListener("beforeunload", (event) => void (areDone() || event.preventDefault()));
credential.subscribe(() => {
  if (!needsSignIn.value || credential.value) for (const one of queues.values()) if (one.trouble?.code === "UNAUTHENTICATED") one.resume();
});
