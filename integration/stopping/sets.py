"""Sets of real learning curves: a finite space, a loss for each of its configurations after each step, seconds of a step.

Ours lie in `curves/`, two files a set: `NAME.json` says what it is and which values its parameters take, `NAME.npz` holds
`curves` (configurations in the order of the space, the last parameter fastest; by step; 16 bits between the logarithms in
`range`) and `seconds` of a step by configuration. `make_curves.py` makes them.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np

Params = Dict[str, Any]
#: Values of each parameter: texts are categories, numbers are in order.
Axes = Dict[str, List[Any]]
FOLDER = Path(__file__).parent / "curves"
TOP = 65_535


class CurveSet:
    """One set. Optimizers see a category by its text, of a number its place among the values: so has the harness's set."""

    def __init__(self, name: str, axes: Axes, curves: Any, seconds: Any) -> None:
        """Curves are by configuration, then by step."""
        self.name, self.axes, self.curves, self.seconds = name, axes, curves, seconds
        self.steps = int(curves.shape[1])
        self.params: List[Dict[str, Any]] = [param(axis, values) for axis, values in axes.items()]
        finals = np.sort(curves[:, -1])
        #: The least loss at any step, the least after the last one, and the median after the last one.
        self.least, self.least_final = float(curves.min()), float(finals[0])
        self.median = float(np.median(finals))

    @classmethod
    def of(cls, name: str, axes: Axes, curves: Any, seconds: Any) -> CurveSet:
        """As it is once written and read."""
        low, high = math.log(curves.min()), math.log(curves.max())
        return cls(name, axes, unpacked(packed(curves, low, high), low, high), seconds.astype(np.float32).astype(float))

    def write(self, about: Dict[str, Any]) -> None:
        """Keeps it."""
        low, high = math.log(self.curves.min()), math.log(self.curves.max())
        FOLDER.mkdir(exist_ok=True)
        arrays = {"curves": packed(self.curves, low, high), "range": np.array([low, high])}
        np.savez_compressed(FOLDER / f"{self.name}.npz", seconds=self.seconds.astype(np.float32), **arrays)
        said = {**about, "steps": self.steps, "configurations": len(self.curves)}
        (FOLDER / f"{self.name}.json").write_text(json.dumps(said, indent=1) + "\n")

    def index(self, params: Params) -> int:
        """Where a configuration stands."""
        at = 0
        for name, values in self.axes.items():
            given = params[name]
            at = at * len(values) + (values.index(given) if isinstance(values[0], str) else int(given))
        return at

    def curve(self, params: Params) -> Any:
        """Its losses, step by step."""
        return self.curves[self.index(params)]

    def cost(self, params: Params) -> float:
        """Seconds of a step."""
        return float(self.seconds[self.index(params)])


def param(name: str, values: Sequence[Any]) -> Dict[str, Any]:
    """How an optimizer sees it."""
    if isinstance(values[0], str):
        return {"name": name, "type": "cat", "choices": list(values)}
    return {"name": name, "type": "int", "low": 0, "high": len(values) - 1, "log": False}


def packed(curves: Any, low: float, high: float) -> Any:
    """Logarithms in 16 bits."""
    return np.round((np.log(curves) - low) / (high - low) * TOP).astype(np.uint16)


def unpacked(stored: Any, low: float, high: float) -> Any:
    """What was packed."""
    return np.exp(low + stored.astype(float) / TOP * (high - low))


def read(name: str) -> CurveSet:
    """One of ours."""
    axes = json.loads((FOLDER / f"{name}.json").read_text())["axes"]
    with np.load(FOLDER / f"{name}.npz") as stored:
        curves = unpacked(stored["curves"], *map(float, stored["range"]))
        return CurveSet(name, axes, curves, stored["seconds"].astype(float))


def ours() -> Dict[str, CurveSet]:
    """All of ours, by name."""
    return {path.stem: read(path.stem) for path in sorted(FOLDER.glob("*.npz"))}


def theirs(harness: Any) -> Dict[str, CurveSet]:
    """The harness's set, where the harness is (`samplers.harness.Harness`)."""
    if harness.folder is None:
        return {}
    try:
        made = harness.problems.curves("gbm_diabetes")
    except (AttributeError, FileNotFoundError):
        return {}
    axes: Axes = {
        param["name"]: list(param["choices"] if param["type"] == "cat" else range(param["high"] + 1))
        for param in made.space.params
    }
    curves = made.Y.reshape(-1, made.Y.shape[-1])
    places = itertools.product(*axes.values())
    seconds = np.array([made.cost(dict(zip(axes, place))) for place in places])
    return {made.name: CurveSet(made.name, axes, curves, seconds)}


def report(made: CurveSet) -> Dict[str, float]:
    """How its curves cross.

    Rank correlations of the loss after a step, 10 % and 30 % of them with that after the last one; how many of the best tenth
    at the end were in the worse half after 10 %; how many curves end above their own minimum.
    """
    last = made.curves[:, -1]
    said = {}
    for name, share in (("first", 0.0), ("10%", 0.1), ("30%", 0.3)):
        there = made.curves[:, max(0, math.ceil(share * made.steps) - 1)]
        said[f"rank correlation {name}"] = round(float(np.corrcoef(ranks(there), ranks(last))[0, 1]), 2)
    early = ranks(made.curves[:, math.ceil(0.1 * made.steps) - 1])
    top = np.argsort(last, kind="stable")[: max(1, len(last) // 10)]
    said["slow starters %"] = round(100 * float(np.mean(early[top] > np.median(early))), 1)
    said["end above their minimum by 5 %, %"] = round(100 * float(np.mean(last > 1.05 * made.curves.min(1))), 1)
    said["seconds, most over least"] = round(float(made.seconds.max() / made.seconds.min()), 1)
    said["loss, least"], said["median at the end"] = round(made.least, 4), round(made.median, 4)
    return said


def ranks(values: Any) -> Any:
    """Mean ranks, ties shared."""
    order = np.sort(values)
    return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right") - 1) / 2
