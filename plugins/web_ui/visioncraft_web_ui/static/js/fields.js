// @ts-check
/** How a field of a request is drawn: a slider with a number beside it, a choice, a switch, a line of text. What is
 * being typed is written over by a new value alone, never by what else happens on the page. */
import { live } from 'lit/directives/live.js';
import { label } from './catalogue.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { html, nothing } from './view.js';

/** @typedef {import('./catalogue.js').Field} Field */

/**
 * A field that fits its type.
 * @param {Field} field
 * @param {any} value
 * @param {(value: any) => void} changed
 * @param {string} [prefix] of its id, where a name is on the page twice
 */
export function field(field, value, changed, prefix = 'f') {
  const id = `${prefix}-${field.name}`;
  if (field.choices) return choice(id, field, value, changed);
  if (field.type === 'boolean') return toggle(id, field, value, changed);
  if (field.type === 'string') return line(id, field, value, changed);
  return isBounded(field) ? slider(id, field, value, changed) : figure(id, field, value, changed);
}

/** @param {Field} field */
const isBounded = ({ minimum, maximum }) => minimum !== undefined && maximum !== undefined && maximum - minimum <= 100_000;

/** @param {string} id @param {Field} field */
const hint = (id, { text }) => (text ? html`<p class="hint" id="${id}-hint">${text}</p>` : nothing);

/** @param {string} id @param {Field} field */
const described = (id, field) => (field.text ? `${id}-hint` : nothing);

/**
 * @param {string} id
 * @param {Field} field
 * @param {any} value
 * @param {(value: number) => void} changed
 */
function slider(id, field, value, changed) {
  const { minimum, maximum } = field;
  const step = field.step ?? (field.type === 'integer' ? 1 : fine(field));
  const heard = (/** @type {Event} */ event) => told(event, field, changed);
  const shown = value ?? field.default ?? minimum;
  return html`<div class="field slider">
    <label for=${id}>${label(field)}</label>
    <input type="number" id=${id} inputmode="decimal" min=${minimum} max=${maximum} step=${step} .value=${String(shown)}
      aria-describedby=${described(id, field)} @change=${heard} />
    <input type="range" aria-label=${label(field)} min=${minimum} max=${maximum} step=${step} .value=${String(shown)}
      @input=${heard} />
    ${hint(id, field)}
  </div>`;
}

/** A step that makes a hundred of the range, rounded to a power of ten. @param {Field} field */
function fine({ minimum = 0, maximum = 1 }) {
  return 10 ** Math.floor(Math.log10((maximum - minimum) / 100 || 1));
}

/**
 * @param {Event} event
 * @param {Field} field
 * @param {(value: number) => void} changed
 */
function told(event, { type, minimum = -Infinity, maximum = Infinity }, changed) {
  const input = /** @type {HTMLInputElement} */ (event.target);
  if (input.value === '' || Number.isNaN(input.valueAsNumber)) return;
  const bounded = Math.min(maximum, Math.max(minimum, input.valueAsNumber));
  const value = type === 'integer' ? Math.round(bounded) : bounded;
  if (value !== input.valueAsNumber) input.value = String(value);
  changed(value);
}

/**
 * @param {string} id
 * @param {Field} field
 * @param {any} value
 * @param {(value: any) => void} changed
 */
function figure(id, field, value, changed) {
  const { minimum, maximum } = field;
  return html`<div class="field">
    <label for=${id}>${label(field)}</label>
    <input type="number" id=${id} min=${minimum ?? nothing} max=${maximum ?? nothing} step=${field.type === 'integer' ? 1 : 'any'}
      .value=${String(value ?? field.default ?? '')} aria-describedby=${described(id, field)}
      @change=${(/** @type {Event} */ event) => told(event, field, changed)} />
    ${hint(id, field)}
  </div>`;
}

/**
 * @param {string} id
 * @param {Field} field
 * @param {any} value
 * @param {(value: any) => void} changed
 */
function choice(id, field, value, changed) {
  const choices = field.choices ?? [];
  const chosen = value ?? field.default ?? choices[0]?.value;
  const told = choices.find((each) => each.value === chosen)?.text;
  const heard = (/** @type {any} */ event) => changed(choices[event.target.selectedIndex].value);
  return html`<div class="field">
    <label for=${id}>${label(field)}</label>
    <select id=${id} aria-describedby=${described(id, field)} @change=${heard}>
      ${choices.map((each) => html`<option .selected=${live(each.value === chosen)}>${each.label}</option>`)}
    </select>
    ${told ? html`<p class="hint">${told}</p>` : hint(id, field)}
  </div>`;
}

/**
 * @param {string} id
 * @param {Field} field
 * @param {any} value
 * @param {(value: boolean) => void} changed
 */
function toggle(id, field, value, changed) {
  return html`<div class="field">
    <label class="check" for=${id}>
      <input type="checkbox" id=${id} .checked=${live(Boolean(value ?? field.default))}
        aria-describedby=${described(id, field)} @change=${(/** @type {any} */ event) => changed(event.target.checked)} />
      ${label(field)}
    </label>
    ${hint(id, field)}
  </div>`;
}

/**
 * @param {string} id
 * @param {Field} field
 * @param {any} value
 * @param {(value: string) => void} changed
 */
function line(id, field, value, changed) {
  return html`<div class="field">
    <label for=${id}>${label(field)}</label>
    <input id=${id} .value=${value ?? field.default ?? ''} aria-describedby=${described(id, field)}
      @input=${(/** @type {any} */ event) => changed(event.target.value)} />
    ${hint(id, field)}
  </div>`;
}

/**
 * The seed, with a lock that keeps it for the next image.
 * @param {number} seed
 * @param {boolean} locked
 * @param {(patch: {seed?: number, locked?: boolean}) => void} changed
 */
export function seedField(seed, locked, changed) {
  const typed = (/** @type {any} */ event) => {
    const value = Math.trunc(Number(event.target.value));
    if (event.target.value !== '' && value >= 0 && value < 2 ** 53) changed({ seed: value, locked: true });
  };
  return html`<div class="field">
    <label for="f-seed">${t('field.seed')}</label>
    <div class="row">
      <input type="number" id="f-seed" min="0" step="1" inputmode="numeric" .value=${String(seed)} @change=${typed}
        aria-describedby="f-seed-hint" />
      <button type="button" class="quiet" aria-pressed=${locked} @click=${() => changed({ locked: !locked })}>
        ${icon(locked ? 'lock' : 'dice')}
        ${locked ? t('draw.locked') : t('draw.random')}
      </button>
    </div>
    <p class="hint" id="f-seed-hint">${locked ? t('draw.locked-hint') : t('draw.random-hint')}</p>
  </div>`;
}
