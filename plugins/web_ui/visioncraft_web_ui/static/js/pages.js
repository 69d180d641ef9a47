// @ts-check
/**
 * A search's images by their place, of which there may be a million. They come in chunks: after a known chunk by its
 * cursor, else by their place, and only the chunks last looked at are kept.
 */
import { ask } from './api.js';

/** @typedef {import('./images.js').Entry} Entry */

export const CHUNK = 60;
const MOST_CHUNKS = 40;

export class Pages extends EventTarget {
  total = 0;
  exact = true;
  loaded = false;
  /** @type {unknown} */
  trouble = null;
  /** @type {Map<number, {entries: Entry[], next: string | null}>} by their number, the one last used last */
  #chunks = new Map();
  /** @type {Map<number, AbortController>} */
  #asked = new Map();

  /** @param {Record<string, any>} query what is searched, as the API's parameters */
  constructor(query) {
    super();
    this.query = query;
  }

  /** The image at a place, if it is known already. @param {number} place @returns {Entry | undefined} */
  at(place) {
    return this.#chunks.get(Math.floor(place / CHUNK))?.entries[place % CHUNK];
  }

  /** All that are known, with their places. */
  *known() {
    for (const [number, { entries }] of this.#chunks) {
      for (const [index, entry] of entries.entries()) yield /** @type {[number, Entry]} */ ([number * CHUNK + index, entry]);
    }
  }

  /** See to it that these places are known, and forget requests for others. @param {number} first @param {number} last */
  want(first, last) {
    const from = Math.max(0, Math.floor(first / CHUNK));
    const to = Math.max(from, Math.floor(last / CHUNK));
    for (const [number, asked] of this.#asked) if (number < from || number > to) asked.abort();
    for (let number = from; number <= to; number++) {
      if (number * CHUNK < this.total || !this.loaded) this.#load(number);
    }
  }

  /** An image at a place, asked for where it is not known. @param {number} place */
  async entry(place) {
    if (place < 0 || place >= this.total) return undefined;
    await this.#load(Math.floor(place / CHUNK));
    return this.at(place);
  }

  /** Put a changed image in its place. @param {Entry} entry */
  put(entry) {
    for (const { entries } of this.#chunks.values()) {
      const index = entries.findIndex((each) => each.id === entry.id);
      if (index >= 0) entries[index] = entry;
    }
    this.#tell();
  }

  /** @param {number} number */
  async #load(number) {
    const known = this.#chunks.get(number);
    if (known) {
      this.#chunks.delete(number);
      this.#chunks.set(number, known);
      return;
    }
    if (this.#asked.has(number)) return;
    const asked = new AbortController();
    this.#asked.set(number, asked);
    try {
      const cursor = this.#chunks.get(number - 1)?.next;
      const place = cursor ? { cursor } : { offset: number * CHUNK };
      const query = { ...this.query, ...place, limit: CHUNK, image_data: false };
      this.#take(number, await ask('/gallery', { query, signal: asked.signal }));
    } catch (error) {
      if (!asked.signal.aborted) this.trouble = error;
    } finally {
      this.#asked.delete(number);
      this.#tell();
    }
  }

  /** @param {number} number @param {any} page */
  #take(number, page) {
    this.#chunks.set(number, { entries: page.images, next: page.next_cursor });
    for (const old of this.#chunks.keys()) {
      if (this.#chunks.size <= MOST_CHUNKS) break;
      this.#chunks.delete(old);
    }
    const known = number * CHUNK + page.images.length;
    this.exact = page.total_is_exact;
    this.total = page.total_is_exact ? page.total_count : Math.max(page.total_count, known + (page.next_cursor ? CHUNK : 0));
    this.loaded = true;
    this.trouble = null;
  }

  #tell() {
    this.dispatchEvent(new Event('change'));
  }
}
