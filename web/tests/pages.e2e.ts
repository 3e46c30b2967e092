// Every page and action, against real daemons with real studies.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { curved, empty, ended, hostile, scripted, several } from "./studies";
import { begin, startDaemon, until, type Daemon, type Visit, type World } from "./world";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
let world: World;
let other: Daemon;
let visit: Visit;
const ids: Record<string, string> = {};
/** Answers that tests provoke; the browser reports each as an error. */
let expected: RegExp[] = [];

beforeAll(async () => {
  world = await begin(["--slots", "3", "--suspect-after", "3s", "--orphan-after", "600s"]);
  const { daemon } = world;
  ids.curved = await curved(daemon, 45);
  ids.several = await several(daemon);
  ids.hostile = await hostile(daemon);
  ids.empty = await empty(daemon);
  ids.scripted = await scripted(daemon, "train", { trials: 6 });
  await ended(daemon, ids.scripted);
  other = await startDaemon(["--name", "kay", "--slots", "2", "--suspect-after", "3s"]);
  const { code } = await daemon.api("/cluster/invites", {});
  await other.api("/cluster/join", { code, peer: (await daemon.api("/cluster")).peers_address });
});

afterAll(async () => {
  await other?.stop();
  await world?.close();
});

beforeEach(async () => {
  expected = [];
  visit = await world.open();
});

afterEach(async () => {
  const { errors, foreign, context } = visit;
  await context.close();
  expect(errors.filter((e) => !expected.some((x) => x.test(e)))).toEqual([]);
  expect(foreign).toEqual([]);
});

const count = () => visit.page.textContent(".said").then((t) => t?.trim());

async function accessible(name: string): Promise<void> {
  await visit.page.evaluate(readFileSync(AXE, "utf8"));
  const found = await visit.page.evaluate(async () => {
    const { violations } = await (window as any).axe.run(document, { resultTypes: ["violations"] });
    return violations.map(
      (v: any) =>
        `${v.id}: ${v.nodes
          .slice(0, 3)
          .map((n: any) => `${n.target} ${n.failureSummary.split("\n")[1] ?? ""}`)
          .join(" | ")}`,
    );
  });
  expect(found, name).toEqual([]);
}

test("without a token there is a page that says what to type, and a token in the fragment is taken once", async () => {
  const stranger = await world.open({ signedIn: false });
  await stranger.go("/");
  await stranger.page.waitForSelector("text=metaopt open --print");
  await stranger.page.goto(`${world.url}/cluster#token=${world.daemon.token}`);
  await stranger.page.reload();
  await stranger.page.goto(`${world.url}/cluster#token=${world.daemon.token}`);
  await stranger.page.waitForSelector("article");
  expect(new URL(stranger.page.url()).hash).toBe("");
  expect(await stranger.page.evaluate(() => localStorage.getItem("metaopt.token"))).toBe(world.daemon.token);
  await stranger.page.click("[aria-label='Sign out']");
  await stranger.page.fill("input[type=password]", `http://127.0.0.1:1/#token=${world.daemon.token}`);
  await stranger.page.click("text=Sign in");
  await stranger.page.waitForSelector("article");
  expect(stranger.errors).toEqual([]);
  await stranger.context.close();
});

test("a refused token leads to the page that says so", async () => {
  expected = [/401/];
  await visit.go("/");
  await visit.page.waitForSelector("a.open");
  await visit.context.addInitScript(() => localStorage.setItem("metaopt.token", "mo_revoked"));
  await visit.page.reload();
  await visit.page.waitForSelector("text=refuses this browser's token");
  await visit.page.waitForSelector("text=metaopt open");
});

test("the list searches, sorts and filters by the address", async () => {
  const { page, go } = visit;
  await go("/");
  await page.waitForSelector("a.open");
  expect(await page.locator("a.open").count()).toBe(5);
  await page.keyboard.press("/");
  await page.keyboard.type("mnist");
  await until("one study", async () => (await page.locator("a.open").count()) === 1);
  expect(page.url()).toContain("q=mnist");
  await page.reload();
  await page.waitForSelector("a.open");
  expect(await page.locator("a.open").count()).toBe(1);
  await go("/?state=complete");
  await page.waitForSelector("a.open");
  expect(await page.locator("a.open").allTextContents()).toEqual(["train"]);
  await go("/?sort=name");
  await page.waitForSelector("a.open");
  const names = await page.locator("a.open").allTextContents();
  expect(names).toEqual([...names].sort((a, b) => a.localeCompare(b)));
  await page.waitForSelector(".spark path");
});

