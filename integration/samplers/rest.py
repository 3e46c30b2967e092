"""The same studies over REST against real daemons: one node says what the engine says in process; three in turn do as well."""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import uuid
from typing import Any, Dict, Iterator, List, Tuple

from bench.cluster import Cluster
from bench.daemon import Daemon
from bench.table import at_least, at_most
from samplers.bench import Bench
from samplers.engine import Params, Study, declared
from samplers.problems import Problem, own
from samplers.stats import FLOOR
from samplers.table import Row

#: What both are compared on: conditions, choices, numbers.
PROBLEMS = ("training", "pipeline", "bend", "shelf")


class Client:
    """What the harness's client of the API does, where the harness isn't here."""

    def __init__(self, nodes: List[Daemon], sampler: str, problem: Problem, seed: int) -> None:
        """A study at the first of them; they are asked in turn."""
        self.nodes, self.turn, self.where = nodes, 0, dict[str, Daemon]()
        said = {
            "name": f"bench-{uuid.uuid4().hex[:12]}",
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "space": [declared(param) for param in problem.params],
            "sampler": {"name": sampler, "seed": seed},
        }
        self.study = nodes[0].call("POST", "/studies", said)["id"]

    def ask(self) -> Tuple[str, Params]:
        """The next node's suggestion."""
        node = self.nodes[self.turn % len(self.nodes)]
        self.turn += 1
        trial = node.call("POST", f"/studies/{self.study}/trials/suggest", {"count": 1})["items"][0]
        self.where[trial["id"]] = node
        return trial["id"], trial["params"]

    def tell(self, trial: str, loss: float) -> None:
        """At the node that was asked."""
        self.where[trial].call("POST", f"/trials/{trial}/complete", {"values": {"loss": loss}})


@contextlib.contextmanager
def named(nodes: List[Daemon]) -> Iterator[None]:
    """Tells the harness's client where they are."""
    said = {
        "METAOPT_URLS": ",".join(node.url for node in nodes),
        "METAOPT_TOKENS": ",".join(node.token for node in nodes),
    }
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def client(bench: Bench, nodes: List[Daemon], sampler: str, problem: Problem, seed: int) -> Any:
    """The harness's where it is here, else ours."""
    if bench.harness.folder is None:
        return Client(nodes, sampler, problem, seed)
    with named(nodes):
        return bench.harness.rest(sampler, problem, seed)


def over_rest(made: Any, problem: Problem, seed: int, trials: int) -> Tuple[List[Params], float]:
    """What was suggested, and the regret in the end."""
    rng, seen = problem.rng(seed), []
    best = told_best = math.inf
    for _ in range(trials):
        trial, params = made.ask()
        seen.append(params)
        told, true = problem.evaluate(params, rng)
        made.tell(trial, told)
        if told < told_best:
            told_best, best = told, true
    return seen, regret(problem, best)


def in_process(bench: Bench, sampler: str, problem: Problem, seed: int, trials: int) -> Tuple[List[Params], float]:
    """The same without a daemon."""

    class InProcess:
        study = Study(bench.runs.engine, problem.params, sampler, seed)

        def ask(self) -> Tuple[int, Params]:
            asked = self.study.ask()
            return asked.id, asked.params

        def tell(self, trial: int, loss: float) -> None:
            self.study.tell(trial, [loss])

    return over_rest(InProcess(), problem, seed, trials)


def regret(problem: Problem, best: float) -> float:
    """Normalised."""
    return min(max((best - problem.refs[0]) / (problem.refs[1] - problem.refs[0]), 0.0), 1.0)


def measure(bench: Bench) -> Iterator[Row]:
    """First one daemon, then three that are linked."""
    trials, seeds = (25, 1) if bench.short else (60, 3)
    problems = [problem for problem in (make() for make in own()) if problem.name.startswith(PROBLEMS)]
    by = "our client" if bench.harness.folder is None else "the harness's client"
    daemon = Daemon(bench.programs, more=["--slots", "0", "--gpus", "none"])
    alone: Dict[str, Dict[Tuple[str, int], float]] = {}
    try:
        for sampler in bench.samplers:
            same = asked = 0
            first = ""
            for problem in problems:
                for seed in range(seeds):
                    there, _ = over_rest(client(bench, [daemon], sampler, problem, seed), problem, seed, trials)
                    here, alone.setdefault(sampler, {})[problem.name, seed] = in_process(
                        bench, sampler, problem, seed, trials
                    )
                    matches = [a == b for a, b in zip(there, here)]
                    same += sum(matches)
                    asked += len(matches)
                    if not all(matches) and not first:
                        first = f"; first differs: {problem.name}, trial {matches.index(False) + 1}"
            note = f"{asked} suggestions, {by}{first}"
            name = f"{sampler}: suggestions over REST, one node, as in process"
            yield Row(name, "%", 100 * same / asked, at_least(100), note=note)
    finally:
        daemon.close()
    yield from in_turn(bench, problems, trials, seeds, alone)


def in_turn(
    bench: Bench, problems: List[Problem], trials: int, seeds: int, alone: Dict[str, Dict[Tuple[str, int], float]]
) -> Iterator[Row]:
    """Three nodes, asked one after the other while each hears of the others as it may."""
    cluster = Cluster(bench.programs, 3)
    try:
        for sampler in bench.samplers:
            if sampler not in ("auto", "tpe") and bench.short:
                continue
            pairs = []
            twice = 0
            for problem in problems:
                for seed in range(seeds):
                    seen, left = over_rest(client(bench, cluster.nodes, sampler, problem, seed), problem, seed, trials)
                    twice += len(seen) - len({repr(sorted(params.items())) for params in seen})
                    pairs.append(math.log10(max(left, FLOOR) / max(alone[sampler][problem.name, seed], FLOOR)))
            # A few pairs say no more than that nothing is broken.
            note = f"{len(pairs)} pairs, {twice} suggestions twice"
            name = f"{sampler}: three nodes in turn over REST, log10 of regret over one's"
            yield Row(name, "", statistics.fmean(pairs), at_most(0.5), note=note)
    finally:
        cluster.close()
