// Two objectives against one another, and the front.

import { sensible } from "../format/number";
import type { Columns } from "../state/columns";
import type { EChartsOption } from "./echarts";
import type { Direction } from "./history";
import { axis, base, GRID, tip, type Look } from "./look";
import { even } from "./thin";

const MOST = 4000;

export interface Objective {
  metric: string;
  direction: Direction;
}

/** Rows that no other beats in both objectives, by the first. */
export function front(columns: Columns, rows: readonly number[], x: Objective, y: Objective): number[] {
  const xs = columns.numbers(`v.${x.metric}`);
  const ys = columns.numbers(`v.${y.metric}`);
  if (!xs || !ys) return [];
  const sx = x.direction === "maximize" ? -1 : 1;
  const sy = y.direction === "maximize" ? -1 : 1;
  const order = [...rows].sort((a, b) => sx * (xs.at(a) - xs.at(b)) || sy * (ys.at(a) - ys.at(b)));
  const kept: number[] = [];
  let best = Infinity;
  for (const row of order) {
    const v = sy * ys.at(row);
    if (v < best) {
      kept.push(row);
      best = v;
    }
  }
  return kept;
}

/** Complete rows with both values. */
export function withBoth(columns: Columns, rows: Uint32Array, x: Objective, y: Objective): number[] {
  const xs = columns.numbers(`v.${x.metric}`);
  const ys = columns.numbers(`v.${y.metric}`);
  if (!xs || !ys) return [];
  return Array.from(rows).filter(
    (row) => columns.state.at(row) === "complete" && !Number.isNaN(xs.at(row)) && !Number.isNaN(ys.at(row)),
  );
}

export function paretoOption(
  columns: Columns,
  rows: Uint32Array,
  x: Objective,
  y: Objective,
  look: Look,
): EChartsOption {
  const all = withBoth(columns, rows, x, y);
  const best = front(columns, all, x, y);
  const on = new Set(best);
  const xs = columns.numbers(`v.${x.metric}`);
  const ys = columns.numbers(`v.${y.metric}`);
  const item = (row: number) => ({ value: [xs!.at(row), ys!.at(row)], trial: columns.id[row], row });
  const formatter = (p: { data: { row: number } }) =>
    tip(columns.label[p.data.row], [
      [x.metric, sensible(xs!.at(p.data.row), 6)],
      [y.metric, sensible(ys!.at(p.data.row), 6)],
      ["node", columns.node.at(p.data.row)],
    ]);
  const others = even(
    all.filter((row) => !on.has(row)),
    MOST,
  );
  return {
    ...base(look),
    grid: GRID,
    xAxis: axis(look, { at: "x", name: `${x.metric} (${x.direction})` }),
    yAxis: axis(look, { at: "y", name: `${y.metric} (${y.direction})` }),
    dataZoom: [
      { type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
      { type: "inside", yAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
    ],
    series: [
      {
        type: "scatter",
        name: "dominated",
        symbolSize: others.length > 1000 ? 4 : 6,
        itemStyle: { color: look.states.waiting, opacity: 0.5 },
        data: others.map(item),
        tooltip: { formatter },
      },
      {
        type: "line",
        name: "front",
        step: "end",
        color: look.accent,
        symbol: "circle",
        symbolSize: 8,
        lineStyle: { width: 1.4 },
        itemStyle: { color: look.accent },
        data: best.map(item),
        tooltip: { formatter },
      },
    ],
  };
}