test("studies are paused, resumed, forked, renamed, cancelled, archived and deleted from the list", async () => {
  const { page, go } = visit;
  const { api } = world.daemon;
  const id = await empty(world.daemon, "to-be-handled");
  await go("/");
  const act = async (label: string, name = "to-be-handled") => {
    await page.click(`[aria-label='Actions for ${name}']`);
    await page.click(`[role=menuitem]:has-text("${label}")`);
  };
  const becomes = (state: string) => until(state, async () => (await api(`/studies/${id}`)).state === state);
  await act("Pause");
  await becomes("paused");
  await page.waitForSelector("li:has-text('to-be-handled') .badge.paused");
  await act("Resume");
  await becomes("running");
  await page.waitForSelector("li:has-text('to-be-handled') .badge.running");
  await act("Rename");
  await page.fill("dialog input", "handled");
  await page.click("dialog >> text=Rename >> nth=-1");
  await page.waitForSelector("a.open:has-text('handled')");
  await act("Fork", "handled");
  await page.fill("dialog input", "handled-too");
  await page.click("dialog button.primary");
  await page.waitForURL(/\/studies\/s/);
  await page.waitForSelector("h1:has-text('handled-too')");
  await go("/");
  await act("Cancel", "handled");
  await page.click("dialog >> text=Leave it");
  expect((await api(`/studies/${id}`)).state).toBe("running");
  await act("Cancel", "handled");
  await page.click("dialog button.primary");
  await becomes("cancelled");
  await page.waitForSelector("li:has-text('handled') .badge.cancelled");
  await act("Archive", "handled");
  await becomes("archived");
  await go("/?state=archived");
  await act("Delete", "handled");
  await page.click("dialog button.primary");
  await until("it is gone", async () =>
    api(`/studies/${id}`)
      .then(() => false)
      .catch(() => true),
  );
  await until("it is gone from the page", async () => (await page.locator("a.open").count()) === 0);
  for (const s of (await api("/studies")).items)
    if (s.name === "handled-too") await api(`/studies/${s.id}`, undefined, "DELETE");
});

test("a study's overview shows its history, best, importance and lines, and a brush filters all of them", async () => {
  const { page, go } = visit;
  await go(`/studies/${ids.curved}`);
  await until("charts", async () => (await page.locator("figure canvas").count()) >= 2);
  await page.waitForSelector("section[aria-label='Best trial'] dd");
  await until("all trials", async () => (await count()) === "46 trials");
  const chart = page.locator("figure:has-text('Parallel coordinates') canvas").first();
  await chart.scrollIntoViewIfNeeded();
  await page.waitForTimeout(600);
  const box = (await chart.boundingBox())!;
  // Along the first axis, through its upper half.
  await page.mouse.move(box.x + 56, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + 56, box.y + 180, { steps: 6 });
  await page.mouse.up();
  await until("a bound", async () => /[?&]p\./.test(page.url()));
  await until("fewer trials", async () => /^\d+ of 46 trials/.test((await count()) ?? ""));
  const address = page.url();
  await page.reload();
  await until("the same filter", async () => /^\d+ of 46 trials/.test((await count()) ?? ""));
  expect(page.url()).toBe(address);
  await page.click("text=Clear brushes");
  await until("all again", async () => (await count()) === "46 trials");
});

test("charts are saved as PNG and SVG", async () => {
  const { page, go } = visit;
  await go(`/studies/${ids.curved}`);
  await page.waitForSelector("figure canvas");
  for (const [kind, begins] of [
    ["PNG", "\u0089PNG"],
    ["SVG", "<svg"],
  ] as const) {
    await page.click("[aria-label='Save History']");
    const [file] = await Promise.all([page.waitForEvent("download"), page.click(`text=Save as ${kind}`)]);
    const bytes = readFileSync((await file.path())!);
    expect(bytes.toString("latin1").startsWith(begins), kind).toBe(true);
    expect(bytes.length).toBeGreaterThan(2000);
  }
});

