// One trial's own curve, with what is foretold of it.

import type { Report, Schemas } from "../api/client";
import { sensible } from "../format/number";
import type { EChartsOption } from "./echarts";
import { axis, base, GRID, legend, tip, type Look } from "./look";

/** Names of metrics that any of the reports has. */
export function metricsOf(reports: readonly Report[]): string[] {
  return [...new Set(reports.flatMap((r) => Object.keys(r.values)))];
}

export function curveOption(
  reports: readonly Report[],
  metric: string,
  thaws: readonly number[],
  predicted: Schemas["Predicted"] | null | undefined,
  look: Look,
  log: boolean,
): EChartsOption {
  const points = reports
    .map((r): [number, number | null] => [r.step, (r.values[metric] as number | null | undefined) ?? null])
    .filter((p) => p[1] === null || !log || p[1] > 0)
    .sort((a, b) => a[0] - b[0]);
  const last = points.findLast((p) => p[1] !== null);
  const thawed = thaws
    .flatMap((step) => points.find((p) => p[0] >= step && p[1] !== null) ?? [])
    .filter((p) => p !== undefined);
  const ahead = predicted && last && predicted.step > last[0] ? predicted : null;
  const at = (name: string) => ({
    formatter: (p: { value: number[] }) =>
      tip(name, [
        ["step", sensible(p.value[0], 12)],
        [metric, sensible(p.value[1], 6)],
      ]),
  });
  return {
    ...base(look),
    grid: GRID,
    legend: ahead || thaws.length ? legend(look) : { show: false },
    xAxis: { ...axis(look, { at: "x", name: "step", min: "dataMin" }), minInterval: 1 },
    yAxis: axis(look, { at: "y", name: metric, log }),
    dataZoom: [{ type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false }],
    series: [
      {
        type: "line",
        name: "reported",
        color: look.accent,
        symbol: "circle",
        symbolSize: points.length > 60 ? 3 : 6,
        showAllSymbol: true,
        connectNulls: false,
        lineStyle: { width: 1.8 },
        data: points,
        tooltip: at("reported"),
      },
      ...(thawed.length
        ? [
            {
              type: "scatter",
              name: "thawed",
              color: look.states.paused,
              symbol: "diamond",
              symbolSize: 12,
              data: thawed,
              tooltip: at("thawed"),
            },
          ]
        : []),
      ...(ahead
        ? [
            {
              type: "line",
              name: "foretold",
              color: look.dim,
              symbol: "none",
              lineStyle: { type: "dashed", width: 1.4 },
              data: [last, [ahead.step, ahead.value]],
              tooltip: at("foretold"),
            },
            {
              type: "line",
              name: "four of five end here",
              color: look.dim,
              symbol: "rect",
              symbolSize: [9, 2],
              lineStyle: { width: 1.4 },
              data: [
                [ahead.step, ahead.low],
                [ahead.step, ahead.high],
              ],
              tooltip: at("four of five end here"),
            },
          ]
        : []),
    ],
  };
}
