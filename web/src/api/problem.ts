// What went wrong with a call, in the daemon's words where it has some.

import type { components } from "./types";

export type FieldProblem = components["schemas"]["FieldProblem"];

/** A refused call (RFC 9457), or one that got no answer (`status` 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly type = "",
    readonly errors: FieldProblem[] = [],
    readonly retryAfter: number | null = null,
  ) {
    super(detail || title);
  }

  /** The daemon did not answer at all. */
  get away(): boolean {
    return this.status === 0;
  }

  /** What is said of a field, by its JSON pointer; also of what lies within it. */
  at(pointer: string): string | null {
    const found = this.errors.filter((e) => e.pointer === pointer || e.pointer.startsWith(`${pointer}/`));
    return found.length ? found.map((e) => e.detail).join("; ") : null;
  }
}

/** Reads the problem out of an answer that isn't a success. */
export async function problemOf(answer: Response): Promise<Problem> {
  const wait = Number(answer.headers.get("retry-after")) || null;
  try {
    const body = (await answer.json()) as Partial<components["schemas"]["Problem"]>;
    return new Problem(
      answer.status,
      body.title ?? answer.statusText,
      body.detail ?? "",
      body.type ?? "",
      body.errors ?? [],
      wait,
    );
  } catch {
    return new Problem(answer.status, answer.statusText || `status ${answer.status}`, "", "", [], wait);
  }
}

/** Any thrown thing as a problem, so that pages show one kind. */
export function asProblem(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  if (thrown instanceof TypeError) return new Problem(0, "The daemon does not answer", "");
  return new Problem(
    -1,
    "Something went wrong in this page",
    thrown instanceof Error ? thrown.message : String(thrown),
  );
}
