// One answer of the daemon, read again when the stream says that it has changed.

import { untrack } from "svelte";
import type { Change } from "../api/events";
import { asProblem, type Problem } from "../api/problem";
import { app } from "./app.svelte";

export class Resource<T> {
  value = $state.raw<T | undefined>(undefined);
  problem = $state.raw<Problem | null>(null);
  loading = $state(false);
  #load: (signal: AbortSignal) => Promise<T>;
  #concerns: (change: Change) => boolean;
  #pause: number;
  #stop = new AbortController();
  #wanted = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastEnd = 0;

  /** `concerns`: changes after which it is read again, at most every `pause` milliseconds. */
  constructor(load: (signal: AbortSignal) => Promise<T>, concerns: (change: Change) => boolean, pause = 1000) {
    this.#load = load;
    this.#concerns = concerns;
    this.#pause = pause;
  }

  /** Reads and follows it until what is returned is called: the body of an `$effect`. */
  follow(): () => void {
    this.#stop = new AbortController();
    const leave = app.listen((changes) => {
      if (changes.some((c) => c.type === "reset" || this.#concerns(c))) this.#soon();
    });
    // What it reads at first is no reason to begin again: whoever follows names the reasons.
    untrack(() => void this.refresh());
    return () => {
      leave();
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#stop.abort();
    };
  }

  #soon(): void {
    if (this.loading) this.#wanted = true;
    else this.#timer ??= setTimeout(() => void this.refresh(), Math.max(30, this.#lastEnd + this.#pause - Date.now()));
  }

  /** Reads it now. */
  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { signal } = this.#stop;
    this.loading = true;
    this.#wanted = false;
    try {
      const value = await this.#load(signal);
      if (signal.aborted) return;
      this.value = value;
      this.problem = null;
    } catch (thrown) {
      if (signal.aborted) return;
      this.problem = asProblem(thrown);
    }
    this.loading = false;
    this.#lastEnd = Date.now();
    if (this.#wanted) this.#soon();
  }
}
