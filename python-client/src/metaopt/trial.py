"""Trials as scripts and objectives hold them: inside a process that metaopt started, asked for, or outside (a stand-in).

Owns the interface and its checks. How a call reaches the daemon is `_outbox`'s; checkpoints' marker files are written here.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import math
import os
import shutil
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from . import _arguments
from . import space as _space
from ._connection import Connection, Endpoint
from ._environment import Environment, environment, given_params
from ._outbox import Outbox
from ._spool import Spool
from .errors import Conflict, DaemonUnavailable, MetaoptError, NotFound, ValidationError
from .space import Choice, Parameter

_log = logging.getLogger("metaopt")
CHECKPOINT_MARKER = ".metaopt-checkpoint.json"
# How long a script's result is retried before it is left to the spool and the supervisor.
_RESULT_PATIENCE_S = 2.0

Values = Union[float, Mapping[str, float]]
C = TypeVar("C", bound=Choice)


class Params(Dict[str, Any]):
    """A trial's active parameters by name; a missing one is explained."""

    def __init__(self, values: Mapping[str, Any], missing: str) -> None:
        super().__init__(values)
        self._missing = missing

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"{name!r}: {self._missing}")


class Trial:
    """One trial. Get it from `current_trial()`, `study.ask()` or as the argument of an objective."""

    def __init__(self, trial_id: str, params: Params, resume_step: int) -> None:
        self._id = trial_id
        self._params = params
        self._resume_step = resume_step
        self._last_step = resume_step
        self._lock = threading.RLock()
        self._last_values: Dict[str, float] = {}

    # --- what it is ---

    @property
    def id(self) -> str:
        """The trial's ID, opaque."""
        return self._id

    @property
    def number(self) -> int:
        """Its position in the study, from 0 up; -1 while the daemon can't be asked for it."""
        return 0

    @property
    def attempt(self) -> int:
        """Which attempt at the trial this is, from 1 up."""
        return 1

    @property
    def study_name(self) -> str:
        """The study's name; empty outside metaopt."""
        return ""

    @property
    def params(self) -> Params:
        """The active parameters by name."""
        return self._params

    @property
    def resume_step(self) -> int:
        """Steps that the committed checkpoint in `checkpoint_dir` already holds; 0: start from scratch."""
        return self._resume_step

    @property
    def last_step(self) -> int:
        """The last step reported."""
        return self._last_step

    @property
    def checkpoint_dir(self) -> Path:
        """Where to save what is needed to go on later."""
        raise NotImplementedError

    @property
    def output_dir(self) -> Path:
        """Where to put files that are kept with the trial."""
        raise NotImplementedError

    # --- what it tells ---

    def report(
        self,
        values: Optional[Values] = None,
        step: Optional[int] = None,
        **metrics: float,
    ) -> str:
        """Reports one point of the curve: `report(loss=0.4, step=3)` or `report({"loss": 0.4}, 3)`.

        Without `step` it is the last one plus one. Answers `continue`, `stop` or `pause`; see `should_stop`.
        """
        named = self._named(values, metrics, "report")
        with self._lock:
            at = self._last_step + 1 if step is None else _step(step)
            numbers = self._numbers(named)
            self._send_report(at, numbers)
            self._last_step = max(self._last_step, at)
            self._last_values.update({k: v for k, v in numbers.items() if v is not None})
        return self._action()

    def complete(self, values: Optional[Values] = None, **metrics: float) -> None:
        """Tells the final values: `complete(loss=0.39)`. Fine after a stop: what counts then is what was reported."""
        self._send_complete(self._numbers(self._named(values, metrics, "complete")))

    def should_stop(self) -> bool:
        """Whether to leave now: pruned, frozen or cancelled. False while the daemon is away."""
        return False

    def should_prune(self) -> bool:
        """Optuna's name for `should_stop`."""
        return self.should_stop()

    def checkpoint(self, step: Optional[int] = None) -> None:
        """Commits what lies in `checkpoint_dir`: a later attempt starts from it.

        `step` is the last step whose work it holds, by default the last one reported: give it where you save before you
        report. The files must be whole when this is called; overwrite them by renaming new ones over old ones.
        """
        at = self._last_step if step is None else _step(step, least=0)
        directory = self.checkpoint_dir
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        # In the same directory, because a rename is atomic only within one file system.
        descriptor, temporary = tempfile.mkstemp(prefix=CHECKPOINT_MARKER, suffix=".tmp", dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"step": at, "exact": step is not None, "time": stamp}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, directory / CHECKPOINT_MARKER)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def set_user_attr(self, name: str, value: Any) -> None:
        """Notes something beside the trial; `None` removes it. Best effort in a script whose daemon is away."""
        raise NotImplementedError

    # --- Optuna's ways to read parameters ---

    def suggest_float(
        self, name: str, low: float, high: float, *, step: Optional[float] = None, log: bool = False
    ) -> float:
        """The value of a parameter declared as `Float(name, low, high)`; raises where the declaration differs."""
        self._check_number("suggest_float", name, low, high, step, log)
        value = self._value(name, lambda: math.sqrt(low * high) if log else (low + high) / 2)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValidationError(f"suggest_float({name!r}): the trial's value is {value!r}, not a number")
        _within("suggest_float", name, value, low, high)
        return float(value)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The value of a parameter declared as `Int(name, low, high)`; raises where the declaration differs."""
        self._check_number("suggest_int", name, low, high, step, log)
        value = self._value(name, lambda: low + (high - low) // step // 2 * step)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
            raise ValidationError(f"suggest_int({name!r}): the trial's value is {value!r}, not a whole number")
        _within("suggest_int", name, value, low, high)
        return int(value)

    def suggest_categorical(self, name: str, choices: Sequence[C]) -> C:
        """The value of a parameter declared as `Categorical(name, choices)`; raises where the declaration differs."""
        self._check_choices(name, choices)
        value = self._value(name, lambda: choices[0])
        for choice in choices:
            if _space.same_value(choice, value):
                return choice
        raise ValidationError(
            f"suggest_categorical({name!r}): the trial's value is {value!r}, none of {list(choices)!r}"
        )

    # --- for the kinds of trials below ---

    def _send_report(self, step: int, values: Mapping[str, Optional[float]]) -> None:
        raise NotImplementedError

    def _send_complete(self, values: Mapping[str, Optional[float]]) -> None:
        raise NotImplementedError

    def _action(self) -> str:
        return "continue"

    def _single_metric(self, call: str) -> str:
        raise ValidationError(f"{call}: name the metric, as in {call}(loss=0.4)")

    def _check_number(self, call: str, name: str, low: float, high: float, step: Optional[float], log: bool) -> None:
        """Compares with the declared space, where it is known."""

    def _check_choices(self, name: str, choices: Sequence[Choice]) -> None:
        """Compares with the declared space, where it is known."""

    def _value(self, name: str, stand_in: Any) -> Any:
        if name not in self._params:
            raise ValidationError(f"{name!r} has no value in this trial: {self._params._missing}")
        return self._params[name]

    def _numbers(self, named: Mapping[str, Any]) -> Dict[str, Optional[float]]:
        """Plain floats; a process reports a loss that isn't finite as null, so that a diverged run can say so."""
        out: Dict[str, Optional[float]] = {}
        for metric, value in named.items():
            number = as_number(metric, value)
            out[metric] = number if math.isfinite(number) else None
        return out

    def _named(self, values: Optional[Values], metrics: Mapping[str, float], call: str) -> Dict[str, Any]:
        named: Dict[str, Any] = {}
        if isinstance(values, Mapping):
            named.update(values)
        elif values is not None:
            named[self._single_metric(call)] = values
        for metric, value in metrics.items():
            if metric in named:
                raise ValidationError(f"{call}: {metric!r} is given twice")
            named[metric] = value
        if not named:
            raise ValidationError(f"{call}: no values; write {call}(loss=0.4)")
        return named


