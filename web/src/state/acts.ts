// What can be done with a study or a trial, each with its question where it can't be taken back.

import { get, patch, post, remove, type Study, type Trial } from "../api/client";
import type { Item } from "../parts/menu";
import { path, router } from "../router.svelte";
import { clipped } from "../format/value";
import { talk } from "./talk.svelte";

const named = (study: Study) => `“${clipped(study.name, 60)}”`;

/** The actions that fit a study's state. */
export function studyActs(study: Study, gone: () => void = () => {}): Item[] {
  const call = (said: string, verb: "pause" | "resume" | "cancel" | "archive") =>
    talk.act(said, () => post(`/api/v1/studies/{study}/${verb}`, { path: { study: study.id } }));
  const over = study.state !== "running" && study.state !== "paused";
  const items: Item[] = [];
  if (study.state === "running") items.push({ label: "Pause", act: () => void call("Paused.", "pause") });
  if (study.state === "paused") items.push({ label: "Resume", act: () => void call("Resumed.", "resume") });
  if (study.state === "archived" || study.state === "cancelled") {
    items.push({ label: "Bring back", act: () => void call("It goes on.", "resume") });
  }
  items.push({ label: "Fork…", act: () => void fork(study) });
  items.push({ label: "Rename…", act: () => void rename(study) });
  if (!over) {
    items.push({
      label: "Cancel…",
      danger: true,
      act: async () => {
        const running = study.counts.running ?? 0;
        const text = `${running ? `Its ${running} running trial${running > 1 ? "s" : ""} will be stopped. ` : ""}What is finished is kept.`;
        if (
          (await talk.ask({ title: `Cancel ${named(study)}?`, text, yes: "Cancel the study", danger: true })) !== null
        ) {
          await call("Cancelled.", "cancel");
        }
      },
    });
  }
  if (study.state !== "archived") items.push({ label: "Archive", act: () => void call("Archived.", "archive") });
  items.push({
    label: "Delete…",
    danger: true,
    act: async () => {
      const all = Object.values(study.counts).reduce((a: number, b) => a + (b ?? 0), 0);
      const text = `It and its ${all.toLocaleString("en")} trials, with their logs and artifacts, are deleted on every node. This can't be undone.`;
      if ((await talk.ask({ title: `Delete ${named(study)}?`, text, yes: "Delete for good", danger: true })) === null)
        return;
      if (await talk.act("Deleted.", () => remove("/api/v1/studies/{study}", { path: { study: study.id } }))) gone();
    },
  });
  return items;
}

async function fork(study: Study): Promise<void> {
  const name = await talk.ask({
    title: `Fork ${named(study)}`,
    text: "A new study with the same space and all of its finished trials.",
    yes: "Fork",
    input: { label: "Name of the new study", value: `${study.name.slice(0, 180)}-fork` },
  });
  if (!name) return;
  await talk.act("Forked.", async () => {
    const made = await post("/api/v1/studies/{study}/fork", { path: { study: study.id }, body: { name } });
    router.go(path("studies", made.id));
  });
}

async function rename(study: Study): Promise<void> {
  const name = await talk.ask({
    title: `Rename ${named(study)}`,
    text: "Its ID, and links to it, stay as they are.",
    yes: "Rename",
    input: { label: "Name", value: study.name },
  });
  if (name)
    await talk.act("Renamed.", () => patch("/api/v1/studies/{study}", { path: { study: study.id }, body: { name } }));
}

/** The actions that fit a trial's state. */
export function trialActs(trial: Trial, clone: () => void): Item[] {
  const call = (said: string, verb: "pause" | "resume" | "cancel" | "retry") =>
    talk.act(said, () => post(`/api/v1/trials/{trial}/${verb}`, { path: { trial: trial.id } }));
  const items: Item[] = [];
  if (trial.state === "running")
    items.push({ label: "Freeze", act: () => void call("It is asked to freeze.", "pause") });
  if (trial.state === "paused") items.push({ label: "Thaw", act: () => void call("It will go on.", "resume") });
  if (["fail", "pruned", "cancelled", "infeasible"].includes(trial.state)) {
    items.push({ label: "Retry", act: () => void call("It is offered again.", "retry") });
  }
  items.push({ label: "Clone with edits…", act: clone });
  if (["waiting", "running", "paused"].includes(trial.state)) {
    items.push({
      label: "Cancel…",
      danger: true,
      act: async () => {
        const text = "Its process is stopped; what it reported is kept.";
        const title = `Cancel trial ${trial.label}?`;
        if ((await talk.ask({ title, text, yes: "Cancel the trial", danger: true })) !== null)
          await call("Cancelled.", "cancel");
      },
    });
  }
  return items;
}

/** The best trials of a study with several objectives, at most a page of them. */
export async function paretoIds(study: string, signal: AbortSignal): Promise<Set<string>> {
  const page = await get("/api/v1/studies/{study}/pareto", { path: { study }, query: { limit: 1000 }, signal });
  return new Set(page.items.map((t) => t.id));
}
