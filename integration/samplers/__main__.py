"""`python -m samplers PROGRAMS [--short] [FIGURE…]`: measures, and prints one table. See `just bench-samplers`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional, Sequence

from samplers import asynchronous, choice, control, cost, found, rest, scale, several, stale
from samplers.bench import FIXED, Bench
from samplers.engine import Engine
from samplers.harness import Harness
from samplers.runs import Runs
from samplers.table import Row, tell

FIGURES: Dict[str, Callable[[Bench], Iterator[Row]]] = {
    "found": found.measure,
    "asynchronous": asynchronous.measure,
    "stale": stale.measure,
    "choice": choice.measure,
    "several": several.measure,
    "cost": cost.measure,
    "scale": scale.measure,
    "rest": rest.measure,
    "control": control.measure,
}
SAMPLERS = ["auto", *FIXED, "nsga2"]
#: Problems of the short form: some of each group, whichever are here.
SHORT = ["branin", "mixed_tree", "bbob_f8_d5_i1", "bbob_f15_d5_i1", "nasbench201_cifar10", "hpobench_car"]
SHORT_OWN = ["learners_1", "training_1", "pairs_1", "bend_d4_1"]


def main(given: Optional[Sequence[str]] = None) -> None:
    """Measures what was asked for. A missed aim is no failure; an engine or a daemon that answers wrongly is."""
    parser = argparse.ArgumentParser(prog="samplers", description=__doc__)
    parser.add_argument("programs", type=Path, help="the folder of the built programs, such as target/release")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)}; none: all")
    parser.add_argument(
        "--short", action="store_true", help="small sizes, few seeds: checks the harness, not the samplers"
    )
    parser.add_argument("--seeds", type=int, help="seeds of each run (10; 1 with --short)")
    parser.add_argument("--samplers", default=",".join(SAMPLERS), help="a comma list; with options as in tpe?gamma=0.2")
    parser.add_argument("--suites", default="public,own", help="of public, wide and own; a comma list")
    parser.add_argument("--only", default="", help="beginnings of problems' names, a comma list")
    parser.add_argument("--harness", type=Path, help="the folder that holds `hb`")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="files of more stored runs of peers")
    parser.add_argument("--peers", action="store_true", help="runs slow peers and those of `several` again, too")
    parser.add_argument("--out", type=Path, default=Path("target/samplers"), help="where runs and figures are written")
    parser.add_argument(
        "--resume", action="store_true", help="takes our own runs from --out too: the engine is unchanged"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    # Intermixed: figures may stand behind options.
    args = parser.parse_intermixed_args(given)
    unknown = [name for name in args.figures if name not in FIGURES]
    if unknown:
        parser.error(f"no figure is named {unknown[0]!r}; there are {', '.join(FIGURES)}")
    begin = time.monotonic()
    bench = prepared(args)
    last = tell((FIGURES[name](bench) for name in args.figures or FIGURES), bench.tables, args.short, args.out)
    print(f"{last}; took {time.monotonic() - begin:.0f} s; written to {args.out}", file=sys.stderr)


def prepared(args: argparse.Namespace) -> Bench:
    """The problems that are here, and the samplers that this version has."""
    programs = args.programs.resolve()
    harness = Harness(args.harness)
    problems = harness.made(args.suites.split(","))
    if args.short:
        problems = {name: problem for name, problem in problems.items() if name in SHORT + SHORT_OWN}
    if args.only:
        problems = {name: problem for name, problem in problems.items() if name.startswith(tuple(args.only.split(",")))}
    if harness.lacks:
        print(f"{harness.lacks}; going on with {len(problems)} problems", file=sys.stderr)
    engine = Engine(programs)
    there = engine.names()
    engine.close()
    wanted = args.samplers.split(",")
    lacking = [sampler for sampler in wanted if sampler.partition("?")[0] not in there]
    if lacking:
        print(f"left out, since this version has no such samplers: {', '.join(lacking)}", file=sys.stderr)
    args.out.mkdir(parents=True, exist_ok=True)
    runs = Runs(programs, harness, problems, args.out / "runs.jsonl", args.resume, args.more)
    samplers = [sampler for sampler in wanted if sampler not in lacking]
    seeds = range(args.seeds or (1 if args.short else 10))
    return Bench(programs, harness, runs, samplers, seeds, args.jobs, args.short, args.peers, [])


if __name__ == "__main__":
    main()
