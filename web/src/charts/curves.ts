// Learning curves: a line a trial, coloured by its state, marked where it was pruned or frozen, dashed where foretold.

import type { Schemas } from "../api/client";
import { sensible } from "../format/number";
import type { EChartsOption } from "./echarts";
import { nice } from "./bounds";
import { axis, base, GRID, legend, tip, type Look } from "./look";

export interface ShownCurve {
  id: string;
  label: string;
  state: string;
  points: [number, number][];
  predicted?: Schemas["Predicted"] | null;
}

const ORDER = ["complete", "pruned", "fail", "cancelled", "infeasible", "waiting", "paused", "running"];

export function curvesOption(curves: readonly ShownCurve[], metric: string, look: Look, log: boolean): EChartsOption {
  const usable = curves
    .map((c) => ({ ...c, points: log ? c.points.filter((p) => p[1] > 0) : c.points }))
    .filter((c) => c.points.length > 0);
  const states = ORDER.filter((state) => usable.some((c) => c.state === state));
  const opacity = Math.max(0.15, Math.min(0.85, 12 / Math.sqrt(usable.length + 1)));
  const said = (c: ShownCurve) => {
    const [step, value] = c.points[c.points.length - 1];
    const rows: [string, string][] = [
      ["state", c.state],
      [`${metric} at step ${sensible(step)}`, sensible(value, 5)],
    ];
    if (c.predicted) {
      const { value, low, high } = c.predicted;
      rows.push([
        `foretold for step ${sensible(c.predicted.step)}`,
        `${sensible(value)} (${sensible(low)} to ${sensible(high)})`,
      ]);
    }
    return tip(c.label, rows);
  };
  const foretold = usable.filter((c) => c.predicted && c.predicted.step > c.points[c.points.length - 1][0]);
  const xs = usable.flatMap((c) => [...c.points.map((p) => p[0]), ...(c.predicted ? [c.predicted.step] : [])]);
  const ys = usable.flatMap((c) => c.points.map((p) => p[1]));
  for (const c of foretold) ys.push(c.predicted!.low, c.predicted!.high);
  const ends = usable.filter((c) => ["pruned", "paused"].includes(c.state) || c.points.length === 1);
  return {
    ...base(look),
    grid: GRID,
    legend: legend(look),
    xAxis: { ...axis(look, { at: "x", name: "step", min: least(xs), max: most(xs) }), minInterval: 1 },
    yAxis: axis(look, { at: "y", name: metric, log, ...spanned(ys, log) }),
    dataZoom: [{ type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false }],
    series: [
      ...states.map((state) => ({
        type: "lines",
        name: state,
        coordinateSystem: "cartesian2d",
        polyline: true,
        progressive: 300,
        color: look.states[state],
        z: state === "running" ? 4 : 2,
        lineStyle: {
          color: look.states[state],
          width: state === "running" || state === "paused" ? 1.8 : 1.2,
          opacity: state === "running" ? Math.max(0.6, opacity) : opacity,
        },
        emphasis: { lineStyle: { width: 3, opacity: 1 } },
        data: usable
          .filter((c) => c.state === state && c.points.length > 1)
          .map((c) => ({ coords: c.points, trial: c.id, curve: c })),
        tooltip: { formatter: (p: { data: { curve: ShownCurve } }) => said(p.data.curve) },
      })),
      {
        type: "scatter",
        name: "end of pruned and frozen",
        z: 5,
        color: look.dim,
        data: ends.map((c) => ({
          value: c.points[c.points.length - 1],
          trial: c.id,
          curve: c,
          // A bar across for what was pruned, an open square for what is frozen.
          symbol: c.state === "paused" ? "emptyRect" : c.state === "pruned" ? "rect" : "circle",
          symbolSize: c.state === "pruned" ? [2, 9] : 7,
          itemStyle: {
            color: look.states[c.state] ?? look.dim,
            borderColor: look.states[c.state],
            borderWidth: c.state === "paused" ? 2 : 0,
          },
        })),
        tooltip: { formatter: (p: { data: { curve: ShownCurve } }) => said(p.data.curve) },
      },
      ...(foretold.length
        ? [
            {
              type: "lines",
              name: "foretold",
              coordinateSystem: "cartesian2d",
              polyline: true,
              silent: true,
              z: 3,
              color: look.dim,
              lineStyle: { color: look.dim, width: 1.2, type: "dashed", opacity: Math.max(0.4, opacity) },
              data: foretold.flatMap((c) => {
                const { step, value, low, high } = c.predicted!;
                return [
                  { coords: [c.points[c.points.length - 1], [step, value]] },
                  {
                    coords: [
                      [step, low],
                      [step, high],
                    ],
                  },
                ];
              }),
            },
          ]
        : []),
    ],
  };
}

function least(all: readonly number[]): number | null {
  return all.length ? all.reduce((a, b) => Math.min(a, b)) : null;
}

function most(all: readonly number[]): number | null {
  return all.length ? all.reduce((a, b) => Math.max(a, b)) : null;
}

/** Lines, unlike points, don't widen an axis by themselves. */
export function spanned(ys: readonly number[], log: boolean): { min: number | null; max: number | null } {
  const low = least(ys.filter((y) => Number.isFinite(y) && (!log || y > 0)));
  const high = most(ys.filter(Number.isFinite));
  if (low === null || high === null) return { min: null, max: null };
  if (log) return { min: 10 ** Math.floor(Math.log10(low)), max: 10 ** Math.ceil(Math.log10(high)) };
  return nice(low, high);
}
