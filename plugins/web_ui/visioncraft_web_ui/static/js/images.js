// @ts-check
/** Images as entries of the gallery tell of them, and files that a person hands over. */
import { ROOT } from './api.js';

/** @typedef {Record<string, any> & {id: string, url: string, thumbnail_url: string, prompt: string}} Entry */

/** The address of an image. @param {Entry} entry */
export const full = (entry) => new URL(entry.url, ROOT).href;

/** @param {Entry} entry */
export const small = (entry) => new URL(entry.thumbnail_url, ROOT).href;

/** What stands in place of an image for those who do not see it. @param {Entry} entry */
export const alternative = (entry) => entry.prompt || entry.filename || entry.id;

/** An image of the gallery, to start from. @param {Entry} entry @returns {import('./draft.js').Source} */
export const sourceOf = (entry) => ({ value: entry.id, url: full(entry), width: entry.width, height: entry.height });

/**
 * A file to start from, as it is sent.
 * @param {Blob} file
 * @returns {Promise<import('./draft.js').Source>}
 */
export async function read(file) {
  const value = await asDataUrl(file);
  const image = new Image();
  image.src = value;
  await image.decode();
  return { value, url: value, width: image.naturalWidth, height: image.naturalHeight };
}

/** @param {Blob} file @returns {Promise<string>} */
function asDataUrl(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
}

/** The image file among what was dropped or pasted. @param {DataTransfer | null} data */
export const fileIn = (data) => [...(data?.files ?? [])].find((file) => file.type.startsWith('image/'));
