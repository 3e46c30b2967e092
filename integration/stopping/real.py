"""`python -m stopping.real PROGRAMS`: three real daemons on loopback tune `digits.py`, with each rule from the beginning.

For each rule: the epochs that were really trained and the seconds that passed until some trial had the loss that all rules got
to. Trials say so themselves, in a file that they share; nothing is asked of metaopt but to run them. It needs scikit-learn's
data in this environment, and what it runs on: on a machine of two cores three nodes get in each other's way.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from bench.cluster import alive, key_in, member, wait
from bench.daemon import Daemon
from samplers.table import columns, markdown

HEAD = [
    "rule",
    "loss",
    "epochs to it",
    "seconds to it",
    "its accuracy",
    "least loss",
    "its accuracy",
    "epochs",
    "seconds",
]
HEAD += ["trials", "resumed", "on several nodes"]
ROOT = Path(__file__).resolve().parents[2]
SPACE: List[Dict[str, Any]] = [
    {"name": "rate", "type": "float", "low": 0.001, "high": 2.0, "log": True},
    {"name": "momentum", "type": "float", "low": 0.0, "high": 0.95},
    {"name": "decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True},
    {"name": "batch", "type": "ordinal", "choices": [16, 32, 64, 128, 256]},
    {"name": "width", "type": "int", "low": 16, "high": 128, "log": True},
    {"name": "schedule", "type": "categorical", "choices": ["constant", "step", "warmup", "cosine", "onecycle"]},
]


class Epoch(NamedTuple):
    """One that was trained."""

    seconds: float
    trial: str
    step: int
    loss: float
    accuracy: float


class Run(NamedTuple):
    """What happened with one rule, from one seed."""

    rule: str
    seed: int
    epochs: List[Epoch]
    starts: int
    resumed: int
    counts: Dict[str, int]
    moved: int

    def best(self) -> float:
        """The least loss."""
        return min(epoch.loss for epoch in self.epochs)

    def until(self, loss: float) -> Optional[int]:
        """How many epochs were trained until one had such a loss."""
        return next((i for i, epoch in enumerate(self.epochs, 1) if epoch.loss <= loss), None)


def nodes(programs: Path, folder: Path, count: int) -> List[Daemon]:
    """Daemons of a slot each, that see each other."""
    key = key_in(folder)
    started: List[Daemon] = []
    for number in range(count):
        options = member(f"node{number}", key, started[0] if started else None)
        options[options.index("--slots") + 1] = "1"
        started.append(Daemon(programs, folder / f"node{number}", options))
    wait("all to see all", lambda: all(len(alive(node)) == count for node in started))
    return started


def study(rule: str, seed: int, args: argparse.Namespace, marks: Path) -> Dict[str, Any]:
    """What is submitted."""
    script = [sys.executable, str(ROOT / "integration" / "stopping" / "digits.py"), "--epochs", str(args.epochs)]
    for param in SPACE:
        script += [f"--{param['name']}", "{" + param["name"] + "}"]
    path = os.pathsep.join(str(ROOT / part) for part in ("integration", "python-client/src"))
    return {
        "name": f"digits-{rule}",
        "space": SPACE,
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "sampler": {"name": args.sampler, "seed": seed},
        "early_stopping": {"rule": rule, **({"max_steps": args.epochs} if rule != "none" else {})},
        "budget": {"max_trials": args.trials},
        "run": {
            "command": script,
            "workdir": "in_place",
            "path": str(ROOT),
            "env": {"PYTHONPATH": path, "STOPPING_MARKS": str(marks)},
        },
    }


def run(rule: str, seed: int, args: argparse.Namespace) -> Run:
    """A fresh cluster, a study, and what its trials wrote down."""
    with tempfile.TemporaryDirectory(prefix="metaopt-real-") as name:
        folder = Path(name)
        started = nodes(args.programs.resolve(), folder, args.nodes)
        marks = folder / "marks"
        marks.touch()
        try:
            begin = time.time()
            body = study(rule, seed, args, marks)
            started[0].call("POST", "/studies", body)
            end = begin + args.seconds
            while time.time() < end:
                seen = started[0].call("GET", f"/studies/{body['name']}")
                trained = sum(line.startswith("epoch") for line in marks.read_text().splitlines())
                if seen["state"] == "complete" or trained >= args.full * args.epochs:
                    break
                time.sleep(0.2)
            started[0].call("POST", f"/studies/{body['name']}/cancel")
            counts = dict(started[0].call("GET", f"/studies/{body['name']}")["counts"])
            trials = started[0].call("GET", f"/studies/{body['name']}/trials?limit=1000")["items"]
        finally:
            for node in started:
                node.close()
        lines = [line.split() for line in marks.read_text().splitlines()]
    at = [
        [float(word) if i != 2 else word for i, word in enumerate(words[1:], 1)]
        for words in lines
        if words[0] == "epoch"
    ]
    epochs = sorted(Epoch(one[0] - begin, str(one[1]), int(one[2]), one[3], one[4]) for one in at)  # type: ignore[operator,arg-type]
    starts = [words for words in lines if words[0] == "start"]
    resumed = sum(words[3] != "0" for words in starts)
    moved = sum(len({attempt["node"] for attempt in trial["attempts"]}) > 1 for trial in trials)
    return Run(rule, seed, epochs[: args.full * args.epochs], len(starts), resumed, counts, moved)


def main() -> None:
    """Rule by rule."""
    parser = argparse.ArgumentParser(prog="stopping.real", description=__doc__)
    parser.add_argument("programs", type=Path, help="the folder of the built programs, such as target/release")
    parser.add_argument("--rules", default="none,median,asha,freeze-thaw", help="a comma list")
    parser.add_argument("--sampler", default="auto")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=27, help="of a whole training")
    parser.add_argument("--full", type=int, default=20, help="ends after so many whole trainings' worth of epochs")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=900, help="ends then in any case")
    args = parser.parse_args()
    runs: List[Run] = []
    for seed in range(args.seeds):
        for rule in args.rules.split(","):
            try:
                made = run(rule, seed, args)
            except AssertionError as error:
                print(f"{rule} is left out: {error}", file=sys.stderr, flush=True)
                continue
            if made.epochs:
                runs.append(made)
                print(f"{rule}, seed {seed}: least loss {made.best():.4f}; {made.counts}", file=sys.stderr, flush=True)
    lines = [HEAD]
    for seed in range(args.seeds):
        lines += told([made for made in runs if made.seed == seed])
    print(columns(lines) + "\n\n" + markdown(lines))


def told(runs: List[Run]) -> List[List[str]]:
    """Lines of the table: runs from one seed, each until it had what all of them got to."""
    target = max((made.best() for made in runs), default=0.0)
    lines = []
    for made in runs:
        took = made.until(target) or len(made.epochs)
        there, best = made.epochs[took - 1], min(made.epochs, key=lambda epoch: epoch.loss)
        cells = [
            f"{made.rule}, seed {made.seed}",
            f"{target:.4f}",
            str(took),
            f"{there.seconds:.0f}",
            f"{there.accuracy:.4f}",
        ]
        cells += [f"{best.loss:.4f}", f"{best.accuracy:.4f}", str(len(made.epochs)), f"{made.epochs[-1].seconds:.0f}"]
        trials = len({epoch.trial for epoch in made.epochs})
        lines.append([*cells, str(trials), str(made.resumed), str(made.moved)])
    return lines


if __name__ == "__main__":
    main()
