// @ts-check
/** Find: all images in one scroller, narrowed down by what stands in the address. */
import { address, ask, changed } from './api.js';
import * as catalogue from './catalogue.js';
import { feed } from './feed.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import './image.js';
import { Pages } from './pages.js';
import { back, go, to, where } from './router.js';
import './scroller.js';
import { Part, attempt, download, html, nothing, problem, say } from './view.js';

/** @typedef {import('./images.js').Entry} Entry */

const FILTERS = ['q', 'model', 'tag', 'favourite', 'min_rating', 'since', 'until', 'seed', 'width', 'height', 'generator', 'sort'];
const UNDO_MS = 8_000;
const MOST_AT_ONCE = 1000;

export class GalleryView extends Part {
  static properties = { active: { type: Boolean }, pages: { state: true }, chosen: { state: true }, open: { state: true }, pair: { state: true } };

  constructor() {
    super();
    this.active = false;
    /** @type {Record<string, string>} */
    this.query = {};
    this.pages = new Pages({});
    /** @type {Map<string, Entry>} what is selected */
    this.chosen = new Map();
    this.last = 0;
    this.open = '';
    /** @type {Entry[] | null} two that are compared */
    this.pair = null;
    /** @type {{ids: string[], timer: number} | null} what is deleted unless somebody undoes it */
    this.going = null;
  }

  connectedCallback() {
    super.connectedCallback();
    this.on(window, 'vc-route', () => this.#route());
    this.on(window, 'vc-gallery', () => this.#again());
    this.on(window, 'pagehide', () => this.#deleteNow());
    this.on(feed, 'job', ({ detail }) => detail.status === 'succeeded' && this.#news(detail));
    this.#route();
  }

  /** @returns {any} */
  get scroller() {
    return this.querySelector('vc-scroller');
  }

  /** Follow the address. */
  #route() {
    const { view, query } = where();
    if (view !== 'gallery') return;
    const asked = Object.fromEntries(FILTERS.map((name) => [name, query.getAll(name).join(',')]).filter(([, value]) => value));
    if (!this.searched || JSON.stringify(asked) !== JSON.stringify(this.query)) this.#search(asked);
    this.open = query.get('image') ?? '';
  }

  /** @param {Record<string, string>} query */
  #search(query) {
    this.searched = true;
    this.query = query;
    const { tag, ...others } = query;
    this.pages = new Pages({ ...others, ...(tag ? { tag: tag.split(',') } : {}) });
    this.pages.addEventListener('change', () => this.requestUpdate());
  }

  #again() {
    this.#search(this.query);
  }

  /** A new image belongs on top, if the top is what is looked at. @param {any} job */
  #news(job) {
    const image = job.image ?? job.images?.[0];
    if (!image || this.pages.at(0)?.id >= image.id || this.going) return;
    if (!this.scroller || this.scroller.top < 10) this.#again();
  }

