// @ts-check
/** Logging in: the token, typed or pasted, becomes a cookie that no script can read. */
import { ApiError, ask } from './api.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { Part, html, nothing, problem } from './view.js';

export class LoginView extends Part {
  static properties = { trouble: { state: true }, sending: { state: true } };

  constructor() {
    super();
    this.trouble = '';
    this.sending = false;
  }

  firstUpdated() {
    this.querySelector('input')?.focus();
  }

  render() {
    return html`<main class="login" id="main">
      <form class="card" @submit=${this.#submitted}>
        <img src="icon.svg" alt="" width="48" height="48" />
        <h1>${t('login.title')}</h1>
        <p class="hint" id="token-hint">${t('login.hint')}</p>
        <input class="unseen" name="username" autocomplete="username" value="visioncraft" tabindex="-1" aria-hidden="true" readonly />
        <div class="field">
          <label for="token">${t('login.token')}</label>
          <input id="token" type="password" required autocomplete="current-password" spellcheck="false"
            aria-describedby="token-hint token-trouble" aria-invalid=${this.trouble ? 'true' : nothing} />
          <p class="trouble" id="token-trouble" role="alert">${this.trouble}</p>
        </div>
        <button class="primary" ?disabled=${this.sending}>${icon('check')}${t('login.go')}</button>
      </form>
    </main>`;
  }

  /** @param {Event} event */
  async #submitted(event) {
    event.preventDefault();
    const input = /** @type {HTMLInputElement} */ (this.querySelector('#token'));
    this.sending = true;
    try {
      await ask('/session', { method: 'POST', headers: { Authorization: `Bearer ${input.value.trim()}` } });
      this.trouble = '';
      this.dispatchEvent(new Event('logged-in', { bubbles: true }));
    } catch (error) {
      const wrong = error instanceof ApiError && error.status === 401;
      this.trouble = wrong ? t('login.wrong') : problem(error);
      input.select();
    } finally {
      this.sending = false;
    }
  }
}
customElements.define('vc-login', LoginView);
