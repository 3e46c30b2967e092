// The daemon's stream of changes, one for all tabs.
//
// Whoever holds the lock streams and tells the other tabs; when its tab closes, another takes the lock and goes on
// from the last event that it was told.

import { address, fetchWithToken } from "./client";
import { asProblem } from "./problem";
import { backoff, readEvents, type Sent } from "./sse";

export interface Change {
  type: string;
  study_id: string | null;
  trial_id: string | null;
  data: unknown;
}

export type Link = "connecting" | "live" | "away" | "refused";
type Told =
  { kind: "batch"; changes: Change[]; last: string } | { kind: "link"; link: Link; last: string } | { kind: "hello" };

const NAME = "metaopt.events";
/** The daemon sends a comment at least every 15 seconds. */
const SILENCE_MS = 40_000;

/** What `sent` says has changed; `reset` stands for everything. */
export function changesOf(sent: Sent[]): Change[] {
  const changes: Change[] = [];
  for (const { event, data } of sent) {
    if (event === "reset") changes.push({ type: "reset", study_id: null, trial_id: null, data: null });
    else if (data) changes.push(JSON.parse(data) as Change);
  }
  return changes;
}

/** Follows the stream from when it is started until it is stopped. */
export class Live {
  #channel = new BroadcastChannel(NAME);
  #stop = new AbortController();
  #listeners = new Set<(changes: Change[]) => void>();
  #last = "";
  #link: Link = "connecting";
  #leads = false;

  constructor(private linked: (link: Link) => void) {}

  /** Calls `took` with every batch of changes, until what is returned is called. */
  listen(took: (changes: Change[]) => void): () => void {
    this.#listeners.add(took);
    return () => this.#listeners.delete(took);
  }

  start(): void {
    this.#channel.onmessage = ({ data }: MessageEvent<Told>) => this.#hear(data);
    this.#channel.postMessage({ kind: "hello" } satisfies Told);
    const { signal } = this.#stop;
    navigator.locks.request(NAME, { signal }, () => this.#lead()).catch(() => {});
  }

  stop(): void {
    this.#stop.abort();
    this.#channel.close();
    this.#listeners.clear();
  }

  #hear(told: Told): void {
    if (told.kind === "hello") {
      if (this.#leads) this.#tell({ kind: "link", link: this.#link, last: this.#last });
      return;
    }
    this.#last = told.last;
    if (told.kind === "link") this.#become(told.link);
    else this.#give(told.changes);
  }

  #tell(told: Told): void {
    if (!this.#stop.signal.aborted) this.#channel.postMessage(told);
  }

  #become(link: Link): void {
    this.#link = link;
    this.linked(link);
  }

  #give(changes: Change[]): void {
    for (const took of this.#listeners) took(changes);
  }

  async #lead(): Promise<void> {
    this.#leads = true;
    const { signal } = this.#stop;
    for (let tries = 0; !signal.aborted; tries++) {
      let wait = backoff(tries);
      try {
        await this.#stream(() => (tries = -1));
      } catch (thrown) {
        if (signal.aborted) return;
        const problem = asProblem(thrown);
        if (problem.status === 401) {
          this.#say("refused");
          return;
        }
        if (problem.retryAfter) wait = problem.retryAfter * 1000;
      }
      if (signal.aborted) return;
      // A daemon that restarts is back at once; only a second failure is worth a word.
      this.#say(tries < 0 ? "connecting" : "away");
      await this.#sleep(wait);
    }
  }

  async #stream(opened: () => void): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    try {
      const answer = await fetchWithToken(address("/api/v1/events"), {
        headers: this.#last ? { "last-event-id": this.#last } : {},
        signal: AbortSignal.any([this.#stop.signal, silence.signal]),
      });
      opened();
      this.#say("live");
      await readEvents(this.#watched(answer, alive), (sent) => {
        this.#last = sent.findLast((s) => s.id)?.id ?? this.#last;
        const changes = changesOf(sent);
        if (!changes.length) return;
        this.#tell({ kind: "batch", changes, last: this.#last });
        this.#give(changes);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** The same answer; `alive` is called for every piece, comments too. */
  #watched(answer: Response, alive: () => void): Response {
    const counting = new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, out) {
        alive();
        out.enqueue(piece);
      },
    });
    return new Response(answer.body?.pipeThrough(counting as unknown as ReadableWritablePair<Uint8Array, Uint8Array>));
  }

  #say(link: Link): void {
    this.#become(link);
    this.#tell({ kind: "link", link, last: this.#last });
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((wake) => {
      const timer = setTimeout(done, ms);
      const signal = this.#stop.signal;
      function done(): void {
        clearTimeout(timer);
        removeEventListener("online", done);
        signal.removeEventListener("abort", done);
        wake();
      }
      addEventListener("online", done);
      signal.addEventListener("abort", done);
    });
  }
}
