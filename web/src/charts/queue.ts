// Charts are drawn one at a time, so that the page answers in between.

const waiting = new Map<object, () => void>();
let busy = false;

/** Has `owner` drawn soon; a later wish of the same owner takes the place of an earlier one. */
export function drawSoon(owner: object, draw: () => void): void {
  waiting.set(owner, draw);
  if (busy) return;
  busy = true;
  setTimeout(next);
}

/** Takes back what `owner` wished. */
export function forget(owner: object): void {
  waiting.delete(owner);
}

function next(): void {
  const first = waiting.entries().next().value;
  if (!first) {
    busy = false;
    return;
  }
  waiting.delete(first[0]);
  try {
    first[1]();
  } finally {
    // After a frame, so that what was typed meanwhile is seen first.
    requestAnimationFrame(() => setTimeout(next));
  }
}
