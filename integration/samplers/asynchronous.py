"""Eight workers that each take a new trial when they are done with one: seven are pending at every ask."""

from __future__ import annotations

from typing import Iterator

from bench.table import at_least
from samplers.bench import Bench, left_out, method
from samplers.found import by_group
from samplers.runs import sampler_of
from samplers.stats import Scores
from samplers.table import Row, of

WORKERS = 8
PEERS = {"optuna-tpe": "Optuna's TPE", "optuna-tpe-group": "its group TPE"}


def measure(bench: Bench) -> Iterator[Row]:
    """`auto` beside the better of Optuna's two; every sampler beside both."""
    ours = [method(sampler) for sampler in bench.samplers if sampler not in ("sobol", "random")]
    ends = [40] if bench.short else [100, 200]
    bench.make(ours, bench.problems(), WORKERS, ends[-1])
    for at in ends:
        scores = Scores(bench.runs, [*ours, *PEERS], WORKERS, at, range(1000))
        there = [peer for peer in PEERS if peer in scores.methods]
        if not there:
            yield left_out(f"{WORKERS} workers, {at} trials", "no runs of the peers on these problems")
            continue
        better = min(there, key=lambda peer: scores.logs(peer).value)
        for one in ours:
            aim = at_least(60) if one == "metaopt" else None
            name = f"{sampler_of(one)} beats {PEERS[better]}, {WORKERS} workers, {at} trials"
            yield of(name, "% of pairs", scores.wins(one, better), aim)
        bench.tables.append(by_group(scores, f"{WORKERS} workers, log10 of regret after {at}"))
