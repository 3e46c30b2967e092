// Parallel coordinates: a line a trial, an axis a parameter, brushed to filter.

import type { Param } from "../api/client";
import { sensible } from "../format/number";
import { clipped, shown } from "../format/value";
import { isNumeric, type Columns } from "../state/columns";
import type { Filter } from "../state/filter";
import type { EChartsOption } from "./echarts";
import type { Direction } from "./history";
import { bulk, held } from "./bounds";
import { base, mix, tip, type Look } from "./look";
import { even } from "./thin";

const MOST_LINES = 1000;
export const MOST_AXES = 14;

export interface Axis {
  /** Such as `p.lr`. */
  column: string;
  name: string;
  log: boolean;
  /** The choices of a parameter without numbers, as JSON. */
  choices: string[] | null;
  low: number;
  high: number;
}

/** An axis for each parameter and one for the metric. */
export function axesOf(
  columns: Columns,
  rows: readonly number[],
  params: readonly Param[],
  metric: string,
  direction: Direction,
): Axis[] {
  const axes = params.slice(0, MOST_AXES).map((param): Axis => {
    const numeric = isNumeric(param);
    const choices = param.type === "bool" ? [false, true] : (param.choices ?? []);
    return {
      column: `p.${param.name}`,
      name: param.name,
      log: numeric && param.log === true && (param.low ?? 0) > 0,
      choices: numeric ? null : choices.map((c) => JSON.stringify(c)),
      low: param.low ?? 0,
      high: param.high ?? 1,
    };
  });
  const values = columns.numbers(`v.${metric}`);
  const ends = bulk(
    Float64Array.from(rows, (row) => values?.at(row) ?? NaN),
    direction === "minimize",
  ) ?? { min: 0, max: 1 };
  axes.push({ column: `v.${metric}`, name: metric, log: false, choices: null, low: ends.min, high: ends.max });
  return axes;
}

const toAxis = (axis: Axis, value: number) => (axis.log ? Math.log10(value) : value);
const fromAxis = (axis: Axis, value: number) => (axis.log ? 10 ** value : value);

/** What brushed intervals of an axis mean for the filter. */
export function brushed(filter: Filter, axis: Axis, intervals: readonly (readonly number[])[]): void {
  filter.ranges.delete(axis.column);
  filter.choices.delete(axis.column);
  if (!intervals.length) return;
  if (axis.choices) {
    const within = axis.choices.filter((_, i) =>
      intervals.some(([from, to]) => i >= Math.min(from, to) && i <= Math.max(from, to)),
    );
    filter.choices.set(axis.column, within);
    return;
  }
  const ends = intervals.flat().map((v) => Number(fromAxis(axis, v).toPrecision(6)));
  filter.ranges.set(axis.column, { low: Math.min(...ends), high: Math.max(...ends) });
}

/** The interval of an axis that shows what the filter says; none where it says nothing. */
export function intervalOf(filter: Filter, axis: Axis): [number, number][] {
  if (axis.choices) {
    const chosen =
      filter.choices
        .get(axis.column)
        ?.map((c) => axis.choices!.indexOf(c))
        .filter((i) => i >= 0) ?? [];
    return chosen.length ? [[Math.min(...chosen), Math.max(...chosen)]] : [];
  }
  const range = filter.ranges.get(axis.column);
  if (!range) return [];
  return [[toAxis(axis, range.low ?? axis.low), toAxis(axis, range.high ?? axis.high)]];
}

/** Rows to draw: the best half of what there is room for, and of the others evenly many; the best last, on top. */
export function chosenRows(columns: Columns, rows: Uint32Array, metric: string, direction: Direction): number[] {
  const values = columns.numbers(`v.${metric}`);
  if (!values) return [];
  const sign = direction === "maximize" ? -1 : 1;
  const cost = (row: number) => sign * values.at(row);
  const usable = rows.filter((row) => columns.state.at(row) === "complete" && !Number.isNaN(values.at(row)));
  const worstFirst = (some: number[]) => some.sort((a, b) => cost(b) - cost(a));
  if (usable.length <= MOST_LINES) return worstFirst([...usable]);
  const half = MOST_LINES / 2;
  const limit = Float64Array.from(usable, cost).sort()[half - 1];
  const best: number[] = [];
  const others = new Uint32Array(usable.length - half);
  let n = 0;
  for (const row of usable) {
    if (cost(row) <= limit && best.length < half) best.push(row);
    else others[n++] = row;
  }
  return [...worstFirst(even(others, half)), ...worstFirst(best)];
}

