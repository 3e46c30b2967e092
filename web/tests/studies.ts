// Studies as people have them, made through the API: learning curves, several objectives, hostile names, a real script.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metaopt, until, type Daemon } from "./world";

/** A small generator, so that every run has the same numbers. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** An ask-and-tell study with curves, of which the rule prunes some; a few fail, are infeasible, frozen, running or waiting. */
export async function curved(daemon: Daemon, trials = 60, name = "mnist-cnn"): Promise<string> {
  const study = await daemon.api("/studies", {
    name,
    note: "A small network on MNIST, with a schedule and two optimisers.",
    space: [
      { name: "lr", type: "float", low: 1e-5, high: 1, log: true, default: 1e-3 },
      { name: "dropout", type: "float", low: 0, high: 0.9, step: 0.05 },
      { name: "layers", type: "int", low: 1, high: 12 },
      { name: "optimizer", type: "categorical", choices: ["sgd", "adam", "rmsprop"] },
      { name: "momentum", type: "float", low: 0, high: 1, when: { optimizer: ["sgd"] } },
      { name: "amp", type: "bool" },
    ],
    objectives: [{ metric: "loss", direction: "minimize" }],
    constraints: [{ metric: "latency_ms", at_most: 60 }],
    sampler: { name: "tpe", seed: 7 },
    early_stopping: { rule: "median" },
    budget: { max_trials: 200 },
  });
  const chance = random(3);
  const steps = 20;
  for (let i = 0; i < trials; i++) {
    const { items } = await daemon.api(`/studies/${study.id}/trials/suggest`, { client_id: `client-${i}` });
    const trial = items[0];
    const p = trial.params;
    const end =
      0.08 +
      0.05 * Math.abs(Math.log10(p.lr) + 2.5) ** 2 +
      0.2 * (p.dropout - 0.3) ** 2 +
      0.004 * Math.abs(p.layers - 6);
    const speed = 0.15 + 0.4 * chance();
    const left = i > trials - 5;
    let stopped = false;
    const most = left ? 4 + Math.floor(chance() * 12) : steps;
    for (let step = 1; step <= most && !stopped; step++) {
      const loss = end + 2 * Math.exp(-speed * step) + 0.02 * (chance() - 0.5);
      const values = { loss, accuracy: Math.max(0, 1 - loss / 2), latency_ms: 8 + 6 * p.layers };
      const { action } = await daemon.api(`/trials/${trial.id}/reports`, { step, values });
      stopped = action !== "continue";
      if (i % 17 === 9 && step === 7) {
        await daemon.api(`/trials/${trial.id}/pause`, {});
        stopped = true;
      }
    }
    if (stopped || left) continue;
    if (i % 13 === 7)
      await daemon.api(`/trials/${trial.id}/complete`, {
        state: "fail",
        detail: "CUDA out of memory: tried to allocate 2.4 GiB",
      });
    else if (i % 29 === 11)
      await daemon.api(`/trials/${trial.id}/complete`, { state: "infeasible", detail: "the model is too large" });
    else
      await daemon.api(`/trials/${trial.id}/complete`, {
        values: { loss: end, accuracy: 1 - end / 2, latency_ms: 8 + 6 * p.layers },
      });
  }
  await daemon.api(`/studies/${study.id}/trials`, {
    params: { lr: 0.01, dropout: 0.3, layers: 4, optimizer: "adam", amp: true },
  });
  return study.id;
}

/** Finished trials by import: as fast as it goes. */
export async function imported(daemon: Daemon, name: string, trials: number, params = 6): Promise<string> {
  const names = Array.from({ length: params }, (_, i) => `x${i}`);
  const study = await daemon.api("/studies", {
    name,
    space: [
      ...names.map((n, i) => ({
        name: n,
        type: "float",
        low: i % 2 ? 1e-4 : 0,
        high: 1,
        ...(i % 2 ? { log: true } : {}),
      })),
      { name: "kind", type: "categorical", choices: ["a", "b", "c", "d"] },
    ],
    objectives: [{ metric: "loss", direction: "minimize" }],
    sampler: { name: "random", seed: 1 },
  });
  const chance = random(11);
  const PART = 20_000;
  for (let from = 0; from < trials; from += PART) {
    const lines: string[] = [];
    for (let i = from; i < Math.min(trials, from + PART); i++) {
      const values = Object.fromEntries(names.map((n, k) => [n, k % 2 ? 10 ** (-4 * chance()) : chance()]));
      const loss =
        names.reduce((sum, n, k) => sum + (values[n] - 0.3) ** 2 / (k + 1), 0) +
        0.3 * chance() +
        (i % 997 === 5 ? 4 : 0);
      lines.push(
        JSON.stringify({
          params: { ...values, kind: "abcd"[Math.floor(chance() * 4)] },
          state: "complete",
          values: { loss },
          id: `${name}-${i}`,
        }),
      );
    }
    await daemon.api(`/studies/${study.id}/import`, lines.join("\n"));
  }
  return study.id;
}