def as_number(metric: str, value: Any) -> float:
    """A metric's value as a float: also NumPy's scalars and one-element tensors."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValidationError(f"{metric!r} is {value!r}: a metric's value must be a number") from None


def _step(step: Any, least: int = 1) -> int:
    try:
        whole = int(step)
    except (TypeError, ValueError, OverflowError):
        whole = -1
    if whole != step or whole < least or isinstance(step, bool):
        raise ValidationError(
            f"step is {step!r}: it must be a whole number from {least} up, the units of work completed"
        )
    return whole


def _within(call: str, name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValidationError(
            f"{call}({name!r}, {low}, {high}): the trial's value {value!r} is outside; mend the range"
        )


class ProcessTrial(Trial):
    """The trial this process was started for."""

    def __init__(self, here: Environment) -> None:
        missing = "this trial has no such parameter: it is not declared in the study's space, or not active here"
        super().__init__(here.trial_id, Params(here.params, missing), here.resume_step)
        self._here = here
        connection: Optional[Connection] = None
        if here.url and here.token:
            connection = Connection(Endpoint(here.url, here.token, prove=False))
        directory = here.results_path.parent if here.results_path else here.output_dir
        spool = Spool(directory / "spool.jsonl" if directory else None)
        self._outbox = Outbox(connection, here.trial_id, here.attempt, spool, lenient=True)
        self._number: Optional[int] = None
        self._attrs: Dict[str, Any] = {}
        self._scratch: Optional[Path] = None
        atexit.register(_leave, weakref.ref(self))

    @property
    def number(self) -> int:
        """Its position in the study, from 0 up; -1 while the daemon can't be asked for it."""
        if self._number is None:
            try:
                self._number = int(self._outbox.act("GET", "")["number"])
            except (MetaoptError, KeyError, TypeError, ValueError) as error:
                _log.warning("metaopt: the trial's number is not known now: %s", error)
                return -1
        return self._number

    @property
    def attempt(self) -> int:
        """Which attempt at the trial this is, from 1 up."""
        return self._here.attempt

    @property
    def study_name(self) -> str:
        """The study's name."""
        return self._here.study

    @property
    def checkpoint_dir(self) -> Path:
        """Survives freezing, retries and moves between machines; commit what lies there with `checkpoint()`."""
        return _made(self._here.checkpoint_dir or self._own_scratch())

    @property
    def output_dir(self) -> Path:
        """Kept with the trial; `metaopt pull` fetches it."""
        return _made(self._here.output_dir or Path("metaopt-output"))

    def should_stop(self) -> bool:
        """Whether to leave now: pruned, frozen or cancelled. False while the daemon is away."""
        if not self._outbox.stopping:
            self._outbox.flush()
        return self._outbox.stopping

    def set_user_attr(self, name: str, value: Any) -> None:
        """Notes something beside the trial; kept in memory and tried again while the daemon is away."""
        with self._lock:
            self._attrs[name] = value
            self._send_attrs()

    def _send_attrs(self) -> None:
        if self._attrs:
            try:
                self._outbox.act("PATCH", "", {"user_attrs": self._attrs})
                self._attrs = {}
            except ValidationError:
                self._attrs = {}
                raise
            except MetaoptError as error:
                _log.warning("metaopt: user attributes are kept for later: %s", error)

    def _own_scratch(self) -> Path:
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="metaopt-"))
        return self._scratch

    def _send_report(self, step: int, values: Mapping[str, Optional[float]]) -> None:
        self._outbox.report({"step": step, "values": dict(values), "attempt": self._here.attempt})
        if self._attrs and not self._outbox.waiting():
            self._send_attrs()

    def _send_complete(self, values: Mapping[str, Optional[float]]) -> None:
        if self._attrs:
            self._send_attrs()
        finite = {metric: value for metric, value in values.items() if value is not None}
        odd = [metric for metric, value in values.items() if value is None]
        # A run that diverged has failed, and says so; its script need not fail on top.
        failed = {"state": "fail", "detail": f"not finite: {', '.join(odd)}"}
        try:
            self._tell({"values": finite} if finite else failed)
        except ValidationError:
            if not odd or not finite:
                raise
            _log.warning("metaopt: no result, because %s is not finite", ", ".join(odd))
            self._tell(failed)

    def _tell(self, body: Dict[str, Any]) -> None:
        self._outbox.complete({**body, "attempt": self._here.attempt}, _RESULT_PATIENCE_S)

    def _action(self) -> str:
        return self._outbox.action


