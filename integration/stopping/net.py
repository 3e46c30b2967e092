"""Small networks in numpy, many of one shape trained at once: what curve sets and the example `digits.py` train.

Plain backpropagation: ReLU layers, softmax with cross-entropy or a squared error, momentum or Adam, inverted dropout, weight
decay. Every quantity that a configuration chooses is an array over the networks, so that one pass trains all of them.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

Array = Any
#: A loss above this counts as diverged: weights stay as they are from then on.
DIVERGED = 1e6


def pace(schedule: str, at: float) -> float:
    """The share of its learning rate that a schedule gives at a share of the training in [0, 1)."""
    if schedule == "step":
        return 1.0 if at < 0.5 else 0.2 if at < 0.8 else 0.04
    if schedule == "warmup":
        return min(1.0, 0.02 + at / 0.4)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * at))
    if schedule == "onecycle":
        return 0.04 + 0.96 * at / 0.4 if at < 0.4 else 0.5 * (1 + math.cos(math.pi * (at - 0.4) / 0.6))
    return 1.0


class Nets:
    """Networks of one shape; `count` of them."""

    def __init__(self, sizes: Sequence[int], seeds: Sequence[int], classes: bool, adam: bool = False) -> None:
        """He's initialisation, a generator for each network; with `classes` the last layer's values are logits."""
        rngs = [np.random.default_rng(seed) for seed in seeds]
        self.classes, self.adam, self.taken = classes, adam, 0
        self.weights: List[Array] = []
        for one, two in zip(sizes, sizes[1:]):
            self.weights.append(np.stack([rng.standard_normal((one, two)) * math.sqrt(2 / one) for rng in rngs]))
            self.weights.append(np.zeros((len(seeds), 1, two)))
        self.moves = [np.zeros_like(weight) for weight in self.weights]
        self.squares = [np.zeros_like(weight) for weight in self.weights] if adam else []
        self.whole = np.ones(len(seeds), bool)

    def state(self) -> Dict[str, Array]:
        """All that a checkpoint needs."""
        arrays = {f"weight{i}": weight for i, weight in enumerate(self.weights)}
        arrays.update({f"move{i}": move for i, move in enumerate(self.moves)})
        arrays.update({f"square{i}": square for i, square in enumerate(self.squares)})
        return {**arrays, "taken": np.array(self.taken)}

    def restore(self, state: Any) -> None:
        """Goes on from such a state."""
        self.weights = [state[f"weight{i}"] for i in range(len(self.weights))]
        self.moves = [state[f"move{i}"] for i in range(len(self.moves))]
        self.squares = [state[f"square{i}"] for i in range(len(self.squares))]
        self.taken = int(state["taken"])

    def forward(self, x: Array, kept: Optional[Array] = None, rng: Any = None) -> List[Array]:
        """Each layer's values, the input first; `kept` is the share of hidden units that dropout leaves, by network."""
        layers = [x]
        last = len(self.weights) - 2
        for i in range(0, len(self.weights), 2):
            x = x @ self.weights[i] + self.weights[i + 1]
            if i < last:
                x = np.maximum(x, 0)
                if kept is not None:
                    x = x * (rng.random(x.shape, dtype=np.float32) < kept) / kept
            layers.append(x)
        return layers

    def step(
        self, x: Array, y: Array, rate: Array, momentum: Array, decay: Array, kept: Any = None, rng: Any = None
    ) -> None:
        """One step of each network on its batch: `x` is (networks, batch, features), `y` one-hot or targets."""
        layers = self.forward(x, kept, rng)
        out = layers[-1]
        if self.classes:
            out = np.exp(out - out.max(-1, keepdims=True))
            out /= out.sum(-1, keepdims=True)
        delta = (out - y) / x.shape[1]
        self.taken += 1
        grads: List[Array] = [None] * len(self.weights)
        for i in range(len(self.weights) - 2, -1, -2):
            grads[i] = layers[i // 2].swapaxes(-1, -2) @ delta + decay * self.weights[i]
            grads[i + 1] = delta.sum(1, keepdims=True)
            if i:
                delta = (delta @ self.weights[i].swapaxes(-1, -2)) * (layers[i // 2] > 0)
                if kept is not None:
                    delta = delta / kept
        for i, grad in enumerate(grads):
            if self.adam:
                self.moves[i] = momentum * self.moves[i] + (1 - momentum) * grad
                self.squares[i] = 0.99 * self.squares[i] + 0.01 * grad * grad
                scale = np.sqrt(self.squares[i] / (1 - 0.99**self.taken)) + 1e-8
                move = self.moves[i] / (1 - momentum**self.taken) / scale
            else:
                self.moves[i] = momentum * self.moves[i] + grad
                move = self.moves[i]
            self.weights[i] = self.weights[i] - rate * move

    def losses(self, x: Array, y: Array) -> Array:
        """Each network's loss on a set that all share; what isn't finite, or was once, is `DIVERGED`."""
        out = self.forward(x[None])[-1]
        if self.classes:
            out = out - out.max(-1, keepdims=True)
            out = (np.log(np.exp(out).sum(-1)) - (out * y).sum(-1)).mean(1)
        else:
            out = ((out - y) ** 2).mean((1, 2))
        self.whole &= np.isfinite(out) & (out < DIVERGED)
        return np.where(self.whole, out, DIVERGED)

    def wrong(self, x: Array, labels: Array) -> Array:
        """The share of labels that each network gets wrong."""
        return (self.forward(x[None])[-1].argmax(-1) != labels).mean(1)