test("trials are sorted, filtered, chosen by column, compared and saved", async () => {
  const { page, go } = visit;
  await go(`/studies/${ids.curved}/trials`);
  await until("all trials", async () => (await count()) === "46 trials");
  const first = () => page.locator(".rows [role=row]").first().locator("[role=cell]").allTextContents();
  await page.click("[role=columnheader] button:has-text('loss')");
  await until("the smallest first", async () => page.url().includes("sort=v.loss"));
  const best = await world.daemon.api(`/studies/${ids.curved}/trials?sort=value&limit=1`);
  expect((await first()).join(" ")).toContain(best.items[0].label);
  await page.click("summary:has-text('State')");
  await page.click(".drop label:has-text('pruned')");
  const pruned = (await world.daemon.api(`/studies/${ids.curved}`)).counts.pruned;
  await until("only pruned ones", async () => (await count())?.startsWith(`${pruned} of 46`));
  await page.click(".said button");
  await page.selectOption("[aria-label='Filter by a parameter or value']", "p.layers");
  await page.fill("[aria-label=From]", "6");
  await page.fill("[aria-label=To]", "6");
  await page.click(".filter form button");
  await until("layers of 6", async () => page.url().includes("p.layers=6..6"));
  await page.click("[aria-label='Remove this bound']");
  await page.selectOption("[aria-label='Filter by a parameter or value']", "p.optimizer");
  await page.selectOption("[aria-label=Choices]", ['"sgd"']);
  await page.click(".filter form button");
  await page.waitForSelector(".chip:has-text('sgd')");
  await page.click("[aria-label='Remove this bound']");
  await page.click("button:has-text('Columns')");
  await page.click(".columns label:has-text('Reason')");
  await page.waitForSelector("[role=columnheader]:has-text('Reason')");
  await page.click("button:has-text('Columns')");
  await page.locator(".pick input").nth(0).check();
  await page.locator(".pick input").nth(1).check();
  await page.click("text=Compare 2");
  await page.waitForSelector("dialog tr.differs");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await page.click("[aria-label='Save trials']");
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=These rows and columns")]);
  const lines = readFileSync((await file.path())!, "utf8")
    .trim()
    .split("\r\n");
  expect(lines).toHaveLength(47);
  expect(lines[0]).toContain("loss");
  for (const kind of ["CSV", "JSONL", "Parquet"]) {
    await page.click("[aria-label='Save trials']");
    const [all] = await Promise.all([page.waitForEvent("download"), page.click(`text=All trials, ${kind}`)]);
    expect(readFileSync((await all.path())!).length, kind).toBeGreaterThan(1000);
  }
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.waitForSelector(".marked");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/trials\//);
});

test("curves, parameters, distributions, fronts, timelines and the definition are shown", async () => {
  const { page, go } = visit;
  for (const tab of ["curves", "parameters", "objectives", "timeline"]) {
    await go(`/studies/${ids.curved}/${tab}`);
    await page.waitForSelector("figure canvas").catch(() => {
      throw new Error(`no chart on ${tab}`);
    });
    await page.waitForTimeout(300);
  }
  const { total } = await world.daemon.api(`/studies/${ids.scripted}/plots/timeline`);
  await go(`/studies/${ids.scripted}/timeline`);
  await page.waitForSelector(`[role=img][aria-label="${total} attempts on 1 node over time"]`);
  await go(`/studies/${ids.scripted}/timeline?state=waiting`);
  await page.waitForSelector("text=No attempt passes the filter");
  await go(`/studies/${ids.curved}/parameters`);
  await page.selectOption("[aria-label=Across]", "layers");
  await until("it in the address", async () => page.url().includes("x=layers"));
  await go(`/studies/${ids.several}/objectives`);
  await page.waitForSelector("h2:has-text('Pareto front')");
  await page.selectOption("[aria-label=Upwards]", "memory_mb");
  await until("it in the address", async () => page.url().includes("oy=memory_mb"));
  await go(`/studies/${ids.curved}/objectives`);
  await page.selectOption("[aria-label='Compare with']", ids.scripted);
  await until("it in the address", async () => page.url().includes(`with=${ids.scripted}`));
  await go(`/studies/${ids.scripted}/about`);
  await page.waitForSelector("text=python3 work.py");
  await page.waitForSelector("text=ready");
  await page.click("[aria-label='Edit note']");
  await page.fill("textarea", "what it is for");
  await page.click("text=Save >> nth=-1");
  await page.waitForSelector("text=what it is for");
  await page.fill('[aria-label="Attribute\'s name"]', "owner");
  await page.fill('[aria-label="Attribute\'s value"]', "[1, 2]");
  await page.click("section[aria-label=Attributes] button:has-text('Add')");
  await until(
    "the attribute",
    async () => JSON.stringify((await world.daemon.api(`/studies/${ids.scripted}`)).user_attrs.owner) === "[1,2]",
  );
  await page.fill("[aria-label='Trials at once']", "2");
  await page.click("text=Change the budget");
  await until("the budget", async () => (await world.daemon.api(`/studies/${ids.scripted}`)).budget.max_parallel === 2);
});

