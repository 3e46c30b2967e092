"""Several objectives and constraints: the share of the ideal that is missing, beside random draws and Optuna's samplers."""

from __future__ import annotations

import math
import statistics
from typing import Any, Dict, Iterator, List, Optional

from bench.table import at_least
from samplers.bench import Bench
from samplers.conflicting import Conflict, Told, conflicts, uniform
from samplers.engine import RefusedError, Study
from samplers.space import build, draw
from samplers.stats import FLOOR, Sample, beats, estimate
from samplers.table import Row, of

OURS = ["auto", "nsga2", "tpe", "gp", "evolution"]
PEERS = {"tpe": "TPESampler", "nsga2": "NSGAIISampler", "gp": "GPSampler"}


def measure(bench: Bench) -> Iterator[Row]:
    """Each of ours beside the control on all of them; Optuna's only on `--peers`, since it is slow."""
    trials = 40 if bench.short else 120
    seeds = range(2) if bench.short else bench.seeds
    losses: Dict[str, Dict[str, List[float]]] = {}
    names = ["random", *(sampler for sampler in OURS if bench.has(sampler))]
    names += ["optuna-nsga2", "optuna-tpe"] if bench.peers else []
    for conflict in conflicts():
        for name in names:
            for seed in seeds:
                told = one(bench, name, conflict, seed, trials)
                if told is not None:
                    losses.setdefault(name, {}).setdefault(conflict.name, []).append(conflict.loss(told))
    for kind, one_alone in (("objectives", False), ("constraints", True)):
        members = [conflict.name for conflict in conflicts() if (conflict.objectives == 1) == one_alone]
        for name in names:
            rows: Sample = {problem: row for problem, row in losses.get(name, {}).items() if problem in members}
            if not rows:
                continue
            if name != "random":
                control = losses["random"]
                won = {p: [100 * beats(a, b) for a, b in zip(row, control[p])] for p, row in rows.items()}
                aim = None if name.startswith("optuna") else at_least(50)
                yield of(f"{name}: {kind}, beats random draws, {trials} trials", "% of pairs", estimate(won), aim)
            logs = {problem: [math.log10(max(loss, FLOOR)) for loss in row] for problem, row in rows.items()}
            each = ", ".join(f"{problem} {statistics.fmean(row):.3f}" for problem, row in rows.items())
            yield of(f"  {kind}: log10 of what {name} misses", "", estimate(logs))._replace(note=each)


def one(bench: Bench, name: str, conflict: Conflict, seed: int, trials: int) -> Optional[List[Told]]:
    """A run; none where the sampler or the peer cannot."""
    if name == "random":
        rng = uniform(conflict, seed)
        return [conflict.tell(draw(conflict.params, rng)) for _ in range(trials)]
    if name.startswith("optuna-"):
        return optuna(name.split("-", 1)[1], conflict, seed, trials)
    try:
        study = Study(bench.runs.engine, conflict.params, name, seed, objectives=conflict.objectives)
    except RefusedError:
        return None
    told = []
    for _ in range(trials):
        asked = study.ask()
        told.append(conflict.tell(asked.params))
        study.tell(asked.id, *told[-1][:1], constraints=told[-1][1])
    return told


def optuna(kind: str, conflict: Conflict, seed: int, trials: int) -> Optional[List[Told]]:
    """The same through Optuna, with its own way to tell constraints."""
    try:
        import optuna as peer
    except ImportError:
        return None
    peer.logging.set_verbosity(peer.logging.ERROR)
    options: Dict[str, Any] = {"seed": seed}
    if conflict.objectives == 1:
        options["constraints_func"] = lambda trial: trial.user_attrs["constraints"]
    sampler = getattr(peer.samplers, PEERS[kind])(**options)
    study = peer.create_study(directions=["minimize"] * conflict.objectives, sampler=sampler)
    told = []
    for _ in range(trials):
        trial = study.ask()

        def choose(param: Dict[str, Any], trial: Any = trial) -> Any:
            if param["type"] == "cat":
                return trial.suggest_categorical(param["name"], param["choices"])
            suggest = trial.suggest_int if param["type"] == "int" else trial.suggest_float
            return suggest(param["name"], param["low"], param["high"], log=param["log"])

        told.append(conflict.tell(build(conflict.params, choose)))
        trial.set_user_attr("constraints", told[-1][1])
        study.tell(trial, told[-1][0])
    return told
