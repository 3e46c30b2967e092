// The trials of a study, a column each for what pages sort, filter and draw: 100,000 of them take a few megabytes.
//
// Owns: how they are kept. Must not: fetch them; `trials.svelte.ts` does.

import type { Param, Schemas, SomeTrial } from "../api/client";
import { millis } from "../format/time";

/** Doubles that grow; NaN where there is none. */
export class Numbers {
  #all = new Float64Array(1024).fill(NaN);

  at(row: number): number {
    return row < this.#all.length ? this.#all[row] : NaN;
  }

  set(row: number, value: number | null | undefined): void {
    if (row >= this.#all.length) {
      const larger = new Float64Array(Math.max(this.#all.length * 2, row + 1)).fill(NaN);
      larger.set(this.#all);
      this.#all = larger;
    }
    this.#all[row] = value ?? NaN;
  }
}

/** Texts out of a small vocabulary, kept as codes; code 0 stands for none. */
export class Words {
  readonly codes = new Codes();
  readonly names: string[] = [""];
  #index = new Map<string, number>([["", 0]]);

  set(row: number, word: string | null | undefined): void {
    if (word === null || word === undefined) return this.codes.set(row, 0);
    let code = this.#index.get(word);
    if (code === undefined) {
      code = this.names.length;
      this.names.push(word);
      this.#index.set(word, code);
    }
    this.codes.set(row, code);
  }

  at(row: number): string {
    return this.names[this.codes.at(row)];
  }

  codesOf(words: readonly string[]): Set<number> {
    return new Set(words.map((word) => this.#index.get(word) ?? -1));
  }
}

class Codes {
  #all = new Uint32Array(1024);

  at(row: number): number {
    return row < this.#all.length ? this.#all[row] : 0;
  }

  set(row: number, code: number): void {
    if (row >= this.#all.length) {
      const larger = new Uint32Array(Math.max(this.#all.length * 2, row + 1));
      larger.set(this.#all);
      this.#all = larger;
    }
    this.#all[row] = code;
  }
}

/** What is asked of trials that have changed. */
export const FIELDS =
  "id,label,number,state,params,values,node,reason,last_step,created_at,started_at,finished_at,predicted,note";

/** Kinds whose values are numbers. */
export function isNumeric(param: Param): boolean {
  return param.type === "float" || param.type === "int" || param.type === "fidelity";
}

export class Columns {
  length = 0;
  readonly id: string[] = [];
  readonly label: string[] = [];
  readonly note: string[] = [];
  readonly number = new Numbers();
  readonly state = new Words();
  readonly node = new Words();
  readonly reason = new Words();
  readonly step = new Numbers();
  readonly created = new Numbers();
  readonly started = new Numbers();
  readonly finished = new Numbers();
  /** Of running and paused trials, what they are expected to come to. */
  readonly predicted = new Map<number, NonNullable<SomeTrial["predicted"]>>();
  #rows = new Map<string, number>();
  #numbers = new Map<string, Numbers>();
  #words = new Map<string, Words>();
  #metrics = new Set<string>();
  /** Of parameters without numbers, their choices as JSON: columns come with positions among them. */
  #choices = new Map<string, string[]>();

  constructor(space: readonly Param[]) {
    this.#numbers.set("number", this.number);
    this.#numbers.set("step", this.step);
    this.#numbers.set("created", this.created);
    this.#numbers.set("started", this.started);
    this.#numbers.set("finished", this.finished);
    this.#numbers.set("took", new Numbers());
    this.#words.set("state", this.state);
    this.#words.set("node", this.node);
    this.#words.set("reason", this.reason);
    for (const param of space) {
      const name = `p.${param.name}`;
      if (isNumeric(param)) this.#numbers.set(name, new Numbers());
      else {
        this.#words.set(name, new Words());
        const choices = param.type === "bool" ? [false, true] : (param.choices ?? []);
        this.#choices.set(
          name,
          choices.map((choice) => JSON.stringify(choice)),
        );
      }
    }
  }

  /** Metrics that any trial has, in the order in which they were met. */
  get metrics(): string[] {
    return [...this.#metrics];
  }

  numbers(name: string): Numbers | undefined {
    return this.#numbers.get(name);
  }

  words(name: string): Words | undefined {
    return this.#words.get(name);
  }

  row(id: string): number | undefined {
    return this.#rows.get(id);
  }

  /** Takes a trial, new or changed. */
  put(trial: SomeTrial): void {
    const id = trial.id ?? "";
    const row = this.#place(id);
    this.label[row] = trial.label ?? id;
    this.note[row] = trial.note ?? "";
    this.number.set(row, trial.number);
    this.state.set(row, trial.state);
    this.node.set(row, trial.node);
    this.reason.set(row, trial.reason);
    this.step.set(row, trial.last_step);
    this.#setTimes(row, millis(trial.created_at), millis(trial.started_at), millis(trial.finished_at));
    for (const [name, value] of Object.entries(trial.params ?? {})) this.#setParam(row, name, value);
    for (const [name, value] of Object.entries(trial.values ?? {})) this.#metric(name).set(row, value);
    if (trial.predicted) this.predicted.set(row, trial.predicted);
    else this.predicted.delete(row);
  }

  /** Takes many trials, column by column; notes and what is foretold aren't among them. */
  putColumns(page: Schemas["Columns"]): void {
    const rows = page.id.map((id) => this.#place(id));
    rows.forEach((row, i) => {
      this.label[row] = page.label[i];
      this.number.set(row, page.number[i]);
      this.state.set(row, page.states[page.state[i]]);
      this.node.set(row, page.nodes[page.node[i] ?? -1]);
      this.reason.set(row, page.reasons[page.reason[i] ?? -1]);
      this.step.set(row, page.last_step[i]);
      this.#setTimes(row, page.created_ms[i], page.started_ms[i], page.finished_ms[i]);
      if (page.finished_ms[i] !== null) this.predicted.delete(row);
    });
    for (const [name, values] of Object.entries(page.params)) {
      const column = `p.${name}`;
      const numbers = this.#numbers.get(column);
      const words = this.#words.get(column);
      const choices = this.#choices.get(column) ?? [];
      if (numbers) rows.forEach((row, i) => numbers.set(row, values[i]));
      else if (words) rows.forEach((row, i) => words.set(row, choices[values[i] ?? -1]));
    }
    for (const [name, values] of Object.entries(page.values)) {
      const numbers = this.#metric(name);
      rows.forEach((row, i) => numbers.set(row, values[i]));
    }
  }

  /** Takes what a trial that is here is noted with. */
  putNote(id: string, note: string): void {
    const row = this.#rows.get(id);
    if (row !== undefined) this.note[row] = note;
  }

  #place(id: string): number {
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = this.length++;
      this.#rows.set(id, row);
      this.id[row] = id;
      this.note[row] = "";
    }
    return row;
  }

  #setTimes(row: number, created: number | null, started: number | null, finished: number | null): void {
    this.created.set(row, created);
    this.started.set(row, started);
    this.finished.set(row, finished);
    this.#numbers.get("took")!.set(row, started !== null && finished !== null ? (finished - started) / 1000 : null);
  }

  #metric(name: string): Numbers {
    const column = `v.${name}`;
    let numbers = this.#numbers.get(column);
    if (!numbers) {
      numbers = new Numbers();
      this.#numbers.set(column, numbers);
      this.#metrics.add(name);
    }
    return numbers;
  }

  #setParam(row: number, name: string, value: unknown): void {
    const column = `p.${name}`;
    const numbers = this.#numbers.get(column);
    if (numbers) numbers.set(row, typeof value === "number" ? value : null);
    else this.#words.get(column)?.set(row, JSON.stringify(value));
  }

  /** The value of a parameter as it came; undefined where it isn't active. */
  param(row: number, name: string): unknown {
    const numbers = this.#numbers.get(`p.${name}`);
    if (numbers) return Number.isNaN(numbers.at(row)) ? undefined : numbers.at(row);
    const words = this.#words.get(`p.${name}`);
    return words && words.codes.at(row) ? JSON.parse(words.at(row)) : undefined;
  }

  /** The label, ID, note or a text value holds `wanted`, which is in lower case. */
  matches(row: number, wanted: string): boolean {
    if (this.label[row].toLowerCase().includes(wanted) || this.note[row].toLowerCase().includes(wanted)) return true;
    if (this.id[row].toLowerCase() === wanted || `#${this.number.at(row)}` === wanted) return true;
    for (const [name, words] of this.#words) {
      if (name.startsWith("p.") && words.at(row).toLowerCase().includes(wanted)) return true;
    }
    return false;
  }
}

/** Rows in the order of a column; those without a value come last either way. */
export function sorted(columns: Columns, rows: Uint32Array, by: string, descending: boolean): Uint32Array {
  const sign = descending ? -1 : 1;
  const numbers = columns.numbers(by);
  const order = rows.slice();
  if (numbers) {
    const keys = new Float64Array(columns.length);
    for (const row of rows) keys[row] = sign * numbers.at(row);
    return order.sort((a, b) => {
      const by = keys[a] - keys[b];
      if (by !== 0 && by === by) return by;
      // Equal, both infinite, or one without a value.
      const [x, y] = [keys[a], keys[b]];
      if (x === y) return a - b;
      if (x !== x) return y !== y ? a - b : 1;
      return y !== y ? -1 : x - y;
    });
  }
  const words = columns.words(by);
  if (words) {
    const rank = words.names.map((_, i) => i).sort((a, b) => (words.names[a] < words.names[b] ? -1 : 1));
    const place = new Int32Array(rank.length);
    rank.forEach((code, i) => (place[code] = i));
    return order.sort((a, b) => {
      const x = words.codes.at(a);
      const y = words.codes.at(b);
      if (x === y) return a - b;
      if (x === 0) return 1;
      if (y === 0) return -1;
      return sign * (place[x] - place[y]);
    });
  }
  if (by !== "label") return order;
  return order.sort(
    (a, b) => sign * (columns.label[a] < columns.label[b] ? -1 : columns.label[a] > columns.label[b] ? 1 : 0),
  );
}
