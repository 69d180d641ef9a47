// @ts-check
/** What is to be drawn, as it stands in the form. It survives a reload. */
import { find } from './catalogue.js';
import { keep, recall } from './memory.js';

/**
 * @typedef {object} Source an image to start from
 * @property {string} value what is sent: an id of the gallery, or a data URL
 * @property {string} url where it is to be seen
 * @property {number} [width]
 * @property {number} [height]
 *
 * @typedef {object} State
 * @property {string} model
 * @property {string} prompt
 * @property {string} negative_prompt
 * @property {string} style a name of `STYLES`, or nothing
 * @property {number} seed
 * @property {boolean} locked whether the seed stays
 * @property {number} num_images
 * @property {Record<string, Record<string, any>>} values what differs from the model's defaults, by model
 * @property {Source | null} source
 * @property {number} strength
 * @property {string} mask a data URL, or nothing
 * @property {{name: string, weight: number}[]} loras
 * @property {{name: string, scale: number, image: Source | null}} controlnet
 * @property {{on: boolean, scale: number, strength: number, upscaler: string}} hires
 * @property {{name: string, factor: number}} upscale
 * @property {number} clip_skip 0 for the model's own
 */

/** Words that a style adds behind the prompt. */
export const STYLES = {
  photo: 'photograph, natural light, sharp focus, high detail',
  film: 'cinematic film still, dramatic light, shallow depth of field',
  watercolour: 'watercolour painting, soft edges, paper texture',
  oil: 'oil painting, visible brush strokes, rich colours',
  ink: 'ink drawing, clean black lines, white background',
  comic: 'comic book illustration, bold outlines, flat colours',
  render: '3d render, soft studio light, smooth materials',
  pixel: 'pixel art, limited palette, crisp pixels',
};

const SEEDS = 2 ** 32;
const LONGEST_KEPT = 1_500_000; // characters; a browser keeps about 5 million in all

/** @returns {State} */
const fresh = () => ({
  model: '',
  prompt: '',
  negative_prompt: '',
  style: '',
  seed: 0,
  locked: false,
  num_images: 1,
  values: {},
  source: null,
  strength: 0.7,
  mask: '',
  loras: [],
  controlnet: { name: '', scale: 1, image: null },
  hires: { on: false, scale: 2, strength: 0.6, upscaler: '' },
  upscale: { name: '', factor: 2 },
  clip_skip: 0,
});

class Draft extends EventTarget {
  /** @type {State} */
  state = { ...fresh(), ...recall('draft', {}) };
  #timer = 0;

  constructor() {
    super();
    window.addEventListener('pagehide', () => this.#keep());
  }

  get model() {
    return find(this.state.model);
  }

  /** @param {Partial<State>} patch */
  set(patch) {
    this.state = { ...this.state, ...patch };
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#keep(), 200);
    this.dispatchEvent(new Event('change'));
  }

  clear() {
    this.set({ ...fresh(), model: this.state.model });
  }

  /** A field's value: what was typed, else the model's default. @param {string} name @param {any} otherwise */
  value(name, otherwise) {
    return this.state.values[this.model?.id]?.[name] ?? otherwise;
  }

  /** @param {Record<string, any>} values by the fields' names; undefined is the model's default again */
  setValues(values) {
    const { id } = this.model;
    this.set({ values: { ...this.state.values, [id]: { ...this.state.values[id], ...values } } });
  }

  /** A seed for the next image, which is kept in the form so that it can be seen and locked. */
  draw() {
    if (!this.state.locked) this.set({ seed: Math.floor(Math.random() * SEEDS) });
    return this.state.seed;
  }

  /** What `POST /jobs` is sent. */
  request() {
    const { state, model } = this;
    /** @type {Record<string, any>} */
    const sent = { model: model.id, prompt: state.prompt, seed: this.draw() };
    if (state.style) sent.prompt += `, ${STYLES[/** @type {keyof typeof STYLES} */ (state.style)]}`;
    if (state.negative_prompt && model.kind === 'local') sent.negative_prompt = state.negative_prompt;
    if (state.num_images > 1) sent.num_images = state.num_images;
    for (const { name } of [...model.fields, ...(model.size ? [{ name: 'width' }, { name: 'height' }] : [])]) {
      const value = this.value(name, undefined);
      if (value !== undefined && value !== '') sent[name] = value;
    }
    return { ...sent, ...this.#abilities() };
  }

  #abilities() {
    const { state, model } = this;
    const can = (/** @type {string} */ name) => model.abilities.has(name);
    /** @type {Record<string, any>} */
    const sent = {};
    if (state.source && can('init_image')) {
      sent.init_image = state.source.value;
      sent.strength = state.strength;
      if (state.mask && can('mask')) sent.mask = state.mask;
    }
    if (can('loras') && state.loras.some((each) => each.name)) sent.loras = state.loras.filter((each) => each.name);
    const { controlnet, hires, upscale } = state;
    if (can('controlnet') && controlnet.name && controlnet.image) {
      sent.controlnet = { name: controlnet.name, scale: controlnet.scale, image: controlnet.image.value };
    }
    if (can('hires') && hires.on) {
      sent.hires = { scale: hires.scale, strength: hires.strength, ...(hires.upscaler ? { upscaler: hires.upscaler } : {}) };
    }
    if (can('upscaler') && upscale.name) Object.assign(sent, { upscaler: upscale.name, upscale: upscale.factor });
    if (can('clip_skip') && state.clip_skip) sent.clip_skip = state.clip_skip;
    return sent;
  }

  #keep() {
    const kept = { ...this.state };
    if (JSON.stringify(kept).length > LONGEST_KEPT) Object.assign(kept, { source: null, mask: '', controlnet: fresh().controlnet });
    keep('draft', kept);
  }
}

export const draft = new Draft();
