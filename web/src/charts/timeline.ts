// Attempts over time, lanes by node and slot: what ran where, what was frozen, thawed or lost.

import type { Schemas } from "../api/client";
import { duration } from "../format/time";
import { clipped } from "../format/value";
import type { EChartsOption } from "./echarts";
import { axis, base, legend, tip, type Look } from "./look";

export interface Bar {
  trial: string;
  label: string;
  attempt: number;
  node: string;
  /** Every slot that it has; the bar stands in the lanes of one of them. */
  slots: string[];
  from: number;
  to: number;
  /** What it came to: an attempt's reason, a trial's state where it counted, or `running`. */
  kind: string;
  lane: number;
  resumed: number;
}

/** Lanes of one slot of a node; several where attempts share it. Clients' attempts have none: their `slot` is empty. */
export interface Place {
  node: string;
  slot: string;
  first: number;
  lanes: number;
}

export interface Lanes {
  bars: Bar[];
  /** From the top down, a node's slots together. */
  places: Place[];
  lanes: number;
}

const LOST = new Set(["lost_node", "lost_client", "preempted"]);

/** What a bar is coloured by. */
export function kindOf(state: string, reason: string | null, counted: boolean): string {
  if (!reason) return state === "running" ? "running" : "ended";
  if (LOST.has(reason)) return "lost";
  if (reason === "paused") return "frozen";
  if (reason === "pruned" || reason === "cancelled" || reason === "superseded")
    return reason === "pruned" ? "pruned" : "cancelled";
  if (reason === "exit" && (counted || state === "complete")) return "complete";
  return "failed";
}

/** Bars of all attempts, one for each slot that it has, in the first of the slot's lanes that is free when it begins. */
export function lanesOf(attempts: readonly Schemas["Bar"][], now: number): Lanes {
  const groups = new Map<string, Bar[]>();
  for (const a of attempts) {
    for (const slot of a.slots.length ? a.slots : [""]) {
      const bar: Bar = {
        trial: a.trial,
        label: a.label,
        attempt: a.attempt,
        node: a.node,
        slots: a.slots,
        from: a.started_ms,
        to: Math.max(a.started_ms, a.ended_ms ?? now),
        kind: kindOf(a.state, a.reason ?? null, a.counted),
        lane: 0,
        resumed: a.resume_step,
      };
      const key = JSON.stringify([a.node, slot]);
      const group = groups.get(key);
      if (group) group.push(bar);
      else groups.set(key, [bar]);
    }
  }
  const order = new Intl.Collator("en", { numeric: true });
  const places = [...groups]
    .map(([key, bars]) => {
      const [node, slot] = JSON.parse(key) as [string, string];
      return { node, slot, bars: bars.sort((a, b) => a.from - b.from) };
    })
    // Clients' attempts stand below those on slots.
    .sort(
      (a, b) => order.compare(a.node, b.node) || Number(!a.slot) - Number(!b.slot) || order.compare(a.slot, b.slot),
    );
  let first = 0;
  const placed = places.map(({ node, slot, bars }): Place => {
    const ends: number[] = [];
    for (const bar of bars) {
      let lane = ends.findIndex((end) => end <= bar.from);
      if (lane < 0) lane = ends.length;
      ends[lane] = bar.to;
      bar.lane = first + lane;
    }
    const place = { node, slot, first, lanes: ends.length };
    first += ends.length;
    return place;
  });
  return { bars: places.flatMap((place) => place.bars), places: placed, lanes: first };
}

/** What a lane is called: its node where that begins, and its slot. */
function nameOf(places: readonly Place[], lane: number): string {
  const at = places.findIndex((place) => place.first === lane);
  if (at < 0) return "";
  const { node, slot } = places[at];
  const goesOn = at > 0 && places[at - 1].node === node;
  if (goesOn) return slot ? clipped(slot, 10) : "clients";
  return slot ? `${clipped(node, 16)} ${clipped(slot, 10)}` : clipped(node, 16);
}

type Shape = { type: string; shape: object; style: object; silent?: boolean };