test("a trial shows its log, pictures and files, and why it was drawn", async () => {
  const { page, go } = visit;
  const best = await world.daemon.api(`/studies/${ids.scripted}/best`);
  await go(`/trials/${best.id}`);
  await page.waitForSelector(".log .line");
  const text = await page.locator(".log").innerText();
  expect(text).toContain("starting with x");
  expect(text).toContain("<b>not bold</b>");
  expect(text).not.toContain("\u001b");
  await page.fill("[aria-label='Search the log']", "epoch 8");
  await page.waitForSelector("mark:has-text('epoch 8')");
  await page.waitForSelector("text=1 lines");
  const [log] = await Promise.all([
    page.waitForEvent("download"),
    page.click("section[aria-label=Log] >> text=Download"),
  ]);
  expect(readFileSync((await log.path())!, "utf8")).toContain("epoch 3");
  await until(
    "the picture",
    async () =>
      (await page.evaluate(
        () => document.querySelector<HTMLCanvasElement>("section[aria-label=Artifacts] canvas")?.width,
      )) === 64,
  );
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("[aria-label='Download report.txt']")]);
  expect(readFileSync((await file.path())!, "utf8")).toContain("x = ");
  await page.click("button:has-text('Explain')");
  await page.waitForSelector("text=the same parameters");
  await page.click("[aria-label='Edit note']");
  await page.fill("textarea", "a good one");
  await page.click("section[aria-label=Note] >> text=Save");
  await until("the note", async () => (await world.daemon.api(`/trials/${best.id}`)).note === "a good one");
  await page.waitForSelector("figure:has-text('Curve') canvas");
});

test("a running trial's log and curve grow; it is cancelled and tried again", async () => {
  const { page, go } = visit;
  const study = await scripted(world.daemon, "slow", { slow: true, trials: 2, here: "ada" });
  const running = await until(
    "a running trial",
    async () => (await world.daemon.api(`/studies/${study}/trials?state=running`)).items[0],
  );
  await go(`/trials/${running.id}`);
  await page.waitForSelector(".log .line");
  const lines = async () => (await page.locator(".log").innerText()).split("\n").length;
  const before = await lines();
  await until("more lines", async () => (await lines()) > before);
  await page.waitForSelector("section[aria-label=Log] >> text=live");
  await page.click("[aria-label='Actions for this trial']");
  await page.click("[role=menuitem]:has-text('Cancel')");
  await page.click("dialog button.primary");
  await page.waitForSelector("h1 ~ .badge.cancelled");
  await page.click("[aria-label='Actions for this trial']");
  await page.click("[role=menuitem]:has-text('Retry')");
  await until("a second attempt", async () => (await world.daemon.api(`/trials/${running.id}`)).attempts.length === 2);
  await page.waitForSelector("section[aria-label=Attempts] tbody tr:nth-child(2)");
  await world.daemon.api(`/studies/${study}`, undefined, "DELETE");
  await page.waitForSelector("text=deleted with its study");
});

test("a trial is cloned with edits, and what doesn't fit is said at its field", async () => {
  expected = [/422/];
  const { page, go } = visit;
  const { items } = await world.daemon.api(`/studies/${ids.curved}/trials?state=complete&limit=1`);
  await go(`/trials/${items[0].id}`);
  await page.click("button:has-text('Clone with edits')");
  await page.fill("dialog label:has-text('lr') input", "7");
  await page.click("text=Queue it");
  await page.waitForSelector("dialog label:has-text('lr') .wrong");
  await page.fill("dialog label:has-text('lr') input", "0.05");
  await page.click("text=Queue it");
  await page.waitForSelector("h1 ~ .badge:has-text('waiting')");
  await page.waitForSelector("text=Why it isn't running");
  await page.waitForSelector("text=No client has asked for it yet");
});

