// @ts-check
/**
 * A grid of images whose scroll bar stands for all of them, while only those in sight are in the page. Browsers bound an
 * element's height, so past that bound the bar is scaled: a jump goes to the place that the bar shows, small steps stay
 * small.
 */
import { repeat } from 'lit/directives/repeat.js';
import { month, t } from './i18n.js';
import { alternative, small } from './images.js';
import { icon } from './icons.js';
import { Part, html, nothing } from './view.js';

/** @typedef {import('./images.js').Entry} Entry */

const GAP = 8;
const HIGHEST = 8_000_000;
const BEYOND = 1; // rows that are drawn above and below those in sight

/** Fires `pick` with {place, entry, event}. */
export class Scroller extends Part {
  static properties = { pages: { attribute: false }, selected: { attribute: false }, focused: { state: true } };

  constructor() {
    super();
    /** @type {import('./pages.js').Pages | null} */
    this.pages = null;
    /** @type {Map<string, Entry>} */
    this.selected = new Map();
    this.focused = 0;
    this.columns = 1;
    this.cell = 160;
    this.top = 0;
    this.base = 0;
    this.before = 0;
    this.view = 600;
    /** @type {Set<string>} ids that are out of sight, for as long as their deletion can be undone */
    this.out = new Set();
  }

  connectedCallback() {
    super.connectedCallback();
    this.watcher = new ResizeObserver(() => this.#measure());
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.watcher?.disconnect();
  }

  firstUpdated() {
    this.watcher?.observe(this.box);
  }

  /** @returns {HTMLElement} */
  get box() {
    return /** @type {HTMLElement} */ (this.querySelector('.scroller'));
  }

  /** @param {Map<string, any>} changed */
  willUpdate(changed) {
    if (!changed.has('pages') || !this.pages) return;
    this.ending?.abort();
    this.ending = new AbortController();
    this.pages.addEventListener('change', () => this.#arrived(), { signal: this.ending.signal });
    this.top = this.base = this.before = this.focused = 0;
    if (this.box) this.box.scrollTop = 0;
    this.pages.want(0, 0);
  }

  #arrived() {
    this.requestUpdate();
    this.#want();
  }

  get row() {
    return this.cell + GAP;
  }

  get rows() {
    return Math.ceil((this.pages?.total ?? 0) / this.columns);
  }

  /** What the images would be high in truth. */
  get whole() {
    return this.rows * this.row + GAP;
  }

  get height() {
    return Math.min(this.whole, HIGHEST);
  }

  #measure() {
    const { clientWidth, clientHeight } = this.box;
    if (!clientWidth) return;
    const first = this.#first();
    this.columns = Math.max(2, Math.round((clientWidth - GAP) / (clientWidth < 500 ? 125 : 190)));
    this.cell = Math.floor((clientWidth - GAP) / this.columns) - GAP;
    this.view = clientHeight;
    if (first) this.show(first);
    this.#want();
    this.requestUpdate();
  }

