"""Whether `auto` ever costs much: its mean regret over that of the best fixed choice, by group of problems."""

from __future__ import annotations

from typing import Iterator

from bench.table import at_most
from samplers.bench import FIXED, Bench, left_out, method
from samplers.found import TRIALS
from samplers.stats import TIE, Scores
from samplers.table import Row


def measure(bench: Bench) -> Iterator[Row]:
    """One row a group."""
    trials = 30 if bench.short else TRIALS
    fixed = [method(sampler) for sampler in bench.samplers if sampler in FIXED]
    bench.make(["metaopt", *fixed], bench.problems(), 1, trials)
    scores = Scores(bench.runs, ["metaopt", *fixed], 1, trials, bench.seeds)
    if "metaopt" not in scores.methods or not fixed:
        yield left_out("auto over the best fixed choice", "auto or all others are not measured")
        return
    for group in sorted({scores.groups[problem] for problem in scores.regret}):
        problems = [problem for problem in scores.regret if scores.groups[problem] == group]
        means = {one: scores.mean(one, problems) for one in fixed}
        best = min(means, key=lambda one: means[one])
        auto = scores.mean("metaopt", problems)
        # Both as good as there: what is left is below what counts as a win.
        over = 1.0 if auto - means[best] < TIE else auto / max(means[best], 1e-9)
        note = f"{auto:.3g} over {means[best]:.3g} ({best.split('-', 1)[1]}), {len(problems)} problems"
        yield Row(f"auto's mean regret over the best fixed choice's: {group}", "x", over, at_most(1.05), note=note)