  render() {
    const { pages } = this;
    return html`<div class="gallery">
      ${this.#filters()} ${this.chosen.size ? this.#selection() : nothing}
      ${pages.trouble ? html`<p class="empty trouble">${problem(pages.trouble)}<button type="button" @click=${() => this.#again()}>${t('again')}</button></p>` : nothing}
      ${pages.loaded && !pages.total
        ? html`<div class="empty">${icon('gallery')}<p class="lead">${t(Object.keys(this.query).length ? 'gallery.nothing' : 'gallery.empty')}</p>
            <a class="button primary" href=${to('draw')}>${t('gallery.first')}</a></div>`
        : nothing}
      <vc-scroller .pages=${pages} .selected=${this.chosen} @pick=${this.#picked}></vc-scroller>
      ${this.open ? html`<vc-image .id=${this.open} .pages=${pages} @closed=${this.#closed} @delete=${(/** @type {any} */ event) => this.#delete([event.detail])}></vc-image>` : nothing}
      ${this.pair ? html`<vc-compare .pair=${this.pair} @closed=${() => (this.pair = null)}></vc-compare>` : nothing}
    </div>`;
  }

  #filters() {
    const { query, pages } = this;
    const more = FILTERS.filter((name) => query[name] && name !== 'q' && name !== 'sort').length;
    return html`<form class="filters" role="search" aria-label=${t('gallery.search')} @submit=${(/** @type {Event} */ event) => event.preventDefault()} @change=${this.#filtered}>
      <div class="row">
        <span class="with-icon">${icon('search')}<input type="search" name="q" aria-label=${t('gallery.search')} placeholder=${t('gallery.search')} .value=${query.q ?? ''} /></span>
        <p class="hint total" role="status">${pages.loaded ? t(pages.exact ? 'gallery.total' : 'gallery.at-least', { n: pages.total }) : ''}</p>
      </div>
      <details class="more" ?open=${more > 0}>
        <summary>${t('gallery.filters')}${more ? html` <span class="count">${more}</span>` : nothing}</summary>
        <div class="grid">
          ${this.#select('model', [['', t('gallery.any')], ...catalogue.all().map((each) => [each.id, each.name])])}
          ${this.#input('tag', 'text')}
          ${this.#select('favourite', [['', t('gallery.any')], ['true', t('gallery.starred')], ['false', t('gallery.unstarred')]])}
          ${this.#select('min_rating', [['', t('gallery.any')], ...[1, 2, 3, 4, 5].map((each) => [String(each), '★'.repeat(each)])])}
          ${this.#input('since', 'date')} ${this.#input('until', 'date')} ${this.#input('seed', 'number')}
          ${this.#select('sort', ['newest', 'oldest', 'rating'].map((each) => [each === 'newest' ? '' : each, t(`sort.${each}`)]))}
        </div>
        ${more ? html`<div class="row wrap"><button type="button" class="quiet" @click=${() => go(to('gallery'))}>${t('gallery.clear')}</button>
          <a class="button quiet" href=${address('/gallery/export', this.pages.query).href} download>${icon('download')}${t('gallery.export')}</a></div>` : nothing}
      </details>
    </form>`;
  }

  /** @param {string} name @param {string} type */
  #input(name, type) {
    return html`<div class="field"><label for="g-${name}">${catalogue.label(name)}</label>
      <input id="g-${name}" name=${name} type=${type} .value=${this.query[name] ?? ''} /></div>`;
  }

  /** @param {string} name @param {string[][]} choices */
  #select(name, choices) {
    return html`<div class="field"><label for="g-${name}">${catalogue.label(name)}</label>
      <select id="g-${name}" name=${name}>
        ${choices.map(([value, label]) => html`<option value=${value} ?selected=${(this.query[name] ?? '') === value}>${label}</option>`)}
      </select></div>`;
  }

  /** @param {Event} event */
  #filtered(event) {
    const { name, value } = /** @type {HTMLInputElement} */ (event.target);
    const query = { ...this.query, [name]: value.trim() };
    if (!query[name]) delete query[name];
    go(to('gallery', query));
  }

  #selection() {
    const chosen = [...this.chosen.values()];
    const starred = chosen.every((each) => each.favourite);
    return html`<div class="selection" role="toolbar" aria-label=${t('gallery.selection')}>
      <strong>${t('gallery.selected', { n: chosen.length })}</strong>
      <button type="button" class="quiet" @click=${() => this.#mark({ favourite: !starred })}>${icon('star')}${t(starred ? 'gallery.unstar' : 'gallery.star')}</button>
      <button type="button" class="quiet" @click=${this.#tag}>${icon('tag')}${t('gallery.tag')}</button>
      ${chosen.length === 2 ? html`<button type="button" class="quiet" @click=${() => (this.pair = chosen)}>${icon('compare')}${t('gallery.compare')}</button>` : nothing}
      <button type="button" class="quiet" @click=${this.#download}>${icon('download')}${t('download')}</button>
      <button type="button" class="quiet danger" @click=${() => this.#delete(chosen.map((each) => each.id))}>${icon('trash')}${t('delete')}</button>
      <button type="button" class="quiet" @click=${() => (this.chosen = new Map())}>${icon('close')}${t('gallery.deselect')}</button>
    </div>`;
  }

  /** @param {any} event */
  async #picked({ detail: { kind, place, entry, range } }) {
    if (kind === 'open') {
      go(to('gallery', { ...this.query, image: entry.id }));
      return;
    }
    const chosen = new Map(this.chosen);
    if (range) {
      const [first, last] = [Math.min(this.last, place), Math.max(this.last, place)];
      for (let each = first; each <= Math.min(last, first + MOST_AT_ONCE - 1); each++) {
        const found = await this.pages.entry(each);
        if (found) chosen.set(found.id, found);
      }
    } else if (chosen.has(entry.id)) chosen.delete(entry.id);
    else chosen.set(entry.id, entry);
    this.last = place;
    this.chosen = chosen;
    say(t('gallery.selected', { n: chosen.size }));
  }

  /** @param {Record<string, any> | ((entry: Entry) => Record<string, any>)} marks */
  async #mark(marks) {
    const chosen = new Map(this.chosen);
    for (const entry of this.chosen.values()) {
      const body = typeof marks === 'function' ? marks(entry) : marks;
      const told = await attempt(() => ask(`/images/${entry.id}`, { method: 'PATCH', body }));
      if (!told) break;
      this.pages.put(told);
      chosen.set(told.id, told);
    }
    this.chosen = chosen;
  }

  #tag() {
    const tag = prompt(t('gallery.tag-which'))?.trim();
    if (tag) this.#mark((entry) => ({ tags: [...entry.tags, tag] }));
  }

  #download() {
    for (const entry of this.chosen.values()) download(address(`/images/${entry.id}`).href, entry.filename);
  }

  /** They are out of sight at once, and gone once nobody has undone it. @param {string[]} ids */
  async #delete(ids) {
    await this.#deleteNow();
    this.chosen = new Map();
    this.going = { ids, timer: window.setTimeout(() => this.#deleteNow(), UNDO_MS) };
    this.toggle(ids, true);
    say(t('gallery.deleted', { n: ids.length }), { note: true, action: { label: t('undo'), run: () => this.#undo() } });
  }

  /** @param {string[]} ids @param {boolean} hidden */
  toggle(ids, hidden) {
    this.scroller.out = hidden ? new Set(ids) : new Set();
    this.scroller.requestUpdate();
  }

  #undo() {
    if (!this.going) return;
    clearTimeout(this.going.timer);
    this.toggle(this.going.ids, false);
    this.going = null;
    say(t('gallery.undone'), { note: true });
  }

  async #deleteNow() {
    if (!this.going) return;
    const { ids, timer } = this.going;
    clearTimeout(timer);
    this.going = null;
    await attempt(() => ask('/images/delete', { method: 'POST', body: { ids }, keepalive: true }));
    this.toggle(ids, false);
    changed('gallery');
  }

  #closed() {
    back(to('gallery', this.query));
    this.updateComplete.then(() => this.scroller.focus());
  }
}
customElements.define('vc-gallery', GalleryView);
