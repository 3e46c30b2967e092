// Pictures of each page at two widths and in both themes, into `shots/`: `npm run shots`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { begin, startDaemon, until, type Daemon, type World } from "./world";
import { curved, empty, ended, hostile, imported, scripted, several } from "./studies";

const SHOTS = join(import.meta.dirname, "../shots");
const wanted = process.env.METAOPT_SHOTS;
let world: World;
let other: Daemon;
let third: Daemon;
const ids: Record<string, string> = {};

beforeAll(async () => {
  if (!wanted) return;
  mkdirSync(SHOTS, { recursive: true });
  world = await begin(["--slots", "3", "--suspect-after", "3s", "--orphan-after", "600s", "--label", "gpu=a100"]);
  const { daemon } = world;
  ids.empty = await empty(daemon);
  ids.curved = await curved(daemon);
  ids.several = await several(daemon);
  ids.hostile = await hostile(daemon);
  ids.imported = await imported(daemon, "grid-of-old-runs", 3000, 9);
  for (const name of ["kay", "lin"]) {
    const made = await startDaemon(["--name", name, "--slots", "2", "--suspect-after", "3s"]);
    const { code } = await daemon.api("/cluster/invites", {});
    const { peers_address } = await daemon.api("/cluster");
    await made.api("/cluster/join", { code, peer: peers_address });
    if (name === "kay") other = made;
    else third = made;
  }
  ids.scripted = await scripted(daemon, "train-digits", { trials: 8 });
  await ended(daemon, ids.scripted);
  ids.slow = await scripted(daemon, "long-run", { slow: true, trials: 40 });
  await until("trials on both nodes", async () => {
    const { items } = await daemon.api(`/studies/${ids.slow}/trials?state=running`);
    return items.length >= 4 && items;
  });
  await new Promise((wake) => setTimeout(wake, 4000));
  const trials = await daemon.api(`/studies/${ids.slow}/trials?state=running&node=ada`);
  ids.running = trials.items[0].id;
  const best = await daemon.api(`/studies/${ids.scripted}/best`);
  ids.trial = best.id;
  const paused = await daemon.api(`/studies/${ids.curved}/trials?state=paused`);
  ids.paused = paused.items[0]?.id ?? ids.trial;
  const failed = await daemon.api(`/studies/${ids.curved}/trials?state=fail`);
  ids.failed = failed.items[0]?.id ?? ids.trial;
  await third.kill();
  await until("lin out of reach", async () => {
    const { nodes } = await daemon.api("/cluster");
    return nodes.some((n: { state: string }) => n.state === "suspect" || n.state === "lost");
  });
});

afterAll(async () => {
  if (!wanted) return;
  await world?.daemon.api(`/studies/${ids.slow}/cancel`, {}).catch(() => {});
  await other?.stop();
  await world?.close();
});

test.skipIf(!wanted)(
  "a picture of each page",
  async () => {
    const only = process.env.METAOPT_ONLY?.split(",");
    const pages: [string, string][] = [
      ["studies", "/"],
      ["study-overview", `/studies/${ids.curved}`],
      ["study-brushed", `/studies/${ids.curved}?p.lr=0.0001..0.03&p.optimizer=%5B%22sgd%22%2C%22adam%22%5D`],
      ["study-trials", `/studies/${ids.curved}/trials`],
      ["study-compare", `/studies/${ids.scripted}/trials?sel=${ids.trial},${ids.trial}&compare=1`],
      ["study-curves", `/studies/${ids.curved}/curves`],
      ["study-parameters", `/studies/${ids.curved}/parameters`],
      ["study-pareto", `/studies/${ids.several}/objectives`],
      ["study-distribution", `/studies/${ids.imported}/objectives`],
      ["study-timeline", `/studies/${ids.slow}/timeline`],
      ["study-timeline-short", `/studies/${ids.curved}/timeline`],
      ["study-about", `/studies/${ids.scripted}/about`],
      ["study-imported", `/studies/${ids.imported}`],
      ["study-several", `/studies/${ids.several}`],
      ["study-empty", `/studies/${ids.empty}`],
      ["study-hostile", `/studies/${ids.hostile}`],
      ["study-hostile-parameters", `/studies/${ids.hostile}/parameters`],
      ["study-hostile-about", `/studies/${ids.hostile}/about`],
      ["study-gone", `/studies/nothing-of-that-name`],
      ["trial", `/trials/${ids.trial}`],
      ["trial-running", `/trials/${ids.running}`],
      ["trial-paused", `/trials/${ids.paused}`],
      ["trial-failed", `/trials/${ids.failed}`],
      ["cluster", "/cluster"],
      ["new", "/new"],
      ["new-json", "/new?as=json"],
    ];
    const problems: string[] = [];
    for (const dark of [false, true]) {
      for (const width of [1440, 390]) {
        const visit = await world.open({ width, height: width === 390 ? 844 : 900, dark });
        for (const [name, path] of pages) {
          if (only && !only.includes(name)) continue;
          await visit.go(path);
          await visit.page.waitForTimeout(700);
          // Charts are drawn when they come into sight.
          const tall = await visit.page.evaluate(() => document.documentElement.scrollHeight);
          await visit.page.setViewportSize({ width, height: Math.min(4000, Math.max(tall, 844)) });
          await visit.page.waitForTimeout(500);
          const wide = await visit.page.evaluate(
            () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
          );
          if (wide > 0) problems.push(`${name} at ${width}: ${wide} px too wide`);
          await visit.page.screenshot({
            path: join(SHOTS, `${name}-${width}-${dark ? "dark" : "light"}.png`),
            fullPage: true,
          });
        }
        problems.push(...visit.errors.map((e) => `${width} ${dark ? "dark" : "light"}: ${e}`));
        problems.push(...visit.foreign);
        await visit.context.close();
      }
    }
    expect(problems.filter((p) => !/nothing-of-that-name|404/.test(p))).toEqual([]);
  },
  600_000,
);
