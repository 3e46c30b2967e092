"""What every figure needs."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, List, NamedTuple, Optional

from stopping.peers import NAMED
from stopping.runs import Runs
from stopping.simulate import Task


class Bench(NamedTuple):
    """One call."""

    programs: Path
    runs: Runs
    #: Our methods, as `stopping.ours` names them.
    methods: List[str]
    seeds: range
    #: Whole trainings' worth of steps in a run.
    full: int
    jobs: int
    short: bool
    #: Tables beside the one of figures: lines of cells, the first of them names.
    tables: List[List[List[str]]]

    def make(self, methods: Iterable[str], workers: int, lag: Optional[int] = None) -> None:
        """Runs of these methods on all sets, every seed."""
        each = [(seed, problem, method) for seed in self.seeds for problem in self.runs.problems for method in methods]
        self.runs.make(
            [Task(problem, method, seed, workers, self.full, lag) for seed, problem, method in each], self.jobs
        )


PEERS = list(NAMED)
