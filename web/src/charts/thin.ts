// Fewer points that look the same.

/**
 * At most `most` positions out of `ys`, in order: of each of evenly many runs, the smallest and the largest.
 * So no extreme is lost, whatever the size.
 */
export function thin(ys: ArrayLike<number>, most: number): number[] {
  const n = ys.length;
  if (n <= most) return Array.from({ length: n }, (_, i) => i);
  const runs = Math.max(1, Math.floor(most / 2));
  const kept: number[] = [];
  for (let run = 0; run < runs; run++) {
    const from = Math.floor((run * n) / runs);
    const to = Math.floor(((run + 1) * n) / runs);
    let low = from;
    let high = from;
    for (let i = from + 1; i < to; i++) {
      if (ys[i] < ys[low]) low = i;
      if (ys[i] > ys[high]) high = i;
    }
    if (low === high) kept.push(low);
    else kept.push(Math.min(low, high), Math.max(low, high));
  }
  return kept;
}

/** At most `most` of `all`, evenly spread, the first and the last among them. */
export function even<T>(all: ArrayLike<T>, most: number): T[] {
  if (all.length <= most) return Array.from(all);
  return Array.from({ length: most }, (_, i) => all[Math.floor((i * (all.length - 1)) / (most - 1))]);
}
