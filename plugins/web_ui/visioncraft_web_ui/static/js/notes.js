// @ts-check
/** What is told to everybody: one polite line for screen readers, and notes that go by themselves. */
import { ended, feed } from './feed.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { standing } from './stage.js';
import { Part, html, nothing } from './view.js';

const NOTE_MS = 8_000;
const BETWEEN_MS = 5_000;

/** @typedef {{id: number, text: string, kind?: string, action?: {label: string, run: () => void}}} Note */

export class NotesPart extends Part {
  static properties = { notes: { state: true }, line: { state: true } };

  constructor() {
    super();
    /** @type {Note[]} */
    this.notes = [];
    this.line = '';
    this.count = 0;
    this.told = 0;
  }

  connectedCallback() {
    super.connectedCallback();
    this.on(window, 'vc-say', ({ detail }) => this.#say(detail));
    this.on(feed, 'job', ({ detail }) => this.#follow(detail));
  }

  render() {
    return html`<div role="status" aria-live="polite" class="unseen" id="live">${this.line}</div>
      <div class="notes">
        ${this.notes.map(
          (note) => html`<div class="note ${note.kind ?? ''}">
            <span>${note.text}</span>
            ${note.action ? html`<button type="button" class="quiet" @click=${() => this.#act(note)}>${note.action.label}</button>` : nothing}
            <button type="button" class="quiet round" aria-label=${t('close')} @click=${() => this.#drop(note.id)}>${icon('close')}</button>
          </div>`,
        )}
      </div>`;
  }

  /** @param {{text: string, note?: boolean, kind?: string, action?: any}} told */
  #say({ text, note, kind, action }) {
    this.line = text;
    if (!note) return;
    const id = ++this.count;
    this.notes = [...this.notes.slice(-2), { id, text, kind, action }];
    if (kind !== 'error') setTimeout(() => this.#drop(id), NOTE_MS);
  }

  /** How far jobs are, not too often; and always how they end. @param {import('./feed.js').Job} job */
  #follow(job) {
    if (!ended(job) && (job.status !== 'running' || performance.now() - this.told < BETWEEN_MS)) return;
    if (ended(job) && (!job.client || Date.now() - Date.parse(job.ended_at) > BETWEEN_MS)) return;
    this.told = performance.now();
    this.line = standing(job);
  }

  /** @param {Note} note */
  #act(note) {
    note.action?.run();
    this.#drop(note.id);
  }

  /** @param {number} id */
  #drop(id) {
    this.notes = this.notes.filter((each) => each.id !== id);
  }
}
customElements.define('vc-notes', NotesPart);
