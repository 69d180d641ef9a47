// @ts-check
/** Watch: what is drawn and what waits, of everybody; cancel, pause and go on. */
import { ApiError, ask, changed } from './api.js';
import { ended, feed } from './feed.js';
import { t, when } from './i18n.js';
import { icon } from './icons.js';
import { alternative, small } from './images.js';
import { recall } from './memory.js';
import { to } from './router.js';
import { cancel, share, standing } from './stage.js';
import { Part, attempt, html, nothing, problem } from './view.js';

/** @typedef {import('./feed.js').Job} Job */

const LOOK_MS = 10_000;
const MOST_ENDED = 50;

export class WatchView extends Part {
  static properties = {
    active: { type: Boolean },
    caller: {},
    queue: { state: true },
    mine: { state: true },
  };

  constructor() {
    super();
    this.active = false;
    this.caller = '';
    /** @type {{paused: boolean, trouble: string | null, queued: number, running: number, capacity: number} | null} */
    this.queue = null;
    this.mine = recall('mine', false);
  }

  connectedCallback() {
    super.connectedCallback();
    this.on(feed, 'job', () => this.requestUpdate());
    this.on(feed, 'state', () => this.#look());
    this.on(window, 'vc-queue', () => this.#look());
    this.timer = setInterval(() => this.active && !document.hidden && this.#look(), LOOK_MS);
    this.#look();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  async #look() {
    if (feed.connected) this.queue = await ask('/queue').catch(() => this.queue);
    this.requestUpdate();
  }

  render() {
    const shown = (/** @type {Job} */ job) => !this.mine || job.client === this.caller;
    const live = feed.live().filter(shown);
    const past = feed.list().filter((job) => ended(job) && shown(job)).slice(0, MOST_ENDED);
    return html`<div class="watch">
      ${this.#head()}
      <section aria-labelledby="w-live">
        <h2 id="w-live">${t('watch.live')}</h2>
        ${live.length ? html`<ol class="jobs">${live.map((job) => this.#live(job))}</ol>` : html`<p class="hint">${t('watch.idle')}</p>`}
      </section>
      <section aria-labelledby="w-past">
        <h2 id="w-past">${t('watch.past')}</h2>
        ${past.length ? html`<ul class="jobs">${past.map((job) => this.#past(job))}</ul>` : html`<p class="hint">${t('watch.none')}</p>`}
      </section>
    </div>`;
  }

  #head() {
    const { queue } = this;
    return html`<div class="row wrap spread">
      <div class="row wrap" role="group" aria-label=${t('watch.whose')}>
        <button type="button" class="chip" aria-pressed=${!this.mine} @click=${() => (this.mine = false)}>${t('watch.all')}</button>
        <button type="button" class="chip" aria-pressed=${this.mine} @click=${() => (this.mine = true)}>${t('watch.mine')}</button>
      </div>
      ${queue
        ? html`<div class="row wrap">
            <p class="hint">${t(queue.paused ? 'watch.paused' : 'watch.counts', { running: queue.running, queued: queue.queued })}</p>
            <button type="button" class="quiet" @click=${() => this.#switch(queue.paused ? 'resume' : 'pause')}>
              ${icon(queue.paused ? 'play' : 'pause')}${t(queue.paused ? 'watch.resume' : 'watch.pause')}
            </button>
          </div>`
        : nothing}
    </div>`;
  }

  /** @param {'pause' | 'resume'} what */
  async #switch(what) {
    this.queue = (await attempt(() => ask(`/queue/${what}`, { method: 'POST' }))) ?? this.queue;
    changed('queue');
  }

  /** @param {Job} job */
  #live(job) {
    return html`<li class="job">
      ${job.preview ? html`<img src=${job.preview} alt="" width="72" height="72" />` : html`<span class="no-image" aria-hidden="true">${icon('image')}</span>`}
      <div class="about">
        <p class="words">${job.parameters?.prompt ?? job.id}</p>
        <p class="hint">${job.model ?? ''}${job.client ? html` · ${this.#who(job)}` : nothing}</p>
        <progress max="1" .value=${share(job)} aria-label=${t('stage.progress')}></progress>
        <p class="hint">${standing(job)}</p>
      </div>
      <button type="button" class="quiet" aria-label=${t('watch.cancel', { prompt: job.parameters?.prompt ?? job.id })} @click=${() => cancel(job)}>
        ${icon('stop')}<span>${t('cancel')}</span>
      </button>
    </li>`;
  }

  /** @param {Job} job */
  #who(job) {
    return job.client === this.caller ? t('watch.you') : job.client;
  }

  /** @param {Job} job */
  #past(job) {
    const image = job.image ?? job.images?.[0];
    return html`<li class="job">
      ${image
        ? html`<a href=${to('gallery', { image: image.id })}><img src=${small(image)} alt=${alternative(image)} width="72" height="72" loading="lazy" /></a>`
        : html`<span class="no-image" aria-hidden="true">${icon(job.status === 'cancelled' ? 'stop' : 'close')}</span>`}
      <div class="about">
        <p class="words">${job.parameters?.prompt ?? job.id}</p>
        <p class="hint">${job.model ?? ''}${job.client ? html` · ${this.#who(job)}` : nothing}${job.ended_at ? html` · ${when(job.ended_at)}` : nothing}</p>
        <p class=${job.status === 'failed' ? 'trouble' : 'hint'}>
          ${t(`job.${job.status}`)}${job.status === 'failed' && job.error ? html`: ${problem(new ApiError(500, job.error))}` : nothing}
        </p>
      </div>
    </li>`;
  }
}
customElements.define('vc-watch', WatchView);
