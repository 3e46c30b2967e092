"""Spaces of this bench's own problems, in the form that the harness has too: parameters in a list, parents before children.

`{"name", "type": "float" | "int" | "cat", "low", "high", "log", "choices", "when": {"param": …, "in": […]}}`
"""

from __future__ import annotations

import math
import random
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

Param = Dict[str, Any]
Params = Dict[str, Any]
When = Optional[Tuple[str, Sequence[Any]]]


def number(name: str, low: float, high: float, log: bool = False, when: When = None) -> Param:
    """A real number."""
    return conditional({"name": name, "type": "float", "low": float(low), "high": float(high), "log": log}, when)


def whole(name: str, low: int, high: int, log: bool = False, when: When = None) -> Param:
    """A whole number."""
    return conditional({"name": name, "type": "int", "low": low, "high": high, "log": log}, when)


def choice(name: str, choices: Sequence[Any], when: When = None) -> Param:
    """One of several values."""
    return conditional({"name": name, "type": "cat", "choices": list(choices)}, when)


def conditional(param: Param, when: When) -> Param:
    """The parameter, active under a condition."""
    return param if when is None else {**param, "when": {"param": when[0], "in": list(when[1])}}


def build(params: Sequence[Param], choose: Callable[[Param], Any]) -> Params:
    """A configuration: a value for each parameter that those before it make active."""
    out: Params = {}
    for param in params:
        when = param.get("when")
        if when is None or (when["param"] in out and out[when["param"]] in when["in"]):
            out[param["name"]] = choose(param)
    return out


def draw(params: Sequence[Param], rng: random.Random) -> Params:
    """A uniform configuration."""
    return build(params, lambda param: value(param, rng.random()))


def value(param: Param, at: float) -> Any:
    """The value at a place in [0, 1) of a parameter's own scale."""
    if param["type"] == "cat":
        return param["choices"][int(at * len(param["choices"]))]
    low, high = param["low"], param["high"]
    if param["type"] == "int":
        low, high = low - 0.5, high + 0.5
    real = math.exp(math.log(low) + at * (math.log(high) - math.log(low))) if param["log"] else low + at * (high - low)
    real = min(max(real, param["low"]), param["high"])
    return real if param["type"] == "float" else round(real)


def place(param: Param, given: float) -> float:
    """Where a number lies in [0, 1] on its parameter's own scale."""
    low, high = param["low"], param["high"]
    if high == low:
        return 0.0
    if param["log"]:
        return math.log(given / low) / math.log(high / low)
    return float((given - low) / (high - low))


def wrong(params: Sequence[Param], given: Params) -> List[str]:
    """What makes a configuration no member of the space; nothing: it is one."""
    faults = []
    for param in params:
        name, when = param["name"], param.get("when")
        active = when is None or (when["param"] in given and given[when["param"]] in when["in"])
        if active != (name in given):
            faults.append(f"{name} is {'missing' if active else 'not active'}")
        elif active and not fits(param, given[name]):
            faults.append(f"{name} cannot be {given[name]!r}")
    return faults + [f"{name} is no parameter" for name in given if name not in {param["name"] for param in params}]


def fits(param: Param, given: Any) -> bool:
    """Whether a value is in a parameter's range, and of its type."""
    if param["type"] == "cat":
        return any(given == choice and type(given) is type(choice) for choice in param["choices"])
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        return False
    if param["type"] == "int" and not isinstance(given, int):
        return False
    return bool(param["low"] <= given <= param["high"])
