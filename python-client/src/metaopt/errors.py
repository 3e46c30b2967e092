"""What can go wrong, as exceptions. Owns the words and types only: who maps answers to them is `_connection`."""

from __future__ import annotations

from typing import Optional, Sequence


class FieldError:
    """One wrong field of a request: `pointer` (RFC 6901, such as `/space/0/low`) and `detail`, what to do about it."""

    __slots__ = ("detail", "pointer")

    def __init__(self, pointer: str, detail: str) -> None:
        self.pointer = pointer
        self.detail = detail

    def __repr__(self) -> str:
        return f"FieldError({self.pointer!r}, {self.detail!r})"

    def __str__(self) -> str:
        return f"{self.pointer}: {self.detail}" if self.pointer else self.detail

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldError) and (self.pointer, self.detail) == (other.pointer, other.detail)

    def __hash__(self) -> int:
        return hash((self.pointer, self.detail))


class MetaoptError(Exception):
    """Base of all errors of this package.

    `detail` is the sentence for people, `errors` the wrong fields, `status` the HTTP status where the daemon answered.
    """

    def __init__(self, detail: str, errors: Sequence[FieldError] = (), status: Optional[int] = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.status = status

    def __str__(self) -> str:
        # The daemon's sentence often names the wrong fields already: each is said once.
        return "\n  ".join([self.detail, *(line for line in map(str, self.errors) if line not in self.detail)])


class ValidationError(MetaoptError, ValueError):
    """A value does not fit: wrong type, out of range, unknown field (400, 413, 422, or found before sending)."""


class AuthenticationError(MetaoptError, PermissionError):
    """The daemon refused the token, or this token may not do that (401, 403)."""


class NotFound(MetaoptError, LookupError):  # noqa: N818 - the noun says it
    """The daemon knows no such thing (404)."""


class StudyNotFound(NotFound):
    """No study has that name or ID."""


class TrialNotFound(NotFound):
    """No trial has that ID or label."""


class Conflict(MetaoptError):  # noqa: N818
    """The study or trial is in another state, or the name is taken (409, 410)."""


class StudyExists(Conflict):
    """The name is taken; with `load_if_exists=True`: by a study with another space."""


class NoMoreTrials(MetaoptError):  # noqa: N818
    """Nothing is left to ask for; `reason` is `exhausted` or `budget`, or the study's state where it has ended."""

    def __init__(self, detail: str, reason: str) -> None:
        super().__init__(detail)
        self.reason = reason


class NoBestTrial(MetaoptError, ValueError):  # noqa: N818
    """No trial is complete yet, or several objectives have no single best trial."""


class DaemonUnavailable(MetaoptError, ConnectionError):  # noqa: N818
    """No daemon answers, or it can't serve now (429, 502 to 504); `retry_after_s` is its own advice, if it gave any."""

    def __init__(self, detail: str, status: Optional[int] = None, retry_after_s: Optional[float] = None) -> None:
        super().__init__(detail, (), status)
        self.retry_after_s = retry_after_s


class TrialPruned(Exception):  # noqa: N818 - Optuna's name, on purpose
    """Raise it in an objective to end the trial as `pruned`; what was reported is kept."""
