// @ts-check
/** The server's API, asked from its own page: the session's cookie goes along by itself. */

/** Where the server's routes begin, also behind a proxy's prefix: views are one level below the page. */
export const ROOT = new URL('../', document.baseURI);

/** What the server, or the way to it, says of a request that failed. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 where nobody answered
   * @param {{code?: string, message?: string, details?: Record<string, any>}} error
   */
  constructor(status, error) {
    super(error.message || `HTTP ${status}`);
    this.status = status;
    this.code = error.code || 'UNKNOWN';
    this.details = error.details || {};
  }
}

/**
 * The address of a path of the API.
 * @param {string} path as `/gallery`
 * @param {Record<string, any>} [query] what is empty is left out; lists are repeated
 */
export function address(path, query = {}) {
  const url = new URL(path.replace(/^\//, ''), ROOT);
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null && each !== '') url.searchParams.append(name, String(each));
    }
  }
  return url;
}

/**
 * Ask the API; answers the document, or nothing where there is none.
 * @param {string} path
 * @param {{method?: string, query?: Record<string, any>, body?: unknown, headers?: Record<string, string>,
 *   signal?: AbortSignal, keepalive?: boolean}} [options]
 * @returns {Promise<any>}
 */
export async function ask(path, { method = 'GET', query, body, headers = {}, signal, keepalive } = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  if (body !== undefined) headers = { 'Content-Type': 'application/json', ...headers };
  let answer;
  try {
    answer = await fetch(address(path, query), { method, headers, signal, keepalive, ...sent });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, { code: 'UNREACHABLE' });
  }
  const text = await answer.text();
  const document = read(text);
  if (answer.ok) return document;
  const told = document?.error ?? { message: text.slice(0, 300) };
  if (answer.status === 401 && told.details?.token === 'missing') window.dispatchEvent(new Event('vc-logged-out'));
  throw new ApiError(answer.status, told);
}

/** @param {string} text */
function read(text) {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/** Tells this browser's other tabs what changed: `gallery`, `queue`. */
const tabs = 'BroadcastChannel' in window ? new BroadcastChannel('visioncraft') : null;

/**
 * @param {string} what
 * @param {any} [detail]
 */
export function changed(what, detail) {
  window.dispatchEvent(new CustomEvent(`vc-${what}`, { detail }));
  tabs?.postMessage({ what, detail });
}

tabs?.addEventListener('message', ({ data }) => {
  window.dispatchEvent(new CustomEvent(`vc-${data.what}`, { detail: data.detail }));
});
