import { expect, test } from "vitest";
import type { Param, SomeTrial } from "../api/client";
import { Columns } from "../state/columns";
import { emptyFilter } from "../state/filter";
import { bulk, held, nice } from "./bounds";
import { edges } from "./contour";
import { curvesOption } from "./curves";
import { distribution } from "./distribution";
import { historyOf, historyOption } from "./history";
import { look, mix, nodeMark, ramp } from "./look";
import { axesOf, brushed, chosenRows, intervalOf } from "./parallel";
import { front, withBoth } from "./pareto";
import { even, thin } from "./thin";
import { kindOf, lanesOf, timelineOption } from "./timeline";

const SPACE: Param[] = [
  { name: "lr", type: "float", low: 1e-4, high: 1, log: true },
  { name: "opt", type: "categorical", choices: ["a", "b", "c"] },
];

function columnsOf(values: (number | null)[], state: SomeTrial["state"] = "complete"): Columns {
  const columns = new Columns(SPACE);
  values.forEach((loss, i) =>
    columns.put({
      id: `t${i}`,
      label: `ada-${i}`,
      number: i,
      state: loss === null ? "running" : state,
      node: "ada",
      params: { lr: 0.1, opt: "abc"[i % 3] },
      values: loss === null ? {} : { loss, speed: -loss },
    }),
  );
  return columns;
}
const rowsOf = (columns: Columns) => Uint32Array.from({ length: columns.length }, (_, i) => i);
const seriesOf = (option: Record<string, unknown>) => option.series as { name: string; data: { value: number[] }[] }[];

test("thinning keeps every extreme and the order", () => {
  const ys = Float64Array.from({ length: 100_000 }, (_, i) => Math.sin(i));
  ys[77_777] = 9;
  ys[123] = -9;
  const kept = thin(ys, 1000);
  expect(kept.length).toBeLessThanOrEqual(1000);
  expect(kept).toContain(77_777);
  expect(kept).toContain(123);
  expect(kept).toEqual([...kept].sort((a, b) => a - b));
  expect(thin([1, 2], 10)).toEqual([0, 1]);
});

