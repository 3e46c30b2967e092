// Which page the address names. Every view and filter stands in the address, so that each can be linked.

export type Route =
  | { page: "studies" }
  | { page: "new" }
  | { page: "cluster" }
  | { page: "study"; study: string; tab: string }
  | { page: "trial"; trial: string }
  | { page: "nowhere" };

/** The page of a path such as `/studies/ID/trials`. */
export function routeOf(path: string): Route {
  const parts = path.split("/").filter(Boolean).map(decoded);
  const [first, second, third] = parts;
  if (parts.length === 0 || (first === "studies" && parts.length === 1)) return { page: "studies" };
  if (first === "new" && parts.length === 1) return { page: "new" };
  if (first === "cluster" && parts.length === 1) return { page: "cluster" };
  if (first === "studies" && parts.length <= 3) return { page: "study", study: second, tab: third ?? "overview" };
  if (first === "trials" && parts.length === 2) return { page: "trial", trial: second };
  return { page: "nowhere" };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A path of encoded parts. */
export function path(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

class Router {
  path = $state(globalThis.location?.pathname ?? "/");
  search = $state(globalThis.location?.search ?? "");
  route = $derived(routeOf(this.path));
  query = $derived(new URLSearchParams(this.search));

  start(): void {
    addEventListener("popstate", () => this.#read());
    addEventListener("click", (event) => this.#clicked(event));
  }

  /** Shows another page. */
  go(to: string, replace = false): void {
    history[replace ? "replaceState" : "pushState"](null, "", to);
    const before = this.path;
    this.#read();
    if (this.path !== before) scrollTo(0, 0);
  }

  /** Changes parameters of the address, without a new entry in the history; null takes one away. */
  set(changes: Record<string, string | null>): void {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) query.delete(name);
      else query.set(name, value);
    }
    this.setQuery(query);
  }

  /** Replaces all parameters. */
  setQuery(query: URLSearchParams): void {
    const text = query.toString();
    history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
    this.#read();
  }

  #read(): void {
    this.path = location.pathname;
    this.search = location.search;
  }

  #clicked(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin) return;
    if (link.hash && link.pathname === location.pathname) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();
