"""What the simulation must keep to, on a set that can be followed by hand: `python -m stopping.checks`, and at each start."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import numpy as np

from stopping.scores import log_ratio, log_slower
from stopping.sets import CurveSet, ranks
from stopping.simulate import Simulation, Task, Turn, after

AXES: Dict[str, List[Any]] = {"a": [1, 2], "b": ["x", "y"]}


def small() -> CurveSet:
    """Four configurations of three steps; the last takes twice as long."""
    curves = np.array([[3.0, 2.0, 1.0], [4.0, 3.0, 2.5], [5.0, 0.5, 0.7], [9.0, 9.0, 9.0]])
    return CurveSet("small", AXES, curves, np.array([1.0, 1.0, 1.0, 2.0]))


class Script:
    """Answers what it was told to, and keeps what it heard."""

    def __init__(self, turns: List[Optional[Turn]], actions: Dict[Any, str]) -> None:
        """`actions` by trial and step; else "continue"."""
        self.turns, self.actions, self.heard, self.completed = turns, actions, [], []  # type: ignore[var-annotated]

    def ask(self, _: int) -> Optional[Turn]:
        """The next turn."""
        return self.turns.pop(0) if self.turns else None

    def report(self, trial: Any, step: int, loss: float) -> str:
        """What was laid down."""
        self.heard.append((trial, step, loss))
        return self.actions.get((trial, step), "continue")

    def complete(self, trial: Any, loss: float) -> None:
        """Kept."""
        self.completed.append((trial, loss))


def turn(trial: str, a: int, b: str, done: int = 0) -> Turn:
    """A turn."""
    return Turn(trial, {"a": a, "b": b}, done)


def test_places() -> None:
    """The last parameter is the fastest; a number is known by its place, a category by its text."""
    made = small()
    assert [made.index({"a": a, "b": b}) for a in (0, 1) for b in "xy"] == [0, 1, 2, 3]
    assert made.params[0] == {"name": "a", "type": "int", "low": 0, "high": 1, "log": False}
    assert (made.least, made.least_final, made.median) == (0.5, 0.7, 1.75)


def test_one_worker() -> None:
    """A pause and a thaw: the curve goes on where it was; what completed is told apart from what was seen."""
    turns: List[Optional[Turn]] = [turn("p", 1, "x"), turn("q", 0, "x"), turn("p", 1, "x", 2)]
    script = Script(turns, {("p", 2): "pause"})
    record = Simulation(small(), script, Task("small", "script", 0, 1, 3)).run()
    assert [one[:2] for one in script.heard] == [("p", 1), ("p", 2), ("q", 1), ("q", 2), ("q", 3), ("p", 3)]
    assert script.completed == [("q", 1.0), ("p", 0.7)]
    assert record["seen"] == [[1, 5.0, 1.0], [2, 0.5, 2.0]]
    assert record["finals"] == [[5, 1.0, 5.0], [6, 0.7, 6.0]]
    assert (record["spent"], record["trials"], record["completed"], record["paused"], record["resumed"]) == (
        6,
        2,
        2,
        1,
        1,
    )


def test_workers_share_the_budget() -> None:
    """Steps come in the order of virtual time; the run ends with its budget, however many are under way."""
    turns: List[Optional[Turn]] = [
        turn("slow", 1, "y"),
        turn("quick", 0, "y"),
        turn("next", 0, "x"),
        turn("more", 1, "x"),
    ]
    script = Script(turns, {("quick", 2): "stop"})
    record = Simulation(small(), script, Task("small", "script", 0, 2, 2)).run()
    order = [("quick", 1), ("slow", 1), ("quick", 2), ("next", 1), ("slow", 2), ("next", 2)]
    assert [one[:2] for one in script.heard] == order, script.heard
    assert (record["spent"], record["stopped"], record["seconds"]) == (6, 1, 4.0)


def test_who_waits_is_asked_again() -> None:
    """A worker without anything to do begins when a step of another is done."""
    script = Script([turn("p", 0, "x"), None, turn("q", 0, "y")], {})
    record = Simulation(small(), script, Task("small", "script", 0, 2, 2)).run()
    assert record["spent"] == 6
    assert record["seconds"] == 4.0


def test_a_wrong_thaw_is_noticed() -> None:
    """A trial that is to go on from a step that it never reached."""
    script = Script([turn("p", 0, "x"), turn("p", 0, "x", 2)], {("p", 1): "pause"})
    said = ""
    try:
        Simulation(small(), script, Task("small", "script", 0, 1, 2)).run()
    except AssertionError as error:
        said = str(error)
    assert "after step 2" in said


def test_scores() -> None:
    """What was known after some steps; a speed; ranks with ties."""
    assert after([[1, 5.0, 0.0], [4, 3.0, 0.0]], 3) == 5.0
    assert after([[2, 5.0, 0.0]], 1) is None
    theirs, ours = np.array([[4.0, 3, 2, 1]]), np.array([[4.0, 1, 1, 1]])
    assert round(float(np.exp(log_ratio(ours, theirs))), 9) == 2
    assert round(float(np.exp(log_ratio(ours + 1, theirs))), 9) == 0.5
    # Both get to 2: after the second step, and after the third.
    assert round(float(np.exp(log_slower(ours + 1, theirs))), 9) == round(2 / 3, 9)
    assert round(float(np.exp(log_slower(theirs, ours + 1))), 9) == 1.5
    assert list(ranks(np.array([3.0, 1.0, 3.0]))) == [1.5, 0.0, 1.5]


def run() -> None:
    """All of them."""
    for name, check in list(globals().items()):
        if name.startswith("test_"):
            check()


if __name__ == "__main__":
    run()
