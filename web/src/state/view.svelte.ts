// What the parts of a study's page share: the study, its trials, and which of them are looked at.

import { untrack } from "svelte";
import { get, type Study } from "../api/client";
import type { Direction } from "../charts/history";
import { router } from "../router.svelte";
import { app } from "./app.svelte";
import { Columns, isNumeric } from "./columns";
import { emptyFilter, isEmpty, passing, readFilter, writeFilter, type Filter } from "./filter";
import { Resource } from "./resource.svelte";
import { Trials } from "./trials.svelte";

const NO_ROWS: Uint32Array = new Uint32Array(0);
const NO_COLUMNS = new Columns([]);

/** The earlier list where nothing has changed, so that nothing that is derived from it does. */
function same(before: string[], now: string[]): string[] {
  return before.length === now.length && before.every((v, i) => v === now[i]) ? before : now;
}

export class View {
  readonly study: Resource<Study>;
  trials = $state.raw<Trials | null>(null);
  /** It was deleted while it was looked at. */
  deleted = $state(false);
  filter = $derived(readFilter(router.query));
  filtered = $derived(!isEmpty(this.filter));
  columns = $derived.by(() => this.trials?.columns ?? NO_COLUMNS);
  /** All rows that pass the filter. */
  rows = $derived.by(() => this.#pass(this.filter));
  /** Those that pass what isn't brushed: the lines that brushes are drawn over. */
  unbrushed = $derived.by(() => {
    const [states, nodes, text] = JSON.parse(this.#plain) as [string[], string[], string];
    return this.#pass({ ...emptyFilter(), states, nodes, text });
  });
  /** The rows as charts see them: after a pause in typing, and of large studies every few seconds. */
  calm = $state.raw<Uint32Array>(NO_ROWS);
  /** Likewise, without what is brushed. */
  calmUnbrushed = $state.raw<Uint32Array>(NO_ROWS);
  objectives = $derived.by(() => this.study.value?.objectives ?? []);
  metric = $derived.by(() => router.query.get("metric") ?? this.objectives[0]?.metric ?? "");
  direction = $derived.by(
    (): Direction => this.objectives.find((o) => o.metric === this.metric)?.direction ?? "minimize",
  );
  /** Objectives first, then what else was reported. */
  metrics = $derived.by(() => {
    void this.trials?.version;
    return (this.#metrics = same(this.#metrics, [
      ...new Set([...this.objectives.map((o) => o.metric), ...this.columns.metrics]),
    ]));
  });
  /** Names of nodes, sorted: their places choose their colours. */
  nodes = $derived.by(() => {
    void this.trials?.version;
    return (this.#nodes = same(this.#nodes, this.columns.node.names.slice(1).sort()));
  });
  #metrics: string[] = [];
  #nodes: string[] = [];
  #settled = 0;
  #later: ReturnType<typeof setTimeout> | undefined;
  #filter: Filter | null = null;
  // A text, so that brushes leave it as it is.
  #plain = $derived(JSON.stringify([this.filter.states, this.filter.nodes, this.filter.text]));

  constructor(id: string) {
    this.study = new Resource(
      (signal) => get("/api/v1/studies/{study}", { path: { study: id }, signal }),
      (change) =>
        change.study_id === (this.study.value?.id ?? id) &&
        change.type !== "trial.report" &&
        change.type !== "study.deleted",
      800,
    );
  }

  #pass(filter: Filter): Uint32Array {
    void this.trials?.version;
    return this.trials ? passing(this.trials.columns, filter) : NO_ROWS;
  }

  /** Lets charts see the rows once they have settled: the body of an `$effect`. */
  settle(): (() => void) | void {
    const [rows, unbrushed] = [this.rows, this.unbrushed];
    const seen = () => {
      this.#settled = Date.now();
      this.calm = rows;
      // In a turn of its own: each of the two has much drawn.
      this.#later = setTimeout(() => (this.calmUnbrushed = unbrushed));
    };
    const pause = this.columns.length > 20_000 ? 2500 : this.columns.length > 2000 ? 700 : 0;
    const filtered = this.filter !== this.#filter;
    this.#filter = this.filter;
    const wait = filtered ? 120 : Math.max(0, this.#settled + pause - Date.now());
    if (this.#settled === 0 || wait === 0) return untrack(seen);
    const timer = setTimeout(seen, wait);
    return () => clearTimeout(timer);
  }

  /** Follows the study itself: the body of an `$effect`. */
  follow(id: string): () => void {
    const leave = app.listen((changes) => {
      const own = this.study.value?.id ?? id;
      if (changes.some((c) => c.type === "study.deleted" && c.study_id === own)) this.deleted = true;
    });
    const stop = this.study.follow();
    return () => {
      leave();
      stop();
    };
  }

  /** Follows the study's trials, once it is known: the body of an `$effect`. */
  followTrials(id: string): () => void {
    const trials = new Trials(
      id,
      untrack(() => this.study.value?.space ?? []),
    );
    this.trials = trials;
    return trials.follow();
  }

  /** Writes a changed filter into the address. */
  change(edit: (filter: Filter) => void): void {
    const filter = readFilter(router.query);
    edit(filter);
    router.setQuery(writeFilter(router.query, filter));
  }

  clear(): void {
    router.setQuery(writeFilter(router.query, emptyFilter()));
  }

  /** Parameters by their importance where that is known, else as the space has them. */
  params(importance?: ReadonlyMap<string, number>) {
    const all = this.study.value?.space ?? [];
    return importance?.size
      ? [...all].sort((a, b) => (importance.get(b.name) ?? 0) - (importance.get(a.name) ?? 0))
      : all;
  }

  /** Whether a column holds numbers. */
  numeric(column: string): boolean {
    if (column.startsWith("v.")) return true;
    const param = this.study.value?.space.find((p) => `p.${p.name}` === column);
    return param ? isNumeric(param) : this.columns.numbers(column) !== undefined;
  }
}
