// How much each parameter matters, with whiskers.

import type { Schemas } from "../api/client";
import { percent } from "../format/number";
import { clipped } from "../format/value";
import type { EChartsOption } from "./echarts";
import { axis, base, tip, type Look } from "./look";

export const MOST_BARS = 12;

export function importanceOption(importances: Schemas["Importances"], look: Look): EChartsOption {
  const items = importances.items.slice(0, MOST_BARS).reverse();
  const top = Math.min(1, Math.max(0.1, ...items.map((i) => i.high ?? i.importance)) * 1.05);
  return {
    ...base(look),
    grid: { left: 8, right: 20, top: 6, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: {
      ...axis(look, { at: "x", min: 0, max: top, format: percent }),
      splitLine: { show: true, lineStyle: { color: look.line } },
    },
    yAxis: {
      type: "category",
      data: items.map((i) => i.name),
      axisLine: { lineStyle: { color: look.line } },
      axisTick: { show: false },
      axisLabel: { color: look.text, interval: 0, formatter: (name: string) => clipped(name, 18) },
    },
    series: [
      {
        type: "bar",
        barMaxWidth: 16,
        itemStyle: { color: look.accent, opacity: 0.75 },
        data: items.map((i) => i.importance),
        tooltip: {
          formatter: (p: { dataIndex: number }) => {
            const item = items[p.dataIndex];
            const rows: [string, string][] = [["importance", percent(item.importance)]];
            if (typeof item.low === "number" && typeof item.high === "number") {
              rows.push(["between", `${percent(item.low)} and ${percent(item.high)}`]);
            }
            if (typeof item.alone === "number") rows.push(["alone", percent(item.alone)]);
            return tip(item.name, rows);
          },
        },
      },
      {
        type: "custom",
        silent: true,
        z: 5,
        encode: { x: [1, 2], y: 0 },
        data: items.flatMap((item, i) =>
          typeof item.low === "number" && typeof item.high === "number" ? [[i, item.low, item.high]] : [],
        ),
        renderItem: (_: unknown, api: { value(i: number): number; coord(p: number[]): number[] }) => {
          const [x1, y] = api.coord([api.value(1), api.value(0)]);
          const [x2] = api.coord([api.value(2), api.value(0)]);
          const style = { stroke: look.text, lineWidth: 1.2 };
          const line = (a: number, b: number, c: number, d: number) => ({
            type: "line",
            shape: { x1: a, y1: b, x2: c, y2: d },
            style,
          });
          return {
            type: "group",
            children: [line(x1, y, x2, y), line(x1, y - 4, x1, y + 4), line(x2, y - 4, x2, y + 4)],
          };
        },
      },
    ],
  };
}
