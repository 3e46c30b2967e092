// All trials of one study: their columns, the newest first, then by ID what changes.

import { untrack } from "svelte";
import { get, type Param } from "../api/client";
import type { Change } from "../api/events";
import { asProblem, type Problem } from "../api/problem";
import { app } from "./app.svelte";
import { Columns, FIELDS } from "./columns";

/** More than so many trials aren't kept in a tab; the export has them all. */
export const MOST = 300_000;
/** Rows of the first page, which is soon here, and of the others. */
const FIRST = 1000;
const PAGE = 20_000;
/** Trials of a list. */
const LIST = 1000;
/** Trials that one call asks for by ID. */
const BY_ID = 100;
const GATHER_MS = 500;
/** Where more changes wait than this, all is read anew: of an import, say; but not again within so long. */
const MANY = 2000;
const ANEW_MS = 5000;

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
  #anew = true;
  #readAt = 0;
  /** Where the list of notes goes on; null at its end. */
  #notes: string | null = null;
  #allNotes = false;
  #busy = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(study: string, space: readonly Param[]) {
    this.#study = study;
    this.columns = new Columns(space);
  }

  /** Reads and follows them until what is returned is called: the body of an `$effect`. */
  follow(): () => void {
    this.#stop = new AbortController();
    const leave = app.listen((changes) => this.#hear(changes));
    untrack(() => void this.#read());
    return () => {
      leave();
      clearTimeout(this.#timer);
      this.#stop.abort();
    };
  }

  /** From now on, notes of all trials: otherwise there are those of the newest alone. */
  wantNotes(): void {
    this.#allNotes = true;
    if (this.#notes) this.#soon();
  }

  #hear(changes: Change[]): void {
    for (const change of changes) {
      if (change.type === "reset") this.#anew = true;
      else if (change.study_id === this.#study && change.trial_id) this.#changed.add(change.trial_id);
    }
    if (this.#anew || this.#changed.size) this.#soon();
  }

  #soon(): void {
    if (!this.#busy) this.#timer ??= setTimeout(() => void this.#read(), GATHER_MS);
  }

  /** Reads the next of what is to be read; one at a time, so that no answer overtakes a newer one. */
  async #read(): Promise<void> {
    const { signal } = this.#stop;
    this.#timer = undefined;
    this.#busy = true;
    const anew = this.#anew || (this.#changed.size > MANY && Date.now() - this.#readAt > ANEW_MS);
    this.#anew = false;
    try {
      if (anew) await this.#readAll();
      else if (this.#changed.size) await this.#readChanged();
      else await this.#readNotes();
      if (signal.aborted) return;
      this.problem = null;
      this.#show();
    } catch (thrown) {
      if (signal.aborted) return;
      // Read again with the next change, or with the reset after an absence.
      this.#anew ||= anew;
      this.problem = asProblem(thrown);
    }
    this.#busy = false;
    if (!this.problem && (this.#anew || this.#changed.size || (this.#allNotes && this.#notes))) this.#soon();
  }

  #show(): void {
    this.arrived = this.columns.length;
    this.version++;
  }

  async #readAll(): Promise<void> {
    const { signal } = this.#stop;
    this.#changed.clear();
    let cursor: string | undefined;
    let left = MOST;
    do {
      const page = await get("/api/v1/studies/{study}/columns", {
        path: { study: this.#study },
        query: { cursor, limit: cursor ? PAGE : FIRST },
        signal,
      });
      this.columns.putColumns(page);
      left -= page.count;
      cursor = page.next_cursor ?? undefined;
      this.arrived = this.columns.length;
      if (this.version === 0) this.#show();
    } while (cursor && left > 0);
    await this.#readUnfinished();
    this.#notes = "";
    await this.#readNotes();
    this.#readAt = Date.now();
    this.whole = !cursor;
  }

  /** What running and frozen trials are expected to come to isn't in columns. */
  async #readUnfinished(): Promise<void> {
    const { items } = await get("/api/v1/studies/{study}/trials", {
      path: { study: this.#study },
      query: { state: "running,paused", sort: "-created_at", limit: LIST, fields: FIELDS },
      signal: this.#stop.signal,
    });
    items.forEach((trial) => this.columns.put(trial));
  }

  /** Nor are notes: those of the newest trials, and where they are wanted all of them. */
  async #readNotes(): Promise<void> {
    while (this.#notes !== null) {
      const page = await get("/api/v1/studies/{study}/trials", {
        path: { study: this.#study },
        query: { sort: "-created_at", limit: LIST, fields: "id,note", cursor: this.#notes },
        signal: this.#stop.signal,
      });
      for (const { id, note } of page.items) this.columns.putNote(id ?? "", note ?? "");
      this.#notes = page.next_cursor ?? null;
      if (!this.#allNotes) return;
    }
  }

  async #readChanged(): Promise<void> {
    const ids = [...this.#changed].slice(0, BY_ID);
    ids.forEach((id) => this.#changed.delete(id));
    try {
      const { items } = await get("/api/v1/studies/{study}/trials", {
        path: { study: this.#study },
        query: { ids: ids.join(","), fields: FIELDS },
        signal: this.#stop.signal,
      });
      items.forEach((trial) => this.columns.put(trial));
    } catch (thrown) {
      ids.forEach((id) => this.#changed.add(id));
      throw thrown;
    }
  }
}
