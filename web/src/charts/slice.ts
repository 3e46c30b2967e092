// One parameter against the metric: the trials, and what the model says of the parameter by itself.

import type { Param, Schemas } from "../api/client";
import { sensible } from "../format/number";
import { clipped, shown } from "../format/value";
import { isNumeric, type Columns } from "../state/columns";
import type { EChartsOption } from "./echarts";
import type { Direction } from "./history";
import { axis, base, labelPlaces, mix, tip, type Look } from "./look";
import { bulk, held } from "./bounds";
import { thin } from "./thin";

const MOST = 1500;

export interface SliceInput {
  columns: Columns;
  rows: Uint32Array;
  param: Param;
  metric: string;
  direction: Direction;
  marginal?: Schemas["ParamMarginal"];
}

export function sliceOption(
  { columns, rows, param, metric, direction, marginal }: SliceInput,
  look: Look,
): EChartsOption {
  const numeric = isNumeric(param);
  const log = numeric && param.log === true;
  const values = columns.numbers(`v.${metric}`);
  const xs = columns.numbers(`p.${param.name}`);
  const words = columns.words(`p.${param.name}`);
  const choices = numeric
    ? []
    : (param.type === "bool" ? [false, true] : (param.choices ?? [])).map((c) => JSON.stringify(c));
  const place = new Map(choices.map((c, i) => [c, i]));
  const with_ = Array.from(rows).filter(
    (row) =>
      columns.state.at(row) === "complete" &&
      values !== undefined &&
      !Number.isNaN(values.at(row)) &&
      (numeric ? xs !== undefined && !Number.isNaN(xs.at(row)) : (words?.codes.at(row) ?? 0) > 0),
  );
  const kept = thin(
    Float64Array.from(with_, (row) => values!.at(row)),
    MOST,
  ).map((i) => with_[i]);
  let newest = 1;
  for (const row of kept) newest = Math.max(newest, columns.number.at(row));
  const old = look.dark ? "#5d6b7c" : "#c9d3e4";
  // A choice's trials are spread by their number, so that they don't hide one another.
  const spread = (row: number) => (((columns.number.at(row) * 0.618) % 1) - 0.5) * 0.5;
  const bounds = bulk(
    Float64Array.from(with_, (row) => values!.at(row)),
    direction === "minimize",
  );
  const edge = (row: number) => {
    const { at, beyond } = held(values!.at(row), bounds);
    return { at, mark: beyond ? { symbol: "triangle", symbolRotate: beyond > 0 ? 0 : 180 } : {} };
  };
  const points = kept.map((row) => ({
    ...edge(row).mark,
    value: [numeric ? xs!.at(row) : (place.get(words!.at(row)) ?? 0) + spread(row), edge(row).at],
    trial: columns.id[row],
    row,
    itemStyle: { color: mix(old, look.accent, columns.number.at(row) / newest) },
  }));
  const model =
    marginal?.points.map((p) => ({ ...p, at: numeric ? Number(p.x) : (place.get(JSON.stringify(p.x)) ?? 0) })) ?? [];
  const line = { type: "line", symbol: "none", silent: true, z: 1 };
  return {
    ...base(look),
    grid: { left: 8, right: 14, top: 24, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: numeric
      ? axis(look, { at: "x", log, min: param.low ?? null, max: param.high ?? null })
      : axis(look, {
          at: "x",
          min: -0.5,
          max: choices.length - 0.5,
          places: labelPlaces(choices.length, 6),
          format: (v) => clipped(shown(JSON.parse(choices[v] ?? '""')), 10),
        }),
    yAxis: axis(look, { at: "y", name: metric, ...bounds }),
    series: [
      {
        type: "scatter",
        symbolSize: kept.length > 300 ? 4 : 6,
        itemStyle: { opacity: 0.75 },
        data: points,
        tooltip: {
          formatter: (p: { data: { row: number } }) =>
            tip(columns.label[p.data.row], [
              [param.name, shown(columns.param(p.data.row, param.name))],
              [metric, sensible(values!.at(p.data.row), 6)],
            ]),
        },
      },
      ...(numeric && model.length
        ? [
            { ...line, stack: "band", lineStyle: { opacity: 0 }, data: model.map((p) => [p.at, p.low]) },
            {
              ...line,
              stack: "band",
              stackStrategy: "all",
              lineStyle: { opacity: 0 },
              areaStyle: { color: look.text, opacity: 0.1 },
              data: model.map((p) => [p.at, p.high - p.low]),
            },
          ]
        : []),
      ...(model.length
        ? [
            numeric
              ? { ...line, z: 4, lineStyle: { color: look.text, width: 1.5 }, data: model.map((p) => [p.at, p.mean]) }
              : {
                  type: "scatter",
                  silent: true,
                  z: 4,
                  symbol: "rect",
                  symbolSize: [18, 2.5],
                  itemStyle: { color: look.text },
                  data: model.map((p) => [p.at, p.mean]),
                },
          ]
        : []),
    ],
  };
}
