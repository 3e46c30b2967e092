"""Trains a small network on scikit-learn's digits, in numpy alone, with checkpoints: what `stopping.real` lets a cluster tune.

Alone: PYTHONPATH=python-client/src:integration python integration/stopping/digits.py --rate 0.1 --epochs 20

Each image is seen ten times an epoch, each time shifted by up to a pixel, so that an epoch takes a moment.
"""

from __future__ import annotations

import argparse
import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional, Tuple

# Before NumPy is imported: trials run side by side, one core each.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import metaopt
import numpy as np

from stopping.net import Nets, pace

CHECKPOINT = "net.npz"
TRAIN = 1200


def load() -> Tuple[Any, Any]:
    """Images and labels; the file of the package is read as it is, since importing all of scikit-learn takes a second."""
    package = find_spec("sklearn")
    assert package is not None, "scikit-learn isn't installed"
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    rows = np.loadtxt(path, delimiter=",")
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    return (rows[:, :-1] - 5) / 6, rows[:, -1].astype(int)


def shifted(images: Any, rng: Any) -> Any:
    """Each moved by up to a pixel."""
    square = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)), constant_values=images.min())
    out = np.empty_like(images).reshape(-1, 8, 8)
    moves = rng.integers(3, size=(len(images), 2))
    for down in range(3):
        for right in range(3):
            here = (moves == (down, right)).all(1)
            out[here] = square[here, down : down + 8, right : right + 8]
    return out.reshape(images.shape)


def save(directory: Path, epoch: int, net: Nets) -> None:
    """Writes a new file and renames it: a checkpoint is never half a checkpoint."""
    temporary = directory / (CHECKPOINT + ".tmp")
    with temporary.open("wb") as file:
        np.savez(file, epoch=epoch, **net.state())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / CHECKPOINT)


def restore(directory: Path, net: Nets) -> int:
    """The epoch after which it goes on; 0: there is no checkpoint."""
    try:
        with np.load(directory / CHECKPOINT) as state:
            net.restore(state)
            return int(state["epoch"])
    except FileNotFoundError:
        return 0


def mark(path: Optional[str], *words: object) -> None:
    """A line in a file that all trials share: what was really trained, and when, whatever is known of it elsewhere."""
    if path:
        with open(path, "a") as file:
            file.write(" ".join(map(str, words)) + "\n")


def main() -> None:
    """Trains, reports every epoch, and leaves when told to."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--decay", type=float, default=1e-4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--schedule", default="constant", help="constant, step, warmup, cosine or onecycle")
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seen", type=int, default=10, help="how often an epoch sees each image")
    args = parser.parse_args()
    # Networks that diverge overflow: that is a result, and the loss says so.
    np.seterr(all="ignore")

    x, labels = load()
    y = np.eye(10)[labels]
    net = Nets([64, args.width, args.width, 10], [0], classes=True)
    trial = metaopt.current_trial()
    marks = os.environ.get("STOPPING_MARKS")
    done = restore(trial.checkpoint_dir, net) if trial.resume_step > 0 else 0
    mark(marks, "start", time.time(), trial.id, done)
    loss = accuracy = float("nan")
    for epoch in range(done + 1, args.epochs + 1):
        # Seeded by the epoch: a thawed trial sees the images in the order that it would have seen.
        rng = np.random.default_rng([7, epoch])
        for part in range(args.seen):
            images, order = shifted(x[:TRAIN], rng), rng.permutation(TRAIN)
            for begin in range(0, TRAIN, args.batch):
                at = (epoch - 1 + (part + begin / TRAIN) / args.seen) / args.epochs
                rows = order[begin : begin + args.batch]
                net.step(
                    images[rows][None], y[rows][None], args.rate * pace(args.schedule, at), args.momentum, args.decay
                )
        loss = float(net.losses(x[TRAIN:], y[TRAIN:])[0])
        accuracy = 1 - float(net.wrong(x[TRAIN:], labels[TRAIN:])[0])
        save(trial.checkpoint_dir, epoch, net)
        trial.checkpoint(step=epoch)
        mark(marks, "epoch", time.time(), trial.id, epoch, loss, accuracy)
        trial.report(loss=loss, accuracy=accuracy, step=epoch)
        if trial.should_stop():
            return
    if done < args.epochs:
        trial.complete(loss=loss, accuracy=accuracy)


if __name__ == "__main__":
    main()
