// A sparkline's path.

/** An SVG path through the values, left to right, the largest on top; empty for fewer than two. */
export function sparkPath(values: readonly number[], width: number, height: number, pad = 1.5): string {
  const finite = values.filter(Number.isFinite);
  if (finite.length < 2) return "";
  const low = Math.min(...finite);
  const span = Math.max(...finite) - low || 1;
  const stepX = (width - 2 * pad) / (finite.length - 1);
  const y = (v: number) => height - pad - ((v - low) / span) * (height - 2 * pad);
  return finite.map((v, i) => `${i ? "L" : "M"}${(pad + i * stepX).toFixed(1)} ${y(v).toFixed(1)}`).join("");
}
