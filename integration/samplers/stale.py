"""Sixteen nodes that each try one configuration a round and see what the others did four rounds later."""

from __future__ import annotations

import math
import statistics
from typing import Any, Dict, Iterator, List, Tuple

from bench.table import at_most
from samplers.bench import Bench
from samplers.engine import Engine, StoppedError, Study
from samplers.problems import own
from samplers.stats import FLOOR, Sample, estimate, percentile
from samplers.table import Row, of

NODES, LAG, ROUNDS = 16, 4, 20


class Rounds:
    """Rounds of asks by all nodes, each of which sees the log as it stood `lag` rounds ago; with none, as it stands."""

    def __init__(self, engine: Engine, problem: Any, sampler: str, seed: int, nodes: int, lag: int) -> None:
        """A fresh study."""
        self.study = Study(engine, problem.params, sampler, seed, nodes=nodes)
        self.problem, self.nodes, self.lag, self.rng = problem, nodes, lag, problem.rng(seed)
        self.ends = [0]
        self.asked: List[str] = []
        self.cpu: List[float] = []
        self.waits = 0
        self.seen = self.best = math.inf

    def round(self) -> None:
        """Each node asks in turn; results come at the round's end."""
        under_way: List[Tuple[int, Dict[str, Any]]] = []
        now = self.ends[-1]
        for node in range(self.nodes):
            shown = now if self.lag == 0 else self.ends[max(0, len(self.ends) - 1 - self.lag)]
            self.study.sync(node, shown)
            try:
                asked = self.study.ask(node)
            except StoppedError:
                self.waits += 1
                continue
            now = asked.at
            self.cpu.append(asked.cpu_ms)
            self.asked.append(repr(sorted(asked.params.items())))
            under_way.append((asked.id, asked.params))
        for trial, params in under_way:
            told, true = self.problem.evaluate(params, self.rng)
            now = self.study.tell(trial, [told])
            if told < self.seen:
                self.seen, self.best = told, true
        self.ends.append(now)

    def regret(self) -> float:
        """Normalised, after all rounds so far."""
        low, middle = self.problem.refs
        return float(min(max((self.best - low) / max(middle - low, 1e-12), 0.0), 1.0))


def measure(bench: Bench) -> Iterator[Row]:
    """Regret with stale views over that with fresh ones, for `auto` on more seeds; then duplicates on finite spaces."""
    rounds = 8 if bench.short else ROUNDS
    problems = list(bench.runs.problems.values())[:: 4 if bench.short else 1]
    for sampler in bench.samplers:
        if sampler in ("random", "sobol") or (bench.short and sampler != "auto"):
            continue
        fresh: Sample = {}
        stale: Sample = {}
        seeds = range(min(3 if sampler == "auto" else 1, len(bench.seeds)))
        for problem in problems:
            for seed in seeds:
                for lag, into in ((0, fresh), (LAG, stale)):
                    run = Rounds(bench.runs.engine, problem, sampler, seed, NODES, lag)
                    for _ in range(rounds):
                        run.round()
                    into.setdefault(problem.name, []).append(run.regret())
        old, new = (statistics.fmean(statistics.fmean(row) for row in sample.values()) for sample in (stale, fresh))
        logs = {
            problem: [math.log10(max(a, FLOOR) / max(b, FLOOR)) for a, b in zip(row, fresh[problem])]
            for problem, row in stale.items()
        }
        # Mean regrets, since a ratio where hardly any is left would be one of noise.
        name = f"{sampler}: {NODES} nodes, views {LAG} of {rounds} rounds old, over fresh"
        note = f"mean regret {old:.3g} over {new:.3g}"
        yield Row(name, "x", old / max(new, FLOOR), at_most(1.3) if sampler == "auto" else None, note=note)
        yield of("  in the geometric mean", "x", estimate(logs, lambda mean: 10**mean))
    yield from finite(bench, rounds)


def finite(bench: Bench, rounds: int) -> Iterator[Row]:
    """No configuration of a finite space twice, however old the views: some hundred configurations, thousands, millions."""
    problems = [problem for problem in (make() for make in own()) if problem.name.startswith(("shelf", "pairs"))]
    if not bench.short:
        problems += [p for p in bench.runs.problems.values() if p.group.startswith(("hpo", "nas"))]
    for sampler in bench.samplers:
        twice = asked = waits = 0
        cpu: List[float] = []
        for problem in problems:
            run = Rounds(bench.runs.engine, problem, sampler, 1, NODES, LAG)
            for _ in range(rounds):
                run.round()
            twice += len(run.asked) - len(set(run.asked))
            asked += len(run.asked)
            waits += run.waits
            cpu += run.cpu
        note = f"of {asked} on {len(problems)} spaces, {waits} waits"
        yield Row(f"{sampler}: duplicates on finite spaces, stale views", "trials", float(twice), at_most(0), note=note)
        yield Row(
            "  a suggestion there, p95", "ms of CPU", percentile(cpu, 0.95), note=f"p50 {percentile(cpu, 0.5):.3g}"
        )
