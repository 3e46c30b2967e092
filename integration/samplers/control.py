"""Whether stored runs of the peers are still theirs: some are made again, and must be the same."""

from __future__ import annotations

import statistics
from typing import Iterator, List

from samplers.bench import Bench, left_out
from samplers.runs import Task, run
from samplers.table import Row

QUICK = ["random", "optuna-tpe", "optuna-cmaes", "hyperopt-tpe"]
SLOW = ["optuna-gp"]


def measure(bench: Bench) -> Iterator[Row]:
    """Two seeds on a few problems; GPSampler on two, where PyTorch is installed."""
    if bench.harness.folder is None:
        yield left_out("peers made again", bench.harness.lacks)
        return
    for method in QUICK + (SLOW if bench.peers else []):
        stored = sorted(
            (r for r in bench.runs.records.values() if r["method"] == method and r["workers"] == 1),
            key=lambda r: (r["seed"], r["problem"]),
        )
        some = stored[:: max(1, len(stored) // (2 if bench.short or method in SLOW else 10))]
        differs: List[float] = []
        cpu: List[float] = []
        for record in some:
            trials = min(len(record["trace"]), 30 if bench.short else 100)
            problem = bench.runs.problems[record["problem"]]
            task = Task(problem.name, method, record["seed"], 1, trials)
            try:
                again = run(problem, bench.runs.optimizer(method, problem, task.seed), task)
            except ImportError as error:
                yield left_out(f"made again: {method}", str(error)[:80])
                break
            scale = max(record["refs"][1] - record["refs"][0], 1e-12)
            differs.append((again["trace"][-1] - record["trace"][trials - 1]) / scale)
            cpu.append(again["cpu_ms"]["half"])
        if differs:
            equal = sum(abs(one) < 1e-6 for one in differs)
            note = f"{equal} of {len(differs)} equal; first half's asks take {statistics.fmean(cpu):.3g} ms of CPU"
            yield Row(f"made again: {method}, regret less the stored run's", "", statistics.fmean(differs), note=note)
