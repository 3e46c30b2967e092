// The empirical distribution of the results, of several studies next to one another.

import { percent, sensible } from "../format/number";
import type { EChartsOption } from "./echarts";
import { axis, base, GRID, legend, tip, type Look } from "./look";
import { even } from "./thin";

const MOST = 600;

/** For each value the share of results that are no larger: evenly many steps. */
export function distribution(values: readonly number[]): [number, number][] {
  const order = Float64Array.from(values).filter(Number.isFinite).sort();
  const steps = Array.from(order, (v, i): [number, number] => [v, (i + 1) / order.length]);
  return even(steps, MOST);
}

export function distributionOption(
  studies: readonly { name: string; values: readonly number[] }[],
  metric: string,
  look: Look,
): EChartsOption {
  return {
    ...base(look),
    tooltip: {
      ...(base(look).tooltip as object),
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: look.soft } },
      formatter: (ps: { seriesName: string; value: number[] }[]) =>
        tip(
          `${metric} up to ${sensible(ps[0]?.value[0], 5)}`,
          ps.map((p): [string, string] => [p.seriesName, percent(p.value[1])]),
        ),
    },
    grid: GRID,
    legend: studies.length > 1 ? legend(look) : { show: false },
    xAxis: axis(look, { at: "x", name: metric }),
    yAxis: axis(look, { at: "y", name: "share of trials", min: 0, max: 1, format: percent }),
    series: studies.map(({ name, values }, i) => ({
      type: "line",
      name,
      step: "end",
      symbol: "none",
      color: i === 0 ? look.accent : look.nodes[i % look.nodes.length],
      lineStyle: { width: 1.8, type: i % 2 ? "dashed" : "solid" },
      areaStyle: studies.length === 1 ? { color: look.accent, opacity: 0.08 } : undefined,
      data: distribution(values),
    })),
  };
}
