"""What runs say: normalised regret, pairs won, speed, ranks, with intervals by bootstrap over problems, then seeds."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Sequence

from samplers.runs import Runs

#: Differences of normalised regret below this are ties.
TIE = 0.001
#: The least regret that logarithms tell apart.
FLOOR = 1e-4
DRAWS = 600

#: By problem: a number for each seed.
Sample = Dict[str, List[float]]


class Estimate(NamedTuple):
    """A mean over problems, its 95 % interval, and how many pairs of problem and seed it stands on."""

    value: float
    low: float
    high: float
    pairs: int
    problems: int


def estimate(sample: Sample, then: Callable[[float], float] = lambda mean: mean) -> Estimate:
    """The mean over problems of the mean over seeds, through `then`."""
    rng = random.Random(1)
    rows = [values for _, values in sorted(sample.items()) if values]
    if not rows:
        return Estimate(math.nan, math.nan, math.nan, 0, 0)
    means = []
    for _ in range(DRAWS):
        drawn = rng.choices(rows, k=len(rows))
        means.append(then(statistics.fmean(statistics.fmean(rng.choices(row, k=len(row))) for row in drawn)))
    means.sort()
    value = then(statistics.fmean(statistics.fmean(row) for row in rows))
    low, high = means[DRAWS * 25 // 1000], means[DRAWS * 975 // 1000]
    return Estimate(value, low, high, sum(map(len, rows)), len(rows))


class Scores:
    """Normalised regret of methods after `at` trials: 0 is the best known, 1 a random configuration."""

    def __init__(self, runs: Runs, methods: Sequence[str], workers: int, at: int, seeds: Iterable[int]) -> None:
        """Takes these seeds' runs. A problem's best is what anyone ever found, the stored runs included."""
        wanted = set(seeds)
        best: Dict[str, float] = {}
        for record in runs.records.values():
            least = min(record["refs"][0], min(record["trace"]))
            best[record["problem"]] = min(best.get(record["problem"], math.inf), least)
        self.at, self.methods = at, [m for m in methods if runs.of(m, workers, at, lambda _: True)]
        self.groups = runs.all_groups()
        self.regret: Dict[str, Dict[str, Dict[int, float]]] = {}
        self.traces: Dict[str, Dict[str, List[List[float]]]] = {}
        for method in self.methods:
            for record in runs.of(method, workers, at, lambda record: record["seed"] in wanted):
                problem = record["problem"]
                scale = max(record["refs"][1] - best[problem], 1e-12)
                regret = min(max((record["trace"][at - 1] - best[problem]) / scale, 0.0), 1.0)
                self.regret.setdefault(problem, {}).setdefault(method, {})[record["seed"]] = regret
                self.traces.setdefault(problem, {}).setdefault(method, []).append(record["trace"][:at])

    def pairs(self, methods: Sequence[str], value: Callable[[List[float]], float]) -> Sample:
        """`value` of these methods' regrets on each (problem, seed) that all of them have."""
        out: Sample = {}
        for problem, by in sorted(self.regret.items()):
            if all(method in by for method in methods):
                common = sorted(set.intersection(*(set(by[method]) for method in methods)))
                out[problem] = [value([by[method][seed] for method in methods]) for seed in common]
        return out

    def wins(self, ours: str, theirs: str, group: str = "") -> Estimate:
        """The share of pairs, in percent, that `ours` wins, ties by half."""
        pairs = self.pairs([ours, theirs], lambda both: 100 * beats(both[0], both[1]))
        return estimate({problem: row for problem, row in pairs.items() if group in ("", self.groups[problem])})

    def speed(self, ours: str, theirs: str) -> Estimate:
        """How many times as many trials `theirs` needs to its final median as `ours` does.

        The geometric mean over problems; where ours never gets there it counts as twice its budget.
        """
        ratios: Sample = {}
        for problem, by in self.traces.items():
            if ours in by and theirs in by:
                a, b = medians(by[theirs]), medians(by[ours])
                needed = next(i for i, loss in enumerate(a, 1) if loss <= a[-1])
                took = next((i for i, loss in enumerate(b, 1) if loss <= a[-1]), 2 * len(b))
                ratios[problem] = [math.log(needed / took)]
        return estimate(ratios, math.exp)

    def ranks(self, methods: Sequence[str]) -> Dict[str, Estimate]:
        """Each method's mean place among these, on the pairs that all have; ties share."""
        return {
            method: estimate(self.pairs(methods, lambda row, i=i: place(row, i)))  # type: ignore[misc]
            for i, method in enumerate(methods)
        }

    def logs(self, method: str, group: str = "") -> Estimate:
        """Mean log10 of regret, floored."""
        rows = self.pairs([method], lambda one: math.log10(max(one[0], FLOOR)))
        return estimate({problem: row for problem, row in rows.items() if group in ("", self.groups[problem])})

    def mean(self, method: str, problems: Iterable[str]) -> float:
        """Mean regret on these problems."""
        return statistics.fmean(statistics.fmean(self.regret[problem][method].values()) for problem in problems)


def beats(ours: float, theirs: float) -> float:
    """1 for a win, 0 for a loss, a half for a tie."""
    return 0.5 if abs(ours - theirs) < TIE else float(ours < theirs)


def place(row: List[float], i: int) -> float:
    """The rank of the i-th among them."""
    return 1 + sum(beats(other, row[i]) for j, other in enumerate(row) if j != i)


def medians(traces: List[List[float]]) -> List[float]:
    """The median trace."""
    return [statistics.median(column) for column in zip(*traces)]


def percentile(values: Sequence[Any], share: float) -> float:
    """The value that so large a share lies at or below."""
    ranked = sorted(values)
    return float(ranked[min(len(ranked) - 1, math.ceil(share * len(ranked)) - 1)])
