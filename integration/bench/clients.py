"""A client process of either tool: `python -m bench.clients metaopt|optuna STUDY SAMPLER TRIALS [JOURNAL]`.

It says `ready`, waits for a line, asks and tells, and prints its CPU seconds: neither imports nor connecting count.
"""

from __future__ import annotations

import sys
import time
from typing import Callable

from bench import problem


def metaopt_client(name: str) -> Callable[[], None]:
    """One ask and tell through metaopt's package; the daemon is named by METAOPT_URL and METAOPT_TOKEN."""
    import metaopt

    study = metaopt.load_study(name)

    def one() -> None:
        trial = study.ask()
        study.tell(trial, problem.loss(trial.params))

    return one


def optuna_client(name: str, sampler: str, journal: str) -> Callable[[], None]:
    """One ask and tell through Optuna and its journal file."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chosen = optuna.samplers.RandomSampler() if sampler == "random" else optuna.samplers.TPESampler()
    study = optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(journal)), sampler=chosen)

    def one() -> None:
        trial = study.ask()
        total = 0.0
        for parameter in problem.FLOATS:
            total += trial.suggest_float(parameter, 0.0, 1.0)
        for parameter in problem.INTS:
            trial.suggest_int(parameter, 1, 100)
        for parameter in problem.CHOICES:
            trial.suggest_categorical(parameter, problem.WORDS)
        study.tell(trial, total)

    return one


def main() -> None:
    """Runs as told by its arguments."""
    tool, name, sampler, trials = sys.argv[1:5]
    one = metaopt_client(name) if tool == "metaopt" else optuna_client(name, sampler, sys.argv[5])
    print("ready", flush=True)
    sys.stdin.readline()
    before = time.process_time()
    for _ in range(int(trials)):
        one()
    print(time.process_time() - before, flush=True)


if __name__ == "__main__":
    main()
