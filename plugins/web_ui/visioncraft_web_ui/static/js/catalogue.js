// @ts-check
/** The models that can draw, and the fields of a request to each, as `GET /models` describes them. */
import { ask } from './api.js';
import { has, t } from './i18n.js';

/**
 * @typedef {object} Field a field of a request
 * @property {string} name
 * @property {'integer' | 'number' | 'string' | 'boolean'} type
 * @property {any} [default]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [step]
 * @property {{value: any, label: string, text?: string}[]} [choices]
 * @property {string} [text] what it does
 *
 * @typedef {object} Model
 * @property {string} id
 * @property {string} name
 * @property {'local' | 'cloud'} kind
 * @property {string} description
 * @property {string[]} facts short words about it
 * @property {Set<string>} abilities
 * @property {Field[]} fields in the order in which they are shown
 * @property {{width: number, height: number, multiple: number, max: [number, number]} | null} size
 */

/** What a cloud's catalogue calls its lists, and the request's field of each. */
const LISTS = {
  leonardo_model: 'models',
  aspect_ratio: 'aspect_ratios',
  preset_style: 'preset_styles',
  quality: 'quality_levels',
};

/** @type {Model[]} */
let models = [];

/** Ask for the models anew. */
export async function load() {
  const told = await ask('/models');
  const local = Object.entries(told.local_models).map(([id, each]) => localModel(id, each));
  const cloud = Object.entries(told.cloud_models).map(([id, each]) => cloudModel(id, each));
  models = [...local, ...cloud];
  window.dispatchEvent(new Event('vc-models'));
  return models;
}

export const all = () => models;

/** The model of this name; the first one where there is none. @param {string | undefined} id */
export const find = (id) => models.find((each) => each.id === id) ?? models[0];

/** What people read for a field. @param {Field | string} field */
export function label(field) {
  const name = typeof field === 'string' ? field : field.name;
  if (has(`field.${name}`)) return t(`field.${name}`);
  const words = name.replaceAll('_', ' ');
  return words[0].toUpperCase() + words.slice(1);
}

/**
 * @param {string} id
 * @param {Record<string, any>} told
 * @returns {Model}
 */
function localModel(id, told) {
  const { defaults } = told;
  const [fewest, most] = told.steps;
  const [least, greatest] = told.guidance_scale;
  /** @type {Field[]} */
  const fields = [
    { name: 'num_inference_steps', type: 'integer', minimum: fewest, maximum: most, default: defaults.num_inference_steps },
    { name: 'guidance_scale', type: 'number', minimum: least, maximum: greatest, step: 0.1, default: defaults.guidance_scale },
  ];
  if (told.samplers.length) {
    fields.push({ name: 'sampler', type: 'string', default: defaults.sampler ?? '', choices: samplers(told.samplers, defaults.sampler) });
  }
  for (const [name, schema] of Object.entries(told.parameters)) fields.push(declared(name, schema));
  return {
    id,
    name: told.name,
    kind: 'local',
    description: told.description,
    facts: [told.quality, told.vram_required, told.licence, told.engines.join(', ')].filter(Boolean),
    abilities: new Set(told.abilities),
    fields,
    size: { width: defaults.width, height: defaults.height, multiple: told.size_multiple, max: told.max_resolution },
  };
}

/** @param {string[]} names @param {string | undefined} own */
function samplers(names, own) {
  const listed = names.map((value) => ({ value, label: value }));
  return own ? listed : [{ value: '', label: t('draw.its-own') }, ...listed];
}

/**
 * A parameter that a plugin's model declares: nothing here knows it, and it is shown all the same.
 * @param {string} name
 * @param {Record<string, any>} schema
 * @returns {Field}
 */
function declared(name, schema) {
  const choices = schema.enum?.map((/** @type {any} */ value) => ({ value, label: String(value) }));
  return {
    name,
    type: schema.type,
    text: schema.description,
    default: schema.default,
    minimum: schema.minimum,
    maximum: schema.maximum,
    choices,
  };
}

/**
 * @param {string} id
 * @param {Record<string, any>} told
 * @returns {Model}
 */
function cloudModel(id, told) {
  const fields = Object.entries(LISTS).filter(([, list]) => told[list]).map(([name, list]) => listed(name, told[list]));
  const takes = told.abilities ?? (id === 'leonardo-api' ? ['init_image'] : []);
  return {
    id,
    name: told.name ?? t(`service.${id}`),
    kind: 'cloud',
    description: told.description ?? t('draw.cloud'),
    facts: [],
    abilities: new Set(takes),
    fields,
    size: null,
  };
}

/**
 * @param {string} name
 * @param {Record<string, any>[] | Record<string, any>} list
 * @returns {Field}
 */
function listed(name, list) {
  const entries = Array.isArray(list) ? list.map((each) => [each.id, each]) : Object.entries(list);
  const choices = entries.map(([value, each]) => ({
    value,
    label: each.resolution ? `${each.name} ${value} (${each.resolution.join('×')})` : each.name,
    text: each.description,
  }));
  return { name, type: 'string', choices, default: choices[0]?.value };
}

/**
 * Sizes of common shapes, with about as many pixels as the model's own size and no side past its greatest.
 * @param {Model} model
 */
export function shapes(model) {
  if (!model.size) return [];
  const { width, height, multiple, max } = model.size;
  const fit = (/** @type {number} */ side, /** @type {number} */ most) =>
    Math.min(most - (most % multiple), Math.max(multiple, Math.round(side / multiple) * multiple));
  return ['1:1', '4:3', '3:4', '16:9', '9:16'].map((name) => {
    const [across, down] = name.split(':').map(Number);
    const unit = Math.sqrt((width * height) / (across * down));
    return { name, width: fit(across * unit, max[0]), height: fit(down * unit, max[1]) };
  });
}
