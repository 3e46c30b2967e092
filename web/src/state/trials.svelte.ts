// All trials of one study, as they come in: the newest first, then the rest page after page, then what changes.

import { untrack } from "svelte";
import { get, type Param, type SomeTrial } from "../api/client";
import type { Change } from "../api/events";
import { asProblem, type Problem } from "../api/problem";
import { app } from "./app.svelte";
import { Columns, FIELDS } from "./columns";

/** More than so many trials aren't kept in a tab; the export has them all. */
export const MOST = 300_000;
const PAGE = 1000;
/** Up to so many changed trials are read one by one, more by the newest of two lists. */
const SINGLY = 12;
const GATHER_MS = 500;

export class Trials {
  columns: Columns;
  /** Rises whenever the columns have changed: what is derived from them reads it first. */
  version = $state(0);
  /** How many are here; while they come, the columns are shown anew only for the first page and the last. */
  arrived = $state(0);
  /** All that there were at the beginning are here. */
  whole = $state(false);
  problem = $state.raw<Problem | null>(null);
  #study: string;
  #stop = new AbortController();
  #changed = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(study: string, space: readonly Param[]) {
    this.#study = study;
    this.columns = new Columns(space);
  }

  /** Reads and follows them until what is returned is called: the body of an `$effect`. */
  follow(): () => void {
    this.#stop = new AbortController();
    const leave = app.listen((changes) => this.#hear(changes));
    untrack(() => void this.#readAll());
    return () => {
      leave();
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#stop.abort();
    };
  }

  async #page(
    query: Record<string, string | number | undefined>,
  ): Promise<{ items: SomeTrial[]; next_cursor?: string | null }> {
    return get("/api/v1/studies/{study}/trials", {
      path: { study: this.#study },
      query: { limit: PAGE, fields: FIELDS, ...query } as never,
      signal: this.#stop.signal,
    });
  }

  async #readAll(): Promise<void> {
    const { signal } = this.#stop;
    this.whole = false;
    try {
      let cursor: string | undefined;
      do {
        const page = await this.#page({ cursor, sort: "-created_at" });
        if (signal.aborted) return;
        page.items.forEach((trial) => this.columns.put(trial));
        cursor = page.next_cursor ?? undefined;
        this.arrived = this.columns.length;
        if (this.version === 0) this.#show();
      } while (cursor && this.columns.length < MOST);
      this.whole = !cursor;
      this.problem = null;
      this.#show();
    } catch (thrown) {
      if (!signal.aborted) this.problem = asProblem(thrown);
    }
  }

  #show(): void {
    this.arrived = this.columns.length;
    this.version++;
  }

  #hear(changes: Change[]): void {
    for (const change of changes) {
      if (change.type === "reset") {
        void this.#readAll();
        return;
      }
      if (change.study_id !== this.#study || !change.trial_id) continue;
      this.#changed.add(change.trial_id);
    }
    if (this.#changed.size) this.#timer ??= setTimeout(() => void this.#catchUp(), this.#pause());
  }

  /** Large studies are sorted and filtered anew less often. */
  #pause(): number {
    return this.columns.length > 20_000 ? 2 * GATHER_MS : GATHER_MS;
  }

  async #catchUp(): Promise<void> {
    const changed = [...this.#changed];
    this.#changed.clear();
    const { signal } = this.#stop;
    try {
      if (changed.length <= SINGLY) await this.#readSingly(changed);
      else await this.#readNewest(changed);
      if (signal.aborted) return;
      this.#show();
    } catch (thrown) {
      if (signal.aborted) return;
      // Read again with the next change, or with the reset after an absence.
      changed.forEach((id) => this.#changed.add(id));
      this.problem = asProblem(thrown);
    }
    this.#timer = undefined;
    if (this.#changed.size && !this.problem) this.#timer = setTimeout(() => void this.#catchUp(), this.#pause());
  }

  async #readSingly(ids: string[]): Promise<void> {
    const one = async (trial: string) => {
      try {
        return await get("/api/v1/trials/{trial}", { path: { trial }, signal: this.#stop.signal });
      } catch (thrown) {
        if (asProblem(thrown).status === 404) return null;
        throw thrown;
      }
    };
    for (const trial of await Promise.all(ids.map(one))) if (trial) this.columns.put(trial);
  }

  /** Changes come from trials that began or ended lately; what neither list holds is read singly. */
  async #readNewest(ids: string[]): Promise<void> {
    const missing = new Set(ids);
    for (const sort of ["-finished_at", "-created_at"]) {
      if (!missing.size) return;
      const page = await this.#page({ sort, limit: Math.min(PAGE, missing.size * 2) });
      for (const trial of page.items) {
        this.columns.put(trial);
        missing.delete(trial.id ?? "");
      }
    }
    const rest = [...missing];
    await this.#readSingly(rest.slice(0, SINGLY));
    rest.slice(SINGLY).forEach((id) => this.#changed.add(id));
  }
}
