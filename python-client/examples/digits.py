"""Trains a small neural network on scikit-learn's handwritten digits: a whole training script, as people write them.

Alone:          python digits.py --lr 0.01 --epochs 20
With metaopt:   metaopt digits.py --lr~'loguniform(1e-4, 0.3)' --alpha~'loguniform(1e-6, 1)' --hidden~'randint(8, 64)'

It needs scikit-learn; metaopt's part of it is marked.
"""

from __future__ import annotations

import argparse
import os
import pickle
import warnings
from pathlib import Path
from typing import Any, Optional, Tuple

# Before NumPy is imported: trials run side by side, one core each.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import metaopt

CLASSES = np.arange(10)
BATCH = 32
CHECKPOINT = "digits.pickle"


def load() -> Tuple[Any, Any, Any, Any]:
    """The same training and validation digits for every trial, so that their losses can be compared."""
    images, labels = load_digits(return_X_y=True)
    train_x, valid_x, train_y, valid_y = train_test_split(
        images, labels, test_size=0.3, random_state=0, stratify=labels
    )
    scaler = StandardScaler().fit(train_x)
    return scaler.transform(train_x), scaler.transform(valid_x), train_y, valid_y


def build(lr: float, alpha: float, hidden: int, seed: int) -> MLPClassifier:
    """A network with one hidden layer, trained by stochastic gradient descent with momentum."""
    return MLPClassifier(
        hidden_layer_sizes=(hidden,),
        solver="sgd",
        learning_rate_init=lr,
        alpha=alpha,
        batch_size=BATCH,
        random_state=seed,
    )


def train_epoch(model: MLPClassifier, x: Any, y: Any, order: Any) -> None:
    """One pass over the training digits, in an order of its own."""
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        model.partial_fit(x[rows], y[rows], classes=CLASSES)


def validate(model: MLPClassifier, x: Any, y: Any) -> Tuple[float, float]:
    """Log loss and accuracy on digits that it has not seen."""
    probabilities = model.predict_proba(x)
    if not np.isfinite(probabilities).all():
        return float("nan"), float(np.mean(y == 0))
    accuracy = float(np.mean(probabilities.argmax(axis=1) == y))
    return float(log_loss(y, probabilities, labels=CLASSES)), accuracy


def save(directory: Path, epoch: int, model: MLPClassifier) -> None:
    """Writes a new file and renames it: a checkpoint is never half a checkpoint."""
    temporary = directory / (CHECKPOINT + ".tmp")
    temporary.write_bytes(pickle.dumps({"epoch": epoch, "model": model}))
    temporary.replace(directory / CHECKPOINT)


def restore(directory: Path) -> Optional[Tuple[int, MLPClassifier]]:
    """What `save` wrote, if there is something."""
    try:
        saved = pickle.loads((directory / CHECKPOINT).read_bytes())
    except FileNotFoundError:
        return None
    return saved["epoch"], saved["model"]


def main() -> None:
    """Trains, reports every epoch, and leaves when told to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    # metaopt: a plain add_argument would do; this also declares what may vary, so that `metaopt digits.py` needs no more.
    metaopt.add_hyperparameter(parser, "--lr", "loguniform(1e-4, 0.3)", default=0.01, help="learning rate")
    metaopt.add_hyperparameter(parser, "--alpha", "loguniform(1e-6, 1)", default=1e-4, help="L2 penalty")
    metaopt.add_hyperparameter(parser, "--hidden", "randint(8, 64)", default=32, help="units in the hidden layer")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training digits")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and of the order of the digits")
    args = parser.parse_args()
    # Networks that diverge overflow: that is a result, and the loss says so.
    warnings.filterwarnings("ignore", category=RuntimeWarning)

    train_x, valid_x, train_y, valid_y = load()
    trial = metaopt.current_trial()  # metaopt: outside of it a stand-in
    done, model = 0, build(args.lr, args.alpha, args.hidden, args.seed)
    if trial.resume_step > 0:  # metaopt: frozen or interrupted before
        restored = restore(trial.checkpoint_dir)
        if restored is not None:
            done, model = restored
            print(f"resuming after epoch {done}")

    loss, accuracy = validate(model, valid_x, valid_y) if done else (float("nan"), 0.0)
    for epoch in range(done + 1, args.epochs + 1):
        # Seeded by the epoch: a resumed trial sees the digits in the order that it would have seen.
        order = np.random.default_rng([args.seed, epoch]).permutation(len(train_y))
        try:
            train_epoch(model, train_x, train_y, order)
        except ValueError as error:
            # scikit-learn refuses to go on with weights that aren't finite.
            raise SystemExit(f"diverged in epoch {epoch}: {error}") from None
        loss, accuracy = validate(model, valid_x, valid_y)
        print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}", flush=True)
        save(trial.checkpoint_dir, epoch, model)
        trial.checkpoint(step=epoch)  # metaopt
        trial.report(loss=loss, accuracy=accuracy, step=epoch)  # metaopt
        if trial.should_stop():  # metaopt
            print("stopping early")
            return
    trial.complete(loss=loss, accuracy=accuracy)  # metaopt


if __name__ == "__main__":
    main()
