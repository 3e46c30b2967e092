"""Trials as answered by the daemon: plain records that change no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping, Optional


@dataclass(frozen=True)
class FrozenTrial:
    """A trial at the time it was asked for. `raw` is the REST API's whole answer."""

    id: str
    label: str
    number: int
    state: str
    params: Dict[str, Any]
    values: Dict[str, float]
    metrics: List[str] = field(repr=False)
    reason: Optional[str] = None
    detail: Optional[str] = None
    node: Optional[str] = None
    attempt: int = 0
    last_step: int = 0
    user_attrs: Dict[str, Any] = field(default_factory=dict)
    datetime_start: Optional[datetime] = None
    datetime_complete: Optional[datetime] = None
    raw: Dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def value(self) -> Optional[float]:
        """The value of the study's only objective; `None` where the trial has none."""
        if len(self.metrics) != 1:
            raise AttributeError(f"the study has several objectives ({', '.join(self.metrics)}): use `values`")
        return self.values.get(self.metrics[0])

    @property
    def duration(self) -> Optional[timedelta]:
        """From the start to the end, where both are known."""
        if self.datetime_start is None or self.datetime_complete is None:
            return None
        return self.datetime_complete - self.datetime_start


def frozen(body: Mapping[str, Any], metrics: List[str]) -> FrozenTrial:
    """A record of the daemon's JSON."""
    return FrozenTrial(
        id=str(body.get("id")),
        label=str(body.get("label", "")),
        number=int(body.get("number", -1)),
        state=str(body.get("state", "")),
        params=dict(body.get("params") or {}),
        values={k: v for k, v in (body.get("values") or {}).items() if v is not None},
        metrics=list(metrics),
        reason=body.get("reason"),
        detail=body.get("detail"),
        node=body.get("node"),
        attempt=int(body.get("attempt") or 0),
        last_step=int(body.get("last_step") or 0),
        user_attrs=dict(body.get("user_attrs") or {}),
        datetime_start=_time(body.get("started_at")),
        datetime_complete=_time(body.get("finished_at")),
        raw=dict(body),
    )


def _time(text: Any) -> Optional[datetime]:
    if not isinstance(text, str):
        return None
    # Before 3.11, fromisoformat knew neither the Z nor fractions other than three or six digits.
    head, dot, tail = text.replace("Z", "+00:00").replace("z", "+00:00").partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        head += "." + tail[:digits][:6].ljust(6, "0") + tail[digits:]
    try:
        return datetime.fromisoformat(head)
    except ValueError:
        return None