/** Signs on a bar, where there is room: ▸ thawed at its begin, ‖ frozen and ✕ lost at its end. */
function signs(bar: Bar, x: number, y: number, width: number, height: number, color: string): Shape[] {
  const size = Math.min(9, height - 4);
  if (size < 4 || width < 2 * size) return [];
  const middle = y + height / 2;
  const line = (x1: number, y1: number, x2: number, y2: number): Shape => ({
    type: "line",
    shape: { x1, y1, x2, y2 },
    style: { stroke: color, lineWidth: 1.6 },
    silent: true,
  });
  const half = size / 2;
  const end = x + width - 3;
  const drawn: Shape[] = [];
  if (bar.resumed > 0) {
    const points = [
      [x + 3, middle - half],
      [x + 3 + size * 0.8, middle],
      [x + 3, middle + half],
    ];
    drawn.push({ type: "polygon", shape: { points }, style: { fill: color }, silent: true });
  }
  if (bar.kind === "frozen") {
    for (const back of [0, 3.5]) drawn.push(line(end - back, middle - half, end - back, middle + half));
  } else if (bar.kind === "lost") {
    drawn.push(
      line(end - size, middle - half, end, middle + half),
      line(end - size, middle + half, end, middle - half),
    );
  }
  return drawn;
}

const KINDS = ["running", "complete", "frozen", "pruned", "failed", "lost", "cancelled", "ended"];

export function timelineOption({ bars, places, lanes }: Lanes, look: Look): EChartsOption {
  const colors: Record<string, string> = {
    running: look.states.running,
    complete: look.states.complete,
    frozen: look.states.paused,
    pruned: look.states.pruned,
    failed: look.states.fail,
    lost: look.states.infeasible,
    cancelled: look.states.cancelled,
    ended: look.states.waiting,
  };
  const kinds = KINDS.filter((kind) => bars.some((bar) => bar.kind === kind));
  return {
    ...base(look),
    grid: { left: 12, right: 16, top: 34, bottom: 24, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    legend: legend(look, kinds),
    xAxis: axis(look, { at: "x", time: true, min: "dataMin", max: "dataMax" }),
    yAxis: {
      ...axis(look, { at: "y", min: 0, max: Math.max(1, lanes) }),
      inverse: true,
      interval: 1,
      splitLine: {
        show: true,
        // Only between nodes.
        lineStyle: {
          color: Array.from({ length: lanes + 1 }, (_, i) =>
            places.some((p, at) => p.first === i && p.node !== places[at - 1]?.node) ? look.soft : "transparent",
          ),
        },
      },
      axisLabel: {
        color: look.text,
        interval: 0,
        hideOverlap: true,
        verticalAlign: "top",
        formatter: (lane: number) => nameOf(places, lane),
      },
    },
    dataZoom: [
      { type: "inside", xAxisIndex: 0, filterMode: "weakFilter", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
    ],
    series: kinds.map((kind) => {
      const some = bars.filter((bar) => bar.kind === kind);
      return {
        type: "custom",
        name: kind,
        color: colors[kind],
        clip: true,
        encode: { x: [0, 1], y: 2 },
        data: some.map((bar) => ({ value: [bar.from, bar.to, bar.lane], trial: bar.trial, bar })),
        renderItem: (
          { dataIndex }: { dataIndex: number },
          api: { value(i: number): number; coord(p: number[]): number[]; size(p: number[]): number[] },
        ) => {
          const [x1, y] = api.coord([api.value(0), api.value(2)]);
          const [x2] = api.coord([api.value(1), api.value(2)]);
          const height = Math.abs(api.size([0, 1])[1]);
          const gap = Math.min(3, height * 0.15);
          const shape = {
            x: x1,
            y: y + gap,
            width: Math.max(1.5, x2 - x1),
            height: Math.max(1, height - 2 * gap),
            r: height > 10 ? 2 : 0,
          };
          const rect: Shape = {
            type: "rect",
            shape,
            style: {
              fill: colors[kind],
              opacity: kind === "pruned" || kind === "cancelled" ? 0.7 : 0.9,
              stroke: look.panel,
              lineWidth: x2 - x1 > 6 ? 0.5 : 0,
            },
          };
          const signed = signs(some[dataIndex], x1, shape.y, shape.width, shape.height, look.panel);
          return signed.length ? { type: "group", children: [rect, ...signed] } : rect;
        },
        tooltip: {
          formatter: (p: { data: { bar: Bar } }) => {
            const { bar } = p.data;
            const rows: [string, string][] = [
              ["node", bar.node],
              ...(bar.slots.length ? [["slot", bar.slots.join(", ")] as [string, string]] : []),
              ["attempt", String(bar.attempt)],
              ["came to", bar.kind],
              ["took", duration((bar.to - bar.from) / 1000)],
            ];
            if (bar.resumed) rows.push(["thawed at step", String(bar.resumed)]);
            return tip(bar.label, rows);
          },
        },
      };
    }),
  };
}
