// A new study as a form has it: texts, read into the body that the daemon takes, and back.

import type { Schemas } from "../api/client";

export interface DraftParam {
  name: string;
  type: Schemas["ParamType"];
  low: string;
  high: string;
  step: string;
  log: boolean;
  choices: string;
  fallback: string;
  when: string;
}

export interface Draft {
  name: string;
  note: string;
  kind: "ask" | "run";
  params: DraftParam[];
  objectives: { metric: string; direction: Schemas["Direction"] }[];
  sampler: string;
  seed: string;
  rule: string;
  maxSteps: string;
  maxTrials: string;
  maxParallel: string;
  timeout: string;
  command: string;
  path: string;
  gpus: string;
  cpus: string;
}

export const SAMPLERS = ["auto", "tpe", "gp", "cmaes", "evolution", "nsga2", "bore", "sobol", "random", "grid"];
export const RULES = ["none", "median", "percentile", "asha", "hyperband", "patience", "freeze-thaw"];
export const TYPES: Schemas["ParamType"][] = ["float", "int", "categorical", "ordinal", "bool", "fidelity"];

export function emptyParam(): DraftParam {
  return { name: "", type: "float", low: "", high: "", step: "", log: false, choices: "", fallback: "", when: "" };
}

export function emptyDraft(): Draft {
  return {
    name: "",
    note: "",
    kind: "ask",
    params: [{ ...emptyParam(), name: "lr", low: "1e-5", high: "1", log: true }],
    objectives: [{ metric: "loss", direction: "minimize" }],
    sampler: "auto",
    seed: "",
    rule: "none",
    maxSteps: "",
    maxTrials: "100",
    maxParallel: "",
    timeout: "",
    command: "",
    path: "",
    gpus: "",
    cpus: "",
  };
}

/** A number where the text is one; else the text, so that the daemon can say what is wrong with it. */
function number(text: string): number | string {
  const n = Number(text);
  return text.trim() === "" || Number.isNaN(n) ? text : n;
}

/** A JSON value where the text is one, else the text. */
export function value(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text.trim();
  }
}

/** A list of choices: a JSON list, or words between commas. */
export function list(text: string): unknown[] {
  const read = text.trim().startsWith("[") ? value(text) : null;
  if (Array.isArray(read)) return read;
  return text
    .split(",")
    .filter((part) => part.trim() !== "")
    .map(value);
}

/** `opt = sgd, adam; amp = true` as the parents and values of a condition; JSON is taken as it is. */
export function condition(text: string): unknown {
  if (text.trim().startsWith("{")) return value(text);
  const when: Record<string, unknown[]> = {};
  for (const part of text.split(";")) {
    const at = part.indexOf("=");
    if (at > 0) when[part.slice(0, at).trim()] = list(part.slice(at + 1));
  }
  return when;
}

/** A command line as its arguments: blanks part them, quotes hold them together. */
export function words(text: string): string[] {
  const found: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quote) {
      if (c === quote) quote = "";
      else if (c === "\\" && quote === '"' && i + 1 < text.length) word += text[++i];
      else word += c;
    } else if (c === '"' || c === "'") {
      quote = c;
      word ??= "";
    } else if (c === "\\" && i + 1 < text.length) word = (word ?? "") + text[++i];
    else if (/\s/.test(c)) {
      if (word !== null) found.push(word);
      word = null;
    } else word = (word ?? "") + c;
  }
  if (word !== null) found.push(word);
  return found;
}

