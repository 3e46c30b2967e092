"""Peers as optimizers of the simulation: Optuna's TPE with its pruners, Syne Tune's ASHA, and two that need no package."""

from __future__ import annotations

import datetime
import logging
import random
from typing import Any, Callable, Dict, List, Optional

from samplers.space import draw
from stopping.sets import CurveSet
from stopping.simulate import Turn


class Random:
    """Uniform draws, each trained whole."""

    def __init__(self, problem: CurveSet, seed: int) -> None:
        """Nothing has been drawn yet."""
        self.params, self.rng, self.count = problem.params, random.Random(f"random {seed}"), 0

    def ask(self, _: int) -> Optional[Turn]:
        """The next one."""
        self.count += 1
        return Turn(self.count, draw(self.params, self.rng))

    def report(self, _trial: Any, _step: int, _loss: float) -> str:
        """Goes on."""
        return "continue"

    def complete(self, _trial: Any, _loss: float) -> None:
        """Learns nothing."""


class OneEpoch(Random):
    """A hundred draws, one step of each; then the best of these whole, one after another (arXiv 2307.15422)."""

    FIRST = 100

    def __init__(self, problem: CurveSet, seed: int) -> None:
        """Nothing has been drawn yet."""
        super().__init__(problem, seed)
        self.known: Dict[int, Turn] = {}
        self.losses: Dict[int, float] = {}

    def ask(self, worker: int) -> Optional[Turn]:
        """A draw while there are few, then the best after one step that isn't whole yet."""
        if self.count < self.FIRST or not self.losses:
            turn = super().ask(worker)
            assert turn is not None
            self.known[turn.trial] = turn
            return turn
        best = min(self.losses, key=lambda trial: self.losses[trial])
        del self.losses[best]
        return self.known[best]._replace(done=1)

    def report(self, trial: Any, step: int, loss: float) -> str:
        """Pauses after the first."""
        if step > 1:
            return "continue"
        self.losses[trial] = loss
        return "pause"


class Optuna:
    """TPE as Optuna has it by default, with one of its pruners."""

    def __init__(self, problem: CurveSet, seed: int, pruner: str) -> None:
        """A study in memory. Its name is the same for all, since Hyperband's brackets depend on it."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruners = optuna.pruners
        made: Dict[str, Callable[[], Any]] = {
            "": pruners.NopPruner,
            "median": lambda: pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
            "sha": lambda: pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
            "hyperband": lambda: pruners.HyperbandPruner(1, problem.steps, 3),
        }
        sampler = optuna.samplers.TPESampler(seed=seed)
        self.study = optuna.create_study(sampler=sampler, pruner=made[pruner](), study_name="stopping")
        self.pruned = optuna.trial.TrialState.PRUNED
        self.params, self.trials = problem.params, {}  # type: ignore[var-annotated]

    def ask(self, _: int) -> Optional[Turn]:
        """A new trial."""
        trial = self.study.ask()
        params = {}
        for param in self.params:
            name = param["name"]
            if param["type"] == "cat":
                params[name] = trial.suggest_categorical(name, param["choices"])
            else:
                params[name] = trial.suggest_int(name, param["low"], param["high"])
        self.trials[trial.number] = trial
        return Turn(trial.number, params)

    def report(self, trial: Any, step: int, loss: float) -> str:
        """What its pruner says."""
        self.trials[trial].report(loss, step)
        if not self.trials[trial].should_prune():
            return "continue"
        self.study.tell(self.trials.pop(trial), state=self.pruned)
        return "stop"

    def complete(self, trial: Any, loss: float) -> None:
        """Its result, unless its last report had it pruned."""
        if trial in self.trials:
            self.study.tell(self.trials.pop(trial), loss)


class SyneTune:
    """Its ASHA, by stopping or by promotion; random draws. The last version that has both is 0.13."""

    def __init__(self, problem: CurveSet, seed: int, kind: str) -> None:
        """A scheduler without a backend: the simulation is its backend."""
        from syne_tune.backend.trial_status import Trial
        from syne_tune.config_space import choice, randint
        from syne_tune.optimizer.baselines import ASHA

        logging.getLogger("syne_tune").setLevel(logging.ERROR)
        space: Dict[str, Any] = {"steps": problem.steps}
        for param in problem.params:
            whole = param["type"] == "int"
            space[param["name"]] = randint(param["low"], param["high"]) if whole else choice(param["choices"])
        self.scheduler = ASHA(
            space,
            metric="loss",
            mode="min",
            type=kind,
            resource_attr="step",
            max_resource_attr="steps",
            random_seed=seed,
            search_options={"debug_log": False},
        )
        self.trial, self.steps = Trial, problem.steps
        self.names = [param["name"] for param in problem.params]
        self.known: List[Any] = []
        self.done: Dict[int, int] = {}

    def ask(self, _: int) -> Optional[Turn]:
        """What it suggests."""
        said = self.scheduler.suggest(len(self.known))
        if said is None:
            return None
        at = said.checkpoint_trial_id
        if said.spawn_new_trial_id:
            at = len(self.known)
            self.known.append(self.trial(trial_id=at, config=said.config, creation_time=datetime.datetime.now()))
            self.scheduler.on_trial_add(self.known[at])
        config = self.known[at].config
        return Turn(at, {name: config[name] for name in self.names}, self.done.get(at, 0))

    def report(self, trial: Any, step: int, loss: float) -> str:
        """Its decision; the last report is given by `complete`."""
        self.done[trial] = step
        if step == self.steps:
            return "continue"
        said = self.scheduler.on_trial_result(self.known[trial], {"loss": loss, "step": step})
        if said == "STOP":
            self.scheduler.on_trial_remove(self.known[trial])
        return {"CONTINUE": "continue", "STOP": "stop", "PAUSE": "pause"}[said]

    def complete(self, trial: Any, loss: float) -> None:
        """Its last report."""
        self.scheduler.on_trial_complete(self.known[trial], {"loss": loss, "step": self.steps})


TPE = "optuna-tpe"
NAMED = {
    TPE: "Optuna's TPE, unpruned",
    "optuna-tpe+sha": "Optuna's SuccessiveHalving",
    "optuna-tpe+hyperband": "Optuna's Hyperband",
    "optuna-tpe+median": "Optuna's Median",
    "syne-asha-stopping": "Syne Tune's ASHA, stopping",
    "syne-asha-promotion": "Syne Tune's ASHA, promotion",
    "one-epoch": "one epoch, then the best",
    "random": "random draws, unpruned",
}
#: Those that take milliseconds: never stored.
QUICK = ["one-epoch", "random"]
ASHA = ["syne-asha-stopping", "syne-asha-promotion"]


def peer(method: str, problem: CurveSet, seed: int) -> Any:
    """A peer by name; fails where its package isn't installed."""
    if method == "random":
        return Random(problem, seed)
    if method == "one-epoch":
        return OneEpoch(problem, seed)
    if method.startswith("syne-asha-"):
        return SyneTune(problem, seed, method.rpartition("-")[2])
    return Optuna(problem, seed, method.partition("+")[2])
