// @ts-check
// The images that are edited one after the other: those that a filter found when it was asked. What drops out of the filter stays.
import { get } from "../app/api.js";

const PAGE = 200;
const MOST_PAGES = 500; // that are looked through for an image whose place is not known

export class Queue {
  /** @param {string} dataset its name @param {string} filter @param {string} [order] as order_by */
  constructor(dataset, filter, order = "") {
    this.path = `${dataset}/examples`;
    this.filter = filter;
    this.order = order;
    /** @type {string[]} */
    this.names = [];
    this.first = 0; // how many images come before `names`
    this.total = 0;
    this.token = "";
  }

  /** @param {number} skip @param {number} size @param {string} [token] */
  async page(skip, size, token = "") {
    const query = new URLSearchParams({ pageSize: String(size), view: "BASIC" });
    if (this.filter) query.set("filter", this.filter);
    if (this.order) query.set("orderBy", this.order);
    if (skip) query.set("skip", String(skip));
    if (token) query.set("pageToken", token);
    const answer = await get(`${this.path}?${query}`);
    return { names: (answer.examples ?? []).map((/** @type {any} */ one) => one.name), token: answer.nextPageToken ?? "", total: answer.totalSize ?? 0 };
  }

  /** Makes sure that an image is in the queue. @param {string} name @param {number | null} at its place, if it is known */
  async find(name, at) {
    if (this.names.includes(name)) return;
    let first = Math.max(0, (at ?? 0) - PAGE / 2);
    let page = await this.page(first, PAGE);
    for (let turn = 0; at === null && !page.names.includes(name) && page.token && turn < MOST_PAGES; turn++) {
      first += page.names.length;
      page = await this.page(0, PAGE * 5, page.token);
    }
    this.first = first;
    this.names = page.names.includes(name) ? page.names : [name, ...page.names]; // it has dropped out of the filter
    this.token = page.token;
    this.total = Math.max(page.total, this.names.length);
  }

  /** The place of an image in the whole queue, from 1. @param {string} name */
  placeOf(name) { return this.first + this.names.indexOf(name) + 1; }

  /** The image before or after, or "". @param {string} name @param {1 | -1} step @returns {Promise<string>} */
  async beside(name, step) {
    const at = this.names.indexOf(name);
    if (step > 0 && at === this.names.length - 1 && this.token) {
      const page = await this.page(0, PAGE, this.token);
      this.names = [...this.names, ...page.names.filter((/** @type {string} */ one) => !this.names.includes(one))];
      this.token = page.token;
    }
    if (step < 0 && at === 0 && this.first > 0) {
      const from = Math.max(0, this.first - PAGE);
      const page = await this.page(from, this.first - from);
      this.names = [...page.names.filter((/** @type {string} */ one) => !this.names.includes(one)), ...this.names];
      this.first = from;
    }
    return this.names[this.names.indexOf(name) + step] ?? "";
  }
}
