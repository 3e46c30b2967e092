"""`python -m stopping.make_curves [NAME…]`: trains every configuration of some grids on scikit-learn's own data.

Nothing is downloaded; all five take some five minutes of one core. The same seed makes the same curves on the same machine and
versions; another BLAS rounds otherwise, which trainings near divergence amplify: of `digits_schedule` a tenth of the curves
differed when two threads shared the sums, though its report was the same. Seconds of an epoch are no measurement, which
would differ each time, but the steps and multiplications of a configuration at the pace of one core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import warnings
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

# Before NumPy is imported: how many threads share a sum decides how it is rounded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np

from stopping.net import Array, Nets, pace
from stopping.sets import FOLDER, Axes, CurveSet, report

Config = Dict[str, Any]
SEED = 20_260
#: Seconds that one batch costs besides its arithmetic, and multiplications in a second.
BATCH, FLOPS = 1.2e-4, 1e9


class Grid(NamedTuple):
    """A set to be made."""

    of: str
    metric: str
    steps: int
    axes: Axes
    #: Curves by configuration, and seconds of an epoch.
    train: Callable[[Any, List[Config]], Tuple[Array, Array]]
    #: Losses are cut off here; what diverged stays there.
    cap: float


def split(x: Array, y: Array, train: int, floor: float = 1e-6) -> Tuple[Array, Array, Array, Array]:
    """Some samples to train on, all others to validate with; features are standardised by the former.

    A feature that hardly varies there is divided by `floor`.
    """
    order = np.random.default_rng(SEED).permutation(len(x))
    x, y = x[order], y[order]
    mean, deviation = x[:train].mean(0), np.maximum(x[:train].std(0), floor)
    x = (x - mean) / deviation
    return x[:train], y[:train], x[train:], y[train:]


def one_hot(labels: Array) -> Array:
    """A row of zeros and a one for each label."""
    return np.eye(int(labels.max()) + 1)[labels]


def trained(
    grid: Grid, configs: List[Config], data: Tuple[Array, Array, Array, Array], classes: bool
) -> Tuple[Array, Array]:
    """Networks of each configuration: `batch`, `width`, `depth`, `rate`, `momentum`, `decay`, `dropout`, `schedule`, `adam`."""
    x, y, there, targets = data
    curves = np.zeros((len(configs), grid.steps))
    seconds = np.zeros(len(configs))
    shapes: Dict[Tuple[int, int, int, bool], List[int]] = {}
    for i, config in enumerate(configs):
        shape = (config["batch"], config.get("width", 24), config.get("depth", 1), config.get("optimizer") == "adam")
        shapes.setdefault(shape, []).append(i)
    for (batch, width, depth, adam), members in shapes.items():
        sizes = [x.shape[1], *[width] * depth, y.shape[1]]
        nets = Nets(sizes, [SEED + i for i in members], classes, adam)
        rng = np.random.default_rng(SEED + members[0])
        columns = {name: column(configs, members, name) for name in ("rate", "momentum", "decay", "dropout")}
        kept = 1 - columns["dropout"] if columns["dropout"].any() else None
        batches = max(1, len(x) // batch)
        for epoch in range(grid.steps):
            order = rng.permuted(np.tile(np.arange(len(x)), (len(members), 1)), axis=1)
            for i in range(batches):
                at = (epoch + i / batches) / grid.steps
                paces = [pace(configs[member].get("schedule", "constant"), at) for member in members]
                rate = columns["rate"] * np.array(paces)[:, None, None]
                picked = order[:, i * batch : (i + 1) * batch]
                nets.step(x[picked], y[picked], rate, columns["momentum"], columns["decay"], kept, rng)
            curves[members, epoch] = nets.losses(there, targets)
        work = 6 * len(x) * sum(one * two for one, two in zip(sizes, sizes[1:]))
        seconds[members] = batches * BATCH * (1.5 if adam else 1) + work / FLOPS
    return curves, seconds


def column(configs: List[Config], members: Sequence[int], name: str) -> Array:
    """A number of each configuration, so that it multiplies arrays over networks."""
    return np.array([float(configs[i].get(name, 0)) for i in members])[:, None, None]


def digits() -> Tuple[Array, Array]:
    """Images of digits, 8 by 8, and what they show."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x, y


def digits_schedule(grid: Grid, configs: List[Config]) -> Tuple[Array, Array]:
    """Step decay, warm-up and one cycle cross with constant rates, which learn wrong labels, too; big batches start slowly."""
    x, labels = digits()
    x, y, there, targets = split(x, one_hot(labels), 800, 2.0)
    rng = np.random.default_rng(SEED)
    wrong = rng.random(len(y)) < 0.1
    y[wrong] = one_hot(np.arange(10))[rng.integers(10, size=wrong.sum())]
    return trained(grid, configs, (x, y, there, targets), True)


