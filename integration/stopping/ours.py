"""metaopt's engine as an optimizer of the simulation."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from samplers.engine import Engine, StoppedError, Study, spec
from stopping.sets import CurveSet
from stopping.simulate import Task, Turn


class Ours:
    """`metaopt+asha` has the sampler `auto` and the rule `asha`, `metaopt-tpe+asha?mode="promotion"` TPE and an option."""

    def __init__(self, engine: Engine, problem: CurveSet, task: Task) -> None:
        """A study without a budget; with a lag, each worker is a node of its own."""
        self.lag, self.workers = task.lag, task.workers
        nodes = 1 if task.lag is None else task.workers
        rule = {**spec(rule_of(task.method)), "max_steps": problem.steps}
        stopping = {"rule": rule.pop("name"), **rule} if rule["name"] != "none" else {"rule": "none"}
        self.study = Study(engine, problem.params, sampler_of(task.method), task.seed, nodes=nodes, stopping=stopping)
        #: What had happened after each report.
        self.places: List[int] = [0]
        self.at = 0
        self.holders: Dict[Any, int] = {}
        self.asks: List[float] = []
        self.reports: List[float] = []
        self.waits = 0

    def look(self, worker: int) -> None:
        """Shows a worker what the others had done some steps ago: a step is one of each worker."""
        if self.lag is not None:
            old = self.places[max(0, len(self.places) - 1 - self.lag * self.workers)]
            self.study.sync(worker, self.at if self.lag == 0 else old)

    def ask(self, worker: int) -> Optional[Turn]:
        """A new trial, a paused one, or nothing."""
        self.look(worker)
        try:
            asked = self.study.ask(0 if self.lag is None else worker)
        except StoppedError:
            self.waits += 1
            return None
        self.asks.append(asked.cpu_ms)
        self.holders[asked.id] = worker
        self.at = asked.at
        return Turn(asked.id, asked.params, asked.resume_step)

    def report(self, trial: Any, step: int, loss: float) -> str:
        """Its verdict."""
        self.look(self.holders[trial])
        told = self.study.report(trial, step, loss)
        self.reports.append(told.cpu_ms)
        self.at = told.at
        self.places.append(told.at)
        return told.action

    def complete(self, trial: Any, loss: float) -> None:
        """Its result."""
        self.at = self.places[-1] = self.study.tell(trial, [loss])


def is_ours(method: str) -> bool:
    """Whether it is run here, always, rather than taken from stored runs."""
    return method.startswith("metaopt")


def rule_of(method: str) -> str:
    """The rule that a method has, with its options."""
    return method.partition("+")[2]


def sampler_of(method: str) -> str:
    """The sampler that a method has, with its options."""
    return method.partition("+")[0].partition("-")[2] or "auto"
