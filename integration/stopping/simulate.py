"""Asynchronous workers on a set of curves, epoch by epoch, in virtual time."""

from __future__ import annotations

import heapq
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from stopping.sets import CurveSet, Params

Record = Dict[str, Any]


class Task(NamedTuple):
    """One run: as many steps as `full` whole trainings have, shared by `workers`."""

    problem: str
    method: str
    seed: int
    workers: int = 4
    full: int = 20
    #: How many steps old each worker's view of the others is; none: all share one view.
    lag: Optional[int] = None


class Turn(NamedTuple):
    """What a free worker is to do."""

    trial: Any
    params: Params
    #: Steps that it has done.
    done: int = 0


class Simulation:
    """A run under way.

    An optimizer has `ask(worker)`, which answers a `Turn` or none (nothing for now); `report(trial, step, loss)`, which answers
    "continue", "stop" or "pause" (and knows of it itself); `complete(trial, loss)` after the last step.
    """

    def __init__(self, problem: CurveSet, optimizer: Any, task: Task) -> None:
        """Nobody works yet."""
        self.problem, self.optimizer, self.task = problem, optimizer, task
        self.budget = task.full * problem.steps
        self.spent, self.now, self.completed, self.pauses, self.stops, self.resumed = 0, 0.0, 0, 0, 0, 0
        #: When the least loss became less, at any step and at last steps: steps spent, the loss, seconds.
        self.seen: List[Tuple[int, float, float]] = []
        self.finals: List[Tuple[int, float, float]] = []
        #: Steps done, by trial.
        self.steps: Dict[Any, int] = {}
        #: When a worker has done its step: time, a count that breaks ties, the worker, its trial.
        self.heap: List[Tuple[float, int, int, Turn]] = []
        self.count = 0
        self.idle: List[int] = []

    def push(self, worker: int, turn: Turn) -> None:
        """A worker begins a step."""
        self.count += 1
        heapq.heappush(self.heap, (self.now + self.problem.cost(turn.params), self.count, worker, turn))

    def start(self, worker: int) -> None:
        """A worker is free."""
        turn = self.optimizer.ask(worker)
        if turn is None:
            self.idle.append(worker)
            return
        held = self.steps.setdefault(turn.trial, 0)
        assert turn.done in (0, held), f"trial {turn.trial} is to go on after step {turn.done}, and has done {held}"
        assert held < self.problem.steps, f"trial {turn.trial} has done all its steps, and is asked for again"
        assert all(turn.trial != busy.trial for _, _, _, busy in self.heap), f"trial {turn.trial} runs already"
        self.resumed += held > 0
        self.push(worker, turn)

    def start_all(self) -> None:
        """Every worker that is free: who had nothing to do may have now."""
        free, self.idle = self.idle, []
        for worker in free:
            self.start(worker)

    def step(self) -> None:
        """The next step that is done."""
        self.now, _, worker, turn = heapq.heappop(self.heap)
        step = self.steps[turn.trial] = self.steps[turn.trial] + 1
        loss = float(self.problem.curve(turn.params)[step - 1])
        self.spent += 1
        note(self.seen, self.spent, loss, self.now)
        action = self.optimizer.report(turn.trial, step, loss)
        if step == self.problem.steps:
            self.completed += 1
            note(self.finals, self.spent, loss, self.now)
            self.optimizer.complete(turn.trial, loss)
            self.idle.append(worker)
        elif action == "continue":
            self.push(worker, turn)
        else:
            self.pauses += action == "pause"
            self.stops += action == "stop"
            self.idle.append(worker)

    def run(self) -> Record:
        """Until the budget is spent, or nobody has anything to do."""
        self.idle = list(range(self.task.workers))
        self.start_all()
        while self.spent < self.budget and self.heap:
            self.step()
            if self.spent < self.budget:
                self.start_all()
        return {
            **self.task._asdict(),
            "steps": self.problem.steps,
            "spent": self.spent,
            "seconds": round(self.now, 6),
            "trials": len(self.steps),
            "completed": self.completed,
            "stopped": self.stops,
            "paused": self.pauses,
            "resumed": self.resumed,
            "seen": [rounded(one) for one in self.seen],
            "finals": [rounded(one) for one in self.finals],
        }


def note(trace: List[Tuple[int, float, float]], spent: int, loss: float, now: float) -> None:
    """Writes down a loss that is less than any before."""
    if not trace or loss < trace[-1][1]:
        trace.append((spent, loss, now))


def rounded(one: Tuple[int, float, float]) -> List[float]:
    """Fewer digits, to be stored."""
    return [one[0], float(f"{one[1]:.6g}"), float(f"{one[2]:.6g}")]


def after(trace: List[List[float]], spent: float) -> Optional[float]:
    """The least loss after so many steps; none: none yet."""
    return next((loss for at, loss, _ in reversed(trace) if at <= spent), None)
