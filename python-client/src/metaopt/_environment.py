"""What the environment says about the trial this process runs for. The only reader of the trial's METAOPT_* variables."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional

from .errors import ValidationError


@dataclass(frozen=True)
class Environment:
    """A trial's process as its supervisor set it up."""

    trial_id: str
    study: str
    attempt: int
    params: Dict[str, Any]
    resume_step: int
    url: Optional[str]
    token: Optional[str]
    checkpoint_dir: Optional[Path]
    output_dir: Optional[Path]
    results_path: Optional[Path]


def environment() -> Optional[Environment]:
    """The trial of this process; `None` outside a trial."""
    trial_id = os.environ.get("METAOPT_TRIAL_ID")
    if not trial_id:
        return None
    return Environment(
        trial_id=trial_id,
        study=os.environ.get("METAOPT_STUDY", ""),
        attempt=_count("METAOPT_ATTEMPT", 1),
        params=given_params(),
        resume_step=_count("METAOPT_RESUME_STEP", 0),
        url=os.environ.get("METAOPT_URL") or None,
        token=os.environ.get("METAOPT_TOKEN") or None,
        checkpoint_dir=_path("METAOPT_CHECKPOINT_DIR"),
        output_dir=_path("METAOPT_OUTPUT_DIR"),
        results_path=_path("METAOPT_RESULTS_PATH"),
    )


def given_params() -> Dict[str, Any]:
    """METAOPT_PARAMS; empty where it isn't set. It may also be set by hand, to run a script with chosen values."""
    text = os.environ.get("METAOPT_PARAMS")
    if not text:
        return {}
    try:
        params = json.loads(text)
    except ValueError as error:
        raise ValidationError(f"METAOPT_PARAMS is not JSON: {error}") from error
    if not isinstance(params, dict):
        raise ValidationError('METAOPT_PARAMS must be a JSON object, such as {"lr": 0.1}')
    return params


def _count(name: str, otherwise: int) -> int:
    text = os.environ.get(name)
    if not text:
        return otherwise
    try:
        return int(text)
    except ValueError:
        raise ValidationError(f"{name} is {text!r}: it must be a whole number") from None


def _path(name: str) -> Optional[Path]:
    text = os.environ.get(name)
    return Path(text) if text else None
