// @ts-check
/** One image, large, with everything that is known of it, to read, to copy and to use; and two beside each other. */
import { ask } from './api.js';
import * as catalogue from './catalogue.js';
import { draft } from './draft.js';
import { feed } from './feed.js';
import { number, t, when } from './i18n.js';
import { icon } from './icons.js';
import { alternative, full, sourceOf } from './images.js';
import { go, to, where } from './router.js';
import { Part, attempt, copy, html, nothing, problem, say } from './view.js';

/** @typedef {import('./images.js').Entry} Entry */

const USED = ['prompt', 'negative_prompt', 'model', 'seed', 'width', 'height'];
const HIDDEN = new Set(['init_image', 'mask', 'num_images']);

/** Fires `closed`, and `delete` with an id. */
export class ImagePart extends Part {
  static properties = { id: { attribute: false }, pages: { attribute: false }, entry: { state: true }, trouble: { state: true }, zoomed: { state: true } };

  constructor() {
    super();
    this.id = '';
    /** @type {import('./pages.js').Pages | null} */
    this.pages = null;
    /** @type {Entry | null} */
    this.entry = null;
    this.trouble = '';
    this.zoomed = false;
  }

  /** @param {Map<string, any>} changes */
  willUpdate(changes) {
    if (changes.has('id')) this.#load(this.id);
  }

  /** @param {string} id */
  async #load(id) {
    this.trouble = '';
    this.zoomed = false;
    try {
      const entry = await ask(`/images/${encodeURIComponent(id)}/record`);
      if (id === this.id) this.entry = entry;
    } catch (error) {
      this.trouble = problem(error);
    }
  }

  updated() {
    const dialog = /** @type {HTMLDialogElement} */ (this.querySelector('dialog'));
    if (!dialog.open) dialog.showModal();
  }

  render() {
    const { entry } = this;
    return html`<dialog class="viewer" aria-label=${t('image.title')} @close=${() => this.dispatchEvent(new Event('closed'))} @keydown=${this.#pressed}>
      <div class="large ${this.zoomed ? 'zoomed' : ''}">
        ${entry
          ? html`<button type="button" class="zoom" aria-pressed=${this.zoomed} aria-label=${t('image.zoom')} @click=${() => (this.zoomed = !this.zoomed)}>
              <img src=${full(entry)} alt=${alternative(entry)} width=${entry.width} height=${entry.height} /></button>`
          : html`<p class="empty">${this.trouble || t('loading')}</p>`}
      </div>
      <div class="side">
        <header class="row spread">
          <div class="row">
            <button type="button" class="quiet round" aria-label=${t('image.previous')} @click=${() => this.#step(-1)}>${icon('left')}</button>
            <button type="button" class="quiet round" aria-label=${t('image.next')} @click=${() => this.#step(1)}>${icon('right')}</button>
          </div>
          <button type="button" class="quiet round" aria-label=${t('close')} @click=${() => this.querySelector('dialog')?.close()}>${icon('close')}</button>
        </header>
        ${entry ? this.#about(entry) : nothing}
      </div>
    </dialog>`;
  }

  /** @param {Entry} entry */
  #about(entry) {
    return html`<p class="said">${entry.prompt}</p>
      <p class="hint">${when(entry.created_at)}</p>
      <div class="row wrap">
        <button type="button" class="primary" @click=${() => this.#use(entry)}>${icon('draw')}${t('image.use')}</button>
        <button type="button" class="quiet" @click=${() => this.#more(entry)}>${icon('spark')}${t('image.more')}</button>
        <button type="button" class="quiet" @click=${() => this.#replay(entry)}>${icon('again')}${t('image.replay')}</button>
        <button type="button" class="quiet" @click=${() => this.#start(entry)}>${icon('image')}${t('stage.start-from')}</button>
        <a class="button quiet" href=${full(entry)} download=${entry.filename}>${icon('download')}${t('download')}</a>
        <button type="button" class="quiet danger" @click=${() => this.#delete(entry)}>${icon('trash')}${t('delete')}</button>
      </div>
      ${this.#marks(entry)}
      <div class="row spread"><h2>${t('image.parameters')}</h2>
        <button type="button" class="quiet" @click=${() => copy(asText(entry))}>${icon('copy')}${t('image.copy-all')}</button></div>
      <dl class="parameters">
        ${parameters(entry).map(([name, value]) => html`<div><dt>${catalogue.label(name)}</dt><dd><span>${value}</span>
          <button type="button" class="quiet round" aria-label=${t('image.copy', { name: catalogue.label(name) })} @click=${() => copy(value)}>${icon('copy')}</button></dd></div>`)}
      </dl>`;
  }

  /** @param {Entry} entry */
  #marks(entry) {
    return html`<div class="row wrap">
        <button type="button" class="quiet" aria-pressed=${entry.favourite} @click=${() => this.#mark({ favourite: !entry.favourite })}>
          ${icon('star')}${t('field.favourite')}</button>
        <label class="row" for="i-rating">${t('field.rating')}
          <select id="i-rating" @change=${(/** @type {any} */ event) => this.#mark({ rating: Number(event.target.value) })}>
            ${[0, 1, 2, 3, 4, 5].map((each) => html`<option value=${each} ?selected=${each === entry.rating}>${each ? '★'.repeat(each) : t('image.unrated')}</option>`)}
          </select></label>
      </div>
      <div class="field"><label for="i-tags">${t('field.tags')}</label>
        <input id="i-tags" .value=${entry.tags.join(', ')} aria-describedby="i-tags-hint"
          @change=${(/** @type {any} */ event) => this.#mark({ tags: event.target.value.split(',').map((/** @type {string} */ each) => each.trim()).filter(Boolean) })} />
        <p class="hint" id="i-tags-hint">${t('image.tags-hint')}</p></div>
      <div class="field"><label for="i-notes">${t('field.notes')}</label>
        <textarea id="i-notes" rows="2" maxlength="10000" .value=${entry.notes} @change=${(/** @type {any} */ event) => this.#mark({ notes: event.target.value })}></textarea></div>`;
  }

  /** @param {Record<string, any>} body */
  async #mark(body) {
    const { entry } = this;
    const told = await attempt(() => ask(`/images/${this.id}`, { method: 'PATCH', body }));
    if (!told || !entry) return;
    this.entry = { ...entry, ...told };
    this.pages?.put(told);
    say(t('said.kept'));
  }

  /** Everything of it into the form. @param {Entry} entry */
  #use(entry) {
    const asked = { ...entry.parameters, width: entry.width, height: entry.height };
    const model = catalogue.all().find((each) => each.id === entry.model);
    draft.set({
      ...(model ? { model: model.id } : {}),
      prompt: entry.prompt,
      negative_prompt: entry.negative_prompt,
      style: '',
      seed: Math.max(0, entry.seed),
      locked: true,
      num_images: 1,
      loras: asked.loras ?? [],
    });
    const names = [...draft.model.fields.map((each) => each.name), ...(draft.model.size ? ['width', 'height'] : [])];
    draft.setValues(Object.fromEntries(names.map((name) => [name, asked[name] ?? undefined])));
    if (!model) say(t('image.other-model', { model: entry.model }), { note: true });
    go(to('draw'));
  }

  /** The next seeds of the same. @param {Entry} entry */
  #more(entry) {
    this.#use(entry);
    draft.set({ seed: entry.seed + 1, num_images: 4 });
  }

  /** @param {Entry} entry */
  #start(entry) {
    draft.set({ source: sourceOf(entry), mask: '' });
    go(to('draw'));
  }

  /** @param {Entry} entry */
  async #replay(entry) {
    const job = await attempt(() => ask(`/images/${entry.id}/replay`, { method: 'POST' }));
    if (!job) return;
    feed.take(job);
    say(t('said.queued'), { note: true });
  }

  /** @param {Entry} entry */
  #delete(entry) {
    this.querySelector('dialog')?.close();
    this.dispatchEvent(new CustomEvent('delete', { detail: entry.id }));
  }

  /** @param {number} by */
  async #step(by) {
    for (const [place, { id }] of this.pages?.known() ?? []) {
      if (id !== this.id) continue;
      const next = await this.pages?.entry(place + by);
      const { query } = where();
      query.set('image', next?.id ?? id);
      if (next) go(to('gallery', query), { replace: true });
      return;
    }
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (/** @type {Element} */ (event.target).closest('input, textarea, select')) return;
    if (event.key === 'ArrowLeft') this.#step(-1);
    if (event.key === 'ArrowRight') this.#step(1);
  }
}
customElements.define('vc-image', ImagePart);

