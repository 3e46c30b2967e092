import { expect, test } from "vitest";
import type { Param, SomeTrial } from "../api/client";
import { Columns, sorted } from "./columns";
import { bodyOf, condition, draftOf, emptyDraft, list, quoted, words } from "./draft";
import { emptyFilter, isEmpty, passing, readFilter, writeFilter } from "./filter";
import { routeOf } from "../router.svelte";

const SPACE: Param[] = [
  { name: "lr", type: "float", low: 1e-5, high: 1, log: true },
  { name: "opt", type: "categorical", choices: ["sgd", "adam", null] },
  { name: "momentum", type: "float", low: 0, high: 1, when: { opt: ["sgd"] } },
];

function trial(n: number, more: Partial<SomeTrial> = {}): SomeTrial {
  return {
    id: `t.${n}`,
    label: `ada-${n}`,
    number: n,
    state: "complete",
    node: n % 2 ? "kay" : "ada",
    params: { lr: 10 ** -n, opt: n % 2 ? "sgd" : null, ...(n % 2 ? { momentum: 0.5 } : {}) },
    values: { loss: n },
    note: "",
    last_step: n,
    ...more,
  };
}

const PREDICTED = { value: 0.5, low: 0.4, high: 0.6, step: 10, remaining_s: null };

function filled(n: number): Columns {
  const columns = new Columns(SPACE);
  for (let i = 0; i < n; i++) columns.put(trial(i));
  return columns;
}

test("what is put is read back, a changed trial in its place", () => {
  const columns = filled(3000);
  expect(columns.length).toBe(3000);
  expect(columns.param(1, "opt")).toBe("sgd");
  expect(columns.param(2, "opt")).toBeNull();
  expect(columns.param(2, "momentum")).toBeUndefined();
  columns.put(trial(7, { state: "fail", values: {} }));
  expect(columns.length).toBe(3000);
  expect(columns.state.at(7)).toBe("fail");
  expect(columns.metrics).toEqual(["loss"]);
});

test("columns become the same as the trials that they hold", () => {
  const columns = new Columns([...SPACE, { name: "amp", type: "bool" }]);
  columns.put(trial(1, { note: "kept", state: "running", finished_at: null, predicted: PREDICTED }));
  columns.putColumns({
    study: "s",
    total: 3,
    count: 3,
    next_cursor: null,
    states: ["complete", "running", "fail"],
    nodes: ["ada", "kay"],
    reasons: ["exit", "timeout"],
    id: ["t.2", "t.1", "t.0"],
    label: ["kay-2", "ada-1", "ada-0"],
    number: [2, 1, 0],
    state: [1, 0, 2],
    node: [1, 0, null],
    reason: [null, 0, 1],
    last_step: [4, 9, 0],
    created_ms: [3000, 2000, 1000],
    started_ms: [3500, 2500, null],
    finished_ms: [null, 4500, 1500],
    params: { lr: [0.1, 0.2, 0.3], opt: [2, 0, 1], momentum: [null, 0.5, null], amp: [0, 1, null], gone: [1, 2, 3] },
    values: { loss: [null, 7, null] },
  });
  expect(columns.length).toBe(3);
  const [two, one, none] = ["t.2", "t.1", "t.0"].map((id) => columns.row(id)!);
  expect(one).toBe(0);
  expect([two, one, none].map((row) => columns.param(row, "opt"))).toEqual([null, "sgd", "adam"]);
  expect([two, one, none].map((row) => columns.param(row, "amp"))).toEqual([false, true, undefined]);
  expect([two, one].map((row) => columns.param(row, "momentum"))).toEqual([undefined, 0.5]);
  expect([two, one, none].map((row) => columns.state.at(row))).toEqual(["running", "complete", "fail"]);
  expect([two, one, none].map((row) => columns.node.at(row))).toEqual(["kay", "ada", ""]);
  expect([two, one, none].map((row) => columns.reason.at(row))).toEqual(["", "exit", "timeout"]);
  expect([two, one, none].map((row) => columns.numbers("took")!.at(row))).toEqual([NaN, 2, NaN]);
  expect(columns.numbers("v.loss")!.at(one)).toBe(7);
  expect(columns.numbers("v.loss")!.at(two)).toBeNaN();
  // Columns tell nothing of notes; what has ended is no longer foretold.
  expect(columns.note[one]).toBe("kept");
  expect(columns.predicted.has(one)).toBe(false);
  columns.putNote("t.0", "why it failed");
  columns.putNote("t.9", "of nobody");
  expect(columns.matches(none, "why it")).toBe(true);
});

test("a filter survives the address, whatever its names and values", () => {
  const filter = emptyFilter();
  filter.states = ["complete", "pruned"];
  filter.nodes = ["a,b", "ü"];
  filter.text = "x&y=#";
  filter.ranges.set("p.l&r=", { low: 1e-7, high: null });
  filter.choices.set("p.opt", ['"sgd, or [not]"', "null", "true"]);
  const query = writeFilter(new URLSearchParams("sort=-number&state=fail&p.old=1..2"), filter);
  const read = readFilter(new URLSearchParams(query.toString()));
  expect(read).toEqual(filter);
  expect(query.get("sort")).toBe("-number");
  expect(isEmpty(readFilter(writeFilter(query, emptyFilter())))).toBe(true);
});

