// Colours and the parts that all charts share. Builders are pure: data and a look in, an option out.

import type { EChartsOption } from "./echarts";
import { sensible } from "../format/number";
import { clipped } from "../format/value";

export interface Look {
  dark: boolean;
  text: string;
  dim: string;
  line: string;
  panel: string;
  accent: string;
  soft: string;
  /** Per node, told apart by people who see few colours too; `symbols` go with them. */
  nodes: string[];
  states: Record<string, string>;
}

export const SYMBOLS = ["circle", "triangle", "rect", "diamond", "roundRect", "pin", "arrow"];

export function look(dark: boolean): Look {
  const nodes = dark
    ? ["#6aa8ff", "#f2b134", "#35c79b", "#e39ac4", "#8fd6f7", "#ff8a4c", "#c3c95a", "#b9bec6"]
    : ["#1f5fd0", "#c77d00", "#00805c", "#b0488a", "#2a93c9", "#c44a00", "#6f7400", "#5d6166"];
  return {
    dark,
    text: dark ? "#e6e8ea" : "#1d1f21",
    dim: dark ? "#9aa2ab" : "#5d6166",
    line: dark ? "#2c3036" : "#e3e3df",
    panel: dark ? "#1a1d21" : "#ffffff",
    accent: dark ? "#7aa2ff" : "#2456d6",
    soft: dark ? "#4a515a" : "#c6c9ce",
    nodes,
    states: {
      complete: nodes[2],
      running: nodes[0],
      paused: nodes[4],
      waiting: dark ? "#7c848e" : "#8a9099",
      pruned: dark ? "#8d949d" : "#878d95",
      fail: nodes[5],
      infeasible: nodes[3],
      cancelled: dark ? "#666d76" : "#a9aeb5",
    },
  };
}

/** A node's colour and mark, the same on every page: by its place among the sorted names. */
export function nodeMark(look: Look, names: readonly string[], node: string): { color: string; symbol: string } {
  const i = Math.max(0, names.indexOf(node));
  return { color: look.nodes[i % look.nodes.length], symbol: SYMBOLS[i % SYMBOLS.length] };
}

/** What all charts start from. Nothing moves by itself: people look at these for hours. */
export function base(look: Look): EChartsOption {
  return {
    animation: false,
    backgroundColor: "transparent",
    textStyle: { color: look.text, fontFamily: "system-ui, sans-serif", fontSize: 12 },
    tooltip: {
      trigger: "item",
      confine: true,
      className: "tip",
      backgroundColor: look.panel,
      borderColor: look.line,
      textStyle: { color: look.text, fontSize: 12 },
      transitionDuration: 0,
    },
  };
}

/** A grid that leaves room for its axes' names. */
export const GRID = {
  left: 12,
  right: 16,
  top: 34,
  bottom: 30,
  outerBoundsMode: "same",
  outerBoundsContain: "axisLabel",
};

export interface AxisWish {
  name?: string;
  log?: boolean;
  min?: number | "dataMin" | null;
  max?: number | "dataMax" | null;
  format?: (value: number) => string;
  time?: boolean;
  /** Where labels stand, if only there. */
  places?: readonly number[];
}

/** An axis in the common style. */
export function axis(look: Look, wish: AxisWish & { at: "x" | "y" }): Record<string, unknown> {
  return {
    type: wish.time ? "time" : wish.log ? "log" : "value",
    name: wish.name ? clipped(wish.name, 40) : "",
    nameLocation: wish.at === "x" ? "middle" : "end",
    nameGap: wish.at === "x" ? 24 : 12,
    nameTextStyle: { color: look.dim, align: wish.at === "x" ? "center" : "left" },
    scale: true,
    min: wish.min ?? null,
    max: wish.max ?? null,
    axisLine: { show: wish.at === "x", onZero: false, lineStyle: { color: look.line } },
    axisTick: { show: false },
    axisLabel: {
      color: look.dim,
      hideOverlap: true,
      ...(wish.places ? { customValues: [...wish.places] } : {}),
      ...(wish.time ? {} : { formatter: wish.format ?? ((v: number) => sensible(v, 3)) }),
    },
    splitLine: { show: wish.at === "y", lineStyle: { color: look.line } },
    minorTick: { show: false },
    splitNumber: 4,
  };
}

/** A legend above the plot that scrolls where it doesn't fit. */
export function legend(look: Look, names?: readonly string[]): Record<string, unknown> {
  return {
    type: "scroll",
    top: 0,
    right: 8,
    width: "66%",
    align: "left",
    itemWidth: 12,
    itemHeight: 8,
    itemGap: 12,
    textStyle: { color: look.dim },
    pageTextStyle: { color: look.dim },
    pageIconColor: look.dim,
    formatter: (name: string) => clipped(name, 24),
    ...(names ? { data: [...names] } : {}),
  };
}

/** A tooltip's content, built of text nodes: names may hold markup. */
export function tip(title: string, rows: readonly (readonly [string, string])[]): HTMLElement {
  const box = document.createElement("div");
  const head = document.createElement("bdi");
  head.className = "tip-title";
  head.textContent = clipped(title, 60);
  box.append(head);
  const list = document.createElement("dl");
  for (const [name, value] of rows.slice(0, 14)) {
    const term = document.createElement("dt");
    term.dir = "auto";
    term.textContent = clipped(name, 32);
    const said = document.createElement("dd");
    said.dir = "auto";
    said.textContent = clipped(value, 48);
    list.append(term, said);
  }
  box.append(list);
  return box;
}

/** A mix of two colours such as `#rrggbb`; `share` of the second. */
export function mix(one: string, other: string, share: number): string {
  const part = (i: number) => {
    const a = parseInt(one.slice(i, i + 2), 16);
    const b = parseInt(other.slice(i, i + 2), 16);
    return Math.round(a + (b - a) * share)
      .toString(16)
      .padStart(2, "0");
  };
  return `#${part(1)}${part(3)}${part(5)}`;
}

/** Dark to light through blue, green and yellow; readable in grey too. */
const RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];

/** A colour for 0 to 1. */
export function ramp(share: number): string {
  const at = Math.min(0.9999, Math.max(0, share)) * (RAMP.length - 1);
  const i = Math.floor(at);
  return mix(RAMP[i], RAMP[i + 1], at - i);
}

/** At most `most` places of `n` choices for labels, evenly spread. */
export function labelPlaces(n: number, most: number): number[] {
  const step = Math.max(1, Math.ceil(n / most));
  return Array.from({ length: Math.ceil(n / step) }, (_, i) => i * step);
}