test("a trial that was frozen says so, and its timeline shows where it was frozen and thawed", async () => {
  const { page, go } = visit;
  const { api } = world.daemon;
  const id = await empty(world.daemon, "frozen");
  const ask = async () => (await api(`/studies/${id}/trials/suggest`, { client_id: "one", count: 1 })).items[0];
  const trial = await ask();
  await api(`/trials/${trial.id}/reports`, { step: 1, values: { loss: 2 } });
  await api(`/trials/${trial.id}/pause`, {});
  await api(`/trials/${trial.id}/reports`, { step: 2, values: { loss: 1 } });
  await until("it frozen", async () => (await api(`/trials/${trial.id}`)).state === "paused");
  await go(`/trials/${trial.id}`);
  await page.waitForSelector("text=it was paused by hand");
  await api(`/trials/${trial.id}/resume`, {});
  const again = await until("it handed out again", ask);
  expect(again.id).toBe(trial.id);
  await page.waitForSelector("text=Why it isn't running", { state: "detached" });
  await api(`/trials/${trial.id}/complete`, { values: { loss: 1 } });
  await go(`/studies/${id}/timeline`);
  await page.waitForSelector("text=▸ thawed; ‖ frozen");
  await page.waitForSelector("[role=img][aria-label='2 attempts on 1 node over time']");
  await api(`/studies/${id}`, undefined, "DELETE");
});

test("the cluster shows nodes and slots; a node is drained and resumed; an invitation has a code", async () => {
  const { page, go } = visit;
  await go("/cluster");
  await page.waitForSelector("article:has-text('kay')");
  await page.waitForSelector("section[aria-label=Links] line", { state: "attached" });
  await page.click("[aria-label='Actions for kay']");
  await page.click("[role=menuitem]:has-text('Drain')");
  await page.waitForSelector("article:has-text('kay') .badge:has-text('draining')");
  await page.click("[aria-label='Actions for kay']");
  await page.click("[role=menuitem]:has-text('Resume')");
  await page.waitForSelector("article:has-text('kay') .badge:has-text('alive')");
  await page.click("text=New code");
  await page.waitForSelector(".code svg path");
  expect(await page.textContent(".code .big")).toMatch(/^\w{4}-\w{4}-\w{4}$/);
  await page.click("text=End all");
  await page.waitForSelector("text=No invitation holds");
  await page.click("text=Open for 10 min");
  await page.waitForSelector("text=Open for all");
  await page.click("text=End all");
  await page.click("section[aria-label=Disk] >> text=Look");
  await page.waitForSelector("section[aria-label=Disk] tbody tr");
});

test("a node that is cut off stands apart, and is removed", async () => {
  const { page, go } = visit;
  await go("/cluster");
  await page.waitForSelector("article:has-text('kay') .badge:has-text('alive')");
  await other.kill();
  await page.waitForSelector("text=One node is out of reach", { timeout: 40_000 });
  await page.waitForSelector(".torn ~ .nodes article:has-text('kay')");
  await page.waitForSelector("line.torn", { state: "attached" });
  await page.click("[aria-label='Actions for kay']");
  await page.click("[role=menuitem]:has-text('Remove')");
  await page.click("dialog button.primary");
  await until("it is removed", async () => {
    const { nodes } = await world.daemon.api("/cluster");
    return nodes.every((n: { name: string; state: string }) => n.name !== "kay" || n.state === "removed");
  });
  await page.waitForSelector("article:has-text('kay')", { state: "detached" });
  await page.waitForSelector("text=out of reach", { state: "detached" });
});

