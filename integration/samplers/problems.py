"""Problems of this bench's own, whose optimum is known: conditions, choices, whole numbers, and shapes that mislead.

Each is a family: an instance's number moves its optimum, so that nobody tunes to a single one. All in plain Python.
"""

from __future__ import annotations

import itertools
import math
import random
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

from samplers.space import Param, Params, build, choice, draw, number, place, value, whole

Loss = Callable[[Params], float]


class Noise(random.Random):
    """The generator that a run hands its problem."""

    def standard_normal(self) -> float:
        """One draw."""
        return self.gauss(0.0, 1.0)


class Problem:
    """A space and a loss. Losses told may be noisy; regret goes by the true ones."""

    def __init__(
        self, name: str, group: str, params: Sequence[Param], loss: Loss, best: float, noise: float = 0.0
    ) -> None:
        """`best` is the least loss, `noise` its standard deviation as a share of what a random configuration loses."""
        self.name, self.group, self.params, self.loss = name, group, list(params), loss
        rng = random.Random(f"{name}: a random configuration")
        #: The least loss and that of a random configuration (the median of 400).
        self.refs = (best, sorted(loss(draw(self.params, rng)) for _ in range(400))[200])
        self.noise = noise * (self.refs[1] - best)

    def rng(self, seed: int) -> Any:
        """What noise and durations of one run are drawn from."""
        return Noise(f"{self.name} {seed}")

    def evaluate(self, params: Params, rng: Any) -> Tuple[float, float]:
        """The loss as told, and the true one."""
        true = self.loss(params)
        return (true + self.noise * rng.standard_normal() if self.noise else true), true

    def duration(self, _params: Params, rng: Any) -> float:
        """How long a trial runs, in any unit."""
        return math.exp(0.6 * rng.standard_normal())


def targets(params: Sequence[Param], rng: random.Random) -> Params:
    """A reachable optimum: a value of each parameter, whatever is active, numbers not too near their ends."""
    return {param["name"]: value(param, rng.uniform(0.1, 0.9)) for param in params}


def misses(params: Sequence[Param], given: Params, best: Params) -> Dict[str, float]:
    """How far each active parameter is from its best value, on its own scale; 1 for another choice."""
    out = {}
    for param in params:
        name = param["name"]
        if name in given:
            equal = given[name] == best[name]
            other = 0.0 if equal else 1.0
            out[name] = other if param["type"] == "cat" else place(param, given[name]) - place(param, best[name])
    return out


def learners(instance: int) -> Problem:
    """Which learner, and its own settings: those with the least loss need the most tuning, so first looks mislead."""
    rng = random.Random(f"learners {instance}")
    names = ["linear", "kernel", "forest", "boosting", "net"]
    floors = dict(zip(rng.sample(names, 5), (0.10, 0.13, 0.18, 0.24, 0.30)))
    params = [choice("learner", names)]
    for name in names:
        mine: Any = ("learner", [name])
        params += [number(f"{name}.rate", 1e-6, 10, True, mine), whole(f"{name}.size", 1, 512, True, mine)]
        params += [choice(f"{name}.kind", ["a", "b", "c"], mine), number(f"{name}.share", 0, 1, False, mine)]
    best = targets(params[1:], rng)

    def loss(given: Params) -> float:
        name = given["learner"]
        far = misses(params[1:], given, best)
        steep = 0.1 / floors[name]
        a, b, c, d = (far[f"{name}.{part}"] for part in ("rate", "size", "kind", "share"))
        return floors[name] + steep * (6 * a * a + 2 * (b + 0.5 * a) ** 2 + 0.3 * c + d * d)

    return Problem(f"learners_{instance}", "own-conditional", params, loss, 0.10)