export function parallelOption(
  columns: Columns,
  rows: readonly number[],
  axes: readonly Axis[],
  look: Look,
  narrow: boolean,
): EChartsOption {
  const faint = look.dark ? "#5a6470" : "#d5d8dc";
  const n = rows.length;
  const opacity = Math.max(0.12, Math.min(0.7, 60 / Math.sqrt(n * 40)));
  const data = rows.map((row, i) => {
    // The last tenth is the best.
    const rank = n > 1 ? i / (n - 1) : 1;
    return {
      value: axes.map((axis) => {
        if (axis.choices) {
          const words = columns.words(axis.column);
          const code = words?.codes.at(row) ?? 0;
          const place = code ? axis.choices.indexOf(words!.names[code]) : -1;
          return place < 0 ? "-" : place;
        }
        const v = columns.numbers(axis.column)?.at(row) ?? NaN;
        return Number.isNaN(v) ? "-" : toAxis(axis, held(v, { min: axis.low, max: axis.high }).at);
      }),
      trial: columns.id[row],
      row,
      lineStyle:
        rank >= 0.9
          ? { color: look.accent, opacity: Math.max(0.5, opacity) }
          : { color: mix(faint, look.accent, 0.6 * rank ** 2), opacity },
    };
  });
  const gap = narrow ? 14 : 22;
  return {
    ...base(look),
    tooltip: {
      ...(base(look).tooltip as object),
      formatter: (p: { data: { row: number } }) =>
        tip(
          columns.label[p.data.row],
          axes.map((a): [string, string] => [
            a.name,
            a.column.startsWith("p.")
              ? shown(columns.param(p.data.row, a.name)) || "–"
              : sensible(columns.numbers(a.column)?.at(p.data.row), 6),
          ]),
        ),
    },
    parallel: {
      left: narrow ? 30 : 56,
      right: narrow ? 36 : 64,
      top: 44,
      bottom: 18,
      parallelAxisDefault: { realtime: false },
      ...(narrow && axes.length > 5
        ? { axisExpandable: true, axisExpandCenter: axes.length - 2, axisExpandCount: 4, axisExpandWidth: 70 }
        : {}),
    },
    parallelAxis: axes.map((axis, dim) => ({
      dim,
      id: axis.column,
      name: clipped(axis.name, Math.max(6, Math.round((narrow ? 50 : 150) / Math.max(3, axes.length)) + 4)),
      nameLocation: "end",
      nameGap: gap,
      nameRotate: axes.length > 8 || narrow ? 20 : 0,
      nameTextStyle: { color: look.text, align: axes.length > 8 || narrow ? "left" : "center" },
      type: axis.choices ? "category" : "value",
      data: axis.choices ? axis.choices.map((_, i) => i) : undefined,
      min: axis.choices ? undefined : toAxis(axis, axis.low),
      max: axis.choices ? undefined : toAxis(axis, axis.high),
      axisLine: { lineStyle: { color: look.soft } },
      axisTick: { show: false },
      axisLabel: {
        color: look.dim,
        fontSize: 11,
        hideOverlap: true,
        textBorderColor: look.panel,
        textBorderWidth: 3,
        formatter: axis.choices
          ? (i: string) => clipped(shown(JSON.parse(axis.choices![Number(i)] ?? '""')), 14)
          : (v: number) => sensible(fromAxis(axis, v), 3),
      },
      areaSelectStyle: { width: 18, borderColor: look.accent, borderWidth: 1, color: look.accent, opacity: 0.25 },
    })),
    series: [
      {
        type: "parallel",
        smooth: false,
        inactiveOpacity: 0.02,
        activeOpacity: 0.9,
        // Few at a time: no frame waits for all lines.
        progressive: 250,
        progressiveThreshold: 300,
        lineStyle: { width: 1.1 },
        emphasis: { lineStyle: { width: 2.4, opacity: 1 } },
        data,
      },
    ],
  };
}
