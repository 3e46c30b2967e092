"""CPU time of one TPE suggestion in process: metaopt's engine beside Optuna, both keeping their history up to date."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, List

from bench import problem
from bench.rate import has_optuna
from bench.table import Row, at_most, ratio, row

#: Milliseconds of CPU that a suggestion may take, by trials known.
AIMS = {1_000: at_most(1), 10_000: at_most(2), 100_000: at_most(2)}


def engine(programs: Path, sizes: List[int]) -> Dict[int, List[float]]:
    """Suggestion and folding in of one finished trial, in ms, and a suggestion alone."""
    program = programs / "examples" / "suggest_cost"
    command = [str(program), *(str(size) for size in sizes)]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[1:]
    return {int(line.split()[0]): [float(cell) for cell in line.split()[1:]] for line in lines}


def optuna_tpe(trials: int, asks: int) -> float:
    """The median of so many asks in memory, in ms of CPU, each followed by a tell; ten parameters."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions: Dict[str, BaseDistribution] = {
        **{name: FloatDistribution(0.0, 1.0) for name in problem.FLOATS},
        **{name: IntDistribution(1, 100) for name in problem.INTS},
        **{name: CategoricalDistribution(problem.WORDS) for name in problem.CHOICES},
    }
    rng = random.Random(7)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
    known = []
    for _ in range(trials):
        params = problem.draw(rng)
        known.append(optuna.trial.create_trial(params=params, distributions=distributions, value=problem.loss(params)))
    study.add_trials(known)
    took = []
    for _ in range(asks + 1):
        begin = time.process_time()
        trial = study.ask(distributions)
        took.append((time.process_time() - begin) * 1000)
        study.tell(trial, problem.loss(trial.params))
    # The first one fills caches.
    return sorted(took[1:])[asks // 2]


def measure(programs: Path, short: bool) -> Iterator[Row]:
    """Both, one after the other in each repetition."""
    sizes = [1_000, 5_000] if short else [1_000, 10_000, 100_000]
    beside = sizes[:1] if short else sizes[:2]
    repetitions = 1 if short else 3
    peer = has_optuna()
    ours, theirs = [], []
    for _ in range(repetitions):
        ours.append(engine(programs, sizes))
        theirs.append({size: optuna_tpe(size, 5 if size > 1_000 else 15) for size in beside} if peer else {})
    for size in sizes:
        name = f"TPE suggestion at {size:,} trials, one trial folded in each"
        both, alone = ([run[size][column] for run in ours] for column in (0, 1))
        yield row(name, "ms of CPU", both, AIMS.get(size))
        yield row("  the suggestion alone", "ms of CPU", alone)
        if peer and size in beside:
            peers = [run[size] for run in theirs]
            yield row("  Optuna's in process", "ms of CPU", peers)
            yield ratio("  Optuna over metaopt", peers, both)