/** Arguments as one line that `words` reads back. */
export function quoted(args: readonly string[]): string {
  return args.map((a) => (/^[\w@%+=:,./~{}-]+$/.test(a) ? a : `'${a.replaceAll("'", `'\\''`)}'`)).join(" ");
}

/** The body of `POST /studies`. */
export function bodyOf(draft: Draft): Record<string, unknown> {
  const space = draft.params.map((p) => {
    const numeric = p.type === "float" || p.type === "int" || p.type === "fidelity";
    return {
      name: p.name,
      type: p.type,
      ...(numeric && p.low !== "" ? { low: number(p.low) } : {}),
      ...(numeric && p.high !== "" ? { high: number(p.high) } : {}),
      ...(numeric && p.step !== "" ? { [p.type === "fidelity" ? "base" : "step"]: number(p.step) } : {}),
      ...(p.log && (p.type === "float" || p.type === "int") ? { log: true } : {}),
      ...(p.type === "categorical" || p.type === "ordinal" ? { choices: list(p.choices) } : {}),
      ...(p.fallback !== "" ? { default: value(p.fallback) } : {}),
      ...(p.when.trim() ? { when: condition(p.when) } : {}),
    };
  });
  const budget = {
    ...(draft.maxTrials !== "" ? { max_trials: number(draft.maxTrials) } : {}),
    ...(draft.maxParallel !== "" ? { max_parallel: number(draft.maxParallel) } : {}),
    ...(draft.timeout !== "" ? { timeout_s: number(draft.timeout) } : {}),
  };
  return {
    name: draft.name,
    ...(draft.note ? { note: draft.note } : {}),
    space,
    objectives: draft.objectives,
    sampler: { name: draft.sampler, ...(draft.seed !== "" ? { seed: number(draft.seed) } : {}) },
    ...(draft.rule !== "none"
      ? {
          early_stopping: { rule: draft.rule, ...(draft.maxSteps !== "" ? { max_steps: number(draft.maxSteps) } : {}) },
        }
      : {}),
    budget,
    ...(draft.kind === "run"
      ? {
          run: {
            command: words(draft.command),
            workdir: "in_place",
            path: draft.path,
            ...(draft.gpus !== "" ? { gpus: number(draft.gpus) } : {}),
            ...(draft.cpus !== "" ? { cpus: number(draft.cpus) } : {}),
          },
        }
      : {}),
  };
}

const text = (v: unknown): string =>
  v === undefined || v === null ? "" : typeof v === "string" ? v : JSON.stringify(v);

/** A form from a body, as far as a form can hold it; null of what isn't one. */
export function draftOf(body: unknown): Draft | null {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return null;
  const b = body as Record<string, unknown>;
  const part = (name: string) =>
    typeof b[name] === "object" && b[name] !== null ? (b[name] as Record<string, unknown>) : {};
  const listed = (name: string) => (Array.isArray(b[name]) ? (b[name] as Record<string, unknown>[]) : []);
  const run = part("run");
  return {
    name: text(b.name),
    note: text(b.note),
    kind: b.run ? "run" : "ask",
    params: listed("space").map((p) => ({
      name: text(p.name),
      type: TYPES.includes(p.type as Schemas["ParamType"]) ? (p.type as Schemas["ParamType"]) : "float",
      low: text(p.low),
      high: text(p.high),
      step: text(p.step ?? p.base),
      log: p.log === true,
      choices: Array.isArray(p.choices) ? JSON.stringify(p.choices) : "",
      fallback: p.default === undefined ? "" : JSON.stringify(p.default),
      when: p.when ? JSON.stringify(p.when) : "",
    })),
    objectives: listed("objectives").map((o) => ({
      metric: text(o.metric),
      direction: o.direction === "maximize" ? "maximize" : "minimize",
    })),
    sampler: text(part("sampler").name) || "auto",
    seed: text(part("sampler").seed),
    rule: text(part("early_stopping").rule) || "none",
    maxSteps: text(part("early_stopping").max_steps),
    maxTrials: text(part("budget").max_trials),
    maxParallel: text(part("budget").max_parallel),
    timeout: text(part("budget").timeout_s),
    command: Array.isArray(run.command) ? quoted(run.command.map(String)) : "",
    path: text(run.path),
    gpus: text(run.gpus),
    cpus: text(run.cpus),
  };
}
