"""What every figure needs: the problems, the runs, how much to measure."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, List, NamedTuple, Sequence

from samplers.harness import Harness
from samplers.runs import Runs, Task
from samplers.table import Row

#: Samplers that other figures than `auto`'s judge; those that this version lacks are left out, which is said.
FIXED = ["tpe", "gp", "cmaes", "evolution", "bore", "sobol", "random"]


class Bench(NamedTuple):
    """One call."""

    programs: Path
    harness: Harness
    runs: Runs
    #: Names of the samplers to measure, `auto` among them.
    samplers: List[str]
    seeds: range
    jobs: int
    short: bool
    peers: bool
    #: Tables beside the one of figures: lines of cells, the first of them names.
    tables: List[List[List[str]]]

    def has(self, sampler: str) -> bool:
        """Whether it is in this version, and wanted."""
        return sampler in self.samplers

    def problems(self, groups: Sequence[str] = ()) -> List[str]:
        """Names of problems, all or those of some groups (by how they begin)."""
        known = self.runs.problems.values()
        return [str(problem.name) for problem in known if not groups or problem.group.startswith(tuple(groups))]

    def make(self, methods: Iterable[str], problems: Iterable[str], workers: int, budget: int) -> None:
        """Runs of ours on these problems, every seed."""
        named = list(problems)
        each = [(method, seed, problem) for method in methods for seed in self.seeds for problem in named]
        self.runs.make([Task(problem, method, seed, workers, budget) for method, seed, problem in each], self.jobs)


def left_out(figure: str, why: str) -> Row:
    """A figure that cannot be measured here, said in the table."""
    return Row(figure, "", float("nan"), note=f"left out: {why}")


def method(sampler: str) -> str:
    """A sampler's name among methods."""
    return "metaopt" if sampler == "auto" else f"metaopt-{sampler}"
