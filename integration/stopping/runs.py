"""Runs of methods on sets of curves: those stored of peers, and those made here."""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

from samplers.engine import Engine, RefusedError
from samplers.pool import each
from samplers.runs import read
from samplers.stats import percentile
from stopping import peers, sets
from stopping.ours import Ours, is_ours
from stopping.simulate import Record, Simulation, Task

PEERS = Path(__file__).parent / "peers"
At = Tuple[str, str, int, int, Optional[int]]


class Runs:
    """All runs of this call."""

    def __init__(self, programs: Path, problems: Dict[str, sets.CurveSet], again: bool = False) -> None:
        """`again`: runs peers again rather than take what is stored of them."""
        self.engine, self.problems = Engine(programs), problems
        self.records: Dict[At, Record] = {}
        self.failed: Dict[str, str] = {}
        for record in [] if again else read_stored():
            if record["problem"] in problems:
                self.records[place(record)] = record

    def make(self, tasks: Iterable[Task], jobs: int = 1) -> None:
        """Runs what is missing; a method that cannot run is noted in `failed`."""
        begin = time.monotonic()
        missing = [task for task in tasks if task.method not in self.failed and self.lacks(task)]
        for task, record in each(self, missing, jobs):
            if not isinstance(record, str):
                self.records[place(record)] = record
            elif task.method not in self.failed:
                self.failed[task.method] = record
                print(f"{task.method} is left out: {record}", file=sys.stderr, flush=True)
        if time.monotonic() - begin > 20:
            print(f"({len(missing)} runs took {time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)

    def lacks(self, task: Task) -> bool:
        """Whether there is no run of that length."""
        known = self.records.get(place(task._asdict()))
        return known is None or known["full"] < task.full

    def one(self, task: Task) -> Any:
        """Runs it, or says why it cannot."""
        try:
            return self.record(task)
        except (ImportError, RefusedError) as error:
            return str(error)[:200]

    def record(self, task: Task) -> Record:
        """Runs it."""
        problem = self.problems[task.problem]
        if not is_ours(task.method):
            return Simulation(problem, peers.peer(task.method, problem, task.seed), task).run()
        optimizer = Ours(self.engine, problem, task)
        record = Simulation(problem, optimizer, task).run()
        record["waits"] = optimizer.waits
        for name, took in (("ask_ms", optimizer.asks), ("report_ms", optimizer.reports)):
            record[name] = {"mean": statistics.fmean(took), "p95": percentile(took, 0.95)}
        return record

    def of(self, method: str, workers: int, lag: Optional[int], full: int) -> List[Record]:
        """Runs of a method with at least such a budget."""
        found = (r for at, r in self.records.items() if at[1] == method and at[3:] == (workers, lag))
        return [record for record in found if record["full"] >= full]

    def store(self, path: Path, methods: Iterable[str]) -> None:
        """Keeps runs of these methods, packed."""
        wanted = set(methods) - set(peers.QUICK)
        lines = [
            json.dumps(r, separators=(",", ":"))
            for _, r in sorted(self.records.items(), key=str)
            if r["method"] in wanted
        ]
        # No name and no time in it, so that the same runs give the same bytes.
        with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as out:
            out.write(("\n".join(lines) + "\n").encode())


def read_stored() -> List[Record]:
    """What is stored of peers."""
    return list(read(sorted(PEERS.glob("*.jsonl.gz"))))


def place(record: Dict[str, Any]) -> At:
    """What a run is of."""
    return (record["problem"], record["method"], record["seed"], record["workers"], record["lag"])
