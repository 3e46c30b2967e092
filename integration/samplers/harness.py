"""The harness of the peers (`hb`: COCO's functions, tables of trainings, adapters), which is no part of this repository.

Found by `--harness`, by METAOPT_BENCH_HARNESS, or as `shared/bench` beside the checkout. Without it the bench goes on with
problems of its own.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

from samplers.problems import Problem, own

#: COCO's functions beside the public suite, to tune on: (function, dimensions, instance).
BBOB = [
    *(
        (1, 20, 2),
        (2, 5, 2),
        (4, 5, 3),
        (5, 10, 2),
        (6, 5, 4),
        (7, 5, 2),
        (9, 3, 2),
        (11, 5, 3),
        (12, 5, 2),
        (13, 3, 3),
    ),
    *(
        (14, 10, 2),
        (16, 5, 2),
        (17, 20, 3),
        (18, 5, 3),
        (19, 5, 2),
        (20, 10, 3),
        (21, 2, 3),
        (22, 5, 4),
        (23, 3, 2),
        (24, 5, 3),
    ),
]
MIXED = [(1, 5, 2), (10, 5, 2), (15, 5, 3), (21, 5, 2), (6, 10, 2)]
NOISY = [(1, 5, 3, 1.0), (15, 5, 4, 5.0), (21, 5, 5, 1.0)]
TABLES = [("hpobench", "car"), ("hpolib", "protein_structure")]


class Harnessed:
    """A problem of the harness, as one of this bench's own looks."""

    def __init__(self, inner: Any) -> None:
        """Its optimum may be that of the best of some draws; runs that find better lower it."""
        self.inner, self.name, self.group = inner, str(inner.name), str(inner.group)
        self.params: List[Dict[str, Any]] = list(inner.space.params)
        self.evaluate: Callable[[Dict[str, Any], Any], Tuple[float, float]] = inner.evaluate
        self.duration: Callable[[Dict[str, Any], Any], float] = inner.duration

    @property
    def refs(self) -> Tuple[float, float]:
        """The least loss and that of a random configuration."""
        return (float(self.inner.refs[0]), float(self.inner.refs[1]))

    def rng(self, seed: int) -> Any:
        """The generator that the harness's own runner takes, so that runs can be compared."""
        import numpy

        return numpy.random.default_rng(10_000 + seed)


def harnessed(make: Callable[[], Any]) -> Harnessed:
    """A problem of the harness, made."""
    return Harnessed(make())


def noisy(make: Callable[[], Any]) -> Harnessed:
    """The same, with noise of a tenth of what a random configuration loses."""
    made = Harnessed(make())
    exact, deviation = made.evaluate, 0.1 * (made.refs[1] - made.refs[0])

    def evaluate(params: Dict[str, Any], rng: Any) -> Tuple[float, float]:
        true = exact(params, rng)[1]
        return true + deviation * float(rng.standard_normal()), true

    made.name, made.evaluate = f"{made.name}_noisy", evaluate
    return made


class Peer:
    """An optimizer of the harness, with the CPU of each ask."""

    def __init__(self, inner: Any) -> None:
        """Peers keep to this process's thread."""
        self.inner = inner

    def ask(self) -> Tuple[Any, Dict[str, Any], float]:
        """ID, configuration, milliseconds of CPU."""
        begin = time.process_time()
        trial, params = self.inner.ask()
        return trial, params, (time.process_time() - begin) * 1000

    def tell(self, trial: Any, loss: float) -> None:
        """What it cost."""
        self.inner.tell(trial, loss)


class Harness:
    """What is there of it."""

    def __init__(self, folder: Optional[Path]) -> None:
        """Imports it from `folder`, or from where it usually lies."""
        beside = Path(__file__).resolve().parents[2].parent / "shared" / "bench"
        given = folder or Path(os.environ.get("METAOPT_BENCH_HARNESS") or beside)
        self.folder: Optional[Path] = None
        self.lacks = ""
        if not (given / "hb" / "problems.py").is_file():
            self.lacks = "the harness is not here (--harness)"
            return
        sys.path.insert(0, str(given))
        try:
            self.problems = importlib.import_module("hb.problems")
            self.optimizers = importlib.import_module("hb.optimizers")
            self.space = importlib.import_module("hb.space")
            self.public = importlib.import_module("hb.suite_public")
            self.folder = given
        except ImportError as error:
            self.lacks = f"the harness cannot be imported: {error}"

    def suite(self, name: str) -> List[Callable[[], Any]]:
        """Makers of a suite's problems: `own`, `public` or `wide`; those of the harness are none where it isn't here."""
        if name == "own":
            return list(own())
        if self.folder is None:
            return []
        if name == "public":
            return [partial(harnessed, make) for make in self.public.suite()]
        p = self.problems
        made = [partial(p.bbob, *at) for at in BBOB] + [partial(p.bbob, *at, "bbob-mixint") for at in MIXED]
        made += [partial(p.bbob, *at[:3], noise=at[3]) for at in NOISY]
        wide: List[Callable[[], Any]] = [partial(harnessed, make) for make in made]
        return wide + [partial(noisy, partial(p.table, *at)) for at in TABLES]

    def made(self, suites: List[str]) -> Dict[str, Any]:
        """Problems by name; what a package or a file is missing for is left out."""
        found: Dict[str, Any] = {}
        for suite in suites:
            for make in self.suite(suite):
                try:
                    problem = make()
                except (ImportError, FileNotFoundError) as error:
                    self.lacks = f"some problems are left out: {error}"
                    continue
                found[problem.name] = problem
        return found

    def peer(self, method: str, problem: Any, seed: int) -> Peer:
        """A peer on a problem, of the harness or of our own; fails where its package is missing."""
        space = problem.inner.space if isinstance(problem, Harnessed) else self.space.Space(problem.params)
        return Peer(self.optimizers.REGISTRY[method](space, seed))

    def rest(self, sampler: str, problem: Problem, seed: int) -> Any:
        """The harness's client of metaopt's REST API, on the daemons that METAOPT_URLS and METAOPT_TOKENS name."""
        return self.optimizers.RestOptimizer(self.space.Space(problem.params), seed, sampler=sampler)