  #scrolled() {
    const { scrollTop } = this.box;
    const moved = scrollTop - this.before;
    this.before = scrollTop;
    const furthest = this.whole - this.view;
    if (this.whole <= HIGHEST) this.top = scrollTop;
    else if (Math.abs(moved) < 2 * this.view) this.top = Math.max(0, Math.min(furthest, this.top + moved));
    else this.top = (scrollTop / (this.height - this.view)) * furthest;
    this.base = this.top - scrollTop;
    this.#want();
    this.requestUpdate();
  }

  /** Once it rests, the bar stands again where the images are. */
  #rested() {
    if (this.whole <= HIGHEST) return;
    const place = (this.top / (this.whole - this.view)) * (this.height - this.view);
    if (Math.abs(place - this.box.scrollTop) < 1) return;
    this.before = this.box.scrollTop = place;
    this.before = this.box.scrollTop;
    this.base = this.top - this.before;
    this.requestUpdate();
  }

  #first() {
    return Math.max(0, Math.floor(this.top / this.row)) * this.columns;
  }

  #range() {
    const first = Math.max(0, Math.floor(this.top / this.row) - BEYOND);
    const last = Math.min(this.rows, Math.ceil((this.top + this.view) / this.row) + BEYOND);
    return [first * this.columns, Math.min(this.pages?.total ?? 0, last * this.columns)];
  }

  #want() {
    const [first, last] = this.#range();
    if (this.pages?.loaded) this.pages.want(first, Math.max(first, last - 1));
  }

  /** Bring a place into sight. @param {number} place */
  show(place) {
    const top = Math.floor(place / this.columns) * this.row;
    if (top >= this.top && top + this.row <= this.top + this.view) return;
    this.top = Math.max(0, Math.min(top, this.whole - this.view));
    const scroll = this.whole <= HIGHEST ? this.top : (this.top / (this.whole - this.view)) * (this.height - this.view);
    this.box.scrollTop = scroll;
    this.before = this.box.scrollTop;
    this.base = this.top - this.before;
    this.#want();
    this.requestUpdate();
  }

  render() {
    const [first, last] = this.#range();
    const places = Array.from({ length: Math.max(0, last - first) }, (_, index) => first + index);
    const date = this.pages?.at(this.#first())?.created_at;
    return html`<div class="scroller" tabindex="-1" @scroll=${this.#scrolled} @scrollend=${this.#rested}>
        <div class="whole" role="list" aria-label=${t('gallery.images')} @keydown=${this.#pressed}>
          ${repeat(places, (place) => place, (place) => this.#cell(place))}
        </div>
      </div>
      ${date && this.rows > 3 ? html`<p class="date" aria-hidden="true">${month(date)}</p>` : nothing}`;
  }

  updated() {
    const whole = /** @type {HTMLElement} */ (this.querySelector('.whole'));
    whole.style.height = `${this.height}px`;
    for (const item of /** @type {NodeListOf<HTMLElement>} */ (whole.querySelectorAll('.cell'))) {
      const place = Number(item.dataset.place);
      const left = GAP + (place % this.columns) * this.row;
      const top = GAP + Math.floor(place / this.columns) * this.row - this.base;
      item.style.cssText = `transform:translate(${left}px,${top}px);width:${this.cell}px;height:${this.cell}px`;
    }
  }

  /** @param {number} place */
  #cell(place) {
    const entry = this.pages?.at(place);
    if (!entry) return html`<div class="cell" role="listitem" data-place=${place} aria-busy="true"></div>`;
    const chosen = this.selected.has(entry.id);
    return html`<div class="cell ${chosen ? 'chosen' : ''} ${this.out.has(entry.id) ? 'gone' : ''}" role="listitem" aria-setsize=${this.pages?.total ?? -1} aria-posinset=${place + 1} data-place=${place}>
      <button type="button" class="open" tabindex=${place === this.focused ? 0 : -1}
        @focus=${() => (this.focused = place)} @click=${(/** @type {MouseEvent} */ event) => this.#pick('open', place, entry, event)}>
        <img src=${small(entry)} alt=${alternative(entry)} decoding="async" />
      </button>
      <button type="button" class="mark" role="checkbox" aria-checked=${chosen} tabindex=${place === this.focused ? 0 : -1}
        aria-label=${t('gallery.select', { prompt: alternative(entry) })}
        @click=${(/** @type {MouseEvent} */ event) => this.#pick('select', place, entry, event)}>${icon('check')}</button>
      ${entry.favourite ? html`<span class="starred">${icon('star')}<span class="unseen">${t('field.favourite')}</span></span>` : nothing}
    </div>`;
  }

  /** @param {'open' | 'select'} what @param {number} place @param {Entry} entry @param {MouseEvent} event */
  #pick(what, place, entry, event) {
    this.focused = place;
    const range = event.shiftKey;
    const kind = range || event.ctrlKey || event.metaKey ? 'select' : what;
    this.dispatchEvent(new CustomEvent('pick', { detail: { kind, place, entry, range } }));
  }

  /** Arrows walk through the images; Tab leaves them. @param {KeyboardEvent} event */
  async #pressed(event) {
    const total = this.pages?.total ?? 0;
    const page = Math.max(1, Math.floor(this.view / this.row)) * this.columns;
    /** @type {Record<string, number>} */
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, PageUp: -page, PageDown: page, Home: -total, End: total };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    await this.focus(Math.max(0, Math.min(total - 1, this.focused + step)));
  }

  /** @param {any} [place] */
  async focus(place = this.focused) {
    this.show(place);
    await this.pages?.entry(place);
    this.focused = place;
    this.requestUpdate();
    await this.updateComplete;
    /** @type {HTMLElement | null} */ (this.querySelector(`[data-place="${place}"] .open`))?.focus({ preventScroll: true });
  }
}
customElements.define('vc-scroller', Scroller);
