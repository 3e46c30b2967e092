"""`python -m samplers.stored --methods optuna-tpe --suite own --out own.jsonl`: makes runs of peers to keep in `peers/`.

Goes on where an earlier call ended. Runs of the public suite may come from the harness's own runner as well: they are the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from samplers.harness import Harness
from samplers.runs import Runs, Task


def main() -> None:
    """Seed by seed, so that what is there covers all problems."""
    parser = argparse.ArgumentParser(prog="samplers.stored", description=__doc__)
    parser.add_argument("--methods", required=True, help="as the harness names them; a comma list")
    parser.add_argument("--suite", default="own", help="own, public or wide")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--harness", type=Path, help="the folder that holds `hb`")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    harness = Harness(args.harness)
    problems = harness.made([args.suite])
    # Peers alone: no engine is asked for anything.
    runs = Runs(Path(), harness, problems, args.out, True, [])
    for seed in range(args.first, args.first + args.seeds):
        for method in args.methods.split(","):
            runs.make([Task(problem, method, seed, args.workers, args.budget) for problem in problems])


if __name__ == "__main__":
    main()
