// What every page shares: the stream of changes, the theme, and the passing of time.

import { Live, type Change, type Link } from "../api/events";
import { onRefused } from "../api/client";
import { look } from "../charts/look";
import { forgetToken, keepToken, onTokenChange, readToken } from "../api/token";

export type Theme = "system" | "light" | "dark";
const THEME = "metaopt.theme";
const dark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");

class App {
  signedIn = $state(false);
  /** Why the sign-in page is shown, where a token was refused. */
  refused = $state(false);
  link = $state<Link>("connecting");
  /** Milliseconds, a second old at most. */
  now = $state(Date.now());
  theme = $state<Theme>("system");
  #systemDark = $state(dark?.matches ?? false);
  dark = $derived(this.theme === "dark" || (this.theme === "system" && this.#systemDark));
  /** Colours of charts. */
  look = $derived(look(this.dark));
  #live: Live | null = null;
  #listeners = new Set<(changes: Change[]) => void>();

  start(): void {
    const theme = localStorage.getItem(THEME);
    if (theme === "light" || theme === "dark") this.theme = theme;
    dark?.addEventListener("change", () => (this.#systemDark = dark.matches));
    setInterval(() => (this.now = Date.now()), 1000);
    onRefused(() => this.#refuse());
    onTokenChange(() => (readToken() ? this.#open() : this.signOut()));
    if (readToken()) this.#open();
  }

  /** Goes on with a token that was typed. */
  signIn(token: string): void {
    keepToken(token);
    this.#open();
  }

  /** Begins anew with the token that is kept. */
  reopen(): void {
    this.#open();
  }

  signOut(): void {
    forgetToken();
    this.#close();
    this.refused = false;
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    if (theme === "system") localStorage.removeItem(THEME);
    else localStorage.setItem(THEME, theme);
  }

  /** Calls `took` with every batch of changes, until what is returned is called. */
  listen(took: (changes: Change[]) => void): () => void {
    this.#listeners.add(took);
    return () => this.#listeners.delete(took);
  }

  #open(): void {
    this.#close();
    this.refused = false;
    this.signedIn = true;
    this.link = "connecting";
    this.#live = new Live((link) => {
      const back = link === "live" && this.link === "away";
      this.link = link;
      if (link === "refused") this.#refuse();
      // What was asked for while the daemon was away got no answer.
      if (back) this.#give([{ type: "reset", study_id: null, trial_id: null, data: null }]);
    });
    this.#live.listen((changes) => this.#give(changes));
    this.#live.start();
  }

  #give(changes: Change[]): void {
    for (const took of this.#listeners) took(changes);
  }

  #close(): void {
    this.#live?.stop();
    this.#live = null;
    this.signedIn = false;
  }

  #refuse(): void {
    this.#close();
    this.refused = true;
  }
}

export const app = new App();
