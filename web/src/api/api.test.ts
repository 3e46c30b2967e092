import { expect, test } from "vitest";
import { address } from "./client";
import { changesOf } from "./events";
import { Problem, problemOf } from "./problem";
import { backoff, SseParser } from "./sse";
import { tokenIn } from "./token";

test("a path's names are escaped and absent parameters left out", () => {
  expect(address("/studies/{study}/trials", { study: "a/b ü?" }, { limit: 5, cursor: undefined, q: "x&y" })).toBe(
    "/studies/a%2Fb%20%C3%BC%3F/trials?limit=5&q=x%26y",
  );
});

test("the token is read out of the fragment only", () => {
  expect(tokenIn("#token=mo_abc")).toBe("mo_abc");
  expect(tokenIn("#other=1")).toBeNull();
  expect(tokenIn("")).toBeNull();
});

test("events are the same however the stream is cut", () => {
  const text =
    'id: a-1\n\n: still here\n\nid: a-2\nevent: trial.updated\ndata: {"x":\ndata: 1}\n\nevent: reset\r\ndata: {}\r\n\r\n';
  const whole = new SseParser().push(text);
  expect(whole).toEqual([
    { id: "a-1", event: "message", data: "" },
    { id: "a-2", event: "trial.updated", data: '{"x":\n1}' },
    { id: "", event: "reset", data: "{}" },
  ]);
  for (let size = 1; size < 9; size++) {
    const parser = new SseParser();
    const parts = [];
    for (let i = 0; i < text.length; i += size) parts.push(...parser.push(text.slice(i, i + size)));
    expect(parts, `pieces of ${size}`).toEqual(whole);
  }
});

test("a reset stands for every change, and an event without data for none", () => {
  const data = '{"type":"trial.updated","study_id":"s","trial_id":"t","data":null}';
  expect(
    changesOf([
      { id: "1", event: "message", data: "" },
      { id: "2", event: "trial.updated", data },
      { id: "3", event: "reset", data: "{}" },
    ]).map((c) => c.type),
  ).toEqual(["trial.updated", "reset"]);
});

test("waits double up to ten seconds and are never at once", () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((n) => backoff(n, 0))).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  expect(backoff(0, 1)).toBeGreaterThan(300);
});

test("a problem says what is wrong with each field, and with what lies in it", async () => {
  const errors = [
    { pointer: "/space/0/high", detail: "must be above low" },
    { pointer: "/space/01", detail: "other" },
  ];
  const body = JSON.stringify({
    type: "urn:metaopt:problem:invalid",
    title: "Fields do not fit",
    status: 422,
    detail: "d",
    errors,
  });
  const problem = await problemOf(new Response(body, { status: 422, headers: { "retry-after": "7" } }));
  expect(problem.at("/space/0")).toBe("must be above low");
  expect(problem.at("/space/0/high")).toBe("must be above low");
  expect(problem.at("/name")).toBeNull();
  expect(problem.retryAfter).toBe(7);
});

test("an answer that is no problem document is still told", async () => {
  const problem = await problemOf(new Response("<html>", { status: 500, statusText: "Oh no" }));
  expect(problem).toBeInstanceOf(Problem);
  expect(problem.status).toBe(500);
  expect(problem.message).toBe("Oh no");
});
