// @ts-check
/** The page's icons: drawings of `icons.svg`, hidden from those who listen. */
import { html } from './view.js';

/** @param {string} name */
export const icon = (name) => html`<svg class="icon" aria-hidden="true"><use href="icons.svg#${name}"></use></svg>`;
