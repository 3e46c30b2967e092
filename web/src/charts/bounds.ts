// Where an axis should end, so that one diverged trial doesn't flatten all others.

export interface Bounds {
  min: number;
  max: number;
}

/** The bounds rounded outwards to a step of 1, 2 or 5 times a power of ten, about `parts` of them. */
export function nice(low: number, high: number, parts = 5): Bounds {
  const span = high - low || Math.abs(high) || 1;
  if (!Number.isFinite(span)) return { min: low, max: high };
  const rough = span / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10);
  const round = (v: number) => Number(v.toPrecision(12));
  const min = round(Math.floor(low / step) * step);
  const max = round(Math.ceil(high / step) * step);
  return min === max ? { min: min - step, max: max + step } : { min, max };
}

/**
 * Bounds that show the best value and the bulk of the others: those beyond three times the middle half's spread are
 * left to be marked at the edge. Null of no values.
 */
export function bulk(values: ArrayLike<number>, minimize: boolean): Bounds | null {
  const order = Float64Array.from(values).filter(Number.isFinite).sort();
  const n = order.length;
  if (n === 0) return null;
  let low = order[0];
  let high = order[n - 1];
  if (n >= 8) {
    const [q1, q3] = [order[Math.floor(n / 4)], order[Math.floor((3 * n) / 4)]];
    const reach = 3 * (q3 - q1);
    if (reach > 0) {
      if (minimize) high = Math.min(high, q3 + reach);
      else low = Math.max(low, q1 - reach);
    }
  }
  return nice(low, high);
}

/** A value at the edge where it lies beyond; `beyond` says on which side. */
export function held(value: number, bounds: Bounds | null): { at: number; beyond: -1 | 0 | 1 } {
  if (bounds && value > bounds.max) return { at: bounds.max, beyond: 1 };
  if (bounds && value < bounds.min) return { at: bounds.min, beyond: -1 };
  return { at: value, beyond: 0 };
}
