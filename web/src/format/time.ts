// Times as people read them.

const UNITS: [string, number][] = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

/** Seconds in its two largest units: `3 h 20 min`, `45 s`, `0.3 s`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0) return `−${duration(-seconds)}`;
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  let left = Math.round(seconds);
  const parts: string[] = [];
  for (const [name, size] of UNITS) {
    const n = Math.floor(left / size);
    if (n > 0) parts.push(`${n} ${name}`);
    else if (parts.length) break;
    left -= n * size;
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

/** How long ago, or in how long: `just now`, `5 min ago`, `in 2 h`. */
export function relative(at: number, now: number): string {
  const seconds = (now - at) / 1000;
  const size = Math.abs(seconds);
  if (size < 5) return "just now";
  const [name, unit] = UNITS.find(([, unit]) => size >= unit) ?? UNITS[3];
  const text = `${Math.floor(size / unit)} ${name}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** The exact time, where the reader is, with its zone. */
export function exact(at: number): string {
  return new Date(at).toLocaleString("en-GB", {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  });
}

/** Milliseconds of an RFC 3339 time; null of none. */
export function millis(time: string | null | undefined): number | null {
  if (!time) return null;
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? null : ms;
}
