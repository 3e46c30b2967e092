// Server-sent events out of the pieces of a body.

export interface Sent {
  id: string;
  event: string;
  data: string;
}

/** Reads events out of text that comes in pieces of any size. */
export class SseParser {
  #rest = "";
  #data: string[] = [];
  #event = "";
  #id = "";

  /** What is complete once `piece` has come. An event without data but with an ID is told too: it says where one is. */
  push(piece: string): Sent[] {
    const sent: Sent[] = [];
    const text = this.#rest + piece;
    // A carriage return at the very end may be half of a line's end.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length || this.#id) {
          sent.push({ id: this.#id, event: this.#event || "message", data: this.#data.join("\n") });
        }
        this.#data = [];
        this.#event = "";
        this.#id = "";
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "data") this.#data.push(value);
      else if (field === "event") this.#event = value;
      else if (field === "id") this.#id = value;
    }
    return sent;
  }
}

/** Reads a body of server-sent events to its end, a batch per piece. */
export async function readEvents(answer: Response, took: (batch: Sent[]) => void): Promise<void> {
  if (!answer.body) return;
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const batch = parser.push(decoder.decode(value, { stream: true }));
    if (batch.length) took(batch);
  }
}

/** Milliseconds to wait before try number `tries` (from 0): doubling up to ten seconds, a third of it by chance. */
export function backoff(tries: number, chance = Math.random()): number {
  const whole = Math.min(10_000, 500 * 2 ** Math.min(tries, 10));
  return Math.round(whole * (1 - chance / 3));
}
