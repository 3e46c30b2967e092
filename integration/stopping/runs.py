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

    def make(self, tasks: Iterable[Task]) -> None:
        """Runs what is missing; a method that cannot run is noted in `failed`."""
        begin, made = time.monotonic(), 0
        for task in tasks:
            known = self.records.get(place(task._asdict()))
            if task.method in self.failed or (known is not None and known["full"] >= task.full):
                continue
            try:
                record = self.one(task)
            except (ImportError, RefusedError) as error:
                self.failed[task.method] = str(error)[:200]
                print(f"{task.method} is left out: {self.failed[task.method]}", file=sys.stderr, flush=True)
                continue
            self.records[place(record)] = record
            made += 1
        if time.monotonic() - begin > 20:
            print(f"({made} runs took {time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)

    def one(self, task: Task) -> Record:
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
