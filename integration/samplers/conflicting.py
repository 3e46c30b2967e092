"""Problems of this bench's own with several objectives or with constraints, whose ideal is known."""

from __future__ import annotations

import math
import random
from typing import Callable, List, NamedTuple, Sequence, Tuple

from samplers.space import Param, Params, choice, number, whole

#: A trial's objectives, and its constraints (0 or below where one holds).
Told = Tuple[List[float], List[float]]


class Conflict(NamedTuple):
    """Several objectives to minimise, or one under constraints."""

    name: str
    params: List[Param]
    tell: Callable[[Params], Told]
    objectives: int
    #: Where the dominated volume is measured from; with one objective the worst value that counts.
    corner: List[float]
    #: The volume of the ideal front; with one objective the least feasible value.
    ideal: float

    def loss(self, told: Sequence[Told]) -> float:
        """0 for the ideal, 1 for nothing found."""
        feasible = [values for values, constraints in told if all(value <= 0 for value in constraints)]
        if self.objectives == 1:
            best = min((values[0] for values in feasible), default=self.corner[0])
            return min(max((best - self.ideal) / (self.corner[0] - self.ideal), 0.0), 1.0)
        return 1 - volume(feasible, self.corner) / self.ideal


def volume(points: Sequence[Sequence[float]], corner: Sequence[float]) -> float:
    """What these points dominate below the corner, by slices along the last objective."""
    inside = [list(point) for point in points if all(a < b for a, b in zip(point, corner))]
    if not inside:
        return 0.0
    if len(corner) == 1:
        return corner[0] - min(point[0] for point in inside)
    inside.sort(key=lambda point: point[-1])
    total = 0.0
    for i, point in enumerate(inside):
        upto = inside[i + 1][-1] if i + 1 < len(inside) else corner[-1]
        if upto > point[-1]:
            total += (upto - point[-1]) * volume([before[:-1] for before in inside[: i + 1]], corner[:-1])
    return total


def bent(dims: int) -> Conflict:
    """A bent front along the first number; the others only cost (the shape of ZDT1: Zitzler et al. 2000)."""
    params = [number(f"x{i}", 0, 1) for i in range(dims)]

    def tell(given: Params) -> Told:
        first = given["x0"]
        rest = 1 + 9 * sum(given[f"x{i}"] for i in range(1, dims)) / (dims - 1)
        return [first, rest * (1 - math.sqrt(first / rest))], []

    # Below (1.1, 6): 1.1 times 6, less what the curve 1 - sqrt(x) leaves of it.
    return Conflict(f"bent_{dims}", params, tell, 2, [1.1, 6.0], 6.6 - 1 / 3)


def between() -> Conflict:
    """Two places to be near to, numbers and choices mixed; another choice is as far as half the way."""
    params: List[Param] = [*(number(f"x{i}", -2, 3) for i in range(3)), choice("c", list("pqrs")), whole("n", 0, 10)]

    def tell(given: Params) -> Told:
        other = {"p": 0.0, "q": 0.3, "r": 0.6, "s": 1.0}[given["c"]] + (given["n"] / 10 - 0.4) ** 2
        near = sum(given[f"x{i}"] ** 2 for i in range(3))
        far = sum((given[f"x{i}"] - 1) ** 2 for i in range(3))
        return [near + other, far + other], []

    # The front is (3 t², 3 (1 - t)²), under which lies an area of 3 · 3 / 6.
    return Conflict("between", params, tell, 2, [4.0, 4.0], 16.0 - 3 * 3 / 6)


def ball() -> Conflict:
    """Three objectives on an eighth of a sphere (the shape of DTLZ2: Deb et al. 2002)."""
    params = [number(f"x{i}", 0, 1) for i in range(6)]

    def tell(given: Params) -> Told:
        a, b = (given[f"x{i}"] * math.pi / 2 for i in (0, 1))
        out = 1 + sum((given[f"x{i}"] - 0.5) ** 2 for i in range(2, 6))
        return [out * math.cos(a) * math.cos(b), out * math.cos(a) * math.sin(b), out * math.sin(a)], []

    return Conflict("ball", params, tell, 3, [1.5] * 3, 1.5**3 - math.pi / 6)


def disc() -> Conflict:
    """The lowest point of a slope inside a ball; four numbers."""
    params = [number(f"x{i}", -2, 2) for i in range(4)]

    def tell(given: Params) -> Told:
        values = [given[f"x{i}"] for i in range(4)]
        return [sum(values)], [sum(x * x for x in values) - 1]

    return Conflict("disc", params, tell, 1, [2.0], -2.0)


def ring() -> Conflict:
    """The lowest point of a slope on a narrow ring: two constraints, a twentieth of the space."""
    params = [number("x", -2, 2), number("y", -2, 2)]

    def tell(given: Params) -> Told:
        far = math.hypot(given["x"], given["y"])
        return [given["x"] + given["y"]], [far - 1.1, 0.95 - far]

    return Conflict("ring", params, tell, 1, [1.1 * math.sqrt(2)], -1.1 * math.sqrt(2))


def memory() -> Conflict:
    """The fastest training that fits into memory: whole numbers and a choice."""
    params: List[Param] = [whole("batch", 1, 256, True), whole("width", 16, 1024, True), choice("bits", [8, 16, 32])]

    def tell(given: Params) -> Told:
        size = given["width"] * given["bits"] * (given["batch"] + 40) / 1e5
        speed = math.log2(given["batch"]) + 1.5 * math.log2(given["width"]) + math.log2(given["bits"]) / 2
        return [-speed], [size - 12]

    best = min(
        tell({"batch": batch, "width": width, "bits": bits})[0][0]
        for bits in (8, 16, 32)
        for batch in range(1, 257)
        # The widest that fits.
        for width in [min(1024, int(12e5 / (bits * (batch + 40))))]
        if width >= 16
    )
    return Conflict("memory", params, tell, 1, [best + 12], best)


def conflicts() -> List[Conflict]:
    """All of them."""
    return [bent(6), bent(12), between(), ball(), disc(), ring(), memory()]


def uniform(conflict: Conflict, seed: int) -> random.Random:
    """What the control draws from."""
    return random.Random(f"{conflict.name} {seed}")
