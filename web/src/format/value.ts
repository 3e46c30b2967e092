// A parameter's value as text.

import { sensible } from "./number";

/** A choice or number, short; texts stay texts. */
export function shown(value: unknown): string {
  if (typeof value === "number") return sensible(value);
  if (typeof value === "string") return value === "" ? '""' : value;
  return value === undefined ? "" : JSON.stringify(value);
}

/** The value in full, for hovers and copies. */
export function whole(value: unknown): string {
  return typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
}

/** At most `most` characters, an ellipsis in the place of the rest. Control characters are made visible. */
export function clipped(text: string, most = 60): string {
  const plain = text.replace(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "·");
  return plain.length > most
    ? `${Array.from(plain.slice(0, most))
        .slice(0, most - 1)
        .join("")}…`
    : plain;
}
