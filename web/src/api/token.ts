// The node's token: it comes once in the address's fragment, and is kept by the browser for this origin.

const KEY = "metaopt.token";

/** The token in a fragment such as `#token=mo_…`, or null. */
export function tokenIn(fragment: string): string | null {
  return new URLSearchParams(fragment.replace(/^#/, "")).get("token") || null;
}

/** Takes a token out of the address, so that it is neither shown, bookmarked nor sent on; whether there was one. */
export function adoptToken(): boolean {
  const token = tokenIn(location.hash);
  if (!token) return false;
  keepToken(token);
  history.replaceState(history.state, "", location.pathname + location.search);
  return true;
}

/** The token, or null before signing in. */
export function readToken(): string | null {
  return localStorage.getItem(KEY);
}

/** Keeps a token; other tabs hear of it by their `storage` event. */
export function keepToken(token: string): void {
  localStorage.setItem(KEY, token.trim());
}

/** Forgets the token of this origin. */
export function forgetToken(): void {
  localStorage.removeItem(KEY);
}

/** Calls `changed` when another tab signs in or out. */
export function onTokenChange(changed: () => void): void {
  addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) changed();
  });
}
