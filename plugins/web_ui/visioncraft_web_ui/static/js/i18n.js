// @ts-check
/** The page's words in the reader's language: one JSON file of messages for each. */
import { keep, recall } from './memory.js';

/** Languages that there are messages for; add yours here, and its file beside the others. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' };

/** @type {Record<string, string>} */
let messages = {};
let language = 'en';

/** Load the messages of the language that was chosen, or of the first one that the browser prefers. */
export async function begin() {
  language = recall('language', '') || preferred();
  const english = await load('en');
  messages = language === 'en' ? english : { ...english, ...(await load(language)) };
  document.documentElement.lang = language;
}

function preferred() {
  const wanted = navigator.languages.map((each) => each.slice(0, 2));
  return wanted.find((each) => each in LANGUAGES) ?? 'en';
}

/** @param {string} code */
async function load(code) {
  return (await fetch(new URL(`../messages/${code}.json`, import.meta.url))).json();
}

export const current = () => language;

/** @param {string} code */
export async function choose(code) {
  keep('language', code);
  await begin();
  window.dispatchEvent(new Event('vc-language'));
}

/**
 * A message. `{name}` in it is filled in; with `n` given, the message of that plural form is taken where there is one.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const form = 'n' in values ? `${key}.${new Intl.PluralRules(language).select(Number(values.n))}` : key;
  const message = messages[form] ?? messages[key] ?? key;
  return message.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === 'number' ? number(value) : value;
  });
}

/** Whether there is a message of this name. @param {string} key */
export const has = (key) => key in messages;

/** @param {number} value @param {number} [digits] */
export const number = (value, digits = 2) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);

/** @param {string} moment ISO 8601 */
export const when = (moment) =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(moment));

/** @param {string} moment ISO 8601 */
export const month = (moment) =>
  new Intl.DateTimeFormat(language, { year: 'numeric', month: 'short' }).format(new Date(moment));

/** @param {number} seconds */
export function lasting(seconds) {
  if (seconds < 60) return t('time.seconds', { n: Math.max(1, Math.round(seconds)) });
  return t('time.minutes', { n: Math.round(seconds / 60) });
}