export async function several(daemon: Daemon): Promise<string> {
  const study = await daemon.api("/studies", {
    name: "speed-against-accuracy",
    space: [
      { name: "width", type: "int", low: 8, high: 512, log: true },
      { name: "depth", type: "int", low: 1, high: 20 },
      { name: "quantize", type: "bool" },
    ],
    objectives: [
      { metric: "error", direction: "minimize" },
      { metric: "images_per_s", direction: "maximize" },
      { metric: "memory_mb", direction: "minimize" },
    ],
    sampler: { name: "nsga2", seed: 5 },
  });
  const chance = random(8);
  for (let i = 0; i < 8; i++) {
    const { items } = await daemon.api(`/studies/${study.id}/trials/suggest`, { client_id: "one", count: 12 });
    for (const trial of items) {
      const { width, depth, quantize } = trial.params;
      const size = Math.log(width) * depth;
      await daemon.api(`/trials/${trial.id}/complete`, {
        values: {
          error: 0.5 / (1 + size / 10) + 0.03 * chance() + (quantize ? 0.02 : 0),
          images_per_s: (9000 / (5 + size)) * (quantize ? 1.8 : 1),
          memory_mb: (width * depth) / (quantize ? 4 : 1),
        },
      });
    }
  }
  return study.id;
}

export const MARKUP = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;

/** Names with markup, right-to-left text, 10,000 characters and 1,024 choices. */
export async function hostile(daemon: Daemon): Promise<string> {
  const long = "long-".repeat(36);
  const choices = Array.from({ length: 1024 }, (_, i) => `choice ${i} ${MARKUP}`);
  const study = await daemon.api("/studies", {
    name: `<img src=x onerror="window.hacked=1"> שלום evil`,
    note: "note ".repeat(2000),
    space: [
      { name: MARKUP.slice(0, 60), type: "float", low: 0, high: 1 },
      { name: "مرحبا", type: "categorical", choices },
      {
        name: long.slice(0, 120),
        type: "categorical",
        choices: ["Infinity", "-Infinity", "NaN", "x".repeat(200), null, true, 1e300],
      },
    ],
    objectives: [{ metric: "<b>loss</b>", direction: "minimize" }],
    user_attrs: { [MARKUP.slice(0, 50)]: MARKUP, huge: "y".repeat(10_000), inf: "Infinity" },
    sampler: { name: "random", seed: 2 },
  });
  for (let i = 0; i < 14; i++) {
    const { items } = await daemon.api(`/studies/${study.id}/trials/suggest`, { client_id: MARKUP });
    await daemon.api(
      `/trials/${items[0].id}`,
      { note: `${MARKUP} ${"z".repeat(3000)}`, user_attrs: { [MARKUP.slice(0, 40)]: "‮rtl" } },
      "PATCH",
    );
    await daemon.api(`/trials/${items[0].id}/complete`, {
      values: { "<b>loss</b>": i === 3 ? 1e308 : i === 4 ? -1e-300 : i },
    });
  }
  return study.id;
}

/** A study without trials. */
export async function empty(daemon: Daemon, name = "nothing-yet"): Promise<string> {
  const study = await daemon.api("/studies", {
    name,
    space: [{ name: "x", type: "float", low: 0, high: 1 }],
    objectives: [{ metric: "loss", direction: "minimize" }],
  });
  return study.id;
}

const SCRIPT = `
import json, os, struct, sys, time, urllib.request, zlib
x = float(sys.argv[1]); slow = len(sys.argv) > 2
def call(path, body):
    r = urllib.request.Request(os.environ["METAOPT_URL"] + "/api/v1" + path, json.dumps(body).encode(),
                               {"Authorization": "Bearer " + os.environ["METAOPT_TOKEN"]})
    return json.load(urllib.request.urlopen(r))
trial = os.environ["METAOPT_TRIAL_ID"]
out = os.environ["METAOPT_OUTPUT_DIR"]
print("\\x1b[32mstarting\\x1b[0m with x =", x, flush=True)
for step in range(1, 400 if slow else 9):
    loss = (x - 0.4) ** 2 + 1 / step
    print(f"epoch {step}: loss={loss:.4f} <b>not bold</b>", flush=True)
    call(f"/trials/{trial}/reports", {"step": step, "values": {"loss": loss}})
    time.sleep(0.25 if slow else 0.01)
if x > 0.9:
    print("Traceback: ValueError: x is too large", file=sys.stderr); sys.exit(3)
size = 64
rows = b"".join(b"\\0" + bytes(v for i in range(size) for v in (int(255 * x), i * 4, j * 4)) for j in range(size))
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
with open(os.path.join(out, "confusion.png"), "wb") as f:
    f.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
with open(os.path.join(out, "report.txt"), "w") as f:
    f.write("x = %r\\n" % x)
print("metaopt: loss=%r" % ((x - 0.4) ** 2), flush=True)
`;

/** A study whose trials the daemon runs; with `slow`, one that goes on for minutes. */
export async function scripted(
  daemon: Daemon,
  name: string,
  options: { slow?: boolean; trials?: number; here?: string } = {},
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "metaopt-script-"));
  writeFileSync(join(folder, "work.py"), SCRIPT);
  const more = options.here ? ["--node", options.here] : [];
  await metaopt(
    daemon,
    [
      "submit",
      "-n",
      name,
      "--max-trials",
      String(options.trials ?? 6),
      ...more,
      "--",
      "python3",
      "work.py",
      "x~uniform(0, 1)",
      ...(options.slow ? ["slow"] : []),
    ],
    folder,
  );
  const { items } = await daemon.api("/studies");
  return items.find((s: { name: string }) => s.name === name).id;
}

/** Waits until a study has no open trials. */
export async function ended(daemon: Daemon, study: string): Promise<void> {
  await until(
    "the study's end",
    async () => {
      const { counts, budget } = await daemon.api(`/studies/${study}`);
      const done = counts.complete + counts.fail + counts.pruned + counts.cancelled;
      return done >= (budget.max_trials ?? 1);
    },
    90_000,
  );
}
