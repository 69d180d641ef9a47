// @ts-check
/** What all parts of the page have in common. */
import { LitElement, html, nothing } from 'lit';
import { ApiError } from './api.js';
import { has, t } from './i18n.js';

export { html, nothing };

/** An element in the page's own document: one stylesheet serves all, and labels reach everywhere. */
export class Part extends LitElement {
  createRenderRoot() {
    return this;
  }

  connectedCallback() {
    super.connectedCallback();
    /** @type {AbortController} ends everything that `on` began */
    this.gone = new AbortController();
    this.on(window, 'vc-language', () => this.requestUpdate());
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.gone.abort();
  }

  /**
   * Listen for as long as this is in the page.
   * @param {EventTarget} target
   * @param {string} name
   * @param {(event: any) => void} heard
   */
  on(target, name, heard) {
    target.addEventListener(name, heard, { signal: this.gone.signal });
  }
}

/** Tell everybody, those who cannot see too: one polite line, and a note that goes by itself.
 * @param {string} text
 * @param {{note?: boolean, action?: {label: string, run: () => void}, kind?: string}} [options]
 */
export function say(text, options = {}) {
  window.dispatchEvent(new CustomEvent('vc-say', { detail: { text, ...options } }));
}

/** What to tell of a failure. @param {unknown} error */
export function problem(error) {
  if (!(error instanceof ApiError)) return String(error);
  if (error.code === 'UNREACHABLE') return t('error.unreachable');
  const more = [error.details.issue, error.details.suggestion, error.details.api_error].filter(Boolean);
  const field = error.details.field;
  const name = field && has(`field.${field}`) ? `${t(`field.${field}`)}: ` : '';
  return [name + error.message, ...more].join('. ').replaceAll('..', '.');
}

/** Do something, and tell what went wrong. @param {() => Promise<any>} work */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    say(problem(error), { note: true, kind: 'error' });
    return undefined;
  }
}

/** Hand a file to the person. @param {Blob | string} what @param {string} name */
export function download(what, name) {
  const link = document.createElement('a');
  link.href = typeof what === 'string' ? what : URL.createObjectURL(what);
  link.download = name;
  link.click();
  if (typeof what !== 'string') setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Copy text, also where the page is not served over TLS. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  say(t('said.copied'), { note: true });
}