def cancer_dropout(grid: Grid, configs: List[Config]) -> Tuple[Array, Array]:
    """Few samples: what learns fast overfits, what drops much is noisy and comes late."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return trained(grid, configs, split(x, one_hot(y), 150), True)


def friedman_onecycle(grid: Grid, configs: List[Config]) -> Tuple[Array, Array]:
    """Regression; one cycle and cosine come to their best at the very end."""
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(1200, 10, noise=1.0, random_state=SEED)
    y = (y - y.mean()) / y.std()
    return trained(grid, configs, split(x, y[:, None], 400), False)


def digits_elastic(grid: Grid, configs: List[Config]) -> Tuple[Array, Array]:
    """Linear, with L1 and L2: the share of wrong labels, in steps of a sample and with plateaus."""
    from sklearn.linear_model import SGDClassifier

    x, labels, there, truth = split(*digits(), 700, 2.0)
    curves, seconds = np.zeros((len(configs), grid.steps)), np.zeros(len(configs))
    for i, config in enumerate(configs):
        model = SGDClassifier(
            loss="log_loss",
            penalty="elasticnet",
            alpha=config["alpha"],
            l1_ratio=config["l1_ratio"],
            eta0=config["eta0"],
            learning_rate="constant" if config["power"] == 0 else "invscaling",
            power_t=config["power"] or 0.5,
            average=config["average"] == "yes",
            random_state=SEED + i,
        )
        order = np.random.default_rng(SEED + i)
        for epoch in range(grid.steps):
            at = order.permutation(len(x))
            model.partial_fit(x[at], labels[at], classes=np.arange(10))
            curves[i, epoch] = np.mean(model.predict(there) != truth)
        seconds[i] = (
            len(x) * 10 * (6e-7 + (4e-7 if config["l1_ratio"] > 0 else 0) + (5e-7 if config["average"] == "yes" else 0))
        )
    return curves, seconds


def friedman_boosting(grid: Grid, configs: List[Config]) -> Tuple[Array, Array]:
    """A tree a step."""
    from sklearn.datasets import make_friedman3
    from sklearn.ensemble import GradientBoostingRegressor

    x, y = make_friedman3(900, noise=0.1, random_state=SEED)
    rng = np.random.default_rng(SEED)
    # Features that say nothing, so that it matters how many a split may look at.
    x, y, there, truth = split(np.hstack([x, rng.standard_normal((len(x), 6))]), y, 350)
    curves, seconds = np.zeros((len(configs), grid.steps)), np.zeros(len(configs))
    for i, config in enumerate(configs):
        model = GradientBoostingRegressor(n_estimators=grid.steps, random_state=SEED + i, **config)
        model.fit(x, y)
        curves[i] = [np.mean((said - truth) ** 2) for said in model.staged_predict(there)]
        seen = len(x) * config["subsample"] * config["max_features"] * config["max_depth"]
        seconds[i] = 3e-4 + seen * 1e-6
    return curves, seconds


GRIDS: Dict[str, Grid] = {
    "digits_schedule": Grid(
        "a network on 800 of scikit-learn's digits, a tenth of which got labels at random",
        "cross-entropy on the other 997",
        50,
        {
            "rate": [0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 2.0],
            "batch": [16, 64, 256],
            "width": [8, 24, 64],
            "schedule": ["constant", "step", "warmup", "onecycle"],
            "momentum": [0.0, 0.9],
        },
        digits_schedule,
        5.0,
    ),
    "cancer_dropout": Grid(
        "a network with dropout on 150 of scikit-learn's breast cancers",
        "cross-entropy on the other 419",
        54,
        {
            "rate": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
            "dropout": [0.0, 0.2, 0.4, 0.6, 0.8],
            "decay": [0.0, 0.003, 0.03, 0.2],
            "batch": [8, 32, 128],
            "width": [4, 32],
        },
        cancer_dropout,
        3.0,
    ),
    "friedman_onecycle": Grid(
        "a network on 400 samples of scikit-learn's make_friedman1",
        "squared error on 800 others, over the variance",
        100,
        {
            "rate": [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
            "optimizer": ["sgd", "adam"],
            "schedule": ["constant", "cosine", "onecycle", "warmup"],
            "batch": [20, 80, 400],
            "depth": [1, 2],
            "decay": [0.0, 0.01],
        },
        friedman_onecycle,
        3.0,
    ),
    "digits_elastic": Grid(
        "scikit-learn's SGDClassifier with an elastic net on 700 of its digits",
        "share of the other 1,097 that is wrong",
        27,
        {
            "eta0": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1],
            "alpha": [1e-5, 1e-3, 0.005, 0.03],
            "l1_ratio": [0.0, 0.3, 0.7, 1.0],
            "power": [0.0, 0.25, 0.5],
            "average": ["no", "yes"],
        },
        digits_elastic,
        1.0,
    ),
    "friedman_boosting": Grid(
        "scikit-learn's GradientBoostingRegressor on 350 samples of its make_friedman3 with six features of noise",
        "squared error on 550 others",
        81,
        {
            "learning_rate": [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8],
            "max_depth": [1, 2, 4, 7],
            "subsample": [0.3, 0.6, 1.0],
            "max_features": [0.2, 0.5, 1.0],
            "min_samples_leaf": [1, 10, 40],
        },
        friedman_boosting,
        1.0,
    ),
}


def make(name: str, grid: Grid) -> CurveSet:
    """Trains all of a grid; networks with momentum where the grid says nothing of it."""
    names = list(grid.axes)
    configs = [dict(zip(names, values)) for values in itertools.product(*grid.axes.values())]
    for config in configs:
        if "rate" in config:
            config.setdefault("momentum", 0.9)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curves, seconds = grid.train(grid, configs)
    return CurveSet.of(name, grid.axes, np.minimum(np.nan_to_num(curves, nan=grid.cap), grid.cap), seconds)


def main() -> None:
    """Makes all sets, or those named."""
    parser = argparse.ArgumentParser(prog="stopping.make_curves", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(GRIDS)}; none: all")
    args = parser.parse_args()
    for name in args.names or GRIDS:
        begin, grid = time.process_time(), GRIDS[name]
        made = make(name, grid)
        about = {"of": grid.of, "metric": grid.metric, "seed": SEED, "axes": grid.axes}
        made.write(about)
        size = (FOLDER / f"{name}.npz").stat().st_size
        took = time.process_time() - begin
        print(f"{name}: {took:.0f} s of CPU, {size / 1000:.0f} kB; {json.dumps(report(made))}", flush=True)


if __name__ == "__main__":
    main()
