"""Eight asynchronous workers, and nodes that see each other's steps late."""

from __future__ import annotations

from typing import Iterator

from bench.table import at_most
from samplers.stats import estimate
from samplers.table import Row, of
from stopping import ranks
from stopping.bench import Bench
from stopping.ours import rule_of
from stopping.scores import FINALS, SEEN, Scores

WORKERS, LAG = 8, 5


def measure(bench: Bench) -> Iterator[Row]:
    """The ranks again, with eight workers."""
    yield from ranks.beside(bench, WORKERS)


def stale(bench: Bench) -> Iterator[Row]:
    """Eight nodes of a worker each: views five steps old beside fresh ones."""
    methods = [method for method in bench.methods if rule_of(method) != "none"]
    seen = {}
    for lag in (0, LAG):
        bench.make(methods, WORKERS, lag)
        seen[lag] = Scores(bench.runs, methods, WORKERS, bench.full, lag, bench.seeds)
    for method in (method for method in methods if method in seen[0].methods and method in seen[LAG].methods):
        both = Scores(bench.runs, [method], WORKERS, bench.full, LAG, bench.seeds)
        # As methods of one table, so that they can be compared.
        both.records["stale"] = both.records[method]
        both.records["fresh"] = seen[0].records[method]
        for kind, aim in ((SEEN, at_most(1.2)), (FINALS, None)):
            slower = both.slower("stale", "fresh", kind)
            name = f"{method}: steps with views {LAG} steps old, over fresh ones', to the same loss, {ranks.KINDS[kind]}"
            yield of(name, "x", slower, aim)
        for kind in (SEEN, FINALS):
            old, new = (
                estimate(seen[lag].sample([method], bench.full, kind, lambda row: row[0])).value for lag in (LAG, 0)
            )
            yield Row(f"  mean regret at the end, {ranks.KINDS[kind]}", "", old, note=f"{new:.4f} with fresh views")
        trials = [[r["trials"] for by in seen[lag].records[method].values() for r in by.values()] for lag in (LAG, 0)]
        yield Row(
            "  trials in a run", "", sum(trials[0]) / len(trials[0]), note=f"{sum(trials[1]) / len(trials[1]):.0f}"
        )
