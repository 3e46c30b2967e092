"""Whether stored runs of the peers are still theirs: some are made again, and must be the same."""

from __future__ import annotations

from typing import Iterator

from samplers.bench import left_out
from samplers.table import Row
from stopping.bench import PEERS, Bench
from stopping.peers import QUICK, peer
from stopping.runs import place, read_stored
from stopping.simulate import Simulation, Task


def measure(bench: Bench) -> Iterator[Row]:
    """A few of each peer, where its package is installed."""
    stored = [record for record in read_stored() if record["problem"] in bench.runs.problems]
    for method in (name for name in PEERS if name not in QUICK):
        own = sorted(
            (record for record in stored if record["method"] == method), key=lambda r: (r["seed"], str(place(r)))
        )
        some = own[:: max(1, len(own) // (2 if bench.short else 8))]
        equal = 0
        try:
            for record in some:
                problem = bench.runs.problems[record["problem"]]
                task = Task(**{field: record[field] for field in Task._fields})
                again = Simulation(problem, peer(method, problem, task.seed), task).run()
                equal += again["seen"] == record["seen"] and again["finals"] == record["finals"]
        except ImportError as error:
            yield left_out(f"made again: {method}", str(error)[:80])
            continue
        yield Row(f"made again: {method}, equal to the stored ones", "runs", float(equal), note=f"of {len(some)}")
