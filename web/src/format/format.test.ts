import { expect, test } from "vitest";
import { plainLine } from "./ansi";
import { cell, csv } from "./csv";
import { bytes, count, percent, sensible } from "./number";
import { sparkPath } from "./spark";
import { duration, exact, millis, relative } from "./time";
import { clipped, shown, whole } from "./value";

test("numbers keep what matters and no more", () => {
  const cases: [unknown, string][] = [
    [0, "0"],
    [1234567, "1,234,567"],
    [0.00123456, "0.001235"],
    [0.1 + 0.2, "0.3"],
    [1e-9, "1e−9"],
    [-2.5, "−2.5"],
    [-12345, "−12,345"],
    [1.5e12, "1.5e12"],
    [1e308, "1e308"],
    [99.99999, "100"],
    [Infinity, "∞"],
    [-Infinity, "−∞"],
    [NaN, "NaN"],
    ["Infinity", "Infinity"],
    [null, "–"],
    [undefined, "–"],
  ];
  for (const [value, text] of cases) expect(sensible(value), String(value)).toBe(text);
});

test("a share is never rounded to all or nothing", () => {
  expect(percent(0)).toBe("0 %");
  expect(percent(0.0001)).toBe("<1 %");
  expect(percent(0.999)).toBe("99 %");
  expect(percent(1)).toBe("100 %");
});

test("counts and bytes are short", () => {
  expect([0, 999, 1000, 12_345, 100_000, 999_600, 2_500_000].map(count)).toEqual([
    "0",
    "999",
    "1k",
    "12.3k",
    "100k",
    "1M",
    "2.5M",
  ]);
  expect([0, 1023, 1024, 1536, 5 * 1024 ** 3].map(bytes)).toEqual([
    "0 B",
    "1023 B",
    "1.00 KiB",
    "1.50 KiB",
    "5.00 GiB",
  ]);
});

test("durations have two units at most", () => {
  expect([0.1234, 9, 45.4, 60, 61, 3600, 12_000, 90_000, 200_000].map(duration)).toEqual([
    "0.12 s",
    "9 s",
    "45 s",
    "1 min",
    "1 min 1 s",
    "1 h",
    "3 h 20 min",
    "1 d 1 h",
    "2 d 7 h",
  ]);
  expect(duration(-5)).toBe("−5 s");
  expect(duration(Infinity)).toBe("–");
});

test("times are relative, and exact with their zone", () => {
  const now = Date.UTC(2026, 0, 2, 12);
  expect(relative(now - 3000, now)).toBe("just now");
  expect(relative(now - 5 * 60_000, now)).toBe("5 min ago");
  expect(relative(now + 2 * 3_600_000, now)).toBe("in 2 h");
  expect(exact(now)).toMatch(/2026.*\d\d:00:00 \S+/);
  expect(millis("2026-01-02T12:00:00Z")).toBe(now);
  expect(millis(null)).toBeNull();
  expect(millis("nonsense")).toBeNull();
});

test("values of any JSON kind are shown", () => {
  expect([null, true, "", "x", 0.5, [1]].map(shown)).toEqual(["null", "true", '""', "x", "0.5", "[1]"]);
  expect(whole(undefined)).toBe("");
});

test("long and directional names are cut and made harmless", () => {
  expect(clipped("a".repeat(100), 10)).toBe(`${"a".repeat(9)}…`);
  expect(clipped("a\u202eb\nc")).toBe("a·b·c");
  // A cut never leaves half of a character.
  expect(clipped("😀".repeat(20), 8)).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/);
});

test("a sparkline goes from left to right and puts the largest on top", () => {
  expect(sparkPath([1], 10, 10)).toBe("");
  expect(sparkPath([1, 0], 13, 13)).toBe("M1.5 1.5L11.5 11.5");
  expect(sparkPath([2, 2, NaN], 13, 13)).toBe("M1.5 11.5L11.5 11.5");
});

test("CSV quotes what must be, and no cell is taken for a formula", () => {
  expect(cell('say "hi", you')).toBe('"say ""hi"", you"');
  expect(cell("=SUM(A1)")).toBe("'=SUM(A1)");
  expect(cell(-5)).toBe("-5");
  expect(cell("")).toBe('""');
  expect(cell(null)).toBe("");
  expect(
    csv([
      ["a", 1],
      ["b\nc", [2]],
    ]),
  ).toBe('a,1\r\n"b\nc",[2]\r\n');
});

test("a log's escapes are left out", () => {
  expect(plainLine("\u001b[32mok\u001b[0m \u001b]0;title\u0007done\r")).toBe("ok done");
});
