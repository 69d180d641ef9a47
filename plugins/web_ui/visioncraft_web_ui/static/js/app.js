// @ts-check
/** The page: its navigation, the view that the address asks for, and what is told to everybody. */
import { ask, changed } from './api.js';
import * as catalogue from './catalogue.js';
import { draft } from './draft.js';
import './draw.js';
import { ended, feed } from './feed.js';
import * as i18n from './i18n.js';
import { icon } from './icons.js';
import './login.js';
import './notes.js';
import { keep, recall } from './memory.js';
import { VIEWS, go, to, where } from './router.js';
import { share } from './stage.js';
import { Part, attempt, html, nothing, say } from './view.js';

const { t } = i18n;
const NAME = 'VisionCraft';

/** @type {Record<string, {load: () => Promise<unknown>, draw: (active: boolean, caller: string) => unknown}>} */
const PARTS = {
  draw: { load: async () => undefined, draw: (active) => html`<vc-draw ?active=${active}></vc-draw>` },
  watch: {
    load: () => import('./watch.js'),
    draw: (active, caller) => html`<vc-watch ?active=${active} .caller=${caller}></vc-watch>`,
  },
  manage: {
    load: () => import('./manage.js'),
    draw: (active) => html`<vc-manage ?active=${active}></vc-manage>`,
  },
  gallery: {
    load: () => import('./gallery.js'),
    draw: (active) => html`<vc-gallery ?active=${active}></vc-gallery>`,
  },
};

class App extends Part {
  static properties = { state: { state: true }, view: { state: true } };

  constructor() {
    super();
    /** @type {'asking' | 'login' | 'there' | 'away'} */
    this.state = 'asking';
    this.view = where().view;
    /** @type {Set<string>} views that were looked at, and stay as they were left */
    this.seen = new Set();
    this.session = { needed: false, known: false, caller: '' };
  }

