// @ts-check
/**
 * What happens to all jobs, over one WebSocket: browsers allow a host six HTTP/1.1 connections for all tabs together,
 * which event streams would use up. After a gap the jobs are asked for anew, so nothing stays missed.
 */
import { ApiError, ROOT, ask } from './api.js';

/** @typedef {Record<string, any> & {id: string, status: string}} Job */

const FINAL = new Set(['succeeded', 'failed', 'cancelled']);
const LONGEST_WAIT_MS = 15_000;

/** Whether nothing happens to a job any more. @param {Job} job */
export const ended = (job) => FINAL.has(job.status);

class Feed extends EventTarget {
  /** @type {Map<string, Job>} the newest and all that live, by id */
  jobs = new Map();
  connected = false;
  /** Whether the connection was lost since it was first there. */
  lost = false;
  /** @type {string | null} why the queue stands still */
  trouble = null;
  #tries = 0;
  /** @type {WebSocket | null} */
  #socket = null;
  #timer = 0;
  #running = false;

  begin() {
    if (this.#running) return;
    this.#running = true;
    this.#connect();
    document.addEventListener('visibilitychange', () => document.hidden || this.#soon());
    window.addEventListener('online', () => this.#soon());
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  /** Jobs, newest first. */
  list() {
    return [...this.jobs.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  /** Those that run and wait, in the order in which they are drawn. */
  live() {
    const live = this.list().filter((job) => !ended(job)).reverse();
    return live.sort((a, b) => a.position - b.position);
  }

  /** Take in a job that somebody else asked the API for. @param {Job} job */
  take(job) {
    const known = this.jobs.get(job.id);
    if (known && ended(known) && !ended(job)) return known;
    const taken = { preview: known?.preview, ...known, ...job };
    if (ended(taken)) taken.preview = undefined;
    this.jobs.set(job.id, taken);
    this.#tell(taken);
    return taken;
  }

  #soon() {
    if (!this.#running || this.connected) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  #connect() {
    const url = new URL('ws', ROOT);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url);
    this.#socket?.close();
    this.#socket = socket;
    socket.addEventListener('open', () => this.#opened());
    socket.addEventListener('message', ({ data }) => this.#heard(JSON.parse(data)));
    socket.addEventListener('close', () => socket === this.#socket && this.#closed());
  }

  async #opened() {
    this.connected = true;
    this.#tries = 0;
    this.#state();
    const { jobs } = await ask('/jobs', { query: { limit: 100 } }).catch(() => ({ jobs: [] }));
    for (const job of jobs.reverse()) this.take(job);
    const gone = [...this.jobs.values()].filter((job) => !ended(job) && !jobs.some((/** @type {Job} */ each) => each.id === job.id));
    await Promise.all(gone.map((job) => this.#ask(job.id)));
    this.lost = false;
    this.#state();
  }

  #closed() {
    this.lost = this.lost || this.connected;
    this.connected = false;
    this.#state();
    if (!this.#running) return;
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.#tries++) * (0.75 + Math.random() / 2);
    this.#timer = window.setTimeout(() => this.#connect(), wait);
  }

  /** @param {Record<string, any>} event */
  #heard(event) {
    const { event: name, trouble, ...told } = event;
    if ((trouble ?? null) !== this.trouble) {
      this.trouble = trouble ?? null;
      this.#state();
    }
    const isNew = !this.jobs.has(event.id);
    if (!event.preview) delete told.preview;
    this.take(/** @type {Job} */ (told));
    if (isNew || FINAL.has(name)) this.#ask(event.id);
  }

  /** @param {string} id */
  async #ask(id) {
    try {
      this.take(await ask(`/jobs/${id}`));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) return;
      this.jobs.delete(id);
      this.#state();
    }
  }

  /** @param {Job} job */
  #tell(job) {
    this.dispatchEvent(new CustomEvent('job', { detail: job }));
  }

  #state() {
    this.dispatchEvent(new Event('state'));
  }
}

export const feed = new Feed();
