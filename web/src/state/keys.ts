// Keys that work on every page. Pages and tables add theirs by `onKey`.

import { router } from "../router.svelte";

export const KEYS: [string, string][] = [
  ["/", "search"],
  ["g s", "studies"],
  ["g c", "the cluster"],
  ["g n", "a new study"],
  ["j k", "down and up in a table or list"],
  ["Enter", "open the marked row"],
  ["x", "select the marked row, to compare"],
  ["?", "these keys"],
  ["Esc", "close, or leave a field"],
];

const listeners = new Set<(key: string) => boolean | void>();
let before = "";

/** Calls `took` with keys that no field is waiting for, until what is returned is called; true: nobody else gets it. */
export function onKey(took: (key: string) => boolean | void): () => void {
  listeners.add(took);
  return () => listeners.delete(took);
}

/** Whether a key belongs to the field that has the focus. */
function typing(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return !!target?.closest("input, textarea, select, [contenteditable], dialog[open]");
}

export function startKeys(help: () => void): () => void {
  const pressed = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event)) {
      if (event.key === "Escape" && !(event.target as HTMLElement).closest("dialog"))
        (event.target as HTMLElement).blur();
      return;
    }
    const chord = before === "g" ? `g ${event.key}` : event.key;
    before = event.key === "g" ? "g" : "";
    const to = { "g s": "/", "g c": "/cluster", "g n": "/new" }[chord];
    if (to) router.go(to);
    else if (chord === "?") help();
    else if (chord === "/") document.querySelector<HTMLInputElement>("[data-search]")?.focus();
    else if (![...listeners].reverse().some((took) => took(event.key))) return;
    event.preventDefault();
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
