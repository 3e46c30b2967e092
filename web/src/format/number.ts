// Numbers as people read them.

/** Up to `digits` significant digits: `0.001235`, `1.5e-9`, `12,345`. Texts such as `Infinity` stay as they are. */
export function sensible(value: unknown, digits = 4): string {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e9) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${trimmed(mantissa)}e${Number(exponent)}`.replace("-", "−");
  }
  if (Number.isInteger(value)) return value.toLocaleString("en").replace("-", "−");
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return trimmed(
    value.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: Math.min(20, places) }),
  ).replace("-", "−");
}

function trimmed(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** A count: `980`, `12.3k`, `100k`, `1.2M`. */
export function count(n: number): string {
  if (n < 1000) return String(n);
  if (n < 999_500) return `${trimmed((n / 1000).toPrecision(3))}k`;
  return `${trimmed((n / 1e6).toPrecision(3))}M`;
}

/** A share of 0 to 1 in whole percent; never 100 % before it is, never 0 % once it has begun. */
export function percent(share: number): string {
  if (share > 0 && share < 0.01) return "<1 %";
  if (share < 1 && share > 0.99) return "99 %";
  return `${Math.round(share * 100)} %`;
}

/** Bytes in powers of 1024. */
export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toPrecision(3)} ${units[unit]}`;
}
