"""Runs of a method on a problem, stored as JSON lines in the harness's form; peers' runs may come from elsewhere."""

from __future__ import annotations

import gzip
import heapq
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from samplers.engine import Engine, RefusedError, Study
from samplers.harness import Harness
from samplers.pool import each
from samplers.space import draw

Record = Dict[str, Any]
PEERS = Path(__file__).parent / "peers"


class Task(NamedTuple):
    """One run: so many trials, `workers` of them under way at each ask."""

    problem: str
    method: str
    seed: int
    workers: int = 1
    budget: int = 100


class Ours:
    """metaopt's engine as an optimizer: `metaopt` is `auto`, `metaopt-tpe` is `tpe`, options as in `samplers.engine`."""

    def __init__(self, engine: Engine, problem: Any, method: str, seed: int) -> None:
        """A study without a budget, as the harness's REST client creates it too."""
        self.study = Study(engine, problem.params, sampler_of(method), seed)

    def ask(self) -> Tuple[Any, Dict[str, Any], float]:
        """ID, configuration, milliseconds of CPU."""
        asked = self.study.ask()
        return asked.id, asked.params, asked.cpu_ms

    def tell(self, trial: Any, loss: float) -> None:
        """What it cost."""
        self.study.tell(trial, [loss])


class Random:
    """The control that needs no package: uniform draws."""

    def __init__(self, problem: Any, seed: int) -> None:
        """Draws of its own, not those of the harness's control."""
        self.params, self.rng, self.asked = problem.params, random.Random(f"control {seed}"), 0

    def ask(self) -> Tuple[Any, Dict[str, Any], float]:
        """ID, configuration, nothing."""
        self.asked += 1
        return self.asked, draw(self.params, self.rng), 0.0

    def tell(self, trial: Any, loss: float) -> None:
        """Says nothing to it."""


def sampler_of(method: str) -> str:
    """The sampler that a method's name stands for."""
    return method.split("-", 1)[1] if method.startswith("metaopt-") else "auto"


def is_ours(method: str) -> bool:
    """Whether it is run here, always, rather than taken from stored runs."""
    return method == "metaopt" or method.startswith("metaopt-")


def run(problem: Any, optimizer: Any, task: Task) -> Record:
    """Asks, waits, tells; the trace is the true loss of what was seen to be best."""
    rng = problem.rng(task.seed)
    heap: List[Tuple[float, int, Any, Dict[str, Any]]] = []
    trace: List[float] = []
    cpu: List[float] = []
    seen, best, now = float("inf"), float("inf"), 0.0
    while len(trace) < task.budget:
        while len(heap) < task.workers and len(cpu) < task.budget:
            trial, params, took = optimizer.ask()
            lasts = problem.duration(params, rng) if task.workers > 1 else 1.0
            heapq.heappush(heap, (now + lasts, len(cpu), trial, params))
            cpu.append(took)
        now, _, trial, params = heapq.heappop(heap)
        told, true = problem.evaluate(params, rng)
        optimizer.tell(trial, told)
        if told < seen:
            seen, best = told, true
        trace.append(float(f"{best:.9g}"))
    half = sorted(cpu[: task.budget // 2])
    return {
        **task._asdict(),
        "group": problem.group,
        "refs": list(problem.refs),
        "cpu_ms": {
            "mean": statistics.fmean(cpu),
            "half": statistics.fmean(half),
            "p95": sorted(cpu)[len(cpu) * 95 // 100],
        },
        "trace": trace,
    }


def read(paths: Iterable[Path]) -> Iterator[Record]:
    """Runs from JSON lines, packed or not."""
    for path in paths:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            for line in lines:
                yield json.loads(line)


class Runs:
    """All runs of this call: what is stored of peers, and what is run here."""

    def __init__(
        self, programs: Path, harness: Harness, problems: Dict[str, Any], out: Path, resume: bool, more: Sequence[Path]
    ) -> None:
        """`resume` takes our own runs from `out` as well, which is right only while the engine is the same."""
        self.harness, self.problems, self.out = harness, problems, out
        self.engine = Engine(programs)
        self.records: Dict[Tuple[str, str, int, int], Record] = {}
        stored = sorted(PEERS.glob("*.jsonl.gz"))
        if harness.folder is not None:
            stored += sorted((harness.folder / "baselines").glob("*.jsonl.gz"))
        for record in read([*stored, *more]):
            if record["problem"] in problems and not is_ours(record["method"]) and "full" not in record:
                self.keep(record)
        if resume and out.exists():
            for record in read([out]):
                if record["problem"] in problems:
                    self.keep(record)
        self.failed: Dict[str, str] = {}

    def keep(self, record: Record) -> None:
        """The longest run of its kind stands."""
        at = (record["problem"], record["method"], record["seed"], record["workers"])
        if at not in self.records or len(self.records[at]["trace"]) < len(record["trace"]):
            self.records[at] = record

    def missing(self, tasks: Iterable[Task]) -> List[Task]:
        """Those of which there is no run of that length."""
        none: Record = {"trace": []}
        return [task for task in tasks if len(self.records.get(task[:4], none)["trace"]) < task.budget]

    def make(self, tasks: Iterable[Task], jobs: int = 1) -> None:
        """Runs what is missing; a method that cannot run is noted in `failed`."""
        missing = [task for task in self.missing(tasks) if task.method not in self.failed]
        self.out.parent.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        with self.out.open("a") as out:
            for task, record in each(self, missing, jobs):
                if isinstance(record, str):
                    if task.method not in self.failed:
                        print(f"{task.method} is left out: {record}", file=sys.stderr, flush=True)
                    self.failed[task.method] = record
                    continue
                self.keep(record)
                out.write(json.dumps(record) + "\n")
                out.flush()
        if missing and time.monotonic() - begin > 20:
            print(f"({len(missing)} runs took {time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)

    def one(self, task: Task) -> Any:
        """Runs it."""
        problem = self.problems[task.problem]
        try:
            return run(problem, self.optimizer(task.method, problem, task.seed), task)
        except (ImportError, KeyError, RefusedError) as error:
            return str(error)[:200]

    def optimizer(self, method: str, problem: Any, seed: int) -> Any:
        """Ours, the control, or a peer."""
        if is_ours(method):
            return Ours(self.engine, problem, method, seed)
        if self.harness.folder is None:
            if method != "random":
                raise ImportError("it needs the harness")
            return Random(problem, seed)
        return self.harness.peer(method, problem, seed)

    def of(self, method: str, workers: int, at: int, where: Callable[[Record], bool]) -> List[Record]:
        """Runs of a method with at least so many trials."""
        found = (r for r in self.records.values() if r["method"] == method and r["workers"] == workers)
        return [record for record in found if len(record["trace"]) >= at and where(record)]

    def all_groups(self) -> Dict[str, str]:
        """Each problem's group."""
        return {name: problem.group for name, problem in self.problems.items()}

    def seeds(self, method: str, workers: int, at: int, problem: Optional[str] = None) -> List[int]:
        """Seeds that a method was run with."""
        found = self.of(method, workers, at, lambda record: problem in (None, record["problem"]))
        return sorted({record["seed"] for record in found})
