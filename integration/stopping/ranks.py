"""Mean ranks beside the peers at several budgets, and speed against Optuna's TPE that prunes nothing; four workers."""

from __future__ import annotations

from typing import Iterator

from bench.table import at_least, at_most
from samplers.table import Row, of
from stopping.bench import PEERS, Bench
from stopping.ours import is_ours, rule_of
from stopping.peers import ASHA, TPE
from stopping.scores import FINALS, SEEN, Scores, by_method

WORKERS = 4
#: Rules whose ranks are rows; those of all others are in the tables.
JUDGED = ["metaopt+asha", 'metaopt+asha?mode="promotion"', "metaopt+freeze-thaw"]
KINDS = {SEEN: "lowest loss seen", FINALS: "completed trials"}


def measure(bench: Bench) -> Iterator[Row]:
    """Each of our methods beside all peers."""
    yield from beside(bench, WORKERS)


def beside(bench: Bench, workers: int) -> Iterator[Row]:
    """With so many workers."""
    bench.make([*PEERS, *bench.methods], workers)
    scores = Scores(bench.runs, [*PEERS, *bench.methods], workers, bench.full, None, bench.seeds)
    peers = [peer for peer in PEERS if peer in scores.methods]
    shares = [share for share in (2, 5, 10, 20) if share <= bench.full]
    with_workers = f"{workers} workers"
    judged = [method for method in bench.methods if method in JUDGED] or bench.methods
    for ours in (method for method in judged if method in scores.methods):
        for kind, said in KINDS.items():
            for share in shares:
                ranks = scores.ranks([ours, *peers], share, kind)
                best = min(peers, key=lambda peer: ranks[peer].value)
                bound = round(ranks[best].value, 3)
                name = f"{ours}: rank among {len(ranks)} at {share}, {said}, {with_workers}"
                yield of(name, "", ranks[ours], at_most(bound), f"the best peer: {best}")
    if TPE not in scores.methods:
        return
    asha = [peer for peer in ASHA if peer in scores.methods]
    speeds = {method: scores.speed(method, TPE) for method in scores.methods if method != TPE}
    best_asha = max((speeds[peer].value for peer in asha), default=float("nan"))
    for method, speed in speeds.items():
        frozen = rule_of(method).startswith("freeze-thaw")
        yield of(f"{method}: speed over the unpruned TPE, {with_workers}", "x", speed, at_least(3) if frozen else None)
        if is_ours(method) and asha:
            aim = at_least(1.5) if frozen else at_least(1) if rule_of(method).startswith("asha") else None
            yield Row("  over the best of Syne Tune's ASHA", "x", speed.value / best_asha, aim)
    problems = list(bench.runs.problems)
    lines = [[f"speed over the unpruned TPE, {with_workers}", *problems]]
    for method in speeds:
        each = scores.speeds(method, TPE)
        lines.append([method, *(f"{each[problem]:.2f}" for problem in problems)])
    bench.tables.append(lines)
    for kind, said in KINDS.items():
        bench.tables.append(by_method(scores, f"{said}, {with_workers}", shares, kind))
