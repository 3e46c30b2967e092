"""What is found one trial after another: beside Optuna's samplers, hyperopt, SMAC3 and HEBO."""

from __future__ import annotations

from typing import Iterator, List, Optional

from bench.table import Aim, at_least, at_most
from samplers.bench import Bench, left_out, method
from samplers.stats import Scores
from samplers.table import Row, of

TPE, GP, CMAES = "optuna-tpe", "optuna-gp", "optuna-cmaes"
PEERS = [TPE, GP, CMAES, "hyperopt-tpe", "smac3-rf", "hebo"]
NAMED = {TPE: "Optuna's TPE", GP: "Optuna's GPSampler", CMAES: "Optuna's CMA-ES", "random": "random draws"}
NAMED.update({"hyperopt-tpe": "hyperopt", "smac3-rf": "SMAC3", "hebo": "HEBO"})
#: Who is beside whom, and what is hoped for.
BESIDE = [("tpe", TPE, at_least(55)), ("gp", GP, None), ("bore", TPE, None), ("evolution", "random", None)]
TRIALS = 100


def measure(bench: Bench) -> Iterator[Row]:
    """`auto` first, then each sampler beside its kind, then logarithms by group."""
    ours = [method(sampler) for sampler in bench.samplers]
    trials = 30 if bench.short else TRIALS
    bench.make(ours, bench.problems(), 1, trials)
    bench.make(["random"], bench.problems(["own"]), 1, trials)
    seeds = range(1000) if not bench.short else bench.seeds
    scores = Scores(bench.runs, [*ours, *PEERS, "random"], 1, trials, seeds)
    if bench.has("auto"):
        yield from of_auto(bench, scores)
    for sampler, peer, aim in BESIDE:
        if bench.has(sampler):
            yield from wins(scores, sampler, peer, aim)
        else:
            yield left_out(f"{sampler} beats {NAMED[peer]}, {trials} trials", "this version has no such sampler")
    if bench.has("gp"):
        yield from of_gp(bench)
    if bench.has("cmaes"):
        yield from wins(scores, "cmaes", CMAES, at_least(55), "bbob")
    bench.tables.append(by_group(scores, f"log10 of regret after {trials}"))


def wins(scores: Scores, sampler: str, peer: str, aim: Optional[Aim] = None, group: str = "") -> Iterator[Row]:
    """One sampler beside one peer."""
    name = f"{sampler} beats {NAMED[peer]}, {scores.at} trials{', on ' + group if group else ''}"
    seen = scores.wins(method(sampler), peer, group) if peer in scores.methods else None
    if seen is None or not seen.pairs:
        yield left_out(name, f"no runs of {NAMED[peer]} on these problems")
        return
    yield of(name, "% of pairs", seen, aim)
    if aim is not None and peer == TPE and sampler == "auto":
        yield Row("  the interval's lower end", "% of pairs", seen.low, at_least(50))


def of_auto(bench: Bench, scores: Scores) -> Iterator[Row]:
    """What the default promises."""
    yield from wins(scores, "auto", TPE, at_least(65))
    if TPE in scores.methods:
        speed = scores.speed("metaopt", TPE)
        yield of("  Optuna's TPE's trials to its final median, over auto's", "x", speed, at_least(1.4))
        for group in sorted({g for problem, g in scores.groups.items() if TPE in scores.regret.get(problem, {})}):
            yield of(f"  on {group}", "% of pairs", scores.wins("metaopt", TPE, group))
    yield from wins(scores, "auto", GP, at_least(55))
    for peer in (CMAES, "hyperopt-tpe", "smac3-rf", "hebo", "random"):
        if peer in scores.methods:
            yield from wins(scores, "auto", peer)
    yield from ranks(scores)


def ranks(scores: Scores) -> Iterator[Row]:
    """Mean places, on the pairs that all have; then without the slow peers, on more pairs."""
    there = [peer for peer in PEERS if peer in scores.methods]
    quick = [peer for peer in there if peer in (TPE, CMAES, "hyperopt-tpe")]
    for peers in [there, quick] if quick != there else [there]:
        seen = scores.ranks(["metaopt", *peers]) if peers else {}
        if not peers or not seen["metaopt"].pairs:
            continue
        best = min(seen[peer].value for peer in peers)
        yield of(f"auto's mean rank among {len(seen)}", "", seen["metaopt"], at_most(best))
        for peer in peers:
            yield of(f"  {NAMED[peer]}", "", seen[peer])


def of_gp(bench: Bench) -> Iterator[Row]:
    """At half the budget, and what an ask costs."""
    at = 15 if bench.short else 50
    scores = Scores(bench.runs, [method("gp"), GP], 1, at, range(1000))
    yield from wins(scores, "gp", GP, at_least(55))
    ratios: List[float] = []
    runs = bench.runs
    for record in runs.of(GP, 1, TRIALS, lambda _: True):
        mine = runs.records.get((record["problem"], method("gp"), record["seed"], 1))
        if mine is not None and len(mine["trace"]) == len(record["trace"]):
            theirs = record["cpu_ms"]["mean"] if "cpu_ms" in record else 1000 * record["cpu_s"] / len(record["trace"])
            ratios.append(mine["cpu_ms"]["mean"] / theirs)
    if ratios:
        ratios.sort()
        row = Row("  CPU of an ask over GPSampler's, 100 trials", "x", ratios[len(ratios) // 2], at_most(1 / 20))
        yield row._replace(low=ratios[0], high=ratios[-1], note=f"{len(ratios)} pairs of runs, least to most")


def by_group(scores: Scores, title: str) -> List[List[str]]:
    """A second table: mean log10 of regret, a line for each method, a column for each group of problems."""
    groups = sorted({scores.groups[problem] for problem in scores.regret})
    lines = [[title, "all", *groups, "pairs"]]
    for name in scores.methods:
        seen = [scores.logs(name, group) for group in ["", *groups]]
        lines.append([name, *(f"{one.value:.2f}" if one.pairs else "" for one in seen), str(seen[0].pairs)])
    return lines