test("lines come with the list, trials in columns, and what changes by ID, twice a second at most", async () => {
  const { page, go } = visit;
  const { api } = world.daemon;
  const asked: { url: string; at: number }[] = [];
  page.on("request", (call) => asked.push({ url: call.url(), at: Date.now() }));
  const calls = (part: string) => asked.filter((call) => call.url.includes(part));
  await go("/");
  await page.waitForSelector(".spark path", { state: "attached" });
  expect(calls("/plots/")).toEqual([]);

  const id = await empty(world.daemon, "followed");
  const tell = async (count: number) => {
    const { items } = await api(`/studies/${id}/trials/suggest`, { client_id: "fast", count });
    await Promise.all(
      items.map((t: { id: string }, i: number) => api(`/trials/${t.id}/complete`, { values: { loss: i } })),
    );
    return items[0].id as string;
  };
  const noted = await tell(3);
  await api(`/trials/${noted}`, { note: "before" }, "PATCH");
  asked.length = 0;
  await go(`/studies/${id}/trials?cols=${encodeURIComponent('["label","state","note"]')}`);
  await page.waitForSelector('[role="row"] >> text=before');
  expect(calls("/columns")).toHaveLength(1);
  await api(`/trials/${noted}`, { note: "afterwards" }, "PATCH");
  await page.waitForSelector('[role="row"] >> text=afterwards');
  for (let i = 0; i < 12; i++) await tell(10);
  await until("all of them", async () => (await page.textContent(".said"))?.trim() === "123 trials");
  await until("their ends", async () => (await page.locator("[role=row] .badge:has-text('running')").count()) === 0);
  const byId = calls("ids=");
  byId.slice(1).forEach((call, i) => expect(call.at - byId[i].at).toBeGreaterThan(400));
  expect(calls("/columns")).toHaveLength(1);
  expect(calls(`/trials/${noted}`)).toEqual([]);
  await api(`/studies/${id}`, undefined, "DELETE");
});

test("a study is made by form, with the daemon's words at the fields, and by JSON", async () => {
  expected = [/422/];
  const { page, go } = visit;
  await go("/new");
  await page.fill("label:has-text('Name') >> nth=0 >> input", "made-here");
  const param = page.locator(".param").first();
  await param.locator("label:has-text('To') input").fill("1e-9");
  await page.click("text=Add a parameter");
  const second = page.locator(".param").nth(1);
  await second.locator("label:has-text('Name') input").fill("opt");
  await second.locator("select").selectOption("categorical");
  await second.locator("label:has-text('Choices') input").fill("sgd, adam");
  await page.click("text=Create the study");
  await page.waitForSelector(".param >> nth=0 >> .wrong");
  await param.locator("label:has-text('To') input").fill("1");
  await page.click("[aria-label='How to write it'] >> text=JSON");
  const text = await page.inputValue("textarea");
  expect(JSON.parse(text)).toMatchObject({
    name: "made-here",
    space: [
      { name: "lr", high: 1 },
      { name: "opt", choices: ["sgd", "adam"] },
    ],
  });
  await page.fill("textarea", text.replace("}", ""));
  await page.click("text=Create the study");
  await page.waitForSelector("p.wrong");
  await page.fill("textarea", text.replace('"loss"', '"error"'));
  await page.click("[aria-label='How to write it'] >> text=Form");
  expect(await page.inputValue("[aria-label=Metric]")).toBe("error");
  await page.click("text=Create the study");
  await page.waitForSelector("h1:has-text('made-here')");
  const made = (await world.daemon.api("/studies")).items.find((s: { name: string }) => s.name === "made-here");
  expect(made.objectives[0].metric).toBe("error");
  await go("/new?as=json");
  const run = {
    name: "made-to-run",
    space: made.space,
    objectives: made.objectives,
    run: { command: ["sh", "-c", "echo metaopt: error={lr}"], workdir: "in_place", path: "/tmp" },
    budget: { max_trials: 2 },
  };
  await page.fill("textarea", JSON.stringify(run));
  await page.click("text=Create the study");
  await page.waitForSelector("h1:has-text('made-to-run')");
  await ended(world.daemon, "made-to-run");
  await page.waitForSelector(".badge.complete");
});

test("hostile names are shown as they are and never run", async () => {
  const { page, go } = visit;
  const { items } = await world.daemon.api(`/studies/${ids.hostile}/trials?limit=1`);
  const paths = ["/", `/studies/${ids.hostile}`, `/trials/${items[0].id}`];
  for (const tab of ["trials", "curves", "parameters", "objectives", "timeline", "about"])
    paths.push(`/studies/${ids.hostile}/${tab}`);
  for (const path of paths) {
    await go(path);
    await page.waitForSelector("text=<img src=x");
    await page.waitForTimeout(400);
    expect(await page.evaluate(() => (window as any).hacked), path).toBeUndefined();
    expect(await page.locator("main img, main script, main b:has-text('loss')").count(), path).toBe(0);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(wide, path).toBeLessThanOrEqual(0);
  }
  await go(`/studies/${ids.hostile}`);
  await page.waitForSelector("figure canvas");
  const box = (await page.locator("figure:has-text('History') canvas").boundingBox())!;
  for (let x = 0.1; x < 1; x += 0.02) await page.mouse.move(box.x + box.width * x, box.y + box.height - 60);
  expect(await page.evaluate(() => (window as any).hacked)).toBeUndefined();
});