test("an address that makes no sense filters nothing", () => {
  expect(isEmpty(readFilter(new URLSearchParams("p.lr=abc&p.opt=[broken&node=x&other=1")))).toBe(false);
  expect(readFilter(new URLSearchParams("p.lr=a..b")).ranges.get("p.lr")).toEqual({ low: null, high: null });
  expect(readFilter(new URLSearchParams("p.lr=abc")).ranges.size).toBe(0);
});

test("rows pass by state, node, bounds, choices and text together", () => {
  const columns = filled(20);
  const pass = (query: string) => [...passing(columns, readFilter(new URLSearchParams(query)))];
  expect(pass("")).toHaveLength(20);
  expect(pass('node=["kay"]')).toHaveLength(10);
  expect(pass("v.loss=3..5")).toEqual([3, 4, 5]);
  expect(pass("v.loss=18..")).toEqual([18, 19]);
  expect(pass("p.opt=[null]&v.loss=..4")).toEqual([0, 2, 4]);
  expect(pass("p.momentum=0..1")).toHaveLength(10);
  expect(pass("q=ADA-1")).toHaveLength(11);
  expect(pass("q=%237")).toEqual([7]);
  expect(pass("state=fail")).toEqual([]);
  expect(pass("p.nothing=1..2")).toEqual([]);
});

test("rows without a value come last in both directions", () => {
  const columns = filled(5);
  columns.put(trial(5, { values: {} }));
  const rows = Uint32Array.from([0, 1, 2, 3, 4, 5]);
  expect([...sorted(columns, rows, "v.loss", false)]).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...sorted(columns, rows, "v.loss", true)]).toEqual([4, 3, 2, 1, 0, 5]);
  expect([...sorted(columns, rows, "p.opt", false)]).toEqual([1, 3, 5, 0, 2, 4]);
  expect([...sorted(columns, rows, "label", true)][0]).toBe(5);
  expect([...sorted(columns, rows, "unknown", true)]).toEqual([...rows]);
});

test("a command line is cut into arguments and put together again", () => {
  expect(words(`python train.py --name 'a b' "c \\"d\\"" e\\ f ''`)).toEqual([
    "python",
    "train.py",
    "--name",
    "a b",
    'c "d"',
    "e f",
    "",
  ]);
  const args = ["sh", "-c", "echo 'hi' $x", "{lr}", ""];
  expect(words(quoted(args))).toEqual(args);
});

test("choices and conditions are read as people type them", () => {
  expect(list("sgd, adam, 1, true, null")).toEqual(["sgd", "adam", 1, true, null]);
  expect(list('["a,b", 2]')).toEqual(["a,b", 2]);
  expect(condition("opt = sgd, adam; amp = true")).toEqual({ opt: ["sgd", "adam"], amp: [true] });
});

test("a form's body becomes the same form again", () => {
  const draft = emptyDraft();
  draft.name = "x";
  draft.kind = "run";
  draft.command = "python train.py {lr}";
  draft.path = "/tmp";
  draft.params.push({
    ...draft.params[0],
    name: "opt",
    type: "categorical",
    low: "",
    high: "",
    log: false,
    choices: '["a","b"]',
    when: '{"amp":[true]}',
  });
  draft.rule = "asha";
  draft.maxSteps = "50";
  const body = bodyOf(draft);
  expect(body).toMatchObject({
    early_stopping: { rule: "asha", max_steps: 50 },
    run: { command: ["python", "train.py", "{lr}"] },
  });
  const again = draftOf(JSON.parse(JSON.stringify(body)))!;
  expect(bodyOf(again)).toEqual(body);
  expect(draftOf(null)).toBeNull();
  expect(draftOf([1])).toBeNull();
});

test("a number that isn't one is sent as it was typed, to be named by the daemon", () => {
  const draft = emptyDraft();
  draft.params[0].high = "much";
  expect((bodyOf(draft).space as { high: unknown }[])[0].high).toBe("much");
});

test("addresses name pages", () => {
  expect(routeOf("/")).toEqual({ page: "studies" });
  expect(routeOf("/studies/abc")).toEqual({ page: "study", study: "abc", tab: "overview" });
  expect(routeOf("/studies/a%20b/trials")).toEqual({ page: "study", study: "a b", tab: "trials" });
  expect(routeOf("/trials/n.1")).toEqual({ page: "trial", trial: "n.1" });
  expect(routeOf("/studies/%E0%A4%A")).toEqual({ page: "study", study: "%E0%A4%A", tab: "overview" });
  expect(routeOf("/studies/a/b/c")).toEqual({ page: "nowhere" });
  expect(routeOf("/what")).toEqual({ page: "nowhere" });
});
