"""What runs say: normalised regret and ranks at a budget, and how soon a method gets to where another ends."""

from __future__ import annotations

import math
import random
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from samplers.stats import Estimate, Sample, estimate, place
from stopping.runs import Runs
from stopping.simulate import Record, after

DRAWS = 300
#: Losses at any step, or those of completed trials alone.
SEEN, FINALS = "seen", "finals"
#: Points in a whole training at which traces are compared.
FINE = 20


class Scores:
    """Runs of methods with so many workers and such views."""

    def __init__(
        self, runs: Runs, methods: Sequence[str], workers: int, full: int, lag: Optional[int], seeds: range
    ) -> None:
        """Peers see each other at once: of them, runs without a lag are taken. Methods without runs are left out."""
        self.problems, self.full = runs.problems, full
        self.records: Dict[str, Dict[str, Dict[int, Record]]] = {}
        for method in methods:
            for record in runs.of(method, workers, lag, full) or runs.of(method, workers, None, full):
                if record["seed"] in seeds:
                    self.records.setdefault(method, {}).setdefault(record["problem"], {})[record["seed"]] = record
        self.methods = [method for method in methods if method in self.records]

    def regret(self, record: Record, share: float, kind: str) -> float:
        """After `share` whole trainings' worth of steps: 0 is the least loss there is, 1 a random configuration's last one."""
        problem = self.problems[record["problem"]]
        least = problem.least if kind == SEEN else problem.least_final
        loss = after(record[kind], share * problem.steps)
        return 1.0 if loss is None else min(max((loss - least) / max(problem.median - least, 1e-12), 0.0), 1.0)

    def sample(self, methods: Sequence[str], share: float, kind: str, value: Any) -> Sample:
        """`value` of these methods' regrets, on each problem and seed that all of them have."""
        out: Sample = {}
        for name in self.problems:
            by = [self.records[method].get(name, {}) for method in methods]
            common = sorted(set.intersection(*(set(one) for one in by)))
            out[name] = [value([self.regret(one[seed], share, kind) for one in by]) for seed in common]
        return out

    def ranks(self, methods: Sequence[str], share: float, kind: str) -> Dict[str, Estimate]:
        """Each method's mean place among these; ties share."""
        return {
            method: estimate(self.sample(methods, share, kind, lambda row, i=i: place(row, i)))
            for i, method in enumerate(methods)
        }

    def traces(self, method: str, problem: str, kind: str = SEEN) -> Any:
        """Losses by seed and by twentieth of a training."""
        steps = self.problems[problem].steps
        rows = []
        for record in self.records[method].get(problem, {}).values():
            row = np.full(self.full * FINE, np.inf)
            for spent, loss, _ in record[kind]:
                row[max(0, math.ceil(spent * FINE / steps) - 1) :] = loss
            rows.append(row)
        return np.array(rows)

    def speed(self, ours: str, theirs: str, kind: str = SEEN) -> Estimate:
        """How many times as many steps `theirs` takes to its own final median as `ours` takes to the same loss.

        Medians are over seeds, at twentieths of a training; the geometric mean over problems. Where `ours` never gets there,
        it counts as twice its budget. The interval is by bootstrap over problems, then over each method's seeds.
        """
        return self.ratio(ours, theirs, kind, log_ratio)

    def slower(self, ours: str, theirs: str, kind: str = SEEN) -> Estimate:
        """How many times as many steps `ours` takes as `theirs`, to the least loss that both get to; otherwise as [`speed`].

        It favours neither: of two methods that are the same it is 1 on the mean, where `speed` is less, since the one that
        happened to end higher never gets to the other's end.
        """
        return self.ratio(ours, theirs, kind, log_slower)

    def ratio(self, ours: str, theirs: str, kind: str, log: Callable[[Any, Any], float]) -> Estimate:
        """The geometric mean over problems, with its interval."""
        both = [(self.traces(ours, p, kind), self.traces(theirs, p, kind)) for p in self.problems]
        both = [(a, b) for a, b in both if len(a) and len(b)]
        rng, means = random.Random(1), []
        for _ in range(DRAWS):
            drawn = [(resampled(rng, a), resampled(rng, b)) for a, b in rng.choices(both, k=len(both))]
            means.append(float(np.mean([log(a, b) for a, b in drawn])))
        means.sort()
        logs = [log(a, b) for a, b in both]
        low, high = means[DRAWS * 25 // 1000], means[DRAWS * 975 // 1000]
        pairs = sum(min(len(a), len(b)) for a, b in both)
        return Estimate(math.exp(sum(logs) / len(logs)), math.exp(low), math.exp(high), pairs, len(both))

    def speeds(self, ours: str, theirs: str, kind: str = SEEN) -> Dict[str, float]:
        """The same for each problem."""
        named = {p: (self.traces(ours, p, kind), self.traces(theirs, p, kind)) for p in self.problems}
        return {p: math.exp(log_ratio(a, b)) for p, (a, b) in named.items() if len(a) and len(b)}


def resampled(rng: random.Random, rows: Any) -> Any:
    """As many rows, drawn from them."""
    return rows[rng.choices(range(len(rows)), k=len(rows))]


def log_ratio(ours: Any, theirs: Any) -> float:
    """See [`Scores.speed`]."""
    a, b = np.median(ours, axis=0), np.median(theirs, axis=0)
    reached = np.nonzero(a <= b[-1])[0]
    took = int(reached[0]) + 1 if len(reached) else 2 * len(a)
    return math.log((int(np.argmax(b <= b[-1])) + 1) / took)


def log_slower(ours: Any, theirs: Any) -> float:
    """See [`Scores.slower`]."""
    a, b = np.median(ours, axis=0), np.median(theirs, axis=0)
    both = max(a[-1], b[-1])
    return math.log((int(np.argmax(a <= both)) + 1) / (int(np.argmax(b <= both)) + 1))


def by_method(scores: Scores, title: str, shares: Sequence[float], kind: str) -> List[List[str]]:
    """A second table: mean regret and mean rank of all methods, at each budget."""
    lines = [[title, *(f"regret at {share:g}" for share in shares), *(f"rank at {share:g}" for share in shares)]]
    ranks = [scores.ranks(scores.methods, share, kind) for share in shares]
    for method in scores.methods:
        means = [estimate(scores.sample([method], share, kind, lambda row: row[0])).value for share in shares]
        lines.append([method, *(f"{mean:.4f}" for mean in means), *(f"{rank[method].value:.2f}" for rank in ranks)])
    return lines