def _leave(reference: weakref.ReferenceType[ProcessTrial]) -> None:
    trial = reference()
    if trial is None:
        return
    trial._outbox.flush(at_once=True)
    if trial._attrs:
        with contextlib.suppress(MetaoptError):
            trial._send_attrs()
    if trial._outbox.waiting() and not trial._outbox.durable:
        _log.warning("metaopt: the daemon did not come back and no METAOPT_RESULTS_PATH is set: some reports are lost")
    if trial._scratch is not None:
        shutil.rmtree(trial._scratch, ignore_errors=True)


class StandInTrial(Trial):
    """Outside metaopt: default values, nothing is reported anywhere, nothing says stop."""

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        missing = (
            "this script does not run inside metaopt, and there is no default for it; give one with "
            "metaopt.current_trial(defaults={...}) or add_hyperparameter(..., default=...), or set METAOPT_PARAMS"
        )
        super().__init__("", Params({**defaults, **given_params()}, missing), 0)
        self._scratch: Optional[Path] = None

    @property
    def checkpoint_dir(self) -> Path:
        """A temporary directory, removed when the script ends."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="metaopt-"))
            atexit.register(shutil.rmtree, self._scratch, ignore_errors=True)
        return self._scratch

    @property
    def output_dir(self) -> Path:
        """`metaopt-output` in the current directory, made when asked for."""
        return _made(Path("metaopt-output"))

    def set_user_attr(self, name: str, value: Any) -> None:
        """Does nothing outside metaopt."""

    def _send_report(self, step: int, values: Mapping[str, Optional[float]]) -> None:
        pass

    def _send_complete(self, values: Mapping[str, Optional[float]]) -> None:
        pass

    def _single_metric(self, call: str) -> str:
        return "value"

    def _value(self, name: str, stand_in: Any) -> Any:
        # The middle of the range, or the first choice, where nobody gave a default.
        return self._params[name] if name in self._params else stand_in()


class AskedTrial(Trial):
    """A trial that a study of this process asked for and tells."""

    def __init__(
        self,
        outbox: Outbox,
        body: Mapping[str, Any],
        space: Mapping[str, Parameter],
        metrics: Sequence[str],
        patience_s: float,
    ) -> None:
        missing = "it is not declared in the study's space, or not active in this trial (its `when` does not hold)"
        # The daemon knows how far the trial got, not what this machine has of it.
        held = _held_step(_kept_checkpoint(str(body["id"])), int(body.get("resume_step") or 0))
        super().__init__(str(body["id"]), Params(body.get("params") or {}, missing), held)
        self._outbox = outbox
        self._body = dict(body)
        self._space = space
        self._metrics = list(metrics)
        self._patience_s = patience_s
        self._interrupted = False
        self.told = False

    @property
    def number(self) -> int:
        """Its position in the study, from 0 up."""
        return int(self._body.get("number", -1))

    @property
    def label(self) -> str:
        """The name people see, such as `gpu1-17`."""
        return str(self._body.get("label", self._id))

    @property
    def attempt(self) -> int:
        """Which attempt at the trial this is, from 1 up."""
        return int(self._body.get("attempt") or 1)

    @property
    def study_name(self) -> str:
        """The study's name."""
        return str(self._body.get("study", ""))

    @property
    def checkpoint_dir(self) -> Path:
        """A directory of this machine's cache, kept until the trial ends: a thaw by another machine starts from scratch."""
        return _made(_kept_checkpoint(self._id))

    @property
    def output_dir(self) -> Path:
        """`metaopt-output/LABEL` in the current directory, made when asked for."""
        return _made(Path("metaopt-output") / self.label.replace(os.sep, "_"))

    def should_stop(self) -> bool:
        """Whether to leave now: pruned, frozen, cancelled, or the optimisation is interrupted."""
        return self._interrupted or self._outbox.stopping

    def set_user_attr(self, name: str, value: Any) -> None:
        """Notes something beside the trial; `None` removes it."""
        self._outbox.act("PATCH", "", {"user_attrs": {name: value}})

    def tell(self, body: Dict[str, Any]) -> None:
        """Sends the end of the trial, waiting for an absent daemon; raises `DaemonUnavailable` if it stays away."""
        delivered = self._outbox.complete({**body, "attempt": self.attempt}, self._patience_s)
        self.told = True
        if not delivered:
            raise DaemonUnavailable(
                f"the daemon stayed away for {self._patience_s:g} s: the result of trial {self.label} could not be told"
            )
        self._forget_checkpoint()

    def renew(self) -> None:
        """Renews the lease; raises `Conflict` or `NotFound` where the attempt is over, which it then is here too."""
        try:
            answer = self._outbox.act("POST", "/heartbeat", {"attempt": self.attempt})
        except (Conflict, NotFound):
            self._outbox.over()
            raise
        self._outbox.noticed(answer)

    def withdraw(self) -> None:
        """Ends the trial as cancelled: it was interrupted, which says nothing about its parameters."""
        self._outbox.act("POST", "/cancel")
        self.told = True

    @property
    def stopped_by(self) -> str:
        """What the daemon answered last: `continue`, `stop` or `pause`."""
        return self._outbox.action

    def last_values(self) -> Dict[str, float]:
        """The latest reported value of each metric."""
        return dict(self._last_values)

    def interrupt(self) -> None:
        """From now on `should_stop()` is true."""
        self._interrupted = True

    def _forget_checkpoint(self) -> None:
        directory = _kept_checkpoint(self._id)
        if self._outbox.action != "pause" and directory.is_dir():
            shutil.rmtree(directory, ignore_errors=True)

    def _send_report(self, step: int, values: Mapping[str, Optional[float]]) -> None:
        self._outbox.report({"step": step, "values": dict(values), "attempt": self.attempt})

    def _send_complete(self, values: Mapping[str, Optional[float]]) -> None:
        self.tell({"values": dict(values)})

    def _action(self) -> str:
        return "stop" if self._interrupted and not self._outbox.stopping else self._outbox.action

    def _single_metric(self, call: str) -> str:
        if len(self._metrics) != 1:
            raise ValidationError(
                f"{call}: the study has several objectives ({', '.join(self._metrics)}): name the values"
            )
        return self._metrics[0]

    def _check_number(self, call: str, name: str, low: float, high: float, step: Optional[float], log: bool) -> None:
        _space.check_number(self._space.get(name), call, name, low, high, step, log)

    def _check_choices(self, name: str, choices: Sequence[Choice]) -> None:
        _space.check_choices(self._space.get(name), name, choices)

    def _numbers(self, named: Mapping[str, Any]) -> Dict[str, Optional[float]]:
        out: Dict[str, Optional[float]] = {}
        for metric, value in named.items():
            number = as_number(metric, value)
            if not math.isfinite(number):
                raise ValidationError(f"{metric!r} is {number}: only finite numbers can be told or reported")
            out[metric] = number
        return out


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and os.path.isabs(base) else Path.home() / ".cache") / "metaopt"