test("a study that is deleted meanwhile, or was never there, leaves a page that says so", async () => {
  expected = [/404/];
  const { page, go } = visit;
  const id = await empty(world.daemon, "short-lived");
  await go(`/studies/${id}/trials`);
  await page.waitForSelector("h1:has-text('short-lived')");
  await world.daemon.api(`/studies/${id}`, undefined, "DELETE");
  await page.waitForSelector("text=This study was deleted");
  await go("/studies/never");
  await page.waitForSelector("text=There is no such study here");
  await go("/trials/never");
  await page.waitForSelector("text=There is no such trial here");
  await go("/what/is/this");
  await page.waitForSelector("text=There is no such page");
});

test("changes come by themselves, over one stream for all tabs", async () => {
  const { page, context, go } = visit;
  const streams: string[] = [];
  context.on("request", (asked) => {
    if (asked.url().includes("/api/v1/events")) streams.push(asked.url());
  });
  await go(`/studies/${ids.empty}`);
  await page.waitForSelector("text=No finished trial yet");
  const second = await context.newPage();
  await second.goto(`${world.url}/`);
  await second.waitForSelector("a.open");
  await second.waitForSelector(".link.live");
  expect(streams).toHaveLength(1);
  const { items } = await world.daemon.api(`/studies/${ids.empty}/trials/suggest`, { client_id: "me" });
  await world.daemon.api(`/trials/${items[0].id}/complete`, { values: { loss: 0.125 } });
  await page.waitForSelector("text=0.125");
  await second.waitForSelector("li:has-text('nothing-yet') >> text=0.125");
  await page.close();
  const more = await world.daemon.api(`/studies/${ids.empty}/trials/suggest`, { client_id: "me" });
  await world.daemon.api(`/trials/${more.items[0].id}/complete`, { values: { loss: 0.0625 } });
  await second.waitForSelector("li:has-text('nothing-yet') >> text=0.0625");
  expect(streams).toHaveLength(2);
});

test("keys go everywhere, and the theme is kept", async () => {
  const { page, go } = visit;
  await go("/");
  await page.waitForSelector("a.open");
  await page.keyboard.press("?");
  await page.waitForSelector("dialog:has-text('Keys')");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await page.waitForURL(/cluster/);
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.waitForSelector("a.open");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(/studies\//);
  await page.goBack();
  await page.waitForSelector("a.open");
  await page.click("[aria-label^='Theme: system']");
  await page.click("[aria-label^='Theme: light']");
  expect(await page.evaluate(() => document.documentElement.dataset.dark)).toBe("true");
  await page.reload();
  await page.waitForSelector("a.open");
  expect(await page.evaluate(() => document.documentElement.dataset.dark)).toBe("true");
});

for (const dark of [false, true]) {
  test(`axe finds nothing to mend, ${dark ? "dark" : "light"}`, async () => {
    await visit.context.close();
    visit = await world.open({ dark });
    const { page, go } = visit;
    const best = await world.daemon.api(`/studies/${ids.scripted}/best`);
    const paths = ["/", "/cluster", "/new", "/new?as=json", `/trials/${best.id}`];
    for (const tab of ["", "/trials", "/curves", "/parameters", "/objectives", "/timeline", "/about"])
      paths.push(`/studies/${ids.curved}${tab}`);
    for (const path of paths) {
      await go(path);
      await page.waitForSelector("main h1");
      await page.waitForTimeout(700);
      await accessible(path);
    }
  });
}

test("while the daemon is away a banner says so, and the page goes on when it is back", async () => {
  expected = [/502/, /Failed to load/, /ERR_/];
  const { page, go } = visit;
  const { daemon } = world;
  await go("/");
  await page.waitForSelector(".link.live");
  await daemon.stop();
  await page.waitForSelector("text=The daemon is away.");
  await page.waitForSelector("a.open");
  const again = await startDaemon(["--name", "ada", "--slots", "3"], daemon.dir);
  world.replace(again);
  await page.waitForSelector("text=The daemon is away.", { state: "detached", timeout: 30_000 });
  await empty(again, "after-the-return");
  await page.waitForSelector("a.open:has-text('after-the-return')");
});
