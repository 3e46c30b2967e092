// Which trials of a study are looked at: read from the address, and written to it.

import type { Columns } from "./columns";

/** Bounds of a number (null: none), both included. */
export interface Range {
  low: number | null;
  high: number | null;
}

export interface Filter {
  states: string[];
  nodes: string[];
  text: string;
  /** By column, such as `p.lr` or `v.loss`. */
  ranges: Map<string, Range>;
  /** By column; values as JSON. */
  choices: Map<string, string[]>;
}

export function emptyFilter(): Filter {
  return { states: [], nodes: [], text: "", ranges: new Map(), choices: new Map() };
}

/** The filter that an address holds; what can't be read is passed over. */
export function readFilter(query: URLSearchParams): Filter {
  const filter = emptyFilter();
  for (const [name, value] of query) {
    if (name === "state") filter.states = value.split(",").filter(Boolean);
    else if (name === "node") filter.nodes = jsonList(value).map(String);
    else if (name === "q") filter.text = value;
    else if (name.startsWith("p.") || name.startsWith("v.")) {
      const range = /^(.*?)\.\.(.*)$/.exec(value);
      if (value.startsWith("["))
        filter.choices.set(
          name,
          jsonList(value).map((v) => JSON.stringify(v)),
        );
      else if (range) filter.ranges.set(name, { low: bound(range[1]), high: bound(range[2]) });
    }
  }
  return filter;
}

/** Puts a filter in the place of the one that an address held, leaving its other parameters. */
export function writeFilter(query: URLSearchParams, filter: Filter): URLSearchParams {
  const kept = new URLSearchParams();
  for (const [name, value] of query) {
    if (!/^(state|node|q)$/.test(name) && !/^[pv]\./.test(name)) kept.append(name, value);
  }
  if (filter.states.length) kept.set("state", filter.states.join(","));
  if (filter.nodes.length) kept.set("node", JSON.stringify(filter.nodes));
  if (filter.text) kept.set("q", filter.text);
  for (const [name, { low, high }] of filter.ranges) kept.set(name, `${low ?? ""}..${high ?? ""}`);
  for (const [name, values] of filter.choices) kept.set(name, `[${values.join(",")}]`);
  return kept;
}

export function isEmpty(filter: Filter): boolean {
  return !filter.states.length && !filter.nodes.length && !filter.text && !filter.ranges.size && !filter.choices.size;
}

function bound(text: string): number | null {
  const n = Number(text);
  return text === "" || Number.isNaN(n) ? null : n;
}

function jsonList(text: string): unknown[] {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

/** Rows of the columns that pass, in their order. */
export function passing(columns: Columns, filter: Filter): Uint32Array {
  const tests: ((row: number) => boolean)[] = [];
  if (filter.states.length) tests.push(among(columns.state.codes, columns.state.codesOf(filter.states)));
  if (filter.nodes.length) tests.push(among(columns.node.codes, columns.node.codesOf(filter.nodes)));
  for (const [name, range] of filter.ranges) {
    const column = columns.numbers(name);
    const low = range.low ?? -Infinity;
    const high = range.high ?? Infinity;
    tests.push(column ? (row) => column.at(row) >= low && column.at(row) <= high : () => false);
  }
  for (const [name, values] of filter.choices) {
    const column = columns.words(name);
    tests.push(column ? among(column.codes, column.codesOf(values)) : () => false);
  }
  if (filter.text) {
    const wanted = filter.text.toLowerCase();
    tests.push((row) => columns.matches(row, wanted));
  }
  const rows = new Uint32Array(columns.length);
  let n = 0;
  next: for (let row = 0; row < columns.length; row++) {
    for (const test of tests) if (!test(row)) continue next;
    rows[n++] = row;
  }
  return rows.subarray(0, n);
}

function among(codes: { at(row: number): number }, wanted: Set<number>): (row: number) => boolean {
  return (row) => wanted.has(codes.at(row));
}
