// Two parameters against the metric, as a model of the results sees it, with the trials on top.

import type { Param, Schemas } from "../api/client";
import { sensible } from "../format/number";
import { clipped, shown } from "../format/value";
import { isNumeric, type Columns } from "../state/columns";
import type { EChartsOption } from "./echarts";
import { axis, base, labelPlaces, ramp, tip, type Look } from "./look";
import { even } from "./thin";

const MOST = 800;

/** Where a side's values lie on its axis: numbers by themselves (logarithms where the scale is one), choices by place. */
interface Side {
  param: Param;
  at: number[];
  label: (v: number) => string;
}

function side(param: Param, values: readonly unknown[]): Side {
  if (!isNumeric(param)) {
    return {
      param,
      at: values.map((_, i) => i),
      label: (v) => (Number.isInteger(v) ? clipped(shown(values[v]), 12) : ""),
    };
  }
  const log = param.log === true;
  return {
    param,
    at: values.map((v) => (log ? Math.log10(Number(v)) : Number(v))),
    label: (v) => sensible(log ? 10 ** v : v, 3),
  };
}

/** The edges between neighbouring values, and beyond the outermost. */
export function edges(at: readonly number[]): number[] {
  if (at.length === 1) return [at[0] - 0.5, at[0] + 0.5];
  const between = at.slice(1).map((v, i) => (v + at[i]) / 2);
  return [
    at[0] - (between[0] - at[0]),
    ...between,
    at[at.length - 1] + (at[at.length - 1] - between[between.length - 1]),
  ];
}

export function contourOption(
  plot: Schemas["Contour"],
  params: readonly Param[],
  columns: Columns,
  rows: Uint32Array,
  look: Look,
): EChartsOption | null {
  const px = params.find((p) => p.name === plot.x);
  const py = params.find((p) => p.name === plot.y);
  if (!px || !py || !plot.means.length) return null;
  const x = side(px, plot.xs);
  const y = side(py, plot.ys);
  const ex = edges(x.at);
  const ey = edges(y.at);
  const flat = plot.means.flat().filter((m): m is number => typeof m === "number");
  const low = Math.min(...flat);
  const span = Math.max(...flat) - low || 1;
  // Bright is better.
  const better = plot.direction === "maximize" ? (m: number) => (m - low) / span : (m: number) => 1 - (m - low) / span;
  const cells = plot.means.flatMap((line, j) =>
    line.flatMap((mean, i) =>
      typeof mean === "number" ? [{ value: [ex[i], ey[j], ex[i + 1], ey[j + 1], mean], i, j }] : [],
    ),
  );
  const place = (s: Side, values: readonly unknown[], row: number) => {
    const value = columns.param(row, s.param.name);
    if (value === undefined) return NaN;
    if (isNumeric(s.param)) return s.param.log ? Math.log10(Number(value)) : Number(value);
    const at = values.findIndex((v) => JSON.stringify(v) === JSON.stringify(value));
    return at < 0 ? NaN : at;
  };
  const trials = even(
    Array.from(rows).filter((row) => columns.state.at(row) === "complete"),
    MOST,
  ).flatMap((row) => {
    const value = [place(x, plot.xs, row), place(y, plot.ys, row)];
    return value.some(Number.isNaN) ? [] : [{ value, trial: columns.id[row], row }];
  });
  const scale = (s: Side, e: number[], at: "x" | "y") => ({
    ...axis(look, {
      at,
      name: s.param.name,
      min: e[0],
      max: e[e.length - 1],
      format: s.label,
      ...(isNumeric(s.param) ? {} : { places: labelPlaces(s.at.length, 8) }),
    }),
    splitLine: { show: false },
  });
  return {
    ...base(look),
    grid: { left: 12, right: 16, top: 30, bottom: 30, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: scale(x, ex, "x"),
    yAxis: scale(y, ey, "y"),
    series: [
      {
        type: "custom",
        z: 1,
        clip: true,
        encode: { x: [0, 2], y: [1, 3] },
        data: cells,
        renderItem: (_: unknown, api: { value(i: number): number; coord(p: number[]): number[] }) => {
          const [x1, y1] = api.coord([api.value(0), api.value(1)]);
          const [x2, y2] = api.coord([api.value(2), api.value(3)]);
          const shape = {
            x: Math.min(x1, x2),
            y: Math.min(y1, y2),
            width: Math.abs(x2 - x1) + 0.6,
            height: Math.abs(y2 - y1) + 0.6,
          };
          return { type: "rect", shape, style: { fill: ramp(better(api.value(4))) } };
        },
        tooltip: {
          formatter: (p: { data: { value: number[]; i: number; j: number } }) =>
            tip("expected by the model", [
              [px.name, shown(plot.xs[p.data.i])],
              [py.name, shown(plot.ys[p.data.j])],
              [plot.metric, sensible(p.data.value[4], 5)],
            ]),
        },
      },
      {
        type: "scatter",
        z: 3,
        symbolSize: 5,
        itemStyle: { color: "#ffffff", borderColor: "#111111", borderWidth: 0.8, opacity: 0.8 },
        data: trials,
        tooltip: {
          formatter: (p: { data: { row: number } }) =>
            tip(columns.label[p.data.row], [
              [px.name, shown(columns.param(p.data.row, px.name))],
              [py.name, shown(columns.param(p.data.row, py.name))],
              [plot.metric, sensible(columns.numbers(`v.${plot.metric}`)?.at(p.data.row), 5)],
            ]),
        },
      },
    ],
  };
}
