// @ts-check
/** Which view the address asks for, and its search: an address can be sent to somebody, and Back goes back. */

export const VIEWS = ['draw', 'watch', 'gallery', 'manage'];

const PAGE = new URL('./', document.baseURI);

/** @returns {{view: string, query: URLSearchParams}} */
export function where() {
  const last = location.pathname.slice(PAGE.pathname.length);
  return { view: VIEWS.includes(last) ? last : 'draw', query: new URLSearchParams(location.search) };
}

/**
 * The address of a view.
 * @param {string} view
 * @param {URLSearchParams | Record<string, string>} [query]
 */
export function to(view, query = {}) {
  const url = new URL(view === 'draw' ? './' : view, PAGE);
  url.search = new URLSearchParams(query).toString();
  return url.href;
}

/**
 * Go to an address of the page.
 * @param {string} href
 * @param {{replace?: boolean}} [options] in place of where one is, which Back does not come to then
 */
export function go(href, { replace = false } = {}) {
  if (replace) history.replaceState(history.state, '', href);
  else history.pushState({ here: true }, '', href);
  window.dispatchEvent(new Event('vc-route'));
}

/** Back to where one was on this page; to `otherwise` where one came from elsewhere. @param {string} otherwise */
export function back(otherwise) {
  if (history.state?.here) history.back();
  else go(otherwise, { replace: true });
}

window.addEventListener('popstate', () => window.dispatchEvent(new Event('vc-route')));
