// All studies, kept current by the stream.

import { untrack } from "svelte";
import { get, pages, type Study } from "../api/client";
import type { Change } from "../api/events";
import { asProblem, type Problem } from "../api/problem";
import { app } from "./app.svelte";

const GATHER_MS = 700;
/** More than so many changed studies are read by reading the list. */
const SINGLY = 8;
/** Lines come with the list alone: after a change it is read again within so long. */
const LINES_MS = 10_000;

export class Studies {
  all = $state.raw<ReadonlyMap<string, Study>>(new Map());
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  #stop = new AbortController();
  #changed = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lines: ReturnType<typeof setTimeout> | undefined;

  /** Reads and follows them until what is returned is called: the body of an `$effect`. */
  follow(): () => void {
    this.#stop = new AbortController();
    const leave = app.listen((changes) => this.#hear(changes));
    untrack(() => void this.refresh());
    return () => {
      leave();
      clearTimeout(this.#timer);
      clearTimeout(this.#lines);
      this.#timer = this.#lines = undefined;
      this.#stop.abort();
    };
  }

  async refresh(): Promise<void> {
    const { signal } = this.#stop;
    clearTimeout(this.#lines);
    this.#lines = undefined;
    try {
      const all = new Map<string, Study>();
      const read = (cursor?: string) => get("/api/v1/studies", { query: { limit: 200, cursor, spark: true }, signal });
      for await (const page of pages(read)) {
        for (const study of page) all.set(study.id, study);
        if (!this.loaded) this.all = new Map(all);
      }
      if (signal.aborted) return;
      this.all = all;
      this.loaded = true;
      this.problem = null;
    } catch (thrown) {
      if (!signal.aborted) this.problem = asProblem(thrown);
    }
  }

  #hear(changes: Change[]): void {
    for (const { type, study_id } of changes) {
      if (type === "reset") this.#changed.add("*");
      else if (type === "study.deleted") this.#drop(study_id);
      else if (study_id && type !== "trial.report") this.#changed.add(study_id);
    }
    if (this.#changed.size) this.#timer ??= setTimeout(() => void this.#catchUp(), GATHER_MS);
  }

  #drop(id: string | null): void {
    this.#changed.delete(id ?? "");
    const all = new Map(this.all);
    if (all.delete(id ?? "")) this.all = all;
  }

  async #catchUp(): Promise<void> {
    const changed = [...this.#changed];
    this.#changed.clear();
    const { signal } = this.#stop;
    if (changed.includes("*") || changed.length > SINGLY) await this.refresh();
    else {
      const read = await Promise.all(
        changed.map((study) =>
          get("/api/v1/studies/{study}", { path: { study }, signal }).catch((thrown: unknown) =>
            asProblem(thrown).status === 404 ? null : undefined,
          ),
        ),
      );
      if (signal.aborted) return;
      const all = new Map(this.all);
      read.forEach((study, i) => {
        if (study) all.set(study.id, { ...study, spark: all.get(study.id)?.spark });
        else if (study === null) all.delete(changed[i]);
      });
      this.all = all;
      this.#lines ??= setTimeout(() => void this.refresh(), LINES_MS);
    }
    this.#timer = undefined;
    if (this.#changed.size) this.#timer = setTimeout(() => void this.#catchUp(), GATHER_MS);
  }
}
