"""CPU of a rule's answer to a report, and of an ask, in studies of some size."""

from __future__ import annotations

import math
import random
from typing import Iterator, List, Tuple

from bench.table import at_most
from samplers.engine import StoppedError, Study, spec
from samplers.space import number
from samplers.stats import percentile
from samplers.table import Row
from stopping.bench import Bench
from stopping.ours import rule_of

#: Milliseconds of CPU that 95 in 100 answers take at most, and in how large a study.
USUAL, FROZEN = (1_000, 2.0), (200, 50.0)
STEPS = 100


def curve(rng: random.Random, rate: float) -> List[float]:
    """A decay to somewhere, with noise."""
    level, begin, speed = 0.1 + (math.log10(rate) + 2.5) ** 2 * 0.1, rng.random() + 0.5, 0.02 + rng.random() * 0.1
    return [level + begin * math.exp(-speed * step) + 0.01 * rng.gauss(0, 1) for step in range(1, STEPS + 1)]


def times(bench: Bench, rule: str, trials: int) -> Tuple[List[float], List[float], str]:
    """Milliseconds of reports and asks, when so many trials have curves of up to a hundred steps."""
    rng = random.Random(7)
    space = [number("rate", 1e-4, 1, True), number("x", 0, 1), number("y", 0, 1)]
    named = {**spec(rule), "max_steps": STEPS}
    stopping = {"rule": named.pop("name"), **named}
    study = Study(bench.runs.engine, space, "random", 1, stopping=stopping if stopping["rule"] != "none" else None)
    begun = [study.ask() for _ in range(trials)]
    curves = {asked.id: curve(rng, asked.params["rate"]) for asked in begun}
    reports: List[float] = []
    # Whatever the rule says, all go on to their ends, so that the study is as large as promised. The rule is that of scripts
    # with checkpoints for the last of them alone: until then it would only take long.
    for i, asked in enumerate(begun):
        last = i >= trials - 5
        told = [study.report(asked.id, step, cost, last) for step, cost in enumerate(curves[asked.id], 1)]
        reports += [one.cpu_ms for one in told] if last else []
        if i % 3 and told[-1].action == "continue":
            study.tell(asked.id, curves[asked.id][-1:])
    asks: List[float] = []
    for _ in range(20 if bench.short else 100):
        try:
            asked = study.ask()
        except StoppedError:
            break
        asks.append(asked.cpu_ms)
        step = min(asked.resume_step + 1, STEPS)
        rate = asked.params["rate"]
        reports.append(study.report(asked.id, step, curves.setdefault(asked.id, curve(rng, rate))[step - 1]).cpu_ms)
    return reports, asks, f"{len(reports)} reports, {len(asks)} asks"


def measure(bench: Bench) -> Iterator[Row]:
    """Each rule; freeze-thaw has another size and another bound."""
    rules = sorted({rule_of(method) for method in bench.methods})
    for rule in rules:
        frozen = rule.startswith("freeze-thaw")
        trials, bound = FROZEN if frozen else USUAL
        reports, asks, note = times(bench, rule, min(trials, 100) if bench.short else trials)
        for name, took, aim in (("a report's answer", reports, bound), ("an ask", asks, bound if frozen else None)):
            if not took:
                continue
            what = f"{rule}: {name} at {trials:,} curves of {STEPS} steps, p95"
            said = f"p50 {percentile(took, 0.5):.3g}, most {max(took):.3g}; {note}"
            yield Row(what, "ms of CPU", percentile(took, 0.95), at_most(aim) if aim else None, note=said)