  connectedCallback() {
    super.connectedCallback();
    this.on(window, 'vc-route', () => this.#show());
    this.on(window, 'vc-logged-out', () => this.#login());
    this.on(window, 'vc-left', () => this.#left());
    this.on(feed, 'state', () => this.requestUpdate());
    this.on(feed, 'job', () => this.#title());
    this.on(document, 'click', (event) => this.#clicked(event));
    theme(recall('theme', 'auto'));
    this.#ask();
  }

  /** Ask whether this browser may come in, until somebody answers. */
  async #ask() {
    try {
      this.session = await ask('/app/session');
      if (!this.session.known) return this.#login();
      await catalogue.load();
    } catch {
      this.state = 'away';
      setTimeout(() => this.#ask(), 2000);
      return undefined;
    }
    feed.begin();
    this.state = 'there';
    return this.#show();
  }

  #login() {
    feed.stop();
    this.state = 'login';
  }

  async #show() {
    const { view } = where();
    await PARTS[view]?.load();
    this.seen.add(view);
    if (this.view !== view) window.scrollTo(0, 0);
    this.view = view;
    this.#title();
    this.requestUpdate();
  }

  /** The title tells how far the first of the jobs is, since this tab may be behind others. */
  #title() {
    const job = feed.live().find((each) => each.status === 'running') ?? feed.live()[0];
    const far = job && !ended(job) ? `${Math.round(share(job) * 100)} % · ` : '';
    document.title = `${far}${t(`nav.${this.view}`)} · ${NAME}`;
  }

  render() {
    if (this.state === 'login') return html`<vc-login @logged-in=${begin}></vc-login>${live()}`;
    return html`<a class="skip" href="#main">${t('skip')}</a>
      <header class="top">
        <a class="brand" href=${to('draw')}><img src="icon.svg" alt="" width="28" height="28" /><span>${NAME}</span></a>
        <nav aria-label=${t('nav.title')}>${VIEWS.filter((name) => name in PARTS).map((name) => this.#link(name))}</nav>
        ${this.#menu()}
      </header>
      ${this.#banner()}
      <main id="main" tabindex="-1">
        ${this.state === 'there' && this.seen.has(this.view)
          ? VIEWS.filter((name) => this.seen.has(name)).map(
              (name) => html`<div ?hidden=${name !== this.view}>
                <h1 class="unseen">${t(`nav.${name}`)}</h1>
                ${PARTS[name].draw(name === this.view, this.session.caller)}
              </div>`,
            )
          : html`<p class="empty lead">${this.state === 'away' ? t('error.unreachable') : t('loading')}</p>`}
      </main>
      ${live()}`;
  }

  /** @param {string} name */
  #link(name) {
    const count = name === 'watch' ? feed.live().length : 0;
    return html`<a href=${to(name)} aria-current=${name === this.view ? 'page' : nothing}>
      ${icon(name)}<span>${t(`nav.${name}`)}</span>
      ${count ? html`<span class="count">${count}<span class="unseen"> ${t('nav.jobs')}</span></span>` : nothing}
    </a>`;
  }

  #menu() {
    const chosen = recall('theme', 'auto');
    return html`<details class="menu" @keydown=${closeOnEscape}>
      <summary aria-label=${t('menu.title')}>${icon('manage')}</summary>
      <div class="card">
        <label for="m-language">${t('menu.language')}</label>
        <select id="m-language" @change=${(/** @type {any} */ event) => this.#language(event.target.value)}>
          ${Object.entries(i18n.LANGUAGES).map(
            ([code, name]) => html`<option value=${code} lang=${code} ?selected=${code === i18n.current()}>${name}</option>`,
          )}
        </select>
        <label for="m-theme">${t('menu.theme')}</label>
        <select id="m-theme" @change=${(/** @type {any} */ event) => theme(event.target.value)}>
          ${['auto', 'light', 'dark'].map((each) => html`<option value=${each} ?selected=${each === chosen}>${t(`theme.${each}`)}</option>`)}
        </select>
        ${this.session.needed
          ? html`<button type="button" class="quiet" @click=${this.#logout}>${icon('logout')}${t('menu.logout')}</button>`
          : nothing}
      </div>
    </details>`;
  }

  #banner() {
    if (feed.lost) return html`<p class="banner" role="status">${t('error.lost')}</p>`;
    if (feed.trouble) return html`<p class="banner" role="status">${t('error.trouble', { trouble: feed.trouble })}</p>`;
    return nothing;
  }

  /** @param {string} code */
  async #language(code) {
    await i18n.choose(code);
    await attempt(() => catalogue.load());
    this.#title();
    say(i18n.LANGUAGES[/** @type {keyof typeof i18n.LANGUAGES} */ (code)]);
  }

  #logout() {
    return attempt(async () => {
      await ask('/session', { method: 'DELETE' });
      changed('left');
    });
  }

  /** Somebody logged out, in whichever tab: what they typed is not for the next who logs in here. */
  #left() {
    draft.clear();
    keep('current', undefined);
    this.#login();
  }

  /** Links of the page lead to its views without loading it anew. @param {MouseEvent} event */
  #clicked(event) {
    const link = /** @type {Element} */ (event.target).closest?.('a[href]');
    if (!(link instanceof HTMLAnchorElement) || link.hasAttribute('download') || link.target || event.button) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented) return;
    if (!link.href.startsWith(to('draw')) || link.getAttribute('href')?.startsWith('#')) return;
    event.preventDefault();
    go(link.href);
  }
}

/** Load the page anew for whoever has logged in: jobs and images that it knew may be another person's. */
const begin = () => location.reload();

/** Nobody sees it, screen readers tell it. */
const live = () => html`<vc-notes></vc-notes>`;

/** @param {KeyboardEvent} event */
function closeOnEscape(event) {
  const details = /** @type {HTMLDetailsElement} */ (event.currentTarget);
  if (event.key !== 'Escape' || !details.open) return;
  details.open = false;
  details.querySelector('summary')?.focus();
}

/** @param {string} name auto, light or dark */
function theme(name) {
  keep('theme', name === 'auto' ? undefined : name);
  if (name === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}

await i18n.begin();
customElements.define('vc-app', App);
