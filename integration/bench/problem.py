"""The problem that every rate and size is measured on: 10 parameters (6 float, 2 int, 2 categorical of 4), for both tools."""

from __future__ import annotations

import json
import random
from typing import Any, Dict, Iterator, List

FLOATS = [f"f{i}" for i in range(6)]
INTS = [f"i{i}" for i in range(2)]
CHOICES = [f"c{i}" for i in range(2)]
WORDS = ["a", "b", "c", "d"]


def space() -> List[Dict[str, Any]]:
    """As metaopt declares it."""
    return [
        *({"name": name, "type": "float", "low": 0.0, "high": 1.0} for name in FLOATS),
        *({"name": name, "type": "int", "low": 1, "high": 100} for name in INTS),
        *({"name": name, "type": "categorical", "choices": WORDS} for name in CHOICES),
    ]


def study(name: str, sampler: str) -> Dict[str, Any]:
    """A study to ask and tell."""
    return {
        "name": name,
        "space": space(),
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "sampler": {"name": sampler},
        "budget": {"max_trials": 10_000_000},
    }


def draw(rng: random.Random) -> Dict[str, Any]:
    """One configuration."""
    return {
        **{name: rng.random() for name in FLOATS},
        **{name: rng.randint(1, 100) for name in INTS},
        **{name: rng.choice(WORDS) for name in CHOICES},
    }


def loss(params: Dict[str, Any]) -> float:
    """Cheap, and the same for everyone: what is measured is the tool, not the script."""
    return float(sum(params[name] for name in FLOATS))


def lines(trials: int, reports: int = 0) -> Iterator[bytes]:
    """Finished trials as `POST …/import` takes them."""
    rng = random.Random(7)
    for _ in range(trials):
        params = draw(rng)
        trial: Dict[str, Any] = {"params": params, "state": "complete", "values": {"loss": loss(params)}}
        if reports:
            trial["reports"] = [{"step": step, "values": {"loss": 1 / step}} for step in range(1, reports + 1)]
        yield json.dumps(trial, separators=(",", ":")).encode() + b"\n"
