"""`python -m stopping PROGRAMS [--short] [FIGURE…]`: measures, and prints one table. See `just bench-stopping`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional, Sequence

from samplers.harness import Harness
from samplers.table import Row, tell
from stopping import checks, control, cost, ranks, sets, workers
from stopping.bench import PEERS, Bench
from stopping.ours import rule_of
from stopping.runs import Runs

FIGURES: Dict[str, Callable[[Bench], Iterator[Row]]] = {
    "ranks": ranks.measure,
    "workers": workers.measure,
    "stale": workers.stale,
    "cost": cost.measure,
    "control": control.measure,
}
#: Our methods: a sampler (`metaopt`: auto) and a rule, with options as in `asha?mode="promotion"`.
METHODS = [
    "metaopt+none",
    "metaopt+median",
    "metaopt+asha",
    'metaopt+asha?mode="promotion"',
    "metaopt+hyperband",
    "metaopt+freeze-thaw",
    "metaopt-tpe+freeze-thaw",
]
SHORT = ["digits_elastic", "cancer_dropout"]


def main(given: Optional[Sequence[str]] = None) -> None:
    """Measures what was asked for. A missed aim is no failure; an engine that answers wrongly is."""
    parser = argparse.ArgumentParser(prog="stopping", description=__doc__)
    parser.add_argument("programs", type=Path, help="the folder of the built programs, such as target/release")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; none: all")
    parser.add_argument("--short", action="store_true", help="small sizes: checks the harness, not the rules")
    parser.add_argument("--seeds", type=int, help="seeds of each run (10; 2 with --short)")
    parser.add_argument("--methods", default=" ".join(METHODS), help="ours, parted by blanks")
    parser.add_argument("--only", default="", help="beginnings of sets' names, a comma list")
    parser.add_argument("--full", type=int, help="whole trainings' worth of steps in a run (20; 5 with --short)")
    parser.add_argument("--harness", type=Path, help="the folder that holds `hb`, for its set of curves")
    parser.add_argument("--peers", action="store_true", help="runs peers again, too")
    parser.add_argument("--store", type=Path, help="keeps runs of the peers in this file")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--out", type=Path, default=Path("target/stopping"), help="where figures are written")
    # Intermixed: figures may stand behind options.
    args = parser.parse_intermixed_args(given)
    unknown = [name for name in args.figures if name not in FIGURES]
    if unknown:
        parser.error(f"no figure is named {unknown[0]!r}; there are {', '.join(FIGURES)}")
    begin = time.monotonic()
    checks.run()
    bench = prepared(args)
    last = tell((FIGURES[name](bench) for name in args.figures or FIGURES), bench.tables, args.short, args.out)
    if args.store is not None:
        bench.runs.store(args.store, PEERS)
    bench.runs.engine.close()
    print(f"{last}; took {time.monotonic() - begin:.0f} s; written to {args.out}", file=sys.stderr)


def prepared(args: argparse.Namespace) -> Bench:
    """The sets that are here, and the rules that this version has."""
    problems = {**sets.ours(), **sets.theirs(Harness(args.harness))}
    if args.short:
        problems = {name: problem for name, problem in problems.items() if name in SHORT}
    if args.only:
        problems = {name: one for name, one in problems.items() if name.startswith(tuple(args.only.split(",")))}
    runs = Runs(args.programs.resolve(), problems, args.peers)
    there = runs.engine.rules()
    wanted = args.methods.split()
    lacking = [method for method in wanted if rule_of(method).partition("?")[0] not in there]
    if lacking:
        print(f"left out, since this version has no such rules: {', '.join(lacking)}", file=sys.stderr)
    methods = [method for method in wanted if method not in lacking]
    seeds = range(args.seeds or (2 if args.short else 10))
    return Bench(args.programs, runs, methods, seeds, args.full or (5 if args.short else 20), args.jobs, args.short, [])


if __name__ == "__main__":
    main()
