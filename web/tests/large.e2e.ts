// A study of 100,000 trials: how soon something useful is seen, how fast it answers, and what it costs.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { imported } from "./studies";
import { begin, until, type World } from "./world";

const TRIALS = Number(process.env.METAOPT_LARGE ?? 100_000);
let world: World;
let study: string;
const said: Record<string, string> = {};

beforeAll(async () => {
  world = await begin(["--slots", "0"]);
  const start = Date.now();
  study = await imported(world.daemon, "large", TRIALS, 8);
  said["import of all trials"] = `${((Date.now() - start) / 1000).toFixed(1)} s`;
}, 600_000);

afterAll(async () => {
  console.table(said);
  await world?.close();
});

/** Milliseconds until the next frame after the page has done what was asked. */
const frames = `window.longest = 0; (() => { let last = performance.now();
  const tick = (now) => { window.longest = Math.max(window.longest, now - last); last = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick); })()`;

test("the page is useful at once, and stays quick", async () => {
  const { page, errors, go } = await world.open();
  const start = Date.now();
  await go(`/studies/${study}`);
  await page.waitForSelector("figure canvas");
  await page.waitForSelector('[role="row"] a');
  const first = Date.now() - start;
  said["first useful paint (history, table)"] = `${first} ms`;
  await page.evaluate(frames);
  await until(
    "all trials",
    async () => (await page.textContent(".said"))?.trim() === `${TRIALS.toLocaleString("en")} trials`,
    120_000,
  );
  said["all trials in the tab"] = `${((Date.now() - start) / 1000).toFixed(1)} s`;
  said["longest frame while they come"] = `${Math.round(await page.evaluate(() => (window as any).longest))} ms`;

  // One click, typed letter or brush: the time the page needs to have done it, measured in the page.
  const timed = async (name: string, act: string) => {
    const ms = await page.evaluate(async (code) => {
      const start = performance.now();
      new Function(code)();
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      return performance.now() - start;
    }, act);
    said[name] = `${Math.round(ms)} ms`;
    return ms;
  };
  await page.waitForTimeout(1500);
  const type = (text: string) => `const i = document.querySelector("[data-search]"); i.value = ${JSON.stringify(text)};
    i.dispatchEvent(new Event("input", { bubbles: true }));`;
  const filter = await timed("filter by text, overview", type("ada-99"));
  await page.waitForTimeout(500);
  await timed("clear the filter, overview", type(""));
  await page.waitForTimeout(500);
  await page.click("text=Trials >> nth=-1").catch(() => {});
  await go(`/studies/${study}/trials`);
  await until(
    "all trials",
    async () => (await page.textContent(".said"))?.trim() === `${TRIALS.toLocaleString("en")} trials`,
    120_000,
  );
  await page.waitForTimeout(1000);
  const sort = await timed(
    "sort by loss",
    `[...document.querySelectorAll("[role=columnheader] button")].find((b) => b.textContent.includes("loss")).click()`,
  );
  const search = await timed("filter by text, table", type("ada-99"));
  await page.waitForTimeout(300);
  await timed("clear the filter, table", type(""));
  const scroll = await timed(
    "scroll to the end",
    `const t = document.querySelector(".table"); t.scrollTop = t.scrollHeight;`,
  );
  const memory = await page.evaluate(() => (performance as any).memory.usedJSHeapSize / 2 ** 20);
  said["memory of the tab's heap"] = `${Math.round(memory)} MiB`;
  expect(errors).toEqual([]);
  expect(memory).toBeLessThan(500);
  // Generous where two cores are shared with others; what is printed is what counts.
  expect(first).toBeLessThan(6000);
  for (const ms of [filter, sort, search, scroll]) expect(ms).toBeLessThan(1000);
}, 300_000);

test("100 trials a second don't hold it up", async () => {
  const { page, errors, go } = await world.open();
  await go(`/studies/${study}`);
  await until(
    "all trials",
    async () => (await page.textContent(".said"))?.includes(TRIALS.toLocaleString("en")),
    120_000,
  );
  await page.waitForTimeout(1500);
  await page.evaluate(frames);
  const end = Date.now() + 6000;
  let told = 0;
  while (Date.now() < end) {
    const tick = Date.now();
    const { items } = await world.daemon.api(`/studies/${study}/trials/suggest`, { client_id: "fast", count: 25 });
    await Promise.all(
      items.map((t: { id: string }) =>
        world.daemon.api(`/trials/${t.id}/complete`, { values: { loss: Math.random() } }),
      ),
    );
    told += items.length;
    await new Promise((wake) => setTimeout(wake, Math.max(0, 250 - (Date.now() - tick))));
  }
  await until(
    "them in the page",
    async () => (await page.textContent(".said"))?.includes((TRIALS + told).toLocaleString("en")),
    30_000,
  );
  said["trials told in 6 s"] = String(told);
  const longest = await page.evaluate(() => (window as any).longest);
  said["longest frame meanwhile"] = `${Math.round(longest)} ms`;
  expect(errors).toEqual([]);
  expect(longest).toBeLessThan(500);
}, 300_000);

test("what is drawn in turns and in bulk is saved whole", async () => {
  const { page, errors, go } = await world.open();
  await go(`/studies/${study}`);
  await until(
    "all trials",
    async () => /^[\d,]+ trials$/.test((await page.textContent(".said"))?.trim() ?? ""),
    120_000,
  );
  const saved = async (chart: string, shape: string) => {
    await page.click(`[aria-label='Save ${chart}']`);
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Save as SVG")]);
    return readFileSync((await file.path())!, "utf8").split(`<${shape} `).length;
  };
  await page.waitForTimeout(1500);
  expect(await saved("History", "path")).toBeGreaterThan(3000);
  expect(await saved("Parallel coordinates", "polyline")).toBeGreaterThan(900);
  expect(errors).toEqual([]);
}, 300_000);