test("even picks have both ends", () => {
  expect(even([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 4)).toEqual([0, 3, 6, 9]);
  expect(even([1, 2], 9)).toEqual([1, 2]);
});

test("the best so far follows the direction and passes over pruned trials", () => {
  const columns = columnsOf([3, 5, 1, 4]);
  columns.put({ id: "p", label: "p", number: 4, state: "pruned", values: { loss: 0 } });
  expect(historyOf(columns, rowsOf(columns), "loss", "minimize").best).toEqual([
    [0, 3],
    [2, 1],
    [4, 1],
  ]);
  expect(historyOf(columns, rowsOf(columns), "loss", "maximize").best).toEqual([
    [0, 3],
    [1, 5],
    [4, 5],
  ]);
  expect(historyOf(columns, rowsOf(columns), "nothing", "minimize").total).toBe(0);
});

test("a history of 100,000 trials stays small, and its diverged trial stands at the edge with its true value", () => {
  const values = Array.from({ length: 100_000 }, (_, i) => 1 + Math.sin(i) / 2);
  values[5000] = 1e308;
  const columns = columnsOf(values);
  const history = historyOf(columns, rowsOf(columns), "loss", "minimize");
  expect(history.points.length).toBeLessThanOrEqual(4000);
  const option = historyOption(history, look(false), "loss", ["ada"], false, "minimize");
  const dots = seriesOf(option).filter((s) => s.name === "ada") as unknown as {
    large: boolean;
    data: { value: number[]; symbol?: string; of: { y: number } }[];
  }[];
  const marked = dots.flatMap((s) => s.data).find((d) => d.of.y === 1e308)!;
  expect(marked.value[1]).toBeLessThan(10);
  expect(marked.symbol).toBe("triangle");
  // What is drawn as one shape has no points of their own look; together they are all points.
  expect(dots.map((s) => [s.large, s.data.some((d) => d.symbol)])).toEqual([
    [true, false],
    [false, true],
  ]);
  expect(dots[0].data.length + dots[1].data.length).toBe(history.points.length);
});

test("bounds are round, show the best and pass over what diverged", () => {
  expect(nice(0.0808, 1.91)).toEqual({ min: 0, max: 2 });
  expect(nice(3, 3)).toEqual({ min: 2, max: 4 });
  const values = [...Array.from({ length: 50 }, (_, i) => i / 50), 1e6];
  expect(bulk(values, true)!.max).toBeLessThan(10);
  expect(
    bulk(
      values.map((v) => -v),
      false,
    )!.min,
  ).toBeGreaterThan(-10);
  expect(bulk([], true)).toBeNull();
  expect(bulk([1, 100], true)!.max).toBe(100);
  expect(held(5, { min: 0, max: 2 })).toEqual({ at: 2, beyond: 1 });
});

test("what is brushed on an axis becomes a filter, and is shown again from it", () => {
  const columns = columnsOf([1, 2, 3]);
  const axes = axesOf(columns, [0, 1, 2], SPACE, "loss", "minimize");
  expect(axes.map((a) => a.name)).toEqual(["lr", "opt", "loss"]);
  const filter = emptyFilter();
  brushed(filter, axes[0], [[-3, -1]]);
  expect(filter.ranges.get("p.lr")).toEqual({ low: 0.001, high: 0.1 });
  expect(intervalOf(filter, axes[0])[0].map((v) => Math.round(v))).toEqual([-3, -1]);
  brushed(filter, axes[1], [[1, 2]]);
  expect(filter.choices.get("p.opt")).toEqual(['"b"', '"c"']);
  expect(intervalOf(filter, axes[1])).toEqual([[1, 2]]);
  brushed(filter, axes[0], []);
  expect(filter.ranges.size).toBe(0);
});

test("of many lines the best are drawn, and last", () => {
  const columns = columnsOf(Array.from({ length: 9000 }, (_, i) => 9000 - i));
  const rows = chosenRows(columns, rowsOf(columns), "loss", "minimize");
  expect(rows.length).toBeLessThanOrEqual(1000);
  expect(rows.at(-1)).toBe(8999);
  expect(chosenRows(columns, rowsOf(columns), "loss", "maximize").at(-1)).toBe(0);
});

test("the front has what no other beats, in either direction", () => {
  const columns = new Columns([]);
  const points = [
    [1, 5],
    [2, 3],
    [3, 4],
    [4, 1],
    [2, 3],
  ];
  points.forEach(([x, y], i) => columns.put({ id: `${i}`, number: i, state: "complete", values: { x, y } }));
  const x = { metric: "x", direction: "minimize" as const };
  const y = { metric: "y", direction: "minimize" as const };
  const all = withBoth(columns, rowsOf(columns), x, y);
  expect(front(columns, all, x, y)).toEqual([0, 1, 3]);
  expect(front(columns, all, { ...x, direction: "maximize" }, { ...y, direction: "maximize" })).toEqual([3, 2, 0]);
});

test("a distribution rises from nothing to all", () => {
  expect(distribution([3, 1, 2, NaN, Infinity])).toEqual([
    [1, 1 / 3],
    [2, 2 / 3],
    [3, 1],
  ]);
  expect(distribution(Array.from({ length: 50_000 }, (_, i) => i)).length).toBeLessThanOrEqual(600);
});

test("attempts stand in the lanes of their slots, those that overlap in lanes of their own", () => {
  const bar = (trial: string, node: string, slots: string[], from: number, to: number | null, reason = "exit") => ({
    ...{ trial, label: trial, number: 0, state: to === null ? "running" : "complete", attempt: 1, node, slots },
    ...{ started_ms: from, ended_ms: to, reason: to === null ? null : reason, counted: reason === "exit" },
    resume_step: reason === "paused" ? 3 : 0,
  });
  const lanes = lanesOf(
    [
      bar("a", "kay", [], 0, 10),
      bar("b", "kay", ["gpu-10"], 1, 5, "lost_node"),
      bar("c", "ada", ["gpu-0", "gpu-1"], 2, 9),
      bar("d", "kay", ["gpu-2"], 3, null),
      bar("e", "kay", ["gpu-2"], 4, 7, "paused"),
      bar("f", "kay", [], 10, 12),
    ],
    20,
  );
  expect(lanes.places).toEqual([
    { node: "ada", slot: "gpu-0", first: 0, lanes: 1 },
    { node: "ada", slot: "gpu-1", first: 1, lanes: 1 },
    { node: "kay", slot: "gpu-2", first: 2, lanes: 2 },
    { node: "kay", slot: "gpu-10", first: 4, lanes: 1 },
    { node: "kay", slot: "", first: 5, lanes: 1 },
  ]);
  const { axisLabel } = timelineOption(lanes, look(true)).yAxis as {
    axisLabel: { formatter: (lane: number) => string };
  };
  expect([0, 1, 2, 3, 4, 5].map(axisLabel.formatter)).toEqual([
    "ada gpu-0",
    "gpu-1",
    "kay gpu-2",
    "",
    "gpu-10",
    "clients",
  ]);
  expect(lanes.bars.map((b) => [b.trial, b.lane, b.to, b.kind])).toEqual([
    ["c", 0, 9, "complete"],
    ["c", 1, 9, "complete"],
    ["d", 2, 20, "running"],
    ["e", 3, 7, "frozen"],
    ["b", 4, 5, "lost"],
    ["a", 5, 10, "complete"],
    ["f", 5, 12, "complete"],
  ]);
});

test("a bar has signs of what was thawed, frozen and lost where there is room", () => {
  const bar = (reason: string, resume_step: number) => ({
    ...{ trial: "a", label: "a", number: 0, state: "paused", attempt: 1, node: "ada", slots: ["cpu-0"], reason },
    ...{ started_ms: 0, ended_ms: 1, counted: false, resume_step },
  });
  const drawn = (reason: string, resume_step: number, width = 100) => {
    const option = timelineOption(lanesOf([bar(reason, resume_step)], 2), look(true));
    const series = (
      option.series as { renderItem: (p: object, api: object) => { type: string; children?: object[] } }[]
    )[0];
    const api = { value: (i: number) => i, coord: ([x]: number[]) => [x * width, 0], size: () => [0, 20] };
    return series.renderItem({ dataIndex: 0 }, api).children?.length ?? 1;
  };
  expect(drawn("exit", 0)).toBe(1);
  expect(drawn("exit", 4)).toBe(2);
  expect(drawn("paused", 4)).toBe(4);
  expect(drawn("lost_node", 0)).toBe(3);
  expect(drawn("paused", 4, 5)).toBe(1);
});

test("what became of an attempt is told by its reason", () => {
  expect(kindOf("running", null, false)).toBe("running");
  expect(kindOf("paused", "paused", false)).toBe("frozen");
  expect(kindOf("fail", "oom", false)).toBe("failed");
  expect(kindOf("complete", "preempted", false)).toBe("lost");
  expect(kindOf("complete", "superseded", false)).toBe("cancelled");
});

test("curves are grouped by state, and what is foretold reaches to its step", () => {
  const option = curvesOption(
    [
      {
        id: "a",
        label: "a",
        state: "complete",
        points: [
          [1, 2],
          [2, 1],
        ],
      },
      { id: "b", label: "b", state: "pruned", points: [[1, 3]] },
      {
        id: "c",
        label: "c",
        state: "running",
        points: [
          [1, 2],
          [3, 1],
        ],
        predicted: { value: 0.5, low: 0.4, high: 0.7, step: 9 },
      },
      { id: "d", label: "d", state: "complete", points: [] },
    ],
    "loss",
    look(true),
    false,
  );
  expect(seriesOf(option).map((s) => s.name)).toEqual([
    "complete",
    "pruned",
    "running",
    "end of pruned and frozen",
    "foretold",
  ]);
  expect((option.xAxis as { max: number }).max).toBe(9);
});

test("a cell's edges lie between its neighbours", () => {
  expect(edges([0, 1, 3])).toEqual([-0.5, 0.5, 2, 4]);
  expect(edges([2])).toEqual([1.5, 2.5]);
});

test("a node keeps its colour, and colours are colours", () => {
  const names = ["ada", "kay"];
  expect(nodeMark(look(false), names, "kay")).toEqual(nodeMark(look(false), names, "kay"));
  expect(nodeMark(look(false), names, "kay")).not.toEqual(nodeMark(look(false), names, "ada"));
  expect(mix("#000000", "#ffffff", 0.5)).toBe("#808080");
  for (const share of [-1, 0, 0.5, 1, 2]) expect(ramp(share)).toMatch(/^#[0-9a-f]{6}$/);
});
