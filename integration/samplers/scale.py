"""Studies of unusual size or shape: every suggestion must be a member of its space, and come in its time."""

from __future__ import annotations

import random
from typing import Any, Callable, Iterator, List, NamedTuple, Sequence

from bench.table import at_most
from samplers.bench import Bench, left_out
from samplers.engine import RefusedError, StoppedError, Study
from samplers.space import Param, Params, choice, number, whole, wrong
from samplers.stats import percentile
from samplers.table import Row

#: Milliseconds that 95 in 100 suggestions may take here.
TIMES = {"gp": 300.0, "auto": 300.0, "bore": 100.0}
USUAL = 20.0


class Case(NamedTuple):
    """A space, and what its trials end with."""

    name: str
    params: List[Param]
    values: Callable[[Params, random.Random], Sequence[float]]
    state: str = "complete"


def drawn(_: Params, rng: random.Random) -> Sequence[float]:
    """Any value."""
    return [rng.random()]


def cases() -> List[Case]:
    """The issue's list."""
    hundred: List[Param] = []
    for i in range(25):
        hundred += [number(f"a{i}", 0, 1), number(f"b{i}", 1e-6, 1, True)]
        hundred += [whole(f"c{i}", 1, 100), choice(f"d{i}", list("wxyz"))]
    words: List[Param] = [choice("word", [f"word {i}" for i in range(1024)])]
    words += [number("x", 0, 1), number("y", 1e-6, 1, True)]
    deep: List[Param] = [choice("c0", ["stop", "go"])]
    for i in range(1, 16):
        below: Any = (f"c{i - 1}", ["go"])
        deep += [choice(f"c{i}", ["stop", "go"], below)]
        deep += [number(f"x{i}", 0, 1, False, below), whole(f"n{i}", 1, 9, False, below)]
    few: List[Param] = [number("x", 0, 1), number("l", 1e-6, 1, True), whole("n", 1, 50), choice("c", list("abc"))]
    single: List[Param] = [number("x", 0, 1), number("one", 2, 2), whole("same", 7, 7), choice("only", ["this"])]
    wide: List[Param] = [number("x", -1e300, 1e300), number("l", 1e-300, 1e300, True)]
    wide += [whole("n", -(2**52), 2**52), number("tiny", 0, 1e-300)]
    return [
        Case("100 parameters", hundred, drawn),
        Case("1,024 choices", words, drawn),
        Case("15 conditions deep", deep, drawn),
        Case("all values equal", few, lambda _, __: [1.0]),
        Case("all trials failed", few, lambda _, __: [], "fail"),
        Case("all trials infeasible", few, lambda _, __: [], "infeasible"),
        Case("parameters of one value", single, drawn),
        Case("huge values", few, lambda _, rng: [rng.choice([-1, 1]) * 10.0 ** rng.randint(-300, 300)]),
        Case("huge ranges", wide, drawn),
    ]


def measure(bench: Bench) -> Iterator[Row]:
    """Every sampler on every case."""
    asks = 30 if bench.short else 120
    for sampler in bench.samplers:
        bound = TIMES.get(sampler, USUAL)
        for case in cases():
            rng = random.Random(3)
            faults: List[str] = []
            took: List[float] = []
            try:
                study = Study(bench.runs.engine, case.params, sampler, 1)
                under_way: List[Any] = []
                for _ in range(asks):
                    asked = study.ask()
                    took.append(asked.cpu_ms)
                    faults += wrong(case.params, asked.params)[:1]
                    under_way.append(asked)
                    # A few stay pending.
                    if len(under_way) > 4:
                        done = under_way.pop(0)
                        study.tell(done.id, case.values(done.params, rng), case.state)
            except RefusedError as error:
                yield left_out(f"{sampler}: {case.name}", str(error)[:80])
                continue
            except StoppedError as stopped:
                faults.append(f"stopped: {stopped}")
            note = f"p95 of {len(took)}; " + (f"{len(faults)} INVALID, such as: {faults[0]}" if faults else "all valid")
            value = float("nan") if faults or not took else percentile(took, 0.95)
            yield Row(f"{sampler}: {case.name}", "ms of CPU", value, at_most(bound), note=note)
