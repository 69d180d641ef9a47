// @ts-check
/** Draw: what is asked for on one side, what comes of it on the other. */
import { ask } from './api.js';
import * as catalogue from './catalogue.js';
import { STYLES, draft } from './draft.js';
import { ended, feed } from './feed.js';
import { field, seedField } from './fields.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { fileIn, sourceOf } from './images.js';
import './source.js';
import { cancel, share, standing } from './stage.js';
import { Part, attempt, html, nothing, say } from './view.js';

const MOST_IMAGES = 16;

export class DrawView extends Part {
  static properties = { active: { type: Boolean }, sending: { state: true } };

  constructor() {
    super();
    this.active = false;
    this.sending = false;
  }

  connectedCallback() {
    super.connectedCallback();
    this.on(draft, 'change', () => this.requestUpdate());
    this.on(feed, 'job', () => this.requestUpdate());
    this.on(window, 'vc-models', () => this.requestUpdate());
    this.on(window, 'paste', (event) => this.#pasted(event));
    this.on(window, 'keydown', (event) => this.#pressed(event));
  }

  /** @returns {any} */
  get stage() {
    return this.querySelector('vc-stage');
  }

  render() {
    const { state, model } = draft;
    if (!model) return html`<p class="empty">${t('draw.no-models')}</p>`;
    return html`<div class="draw" @dragover=${(/** @type {Event} */ event) => event.preventDefault()} @drop=${this.#dropped}>
      <form class="ask" aria-label=${t('nav.draw')} @submit=${this.#submitted}>
        <div class="fields">
          ${this.#words(state, model)} ${this.#model(model)} ${this.#size(model)}
          ${model.fields.map((each) => field(each, draft.value(each.name, undefined), (value) => draft.setValues({ [each.name]: value })))}
          ${this.#count(state)} ${seedField(state.seed, state.locked, (patch) => draft.set(patch))}
          ${model.abilities.has('init_image') ? this.#source(state) : nothing}
        </div>
        ${this.#bar()}
      </form>
      <vc-stage @example=${(/** @type {any} */ event) => draft.set({ prompt: event.detail })}
        @seed=${(/** @type {any} */ event) => draft.set({ seed: event.detail.seed, locked: true })}
        @source=${(/** @type {any} */ event) => draft.set({ source: sourceOf(event.detail), mask: '' })}></vc-stage>
    </div>`;
  }

  /** @param {import('./draft.js').State} state @param {catalogue.Model} model */
  #words(state, model) {
    return html`<div class="field">
        <label for="f-prompt">${t('field.prompt')}</label>
        <textarea id="f-prompt" class="prompt" rows="3" required maxlength="10000" .value=${state.prompt}
          placeholder=${t('draw.prompt-hint')} @input=${(/** @type {any} */ event) => draft.set({ prompt: event.target.value })}></textarea>
      </div>
      ${model.kind === 'cloud'
        ? nothing
        : html`<div class="field">
            <label for="f-negative">${t('field.negative_prompt')}</label>
            <textarea id="f-negative" rows="1" maxlength="10000" .value=${state.negative_prompt}
              placeholder=${t('draw.negative-hint')} @input=${(/** @type {any} */ event) => draft.set({ negative_prompt: event.target.value })}></textarea>
          </div>`}
      <div class="field">
        <label for="f-style">${t('draw.style')}</label>
        <select id="f-style" @change=${(/** @type {any} */ event) => draft.set({ style: event.target.value })}>
          <option value="" ?selected=${!state.style}>${t('draw.no-style')}</option>
          ${Object.keys(STYLES).map((name) => html`<option value=${name} ?selected=${state.style === name}>${t(`style.${name}`)}</option>`)}
        </select>
      </div>`;
  }

  /** @param {catalogue.Model} model */
  #model(model) {
    const models = catalogue.all();
    return html`<div class="field">
      <label for="f-model">${t('field.model')}</label>
      <select id="f-model" aria-describedby="f-model-hint" @change=${(/** @type {any} */ event) => draft.set({ model: event.target.value })}>
        ${models.map((each) => html`<option value=${each.id} ?selected=${each === model}>${each.name}</option>`)}
      </select>
      <p class="hint" id="f-model-hint">${model.description}</p>
      ${model.facts.length ? html`<p class="facts">${model.facts.map((each) => html`<span>${each}</span>`)}</p>` : nothing}
    </div>`;
  }

