// @ts-check
/** Manage: what can draw, what is in memory, which plugins serve, and the keys of cloud services. */
import { ask } from './api.js';
import * as catalogue from './catalogue.js';
import { lasting, t } from './i18n.js';
import { icon } from './icons.js';
import { Part, attempt, html, nothing, say } from './view.js';

const LOOK_MS = 10_000;

export class ManageView extends Part {
  static properties = { active: { type: Boolean }, status: { state: true }, plugins: { state: true }, loading: { state: true } };

  constructor() {
    super();
    this.active = false;
    /** @type {Record<string, any> | null} */
    this.status = null;
    /** @type {Record<string, any>[]} */
    this.plugins = [];
    /** The model that is being loaded. */
    this.loading = '';
  }

  connectedCallback() {
    super.connectedCallback();
    this.on(window, 'vc-models', () => this.requestUpdate());
    this.timer = setInterval(() => this.active && !document.hidden && this.#look(), LOOK_MS);
    this.#look();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  async #look() {
    [this.status, this.plugins] = await Promise.all([
      ask('/status').catch(() => this.status),
      ask('/plugins').catch(() => this.plugins),
    ]);
  }

  render() {
    return html`<div class="manage">${this.#device()} ${this.#models()} ${this.#keys()} ${this.#plugins()}</div>`;
  }

  #device() {
    const { status } = this;
    if (!status) return html`<p class="hint">${t('loading')}</p>`;
    return html`<section aria-labelledby="m-device">
      <h2 id="m-device">${t('manage.device')}</h2>
      <div class="card">
        <p class="lead">${status.device_name}</p>
        ${status.vram_total
          ? html`<meter min="0" max=${status.vram_total} value=${status.vram_used} aria-label=${t('manage.memory')}></meter>
              <p class="hint">${t('manage.memory-used', { used: status.vram_used, total: status.vram_total })}</p>`
          : nothing}
        <p>${status.model_loaded ? t('manage.loaded', { model: status.current_model }) : t('manage.nothing-loaded')}</p>
      </div>
    </section>`;
  }

  #models() {
    return html`<section aria-labelledby="m-models">
      <div class="row spread"><h2 id="m-models">${t('manage.models')}</h2>
        <button type="button" class="quiet" @click=${() => attempt(() => catalogue.load())}>${icon('again')}${t('manage.look-again')}</button></div>
      <ul class="jobs">
        ${catalogue.all().map(
          (model) => html`<li class="job plain">
            <div class="about">
              <p class="words">${model.name}</p>
              <p class="hint">${model.description}</p>
              <p class="facts"><span>${model.id}</span>${model.facts.map((each) => html`<span>${each}</span>`)}</p>
            </div>
            ${model.kind === 'local' ? this.#load(model) : nothing}
          </li>`,
        )}
      </ul>
      <p class="hint">${t('manage.more-models')} <code>visioncraft models pull</code></p>
    </section>`;
  }

  /** @param {catalogue.Model} model */
  #load(model) {
    if (this.status?.current_model === model.id) return html`<p class="hint">${icon('check')}${t('manage.in-memory')}</p>`;
    return html`<button type="button" class="quiet" ?disabled=${this.loading !== ''} aria-label=${t('manage.load-this', { model: model.name })}
      @click=${() => this.#loadNow(model)}>${t(this.loading === model.id ? 'stage.loading' : 'manage.load')}</button>`;
  }

  /** @param {catalogue.Model} model */
  async #loadNow(model) {
    this.loading = model.id;
    const told = await attempt(() => ask('/load_model', { method: 'POST', body: { model: model.id } }));
    this.loading = '';
    if (told) say(t('manage.has-loaded', { model: model.name, time: lasting(told.load_time) }), { note: true });
    this.#look();
  }

  #keys() {
    const clouds = catalogue.all().filter((model) => model.kind === 'cloud');
    if (!clouds.length) return nothing;
    return html`<section aria-labelledby="m-keys">
      <h2 id="m-keys">${t('manage.keys')}</h2>
      ${clouds.map(
        (model) => html`<form class="card keys" @submit=${(/** @type {Event} */ event) => this.#keep(event, model.id)}>
          <div class="field"><label for="key-${model.id}">${t('manage.key-of', { service: model.name })}</label>
            <input id="key-${model.id}" type="password" required minlength="8" autocomplete="off" spellcheck="false" /></div>
          <button>${icon('check')}${t('manage.keep-key')}</button>
          <p class="hint">${t('manage.key-hint')}</p>
        </form>`,
      )}
    </section>`;
  }

  /** @param {Event} event @param {string} service */
  async #keep(event, service) {
    event.preventDefault();
    const input = /** @type {HTMLInputElement} */ (/** @type {HTMLFormElement} */ (event.target).querySelector('input'));
    const told = await attempt(() => ask('/api-key', { method: 'POST', body: { service, api_key: input.value.trim() } }));
    if (!told) return;
    input.value = '';
    say(t('manage.key-kept', { key: told.key_preview }), { note: true });
  }

  #plugins() {
    return html`<section aria-labelledby="m-plugins">
      <h2 id="m-plugins">${t('manage.plugins')}</h2>
      <ul class="jobs">
        ${this.plugins.map(
          (plugin) => html`<li class="job plain">
            <div class="about">
              <p class="words">${plugin.name}</p>
              <p class="hint">${plugin.distribution} ${plugin.version}</p>
              ${plugin.error ? html`<p class="trouble">${plugin.error}</p>` : nothing}
            </div>
            <p class=${plugin.status === 'active' ? 'hint' : 'trouble'}>${t(`plugin.${plugin.status}`)}</p>
          </li>`,
        )}
      </ul>
    </section>`;
  }
}
customElements.define('vc-manage', ManageView);