/** What an image was made with, as people read it. @param {Entry} entry @returns {[string, string][]} */
function parameters(entry) {
  const all = { ...Object.fromEntries(USED.map((name) => [name, entry[name]])), ...entry.parameters, generator: entry.generator, generation_time: entry.generation_time };
  return Object.entries(all)
    .filter(([name, value]) => !HIDDEN.has(name) && value !== '' && value !== null && value !== undefined)
    .map(([name, value]) => [name, shown(name, value)]);
}

/** @param {string} name @param {any} value */
function shown(name, value) {
  if (name === 'generation_time') return t('image.seconds', { time: number(value) });
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** @param {Entry} entry */
const asText = (entry) => parameters(entry).map(([name, value]) => `${catalogue.label(name)}: ${value}`).join('\n');

/** Two images in one place, with a line between them that is dragged or moved by keys. */
export class ComparePart extends Part {
  static properties = { pair: { attribute: false }, share: { state: true }, beside: { state: true } };

  constructor() {
    super();
    /** @type {Entry[]} */
    this.pair = [];
    this.share = 50;
    this.beside = false;
  }

  updated() {
    const dialog = /** @type {HTMLDialogElement} */ (this.querySelector('dialog'));
    if (!dialog.open) dialog.showModal();
    const over = /** @type {HTMLElement | null} */ (this.querySelector('.over-image'));
    over?.style.setProperty('clip-path', `inset(0 0 0 ${this.share}%)`);
  }

  render() {
    const [one, other] = this.pair;
    return html`<dialog class="compare" aria-label=${t('gallery.compare')} @close=${() => this.dispatchEvent(new Event('closed'))}>
      <header class="row spread">
        <button type="button" class="quiet" aria-pressed=${this.beside} @click=${() => (this.beside = !this.beside)}>${icon('compare')}${t('compare.beside')}</button>
        <button type="button" class="quiet round" aria-label=${t('close')} @click=${() => this.querySelector('dialog')?.close()}>${icon('close')}</button>
      </header>
      <div class=${this.beside ? 'beside' : 'stacked'}>
        <img src=${full(one)} alt=${alternative(one)} width=${one.width} height=${one.height} />
        <img class=${this.beside ? '' : 'over-image'} src=${full(other)} alt=${alternative(other)} width=${other.width} height=${other.height} />
      </div>
      ${this.beside ? nothing : html`<input type="range" min="0" max="100" aria-label=${t('compare.share')} .value=${String(this.share)}
        @input=${(/** @type {any} */ event) => (this.share = event.target.valueAsNumber)} />`}
    </dialog>`;
  }
}
customElements.define('vc-compare', ComparePart);
