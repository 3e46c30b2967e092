// Attempts over time, lanes by node: what ran where, what was frozen, thawed or lost.

import type { SomeTrial } from "../api/client";
import { duration, millis } from "../format/time";
import { clipped } from "../format/value";
import type { EChartsOption } from "./echarts";
import { axis, base, legend, tip, type Look } from "./look";

export interface Bar {
  trial: string;
  label: string;
  attempt: number;
  node: string;
  from: number;
  to: number;
  /** What it came to: an attempt's reason, a trial's state where it counted, or `running`. */
  kind: string;
  lane: number;
  resumed: number;
}

export interface Lanes {
  bars: Bar[];
  /** Node of each lane, the first lane of a node first. */
  nodes: { name: string; first: number; lanes: number }[];
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

/** Bars of all attempts, each in the first lane of its node that is free when it begins. */
export function lanesOf(trials: readonly SomeTrial[], now: number): Lanes {
  const bars: Bar[] = trials.flatMap((trial) =>
    (trial.attempts ?? []).flatMap((a) => {
      const from = millis(a.started_at);
      if (from === null) return [];
      const to = Math.max(from, millis(a.ended_at) ?? now);
      const kind = kindOf(trial.state ?? "", a.reason ?? null, a.counted);
      const resumed = a.resume_step;
      return [
        {
          trial: trial.id ?? "",
          label: trial.label ?? "",
          attempt: a.attempt,
          node: a.node,
          from,
          to,
          kind,
          lane: 0,
          resumed,
        },
      ];
    }),
  );
  bars.sort((a, b) => a.from - b.from);
  const byNode = new Map<string, Bar[]>();
  for (const bar of bars) {
    const list = byNode.get(bar.node);
    if (list) list.push(bar);
    else byNode.set(bar.node, [bar]);
  }
  const nodes: Lanes["nodes"] = [];
  let first = 0;
  for (const name of [...byNode.keys()].sort()) {
    const ends: number[] = [];
    for (const bar of byNode.get(name)!) {
      let lane = ends.findIndex((end) => end <= bar.from);
      if (lane < 0) lane = ends.length;
      ends[lane] = bar.to;
      bar.lane = first + lane;
    }
    nodes.push({ name, first, lanes: ends.length });
    first += ends.length;
  }
  return { bars, nodes, lanes: first };
}

const KINDS = ["running", "complete", "frozen", "pruned", "failed", "lost", "cancelled", "ended"];

export function timelineOption({ bars, nodes, lanes }: Lanes, look: Look): EChartsOption {
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
            nodes.some((n) => n.first === i) ? look.soft : "transparent",
          ),
        },
      },
      axisLabel: {
        color: look.text,
        interval: 0,
        hideOverlap: true,
        verticalAlign: "top",
        formatter: (lane: number) => {
          const node = nodes.find((n) => n.first === lane && lane < lanes);
          return node ? clipped(node.name, 16) : "";
        },
      },
    },
    dataZoom: [
      { type: "inside", xAxisIndex: 0, filterMode: "weakFilter", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
    ],
    series: kinds.map((kind) => ({
      type: "custom",
      name: kind,
      color: colors[kind],
      clip: true,
      encode: { x: [0, 1], y: 2 },
      data: bars
        .filter((b) => b.kind === kind)
        .map((bar) => ({ value: [bar.from, bar.to, bar.lane], trial: bar.trial, bar })),
      renderItem: (
        _: unknown,
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
        return {
          type: "rect",
          shape,
          style: {
            fill: colors[kind],
            opacity: kind === "pruned" || kind === "cancelled" ? 0.7 : 0.9,
            stroke: look.panel,
            lineWidth: x2 - x1 > 6 ? 0.5 : 0,
          },
        };
      },
      tooltip: {
        formatter: (p: { data: { bar: Bar } }) => {
          const { bar } = p.data;
          const rows: [string, string][] = [
            ["node", bar.node],
            ["attempt", String(bar.attempt)],
            ["came to", bar.kind],
            ["took", duration((bar.to - bar.from) / 1000)],
          ];
          if (bar.resumed) rows.push(["thawed at step", String(bar.resumed)]);
          return tip(bar.label, rows);
        },
      },
    })),
  };
}
