// @ts-check
/** What the page remembers in this browser. A browser that keeps nothing loses nothing but that. */

const PREFIX = 'visioncraft.';

/**
 * @template T
 * @param {string} name
 * @param {T} otherwise what is answered where nothing is kept
 * @returns {T}
 */
export function recall(name, otherwise) {
  try {
    const kept = localStorage.getItem(PREFIX + name);
    return kept === null ? otherwise : JSON.parse(kept);
  } catch {
    return otherwise;
  }
}

/**
 * @param {string} name
 * @param {unknown} value undefined forgets it
 */
export function keep(name, value) {
  try {
    if (value === undefined) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // A full or forbidden storage: the page works without.
  }
}
