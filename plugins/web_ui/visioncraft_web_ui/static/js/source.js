// @ts-check
/** An image to start from: dropped, pasted, chosen from a file or from the gallery. */
import { ask } from './api.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { alternative, fileIn, read, small, sourceOf } from './images.js';
import { Part, attempt, html, nothing, say } from './view.js';

/** Fires `chosen` with a source in its detail, or null where it was taken away. */
export class SourcePart extends Part {
  static properties = {
    source: { attribute: false },
    label: {},
    name: {},
    over: { state: true },
    entries: { state: true },
  };

  constructor() {
    super();
    /** @type {import('./draft.js').Source | null} */
    this.source = null;
    this.label = '';
    this.name = 'source';
    this.over = false;
    /** @type {import('./images.js').Entry[] | null} */
    this.entries = null;
  }

  render() {
    return html`<div class="drop ${this.over ? 'over' : ''}" role="group" aria-label=${this.label}
      @dragover=${this.#over} @dragleave=${() => (this.over = false)} @drop=${this.#dropped}>
      ${this.source ? this.#shown(this.source) : html`<p class="hint">${t('source.drop')}</p>`}
      <div class="row wrap">
        <label class="button quiet" for="${this.name}-file">${icon('image')}${t('source.file')}</label>
        <input class="hidden-file" type="file" id="${this.name}-file" accept="image/png,image/jpeg,image/webp" @change=${this.#picked} />
        <button type="button" class="quiet" @click=${this.#open}>${icon('gallery')}${t('source.gallery')}</button>
        ${this.source
          ? html`<button type="button" class="quiet" @click=${() => this.#choose(null)}>${icon('close')}${t('source.remove')}</button>`
          : nothing}
      </div>
      ${this.entries ? this.#dialog(this.entries) : nothing}
    </div>`;
  }

  /** @param {import('./draft.js').Source} source */
  #shown(source) {
    return html`<img class="source" src=${source.url} alt=${this.label} />
      ${source.width ? html`<p class="hint">${source.width}×${source.height}</p>` : nothing}`;
  }

  /** @param {import('./images.js').Entry[]} entries */
  #dialog(entries) {
    return html`<dialog class="picker" aria-label=${t('source.gallery')} @close=${() => (this.entries = null)}>
      <header class="row spread">
        <h2>${t('source.gallery')}</h2>
        <button type="button" class="quiet round" aria-label=${t('close')} @click=${this.#close}>${icon('close')}</button>
      </header>
      <input type="search" aria-label=${t('gallery.search')} placeholder=${t('gallery.search')} @input=${this.#search} />
      ${entries.length ? nothing : html`<p>${t('gallery.nothing')}</p>`}
      <div class="thumbs">
        ${entries.map(
          (entry) => html`<button type="button" class="thumb" @click=${() => this.#take(entry)}>
            <img src=${small(entry)} alt=${alternative(entry)} loading="lazy" />
          </button>`,
        )}
      </div>
    </dialog>`;
  }

  updated() {
    const dialog = this.querySelector('dialog');
    if (dialog && !dialog.open) dialog.showModal();
  }

  #close() {
    this.querySelector('dialog')?.close();
  }

  async #open() {
    this.entries = await this.#find('');
  }

  /** @param {any} event */
  async #search(event) {
    const asked = event.target.value.trim();
    const found = await this.#find(asked);
    if (this.entries && event.target.value.trim() === asked) this.entries = found;
  }

  /** @param {string} words */
  async #find(words) {
    const q = words && !/["*]/.test(words) ? `${words}*` : words;
    const page = await attempt(() => ask('/gallery', { query: { limit: 60, image_data: false, q } }));
    return page?.images ?? [];
  }

  /** @param {import('./images.js').Entry} entry */
  #take(entry) {
    this.#close();
    this.#choose(sourceOf(entry));
  }

  /** @param {DragEvent} event */
  #over(event) {
    event.preventDefault();
    this.over = true;
  }

  /** @param {DragEvent} event */
  #dropped(event) {
    event.preventDefault();
    event.stopPropagation();
    this.over = false;
    const file = fileIn(event.dataTransfer);
    if (file) this.take(file);
  }

  /** @param {any} event */
  #picked(event) {
    const [file] = event.target.files;
    event.target.value = '';
    if (file) this.take(file);
  }

  /** @param {Blob} file */
  async take(file) {
    try {
      this.#choose(await read(file));
    } catch {
      say(t('source.unreadable'), { note: true, kind: 'error' });
    }
  }

  /** @param {import('./draft.js').Source | null} source */
  #choose(source) {
    this.dispatchEvent(new CustomEvent('chosen', { detail: source, bubbles: true }));
  }
}
customElements.define('vc-source', SourcePart);
