"""Studies: creating, loading, asking and telling. The loop of `optimize` stands in `_optimize`."""

from __future__ import annotations

import json
import numbers
import os
import threading
import time
import uuid
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    Union,
)

from . import _discovery, _optimize
from . import space as _space
from ._connection import Connection, segment
from ._frozen import FrozenTrial, frozen
from ._heartbeat import Heartbeats
from ._outbox import Outbox
from ._spool import Spool
from .errors import (
    Conflict,
    DaemonUnavailable,
    NoBestTrial,
    NoMoreTrials,
    NotFound,
    StudyExists,
    StudyNotFound,
    TrialNotFound,
    ValidationError,
)
from .space import Parameter
from .trial import AskedTrial, Trial, as_number

if TYPE_CHECKING:
    import pandas

Told = Union[float, Sequence[float], Mapping[str, float]]
SpaceLike = Sequence[Union[Parameter, Mapping[str, Any]]]
Callback = Callable[["Study", FrozenTrial], None]

_API = "/api/v1"
# A lease of an ask without an optimisation loop: another process may tell, long after this one has gone.
_ASK_LEASE_S = 3600.0
_PAGE = 200
_ENDED = ("complete", "cancelled", "archived")


class Study:
    """A study of the daemon. Make one with `create_study` or `load_study`."""

    def __init__(self, connection: Connection, body: Mapping[str, Any]) -> None:
        self._connection = connection
        self._id = str(body["id"])
        self._path = f"{_API}/studies/{segment(self._id)}"
        self._heartbeats = Heartbeats()
        self._stop = threading.Event()
        #: Seconds that `ask`, `tell` and `optimize` wait for a daemon that went away before they raise.
        self.patience_s = 300.0
        self._take(body)

    def _take(self, body: Mapping[str, Any]) -> None:
        self._name = str(body.get("name", self._id))
        objectives = body.get("objectives") or []
        self._metrics = [str(o["metric"]) for o in objectives]
        self._directions = [str(o.get("direction", "minimize")) for o in objectives]
        self._space = {p["name"]: _space.from_json(p) for p in body.get("space") or []}

    def __repr__(self) -> str:
        return f"<metaopt.Study {self._name!r} {self._id}>"

    # --- what it is ---

    @property
    def id(self) -> str:
        """Its ID, opaque."""
        return self._id

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def space(self) -> List[Parameter]:
        """The declared parameters."""
        return list(self._space.values())

    @property
    def metric_names(self) -> List[str]:
        """The objectives' metrics, in order."""
        return list(self._metrics)

    @property
    def directions(self) -> List[str]:
        """`minimize` or `maximize`, one for each objective."""
        return list(self._directions)

    @property
    def direction(self) -> str:
        """The only objective's direction."""
        self._only_objective("direction", "directions")
        return self._directions[0]

    def info(self) -> Dict[str, Any]:
        """The study as the daemon answers it now: `state`, `counts`, `why_idle` and all else."""
        body: Dict[str, Any] = self._call("GET", "")
        self._take(body)
        return body

    # --- results ---

    @property
    def best_trial(self) -> FrozenTrial:
        """The best complete trial that breaks no constraint. Raises `NoBestTrial` where there is none."""
        self._only_objective("best_trial", "best_trials")
        try:
            body = self._call("GET", "/best")
        except StudyNotFound:
            # 404 may mean the study or its best trial.
            self._call("GET", "")
            body = None
        except Conflict as error:
            raise NoBestTrial(error.detail) from error
        if not body:
            raise NoBestTrial(f"study {self._name!r} has no complete trial yet")
        return frozen(body, self._metrics)

    @property
    def best_trials(self) -> List[FrozenTrial]:
        """The trials that no other beats in every objective (the Pareto front)."""
        body = self._call("GET", "/pareto")
        items = body.get("items", []) if isinstance(body, dict) else body or []
        return [frozen(item, self._metrics) for item in items]

    @property
    def best_params(self) -> Dict[str, Any]:
        """The best trial's parameters."""
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        """The best trial's value."""
        return self.best_trial.values[self._metrics[0]]

    @property
    def trials(self) -> List[FrozenTrial]:
        """All trials, by number."""
        return self.get_trials()

    def get_trials(self, states: Optional[Sequence[str]] = None) -> List[FrozenTrial]:
        """All trials by number, or those in one of `states`."""
        if isinstance(states, str):
            states = [states]
        found = [frozen(item, self._metrics) for item in self._pages()]
        return sorted((t for t in found if states is None or t.state in states), key=lambda t: t.number)

    def _pages(self) -> Iterator[Mapping[str, Any]]:
        query: Dict[str, Union[str, int, float]] = {"limit": _PAGE}
        while True:
            body = self._call("GET", "/trials", query=query)
            yield from body["items"]
            cursor = body.get("next_cursor")
            if not cursor:
                return
            query["cursor"] = cursor

    def trials_dataframe(self) -> pandas.DataFrame:
        """All trials as a pandas data frame, with Optuna's column names. Needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("trials_dataframe() needs pandas: pip install pandas") from error
        names = list(self._space)
        rows = []
        for trial in self.trials:
            row: Dict[str, Any] = {"number": trial.number}
            if len(self._metrics) == 1:
                row["value"] = trial.values.get(self._metrics[0])
            for metric in dict.fromkeys([*(self._metrics if len(self._metrics) > 1 else ()), *trial.values]):
                if len(self._metrics) != 1 or metric != self._metrics[0]:
                    row[f"values_{metric}"] = trial.values.get(metric)
            row.update(
                datetime_start=trial.datetime_start, datetime_complete=trial.datetime_complete, duration=trial.duration
            )
            row.update({f"params_{name}": trial.params.get(name) for name in dict.fromkeys([*names, *trial.params])})
            row.update({f"user_attrs_{name}": value for name, value in trial.user_attrs.items()})
            row["state"] = trial.state
            rows.append(row)
        return pandas.DataFrame(rows)

    # --- ask and tell ---

    def ask(self, lease_s: float = _ASK_LEASE_S) -> AskedTrial:
        """The next trial to evaluate; waits while the sampler or a pause says so.

        Its lease is renewed in the background as long as the returned object lives. Raises `NoMoreTrials` where the
        space or the budget is used up.
        """
        client_id = _client_id()
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                trial, reason, retry_after_s = self._suggest(client_id, lease_s)
            except DaemonUnavailable as error:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(min(error.retry_after_s or 1.0, 10.0))
                continue
            if trial is not None:
                return trial
            if reason not in ("wait", "paused"):
                raise NoMoreTrials(f"study {self._name!r} has no more trials: {reason}", reason)
            deadline = time.monotonic() + self.patience_s
            time.sleep(retry_after_s)

    def _suggest(self, client_id: str, lease_s: float) -> Tuple[Optional[AskedTrial], str, float]:
        """A trial, or why there is none and after how many seconds to ask again."""
        if not lease_s > 0:
            raise ValidationError(f"lease_s is {lease_s!r}: it must be a number of seconds above 0")
        try:
            body = self._call("POST", "/trials/suggest", {"count": 1, "client_id": client_id, "lease_s": lease_s})
        except Conflict:
            state = str(self._call("GET", "").get("state"))
            if state in _ENDED:
                return None, state, 0.0
            raise
        items = body.get("items") or []
        if items:
            trial = self._asked(items[0])
            self._heartbeats.hold(trial, lease_s)
            return trial, "", 0.0
        retry = body.get("retry_after_s")
        pause = float(retry) if isinstance(retry, (int, float)) and retry > 0 else 1.0
        return None, str(body.get("reason") or "wait"), min(pause, 60.0)

    def _asked(self, body: Mapping[str, Any]) -> AskedTrial:
        params = body.get("params") or {}
        if any(name not in self._space for name in params):
            # A parameter was added since this object was made.
            self.info()
        attempt = body.get("attempt")
        outbox = Outbox(
            self._connection, str(body["id"]), attempt if isinstance(attempt, int) else None, Spool(None), lenient=False
        )
        return AskedTrial(outbox, body, self._space, self._metrics, self.patience_s)

    def tell(
        self,
        trial: Union[Trial, FrozenTrial, str, int],
        values: Optional[Told] = None,
        state: Optional[str] = None,
        detail: Optional[str] = None,
    ) -> None:
        """Tells a trial's values (a number, one for each objective, or a dictionary), or its `state`.

        `state` is `complete` (the default), `fail`, `pruned` or `infeasible`; `trial` may also be an ID, a label or a
        number.
        """
        body = self._result(values, state, detail)
        held = trial if isinstance(trial, AskedTrial) else self._asked(self._trial_body(trial))
        held.tell(body)
        self._heartbeats.release(held)

    def _result(self, values: Optional[Told], state: Optional[str], detail: Optional[str]) -> Dict[str, Any]:
        if state not in (None, "complete", "fail", "pruned", "infeasible"):
            raise ValidationError(f"state is {state!r}: it must be complete, fail, pruned or infeasible")
        if state in (None, "complete"):
            if values is None:
                raise ValidationError("tell: give the values, as in study.tell(trial, 0.3), or state='fail'")
            return {"values": self._named(values)}
        if values is not None:
            raise ValidationError(f"tell: a trial told {state!r} has no values; report them before, with trial.report")
        return {"state": state, **({"detail": detail} if detail else {})}

    def _named(self, values: Told) -> Dict[str, float]:
        if isinstance(values, Mapping):
            return {str(metric): as_number(str(metric), value) for metric, value in values.items()}
        if isinstance(values, numbers.Number) or not isinstance(values, Sequence) or isinstance(values, str):
            if len(self._metrics) != 1:
                raise ValidationError(f"one value for {len(self._metrics)} objectives: {', '.join(self._metrics)}")
            return {self._metrics[0]: as_number(self._metrics[0], values)}
        if len(values) != len(self._metrics):
            wanted = ", ".join(self._metrics)
            raise ValidationError(f"{len(values)} values for {len(self._metrics)} objectives: {wanted}")
        return {metric: as_number(metric, value) for metric, value in zip(self._metrics, values)}

    def _trial_body(self, trial: Union[Trial, FrozenTrial, str, int]) -> Dict[str, Any]:
        if isinstance(trial, (Trial, FrozenTrial)):
            key = trial.id
        elif isinstance(trial, int):
            key = next((t.id for t in self.trials if t.number == trial), "")
            if not key:
                raise TrialNotFound(f"study {self._name!r} has no trial number {trial}")
        else:
            key = trial
        try:
            body: Dict[str, Any] = self._connection.request("GET", f"{_API}/trials/{segment(key)}")
        except NotFound as error:
            raise TrialNotFound(error.detail, error.errors, error.status) from error
        return body

    def enqueue_trial(self, params: Mapping[str, Any], user_attrs: Optional[Mapping[str, Any]] = None) -> FrozenTrial:
        """Puts a configuration in front of the queue; it is answered by a coming `ask`, or run."""
        body: Dict[str, Any] = {"params": dict(params)}
        if user_attrs:
            body["user_attrs"] = dict(user_attrs)
        answer = self._call("POST", "/trials", body)
        return frozen(answer["items"][0] if "items" in answer else answer, self._metrics)

    def add_trial(
        self,
        trial: Optional[FrozenTrial] = None,
        *,
        params: Optional[Mapping[str, Any]] = None,
        values: Optional[Told] = None,
        state: str = "complete",
        user_attrs: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """Adds a trial that was evaluated elsewhere: one of another study's `trials`, or `params` and `values`."""
        if trial is not None:
            line = dict(trial.raw) or {"params": trial.params, "state": trial.state, "values": trial.values}
        else:
            if params is None:
                raise ValidationError("add_trial: give a trial, or params= and values=")
            # An ID of its own: the same configuration may well have been evaluated twice.
            line = {"id": uuid.uuid4().hex, "params": dict(params), "state": state}
            if values is not None:
                line["values"] = self._named(values)
            if user_attrs:
                line["user_attrs"] = dict(user_attrs)
        self._import([line])

    def add_trials(self, trials: Sequence[FrozenTrial]) -> None:
        """Adds several trials of another study; adding them again changes nothing."""
        self._import([dict(t.raw) for t in trials])

    def _import(self, lines: Sequence[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        raw = ("application/x-ndjson", text.encode("utf-8"))
        self._call("POST", "/import", query={"format": "jsonl"}, raw=raw)

    # --- running ---

    def optimize(
        self,
        objective: Callable[[AskedTrial], Optional[Told]],
        n_trials: Optional[int] = None,
        n_jobs: int = 1,
        timeout: Optional[float] = None,
        catch: Union[Type[Exception], Tuple[Type[Exception], ...]] = (),
        callbacks: Sequence[Callback] = (),
        show_progress_bar: Optional[bool] = None,
        lease_s: float = 120.0,
    ) -> None:
        """Asks, calls `objective`, tells, until `n_trials`, the budget, the space or `timeout` seconds are used up.

        `n_jobs` threads do so (-1: as many as CPUs). An exception of the objective ends its trial as `fail` and, unless
        it is in `catch`, the loop. `TrialPruned` ends it as `pruned`. Each of `callbacks` gets the study and the trial.
        The progress bar is shown in terminals unless `show_progress_bar` says otherwise.
        """
        self._stop.clear()
        _optimize.Loop(
            self,
            objective,
            n_trials=n_trials,
            n_jobs=(os.cpu_count() or 1) if n_jobs == -1 else n_jobs,
            timeout=timeout,
            catch=catch,
            callbacks=callbacks,
            show_progress_bar=show_progress_bar,
            lease_s=lease_s,
        ).run()

    def stop(self) -> None:
        """Ends a running `optimize` of this object after the trials it has begun; call it in objectives and callbacks."""
        self._stop.set()

    def pause(self) -> None:
        """Pauses the study for everybody: nothing new is proposed until `resume`."""
        self._call("POST", "/pause")

    def resume(self) -> None:
        """Ends a pause."""
        self._call("POST", "/resume")

    def cancel(self) -> None:
        """Ends the study for everybody, and its trials."""
        self._call("POST", "/cancel")

    def set_user_attr(self, name: str, value: Any) -> None:
        """Notes something beside the study; `None` removes it."""
        self._call("PATCH", "", {"user_attrs": {name: value}})

    @property
    def user_attrs(self) -> Dict[str, Any]:
        """What was noted beside the study."""
        return dict(self._call("GET", "").get("user_attrs") or {})

    def delete(self) -> None:
        """Deletes the study and its trials for good."""
        self._call("DELETE", "")

    # --- helpers ---

    def _only_objective(self, what: str, instead: str) -> None:
        if len(self._metrics) != 1:
            names = ", ".join(self._metrics)
            raise NoBestTrial(f"study {self._name!r} has several objectives ({names}): use {instead} instead of {what}")

    def _call(
        self,
        method: str,
        suffix: str,
        body: Any = None,
        query: Optional[Mapping[str, Union[str, int, float]]] = None,
        raw: Optional[Tuple[str, bytes]] = None,
    ) -> Any:
        try:
            return self._connection.request(method, self._path + suffix, body, query=query, raw=raw)
        except NotFound as error:
            raise StudyNotFound(error.detail, error.errors, error.status) from error


def create_study(
    name: str,
    space: SpaceLike,
    *,
    minimize: Union[str, Sequence[str], None] = None,
    maximize: Union[str, Sequence[str], None] = None,
    constraints: Sequence[Mapping[str, Any]] = (),
    sampler: Union[str, Mapping[str, Any], None] = None,
    seed: Optional[int] = None,
    early_stopping: Union[str, Mapping[str, Any], None] = None,
    max_trials: Optional[int] = None,
    budget: Optional[Mapping[str, Any]] = None,
    note: Optional[str] = None,
    user_attrs: Optional[Mapping[str, Any]] = None,
    load_if_exists: bool = False,
    from_study: Optional[str] = None,
    connection: Optional[Connection] = None,
) -> Study:
    """Creates an ask-and-tell study.

    `minimize` and `maximize` name metrics, or lists of them (then in this order; neither: `loss` is minimised).
    `sampler`, `early_stopping`, `constraints` and `budget` are as in the REST API, the first two also just names.
    With `load_if_exists` an existing study of that name and space is answered; else a taken name raises `StudyExists`.
    `from_study` names another study whose finished trials are copied, as far as they fit; they don't use up the budget.
    """
    objectives = [{"metric": m, "direction": "minimize"} for m in _list(minimize)]
    objectives += [{"metric": m, "direction": "maximize"} for m in _list(maximize)]
    body: Dict[str, Any] = {
        "name": name,
        "space": _space.to_json(space),
        "objectives": objectives or [{"metric": "loss", "direction": "minimize"}],
    }
    if constraints:
        body["constraints"] = [dict(c) for c in constraints]
    chosen = _options(sampler, "name", "auto" if seed is not None else None)
    if chosen is not None:
        body["sampler"] = {**chosen, **({"seed": seed} if seed is not None else {})}
    rule = _options(early_stopping, "rule", None)
    if rule is not None:
        body["early_stopping"] = rule
    spend = {**(budget or {}), **({"max_trials": max_trials} if max_trials is not None else {})}
    if spend:
        body["budget"] = spend
    if note:
        body["note"] = note
    if user_attrs:
        body["user_attrs"] = dict(user_attrs)
    if load_if_exists:
        body["load_if_exists"] = True
    if from_study is not None:
        body["from"] = from_study
    daemon = connection or _discovery.connect()
    try:
        answer = daemon.request("POST", f"{_API}/studies", body)
    except Conflict as error:
        hint = "" if load_if_exists else "; load_if_exists=True continues it"
        raise StudyExists(error.detail + hint, error.errors, error.status) from error
    return Study(daemon, answer)


def load_study(name: str, *, connection: Optional[Connection] = None) -> Study:
    """The study of this name or ID. Raises `StudyNotFound`."""
    daemon = connection or _discovery.connect()
    try:
        return Study(daemon, daemon.request("GET", f"{_API}/studies/{segment(name)}"))
    except NotFound as error:
        raise StudyNotFound(error.detail, error.errors, error.status) from error


def _list(metrics: Union[str, Sequence[str], None]) -> List[str]:
    if metrics is None:
        return []
    return [metrics] if isinstance(metrics, str) else list(metrics)


def _options(
    given: Union[str, Mapping[str, Any], None], key: str, otherwise: Optional[str]
) -> Optional[Dict[str, Any]]:
    if given is None:
        return {key: otherwise} if otherwise is not None else None
    return {key: given} if isinstance(given, str) else dict(given)


def _client_id() -> str:
    # One for each ask: with one for the whole process a second ask would answer the first trial again.
    return f"python-{os.getpid()}-{uuid.uuid4().hex}"
