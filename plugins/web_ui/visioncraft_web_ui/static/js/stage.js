// @ts-check
/** The job that is looked at: its preview and progress while it is drawn, then its images. And those before it. */
import { ApiError, ask } from './api.js';
import { ended, feed } from './feed.js';
import { has, lasting, t } from './i18n.js';
import { icon } from './icons.js';
import { alternative, full, small } from './images.js';
import { keep, recall } from './memory.js';
import { to } from './router.js';
import { Part, attempt, html, nothing, problem } from './view.js';

/** @typedef {import('./feed.js').Job} Job */

const SHOWN_BEFORE = 24;

/** Where a job stands, in a few words. @param {Job} job */
export function standing(job) {
  if (job.status === 'queued') return job.position > 1 ? t('job.waits', { n: job.position }) : t('job.next');
  if (job.status !== 'running') return t(`job.${job.status}`);
  if (!job.steps || !job.step) return has(`stage.${job.stage}`) ? t(`stage.${job.stage}`) : job.stage;
  const step = t('job.step', { step: job.step, steps: job.steps });
  return job.eta_s ? `${step} · ${t('job.left', { time: lasting(job.eta_s) })}` : step;
}

/** Cancel a job, whether it waits or is drawn. @param {Job} job */
export const cancel = (job) =>
  attempt(async () => feed.take(await ask(`/jobs/${job.id}`, { method: 'DELETE' })));

/** How much of a job is done, 0 to 1. @param {Job} job */
export const share = (job) => (job.steps ? job.step / job.steps : 0);

export class StagePart extends Part {
  static properties = { current: { state: true } };

  constructor() {
    super();
    this.current = recall('current', '');
  }

  connectedCallback() {
    super.connectedCallback();
    this.on(feed, 'job', () => this.requestUpdate());
    this.on(feed, 'state', () => this.requestUpdate());
  }

  /** Look at a job. @param {string} id */
  look(id) {
    this.current = id;
    keep('current', id);
  }

  render() {
    const job = feed.jobs.get(this.current);
    return html`<section class="stage" aria-label=${t('stage.title')}>
        ${job ? this.#job(job) : this.#empty()}
      </section>
      ${this.#before()}`;
  }

  #empty() {
    return html`<div class="empty">
      ${icon('spark')}
      <p class="lead">${t('stage.empty')}</p>
      <p class="hint">${t('stage.empty-hint')}</p>
      <div class="row wrap centre">
        ${['draw.example-1', 'draw.example-2', 'draw.example-3'].map(
          (key) => html`<button type="button" class="chip" @click=${() => this.#example(t(key))}>${t(key)}</button>`,
        )}
      </div>
    </div>`;
  }

  /** @param {string} prompt */
  #example(prompt) {
    this.dispatchEvent(new CustomEvent('example', { detail: prompt, bubbles: true }));
  }

  /** @param {Job} job */
  #job(job) {
    if (!ended(job)) return this.#drawn(job);
    if (job.status === 'succeeded') return this.#done(job);
    const told = job.error ? problem(new ApiError(500, job.error)) : '';
    return html`<div class="empty">
      <p class="lead">${t(`job.${job.status}`)}</p>
      ${job.status === 'failed' ? html`<p class="trouble">${told}</p>` : nothing}
    </div>`;
  }

  /** @param {Job} job */
  #drawn(job) {
    const { width, height } = job.parameters ?? {};
    return html`<div class="canvas">
        ${job.preview
          ? html`<img class="preview" src=${job.preview} alt=${t('stage.preview')} width=${width} height=${height} />`
          : html`<svg class="preview blank" viewBox="0 0 ${width ?? 1} ${height ?? 1}" width=${width ?? 512} aria-hidden="true"></svg>`}
      </div>
      <div class="progress">
        <progress max="1" .value=${share(job)} aria-label=${t('stage.progress')}></progress>
        <p>${standing(job)}${feed.trouble ? html`<br /><span class="trouble">${feed.trouble}</span>` : nothing}</p>
        <button type="button" class="quiet" @click=${() => cancel(job)}>${icon('stop')}${t('cancel')}</button>
      </div>`;
  }

  /** @param {Job} job */
  #done(job) {
    const images = job.images ?? (job.image ? [job.image] : []);
    return html`<div class="canvas ${images.length > 1 ? 'several' : ''}">
        ${images.map(
          (/** @type {any} */ entry) => html`<a href=${to('gallery', { image: entry.id })} class="result">
            <img src=${full(entry)} alt=${alternative(entry)} width=${entry.width} height=${entry.height} />
          </a>`,
        )}
      </div>
      ${job.warnings?.length
        ? html`<ul class="warnings">${job.warnings.map((/** @type {string} */ each) => html`<li>${each}</li>`)}</ul>`
        : nothing}
      ${images.length === 1 ? this.#actions(images[0]) : nothing}`;
  }

  /** @param {any} entry */
  #actions(entry) {
    return html`<div class="row wrap centre">
      <a class="button quiet" href=${full(entry)} download=${entry.filename}>${icon('download')}${t('download')}</a>
      <button type="button" class="quiet" @click=${() => this.#tell('seed', entry)}>${icon('lock')}${t('stage.keep-seed')}</button>
      <button type="button" class="quiet" @click=${() => this.#tell('source', entry)}>${icon('image')}${t('stage.start-from')}</button>
    </div>`;
  }

  /** @param {string} name @param {any} entry */
  #tell(name, entry) {
    this.dispatchEvent(new CustomEvent(name, { detail: entry, bubbles: true }));
  }

  #before() {
    const jobs = feed.list().filter((job) => !ended(job) || job.image).slice(0, SHOWN_BEFORE);
    if (!jobs.length) return nothing;
    return html`<section class="before" aria-label=${t('stage.before')}>
      <h2>${t('stage.before')}</h2>
      <div class="strip">
        ${jobs.map(
          (job) => html`<button type="button" class="thumb" aria-current=${job.id === this.current ? 'true' : nothing}
            @click=${() => this.look(job.id)} title=${job.parameters?.prompt ?? ''}>
            ${job.image
              ? html`<img src=${small(job.image)} alt=${alternative(job.image)} loading="lazy" width="88" height="88" />`
              : html`<span class="waiting">${Math.round(share(job) * 100)} %<span class="unseen">${standing(job)}</span></span>`}
          </button>`,
        )}
      </div>
    </section>`;
  }
}
customElements.define('vc-stage', StagePart);
