// Every result in the order of its trial, and the best so far.

import type { Columns } from "../state/columns";
import type { Schemas } from "../api/client";
import { sensible } from "../format/number";
import type { EChartsOption } from "./echarts";
import { axis, base, GRID, legend, nodeMark, tip, type Look } from "./look";
import { bulk, held } from "./bounds";
import { thin } from "./thin";

export type Direction = "minimize" | "maximize";
const MOST = 4000;
/** More points are drawn as one shape for each node: small squares, the fastest that a canvas knows. */
const SINGLY = 1500;

export interface HistoryPoint {
  x: number;
  y: number;
  id: string;
  label: string;
  node: string;
  pruned: boolean;
}

export interface HistoryData {
  points: HistoryPoint[];
  /** Where the best changed, and the end. */
  best: [number, number][];
  total: number;
}

/** The history of the rows of a study's columns. */
export function historyOf(columns: Columns, rows: Uint32Array, metric: string, direction: Direction): HistoryData {
  const values = columns.numbers(`v.${metric}`);
  if (!values) return { points: [], best: [], total: 0 };
  const with_ = byNumber(columns, rows, (row) => {
    if (Number.isNaN(values.at(row))) return false;
    const state = columns.state.at(row);
    return state === "complete" || state === "pruned";
  });
  const best: [number, number][] = [];
  const sign = direction === "maximize" ? -1 : 1;
  for (const row of with_) {
    if (columns.state.at(row) !== "complete") continue;
    const value = values.at(row);
    if (!best.length || sign * value < sign * best[best.length - 1][1]) best.push([columns.number.at(row), value]);
  }
  const last = with_.at(-1);
  if (best.length && last !== undefined) best.push([columns.number.at(last), best[best.length - 1][1]]);
  const kept = thin(
    Float64Array.from(with_, (row) => values.at(row)),
    MOST,
  );
  const points = kept.map((i) => {
    const row = with_[i];
    return {
      x: columns.number.at(row),
      y: values.at(row),
      id: columns.id[row],
      label: columns.label[row],
      node: columns.node.at(row),
      pruned: columns.state.at(row) === "pruned",
    };
  });
  return { points, best, total: with_.length };
}

/** Rows that are wanted, by their trials' numbers. */
export function byNumber(columns: Columns, rows: Uint32Array, wanted: (row: number) => boolean): Uint32Array {
  // A number and its row fit one double: sorting those needs no comparisons in JavaScript.
  const size = columns.length + 1;
  const keys = new Float64Array(rows.length);
  let n = 0;
  for (const row of rows) if (wanted(row)) keys[n++] = columns.number.at(row) * size + row;
  return Uint32Array.from(keys.subarray(0, n).sort(), (key) => key % size);
}

/** The same out of the daemon's bounded answer, for large studies whose trials are still coming. */
export function historyFrom(plot: Schemas["History"]): HistoryData {
  const points = plot.points.map((p) => ({
    x: p.number,
    y: p.value,
    id: p.trial,
    label: `#${p.number}`,
    node: "",
    pruned: false,
  }));
  const best = plot.points.filter((p) => typeof p.best === "number").map((p): [number, number] => [p.number, p.best!]);
  return { points, best, total: plot.total };
}

export function historyOption(
  data: HistoryData,
  look: Look,
  metric: string,
  nodes: readonly string[],
  log: boolean,
  direction: Direction,
): EChartsOption {
  const shown = log ? data.points.filter((p) => p.y > 0) : data.points;
  const done = shown.filter((p) => !p.pruned);
  const bounds = log
    ? null
    : bulk(
        Float64Array.from(done.length ? done : shown, (p) => p.y),
        direction === "minimize",
      );
  const groups = new Map<string, HistoryPoint[]>();
  for (const point of shown) {
    const name = point.pruned ? "pruned" : point.node || "result";
    const group = groups.get(name);
    if (group) group.push(point);
    else groups.set(name, [point]);
  }
  const order = [...groups.keys()].sort((a, b) => Number(b === "pruned") - Number(a === "pruned") || (a < b ? -1 : 1));
  const many = shown.length > SINGLY;
  // Below four pixels ECharts draws a bulk of points as squares.
  const size = many ? 3 : shown.length > 200 ? 6 : 8;
  const scatter = (name: string, points: HistoryPoint[], large: boolean) => {
    const pruned = name === "pruned";
    const mark = pruned ? { color: look.states.pruned, symbol: "circle" } : nodeMark(look, nodes, name);
    return {
      type: "scatter",
      name,
      symbol: mark.symbol,
      symbolSize: pruned && !large ? size - 1 : size,
      large,
      largeThreshold: 0,
      itemStyle:
        pruned && !large
          ? { color: "transparent", borderColor: mark.color, borderWidth: 1, opacity: 0.7 }
          : { color: mark.color, opacity: shown.length > 300 ? 0.55 : 0.8 },
      data: points.map((p) => {
        const { at, beyond } = held(p.y, bounds);
        // What lies beyond the axis points outwards at its edge.
        const edge = beyond ? { symbol: "triangle", symbolSize: 6, symbolRotate: beyond > 0 ? 0 : 180 } : {};
        return { value: [p.x, at], trial: p.id, of: p, ...edge };
      }),
      tooltip: {
        formatter: (p: { data: { of: HistoryPoint } }) =>
          tip(p.data.of.label, [
            [metric, sensible(p.data.of.y, 6)],
            ["trial", `#${p.data.of.x}`],
            [pruned ? "state" : "node", name],
          ]),
      },
    };
  };
  const dots = order.flatMap((name) => {
    const points = groups.get(name)!;
    if (!many) return [scatter(name, points, false)];
    // A shape of many has no points that look different.
    const beyond = (p: HistoryPoint) => held(p.y, bounds).beyond !== 0;
    const edge = points.filter(beyond);
    return [
      scatter(name, edge.length ? points.filter((p) => !beyond(p)) : points, true),
      ...(edge.length ? [scatter(name, edge, false)] : []),
    ];
  });
  return {
    ...base(look),
    grid: GRID,
    legend: legend(look, [
      "best so far",
      ...order.filter((n) => n !== "pruned"),
      ...order.filter((n) => n === "pruned"),
    ]),
    xAxis: axis(look, { at: "x", name: "trial" }),
    yAxis: axis(look, { at: "y", name: metric, log, ...bounds }),
    dataZoom: [{ type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false }],
    series: [
      ...dots,
      {
        type: "line",
        name: "best so far",
        step: "end",
        symbol: "none",
        silent: true,
        z: 4,
        color: look.text,
        lineStyle: { color: look.text, width: 1.6 },
        data: log ? data.best.filter((p) => p[1] > 0) : data.best,
      },
    ],
  };
}