def pipeline(instance: int) -> Problem:
    """Conditions below conditions: a step before the model, the model, its kind, its layers."""
    rng = random.Random(f"pipeline {instance}")
    params = [
        choice("before", ["none", "project", "select"]),
        number("project.share", 0.05, 1, False, ("before", ["project"])),
        whole("select.count", 1, 60, True, ("before", ["select"])),
        choice("model", ["kernel", "net"]),
        choice("kernel.kind", ["radial", "polynomial", "linear"], ("model", ["kernel"])),
        number("kernel.cost", 1e-3, 1e3, True, ("model", ["kernel"])),
        number("radial.width", 1e-5, 10, True, ("kernel.kind", ["radial"])),
        whole("polynomial.degree", 2, 6, False, ("kernel.kind", ["polynomial"])),
        whole("net.layers", 1, 3, False, ("model", ["net"])),
        number("net.rate", 1e-5, 1, True, ("model", ["net"])),
        *(whole(f"net.width{i}", 4, 512, True, ("net.layers", list(range(i, 4)))) for i in (1, 2, 3)),
    ]
    best = targets(params, rng)
    before = dict(zip(rng.sample(["none", "project", "select"], 3), (0.0, 0.1, 0.25)))
    floor = {**dict(zip(rng.sample(["radial", "polynomial", "linear"], 3), (0.2, 0.3, 0.45)))}
    depth = dict(zip(rng.sample([1, 2, 3], 3), (0.15, 0.22, 0.35)))

    def loss(given: Params) -> float:
        far = misses(params, given, best)
        numbers = ["project.share", "select.count", "kernel.cost", "radial.width", "polynomial.degree", "net.rate"]
        near = sum(far.get(name, 0.0) ** 2 for name in [*numbers, "net.width1", "net.width2", "net.width3"])
        base = floor[given["kernel.kind"]] if given["model"] == "kernel" else depth[given["net.layers"]]
        return base + before[given["before"]] + 1.5 * near

    return Problem(f"pipeline_{instance}", "own-conditional", params, loss, 0.15)


def training(instance: int) -> Problem:
    """A net's training: the best rate depends on optimizer and batch, what decays on the rate."""
    rng = random.Random(f"training {instance}")
    params = [
        choice("optimizer", ["sgd", "momentum", "adam", "lion"]),
        number("rate", 1e-6, 1, True),
        number("decay", 1e-7, 1e-1, True),
        whole("batch", 8, 1024, True),
        whole("layers", 1, 12),
        whole("width", 16, 2048, True),
        choice("schedule", ["constant", "cosine", "linear"]),
        number("drop", 0, 0.7),
    ]
    best = targets(params, rng)
    shift = {name: rng.uniform(-0.25, 0.25) for name in params[0]["choices"]}
    costs = dict(zip(rng.sample(params[0]["choices"], 4), (0.0, 0.03, 0.1, 0.2)))
    least = next(name for name, cost in costs.items() if cost == 0.0)
    shift[least] = 0.0

    def loss(given: Params) -> float:
        far = misses(params, given, best)
        rate = far["rate"] - shift[given["optimizer"]] - 0.3 * far["batch"]
        bowl = 5 * rate**2 + (far["decay"] + 0.5 * rate) ** 2 + 0.3 * far["batch"] ** 2 + 0.5 * far["drop"] ** 2
        bowl += 0.6 * (far["layers"] + 0.7 * far["width"]) ** 2 + 0.2 * far["width"] ** 2
        return 1 - math.exp(-2 * (bowl + costs[given["optimizer"]] + 0.05 * far["schedule"]))

    return Problem(f"training_{instance}", "own-mixed", params, loss, 0.0)


def pairs(instance: int) -> Problem:
    """Ten choices of five; each matters only together with its neighbour."""
    rng = random.Random(f"pairs {instance}")
    params = [choice(f"c{i}", list("abcde")) for i in range(10)]
    tables = [{(a, b): rng.random() for a in "abcde" for b in "abcde"} for _ in range(5)]

    def loss(given: Params) -> float:
        return sum(table[given[f"c{2 * i}"], given[f"c{2 * i + 1}"]] for i, table in enumerate(tables))

    return Problem(f"pairs_{instance}", "own-choices", params, loss, sum(min(t.values()) for t in tables))


def shelf(instance: int) -> Problem:
    """A finite space of 480 configurations: a slope with a little of its own at each."""
    rng = random.Random(f"shelf {instance}")
    params = [whole("a", 0, 5), choice("b", list("pqrst")), whole("c", 1, 4), choice("d", [1, 2, 4, 8])]
    best = targets(params, rng)
    own: Dict[str, float] = {}
    for cell in cells(params):
        own[repr(cell)] = 0.15 * rng.random()

    def loss(given: Params) -> float:
        far = misses(params, given, best)
        return 2 * far["a"] ** 2 + far["b"] * 0.3 + abs(far["c"]) + far["d"] * 0.2 + own[repr(ordered(params, given))]

    return Problem(f"shelf_{instance}", "own-choices", params, loss, min(loss(cell) for cell in cells(params)))


