"""Opening large studies: time to the ready line and to the first answer, memory, and size on disk."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Iterator, List

from bench import problem
from bench.daemon import Daemon
from bench.filled import imported
from bench.rate import asktell
from bench.table import Row, at_most, row

READY_AIM_MS = 2_000
TRIALS_AIM_MB = 400
REPORTS_AIM_MB = 300
#: Points a call of the client that makes the long curves: each call is one durable change.
CHUNK = 10


def opened(programs: Path, data: Path, study: str, opens: int, name: str, memory_aim: float) -> Iterator[Row]:
    """Rows of opening a directory several times."""
    ready, first, now, most = [], [], [], []
    disk: List[float] = []
    for _ in range(opens):
        daemon = Daemon(programs, data)
        try:
            daemon.call("GET", f"/studies/{study}")
            first.append((time.perf_counter() - daemon.begun) * 1000)
            ready.append(daemon.started * 1000)
            # What the allocator gives back after opening, it has given back by then.
            time.sleep(1)
            now.append(daemon.memory("VmRSS"))
            most.append(daemon.memory("VmHWM"))
            disk.append(daemon.disk())
        finally:
            daemon.close()
    yield row(f"{name}: to the ready line", "ms", ready, at_most(READY_AIM_MS))
    yield row("  exec to the first answered GET of the study", "ms", first, at_most(READY_AIM_MS))
    yield row("  memory (RSS) after opening", "MB", now, at_most(memory_aim))
    yield row("  most memory while opening", "MB", most)
    yield row("  size on disk", "MB", disk)


def measure(programs: Path, short: bool) -> Iterator[Row]:
    """Many trials; then fewer with long curves, made through the API as scripts would."""
    trials, opens = (5_000, 2) if short else (100_000, 3)
    data = imported(programs, trials)
    yield from opened(programs, data, "big", opens, f"{trials:,} trials", TRIALS_AIM_MB)
    yield from curves(programs, short, CHUNK)


def curves(programs: Path, short: bool, chunk: int) -> Iterator[Row]:
    """`trials` x 100 reports, `chunk` points a call."""
    trials, threads, opens = (400, 4, 2) if short else (10_000, 8, 3)
    with tempfile.TemporaryDirectory(prefix="metaopt-bench-") as folder:
        name = f"{trials:,} trials x 100 reports, {chunk} a call"
        daemon = Daemon(programs, Path(folder))
        try:
            daemon.call("POST", "/studies", problem.study("rate", "random"))
            before = daemon.cpu()
            run = asktell(programs, daemon, trials // threads, "100", str(chunk), threads=threads)
            events = trials * (2 + 100 // chunk)
            yield row(f"{name}: {threads} threads", "calls/s", [run.rate * events / trials])
            yield row("  CPU of the daemon", "ms/call", [(daemon.cpu() - before) * 1000 / events])
            time.sleep(1)
            yield row("  memory (RSS) right after", "MB", [daemon.memory("VmRSS")], at_most(REPORTS_AIM_MB))
            yield row("  most memory while made", "MB", [daemon.memory("VmHWM")])
        finally:
            daemon.close()
        yield from opened(programs, Path(folder), "rate", opens, f"{name}, again", REPORTS_AIM_MB)


def measure_singly(programs: Path, short: bool) -> Iterator[Row]:
    """The same curves, each report a call of its own: a million durable changes, so that it takes minutes."""
    yield from curves(programs, short, 1)
