"""CPU of a suggestion in process, by trials known, one finished trial folded in each; the rate's ten parameters."""

from __future__ import annotations

import random
from typing import Any, Dict, Iterator, List, Tuple

from bench import problem
from bench.table import Aim, at_most
from samplers.bench import Bench
from samplers.engine import Study
from samplers.stats import percentile
from samplers.table import Row

#: Milliseconds that 95 in 100 suggestions take at most.
AIMS: Dict[Tuple[str, int], Aim] = {
    ("tpe", 1_000): at_most(1),
    ("tpe", 10_000): at_most(2),
    ("gp", 100): at_most(30),
    ("gp", 500): at_most(300),
    **{(sampler, size): at_most(1) for sampler in ("cmaes", "evolution") for size in (100, 500, 1_000, 10_000)},
}


def loss(params: Dict[str, Any]) -> float:
    """Something to model."""
    wholes: float = sum((params[name] / 100 - 0.3) ** 2 for name in problem.INTS)
    return problem.loss(params) + wholes + sum(0.2 * problem.WORDS.index(params[name]) for name in problem.CHOICES)


def times(bench: Bench, sampler: str, trials: int, asks: int) -> List[float]:
    """Milliseconds of so many asks."""
    rng = random.Random(7)
    study = Study(bench.runs.engine, problem.space(), sampler, 1)
    drawn = [problem.draw(rng) for _ in range(trials)]
    study.add([{"params": params, "values": [loss(params)]} for params in drawn])
    took = []
    # The first fills caches.
    for _ in range(asks + 1):
        asked = study.ask()
        took.append(asked.cpu_ms)
        study.tell(asked.id, [loss(asked.params)])
    return took


def measure(bench: Bench) -> Iterator[Row]:
    """Every sampler at every size."""
    sizes = [100, 500] if bench.short else [100, 500, 1_000, 10_000]
    for sampler in bench.samplers:
        for size in sizes:
            asks = 20 if bench.short else 100
            took = times(bench, sampler, size, asks)
            first, rest = took[0], took[1:]
            note = f"p50 {percentile(rest, 0.5):.3g}, the first {first:.3g}"
            aim = AIMS.get((sampler, size))
            yield Row(
                f"{sampler}: suggestion at {size:,} trials, p95", "ms of CPU", percentile(rest, 0.95), aim, note=note
            )