def _kept_checkpoint(trial_id: str) -> Path:
    return _cache_dir() / "checkpoints" / trial_id.replace(os.sep, "_")


def _held_step(directory: Path, last: int) -> int:
    """The step that a checkpoint holds of a trial that got to step `last`, as the daemon reckons it; 0: there is none."""
    try:
        marker = json.loads((directory / CHECKPOINT_MARKER).read_text(encoding="utf-8"))
        step, exact = int(marker["step"]), marker.get("exact") is True
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        with contextlib.suppress(OSError):
            return last if any(directory.iterdir()) else 0
        return 0
    return min(step, last) if exact or last > step + 1 else last


_current: Dict[Tuple[str, str], Trial] = {}
_current_lock = threading.Lock()


def current_trial(defaults: Optional[Mapping[str, Any]] = None) -> Trial:
    """The trial this process runs for; outside metaopt a stand-in, so that the script still runs.

    The stand-in's parameters are `defaults`, those of `add_hyperparameter`, and METAOPT_PARAMS (the last goes before).
    """
    here = environment()
    if here is None:
        return StandInTrial({**_arguments.declared_defaults, **(defaults or {})})
    key = (here.trial_id, str(here.attempt))
    with _current_lock:
        # One per process: all its callers share the step counter and the connection.
        if key not in _current:
            _current[key] = ProcessTrial(here)
        return _current[key]