def cells(params: Sequence[Param]) -> Iterator[Params]:
    """All configurations of a small finite space without conditions."""
    values = [p["choices"] if p["type"] == "cat" else range(p["low"], p["high"] + 1) for p in params]
    for cell in itertools.product(*values):
        yield {param["name"]: one for param, one in zip(params, cell)}


def ordered(params: Sequence[Param], given: Params) -> Params:
    """In the order of declaration."""
    return build(params, lambda param: given[param["name"]])


def numeric(
    name: str, instance: int, dims: int, shape: Callable[[List[float]], float], turned: bool = False, noise: float = 0.0
) -> Problem:
    """A function of how far each number is from its best, in units of a fifth of its range; least at nought."""
    rng = random.Random(f"{name} {instance}")
    params = [number(f"x{i}", -5, 5) for i in range(dims)]
    best = [rng.uniform(-3.5, 3.5) for _ in params]
    mirror = [rng.gauss(0, 1) for _ in params]
    length = sum(part * part for part in mirror)

    def loss(given: Params) -> float:
        far = [given[f"x{i}"] - at for i, at in enumerate(best)]
        if turned:
            along = 2 * sum(a * b for a, b in zip(far, mirror)) / length
            far = [a - along * b for a, b in zip(far, mirror)]
        return shape(far)

    return Problem(f"{name}_d{dims}_{instance}", "own-numeric", params, loss, 0.0, noise)


def ridge(z: List[float]) -> float:
    """A long valley, a thousand times as steep one way as another."""
    return sum(10 ** (3 * i / (len(z) - 1)) * x * x for i, x in enumerate(z))


def bend(z: List[float]) -> float:
    """A valley that bends."""
    return sum(20 * (b - a * a / 3) ** 2 + a * a for a, b in zip(z, z[1:]))


def hollows(z: List[float]) -> float:
    """Many hollows in a bowl."""
    return sum(x * x + 4 * (1 - math.cos(2.5 * x)) for x in z)


def few(z: List[float]) -> float:
    """Four numbers of many matter."""
    return z[0] ** 2 + abs(z[3]) + 3 * (z[5] - 0.5 * z[0]) ** 2 + 2 * z[7] ** 2


def plates(z: List[float]) -> float:
    """Flat plates with steps between them."""
    return sum(math.floor(2 * abs(x)) for x in z) + 0.0


def bowl(z: List[float]) -> float:
    """As simple as it gets."""
    return sum(x * x for x in z)


def grid_of_wholes(instance: int) -> Problem:
    """Eight whole numbers, each tied to the next."""
    rng = random.Random(f"wholes {instance}")
    params = [whole(f"n{i}", 0, 20) for i in range(8)]
    best = targets(params, rng)

    def loss(given: Params) -> float:
        far = [given[p["name"]] - best[p["name"]] for p in params]
        return float(sum((a + 0.5 * b) ** 2 for a, b in zip(far, [*far[1:], 0])))

    return Problem(f"wholes_{instance}", "own-mixed", params, loss, 0.0)


def corner(instance: int) -> Problem:
    """The best lies in a corner, at the ends of every range; one of them is logarithmic."""
    rng = random.Random(f"corner {instance}")
    params = [*(number(f"x{i}", 0, 1) for i in range(5)), number("l", 1e-6, 1, True)]
    ends = [rng.choice([0.0, 1.0]) for _ in params]

    def loss(given: Params) -> float:
        return sum(abs(place(p, given[p["name"]]) - end) ** (1 + i % 2) for i, (p, end) in enumerate(zip(params, ends)))

    return Problem(f"corner_{instance}", "own-numeric", params, loss, 0.0)


FAMILIES: List[Callable[[int], Problem]] = [
    learners,
    pipeline,
    training,
    pairs,
    shelf,
    grid_of_wholes,
    corner,
    lambda i: numeric("ridge", i, 8, ridge, turned=True),
    lambda i: numeric("bend", i, 4, bend, turned=True),
    lambda i: numeric("hollows", i, 5, hollows),
    lambda i: numeric("few", i, 20, few),
    lambda i: numeric("plates", i, 5, plates),
    lambda i: numeric("noisy", i, 5, bowl, noise=0.1),
]


def own(instances: Sequence[int] = (1,)) -> List[Callable[[], Problem]]:
    """The suite: each family's instances, made when they are needed."""
    return [partial(make, i) for i in instances for make in FAMILIES]
