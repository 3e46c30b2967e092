"""metaopt: tune training scripts and Python functions with the metaopt daemon of this machine.

In a script: `current_trial()` and, with argparse, `add_hyperparameter`. In Python: `create_study`, `study.optimize`,
`study.ask` and `study.tell`. The manual is docs/python.md.
"""

from __future__ import annotations

from ._arguments import add_hyperparameter
from ._connection import Connection
from ._discovery import connect
from ._frozen import FrozenTrial
from .errors import (
    AuthenticationError,
    Conflict,
    DaemonUnavailable,
    FieldError,
    MetaoptError,
    NoBestTrial,
    NoMoreTrials,
    NotFound,
    StudyExists,
    StudyNotFound,
    TrialNotFound,
    TrialPruned,
    ValidationError,
)
from .space import Bool, Categorical, Fidelity, Float, Int, Normal, Ordinal, Parameter
from .study import Study, create_study, load_study
from .trial import AskedTrial, Trial, current_trial

__version__ = "0.1.0"

__all__ = [
    "AskedTrial",
    "AuthenticationError",
    "Bool",
    "Categorical",
    "Conflict",
    "Connection",
    "DaemonUnavailable",
    "Fidelity",
    "FieldError",
    "Float",
    "FrozenTrial",
    "Int",
    "MetaoptError",
    "NoBestTrial",
    "NoMoreTrials",
    "Normal",
    "NotFound",
    "Ordinal",
    "Parameter",
    "Study",
    "StudyExists",
    "StudyNotFound",
    "Trial",
    "TrialNotFound",
    "TrialPruned",
    "ValidationError",
    "__version__",
    "add_hyperparameter",
    "connect",
    "create_study",
    "current_trial",
    "load_study",
]
