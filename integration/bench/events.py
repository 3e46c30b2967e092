"""What one durable event costs in a small study and in a large one: an ask, a report, a tell, by one client.

Blocks in the small and the large study alternate, a daemon each, so that the machine's other load falls on both. A flat
cost is the point: the ratio is what has an aim.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple

from bench.daemon import Daemon
from bench.filled import copied
from bench.table import Row, at_most, ratio, row

KINDS = ("ask (tpe)", "report", "tell")
GROWTH_AIM = 2.0


class Cost(NamedTuple):
    """One block: the daemon's CPU for each event, and the median time to the answer."""

    cpu_ms: float
    wait_ms: float


def block(daemon: Daemon, size: int) -> Dict[str, Cost]:
    """Asks so many trials, then reports on each, then tells each."""
    trials: List[Any] = []

    def ask(_: int) -> None:
        trials.append(daemon.call("POST", "/studies/big/trials/suggest", {"count": 1})["items"][0]["id"])

    def report(at: int) -> None:
        daemon.call("POST", f"/trials/{trials[at]}/reports", {"step": 1, "values": {"loss": 1.0 + at}})

    def tell(at: int) -> None:
        daemon.call("POST", f"/trials/{trials[at]}/complete", {"values": {"loss": 1.0 + at}})

    return {kind: timed(daemon, size, event) for kind, event in zip(KINDS, (ask, report, tell))}


def timed(daemon: Daemon, size: int, event: Callable[[int], None]) -> Cost:
    """What `size` events of one kind cost each."""
    waits = []
    before = daemon.cpu()
    for at in range(size):
        begin = time.perf_counter()
        event(at)
        waits.append(time.perf_counter() - begin)
    return Cost((daemon.cpu() - before) * 1000 / size, statistics.median(waits) * 1000)


def measure(programs: Path, short: bool) -> Iterator[Row]:
    """CPU and latency at both sizes, and how they grew."""
    sizes = (500, 5_000) if short else (1_000, 100_000)
    blocks, size = (3, 50) if short else (7, 200)
    folders = [copied(programs, trials) for trials in sizes]
    daemons = [Daemon(programs, data) for data, _ in folders]
    try:
        for daemon in daemons:
            block(daemon, 20)
        seen = [[block(daemon, size) for daemon in daemons] for _ in range(blocks)]
    finally:
        for daemon in daemons:
            daemon.close()
        for _, folder in folders:
            folder.cleanup()
    for kind in KINDS:
        small, large = ([pair[which][kind] for pair in seen] for which in (0, 1))
        for trials, costs in zip(sizes, (small, large)):
            yield row(f"{kind} at {trials:,} trials, CPU of the daemon", "ms", [cost.cpu_ms for cost in costs])
            yield row("  time to the answer", "ms", [cost.wait_ms for cost in costs])
        growth = f"  {sizes[1]:,} over {sizes[0]:,} trials"
        for what, pick in (("CPU", 0), ("time", 1)):
            over, under = ([cost[pick] for cost in costs] for costs in (large, small))
            yield ratio(f"{growth}, {what}", over, under, at_most(GROWTH_AIM))