  /** @param {catalogue.Model} model */
  #size(model) {
    if (!model.size) return nothing;
    const { multiple, max } = model.size;
    const width = draft.value('width', model.size.width);
    const height = draft.value('height', model.size.height);
    /** @type {(name: string, most: number) => catalogue.Field} */
    const side = (name, most) => ({ name, type: 'integer', minimum: multiple, maximum: most, step: multiple });
    return html`<fieldset class="field">
      <legend>${t('draw.size')}</legend>
      <div class="row wrap">
        ${catalogue.shapes(model).map(
          (shape) => html`<button type="button" class="chip" aria-pressed=${shape.width === width && shape.height === height}
            title="${shape.width}×${shape.height}" @click=${() => draft.setValues({ width: shape.width, height: shape.height })}>
            ${shape.name}
          </button>`,
        )}
      </div>
      <div class="pair">
        ${field(side('width', max[0]), width, (value) => draft.setValues({ width: Math.round(value / multiple) * multiple }))}
        ${field(side('height', max[1]), height, (value) => draft.setValues({ height: Math.round(value / multiple) * multiple }))}
      </div>
    </fieldset>`;
  }

  /** @param {import('./draft.js').State} state */
  #count(state) {
    /** @type {catalogue.Field} */
    const count = { name: 'num_images', type: 'integer', minimum: 1, maximum: MOST_IMAGES };
    return field(count, state.num_images, (value) => draft.set({ num_images: value }));
  }

  /** @param {import('./draft.js').State} state */
  #source(state) {
    /** @type {catalogue.Field} */
    const strength = { name: 'strength', type: 'number', minimum: 0.05, maximum: 1, step: 0.05, text: t('draw.strength-hint') };
    return html`<fieldset class="field">
      <legend>${t('field.init_image')}</legend>
      <vc-source name="source" label=${t('field.init_image')} .source=${state.source}
        @chosen=${(/** @type {any} */ event) => draft.set({ source: event.detail, mask: '' })}></vc-source>
      ${state.source ? field(strength, state.strength, (value) => draft.set({ strength: value })) : nothing}
    </fieldset>`;
  }

  #bar() {
    const live = feed.jobs.get(this.stage?.current ?? '');
    const busy = live && !ended(live) ? live : undefined;
    return html`<div class="bar">
      ${busy
        ? html`<div class="bar-progress">
            <progress max="1" .value=${share(busy)} aria-hidden="true"></progress>
            <span>${standing(busy)}</span>
            <button type="button" class="quiet" @click=${() => cancel(busy)}>${icon('stop')}${t('cancel')}</button>
          </div>`
        : nothing}
      <button class="primary" ?disabled=${this.sending} aria-keyshortcuts="Control+Enter">${icon('spark')}${t('draw.go')}</button>
    </div>`;
  }

  /** @param {Event} event */
  #submitted(event) {
    event.preventDefault();
    this.#draw();
  }

  async #draw() {
    if (this.sending) return;
    this.sending = true;
    const job = await attempt(() => ask('/jobs', { method: 'POST', body: draft.request() }));
    this.sending = false;
    if (!job) return;
    feed.take(job);
    this.stage.look(job.id);
    say(t('said.queued'));
    if (matchMedia('(max-width: 60rem)').matches) this.stage.scrollIntoView({ block: 'start' });
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (!this.active || event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    /** @type {HTMLFormElement | null} */ (this.querySelector('form.ask'))?.requestSubmit();
  }

  /** @param {ClipboardEvent} event */
  #pasted(event) {
    const file = fileIn(event.clipboardData);
    if (this.active && file) this.#start(file);
  }

  /** @param {DragEvent} event */
  #dropped(event) {
    event.preventDefault();
    const file = fileIn(event.dataTransfer);
    if (file) this.#start(file);
  }

  /** Start from a file, where the model can. @param {File} file */
  #start(file) {
    /** @type {any} */
    const part = this.querySelector('vc-source[name=source]');
    if (part) part.take(file);
    else say(t('source.not-taken', { model: draft.model.name }), { note: true, kind: 'error' });
  }
}
customElements.define('vc-draw', DrawView);
