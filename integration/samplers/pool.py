"""Runs one after another, or several at a time in processes that part from this one."""

from __future__ import annotations

import multiprocessing
from typing import Any, Iterator, List, Sequence, Tuple

#: What such processes run for: problems of the harness cannot be sent to them.
FORKED: List[Any] = []


def each(runs: Any, tasks: Sequence[Any], jobs: int) -> Iterator[Tuple[Any, Any]]:
    """Each task with what `runs.one` makes of it, in order. `runs` has an `engine`."""
    if jobs < 2 or len(tasks) < 2:
        for task in tasks:
            yield task, runs.one(task)
        return
    # Before the processes part, so that none of them talks to another's engine.
    runs.engine.close()
    with multiprocessing.get_context("fork").Pool(jobs, FORKED.append, (runs,)) as pool:
        yield from zip(tasks, pool.imap(in_fork, tasks))


def in_fork(task: Any) -> Any:
    """A run in a process of the pool."""
    return FORKED[0].one(task)
