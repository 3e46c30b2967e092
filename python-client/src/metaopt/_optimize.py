"""The loop of `study.optimize`: threads that ask, call the objective and tell, and every way in which that ends."""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple, Type, Union

from ._progress import Progress
from .errors import Conflict, DaemonUnavailable, MetaoptError, NoBestTrial, TrialPruned, ValidationError
from .trial import AskedTrial

if TYPE_CHECKING:
    from .study import Callback, Study, Told

_log = logging.getLogger("metaopt")
# How often a waiting thread looks whether it shall end.
_TICK_S = 0.2


class Loop:
    """One call of `optimize`."""

    def __init__(
        self,
        study: Study,
        objective: Callable[[AskedTrial], Optional[Told]],
        *,
        n_trials: Optional[int],
        n_jobs: int,
        timeout: Optional[float],
        catch: Union[Type[Exception], Tuple[Type[Exception], ...]],
        callbacks: Sequence[Callback],
        show_progress_bar: Optional[bool],
        lease_s: float,
    ) -> None:
        if not callable(objective):
            raise ValidationError("optimize: the objective must be a function that takes a trial")
        if n_trials is not None and n_trials < 0:
            raise ValidationError(f"n_trials is {n_trials}: it must be 0 or more, or None for no limit")
        if n_jobs < 1:
            raise ValidationError(f"n_jobs is {n_jobs}: it must be 1 or more, or -1 for the number of CPUs")
        self._study = study
        self._objective = objective
        self._left = n_trials
        self._n_jobs = n_jobs if n_trials is None else max(1, min(n_jobs, n_trials))
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._catch = catch if isinstance(catch, tuple) else tuple(catch) if isinstance(catch, list) else (catch,)
        self._callbacks = list(callbacks)
        self._lease_s = lease_s
        self._lock = threading.Lock()
        # Set when this loop shall begin no more trials.
        self._end = threading.Event()
        self._error: Optional[BaseException] = None
        self._held: Dict[str, AskedTrial] = {}
        self._best: Optional[float] = None
        self._progress = Progress(show_progress_bar, study.name, n_trials)

    def run(self) -> None:
        """Returns when everything is used up; raises what ended it."""
        self._show_known_best()
        try:
            if self._n_jobs == 1:
                # In the caller's own thread: objectives may draw plots, and Ctrl-C reaches them.
                self._work()
            else:
                self._run_threads()
        finally:
            self._progress.close()
        if self._error is not None:
            raise self._error

    def _run_threads(self) -> None:
        threads = [threading.Thread(target=self._work, name=f"metaopt-{i}", daemon=True) for i in range(self._n_jobs)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_TICK_S)
        except KeyboardInterrupt:
            self._interrupt(threads)
            raise

    def _interrupt(self, threads: Sequence[threading.Thread]) -> None:
        """Threads can't be interrupted: objectives that look at should_stop() leave, the others are given up."""
        self._end.set()
        with self._lock:
            held = list(self._held.values())
        for trial in held:
            trial.interrupt()
        try:
            limit = time.monotonic() + 10.0
            for thread in (thread for thread in threads if thread.is_alive()):
                thread.join(max(0.0, limit - time.monotonic()))
        except KeyboardInterrupt:
            pass
        with self._lock:
            held = list(self._held.values())
        for trial in held:
            self._withdraw(trial)

    # --- one thread ---

    def _work(self) -> None:
        try:
            while self._claim():
                trial = self._ask()
                if trial is None:
                    return
                with self._lock:
                    self._held[trial.id] = trial
                self._progress.started()
                try:
                    state = self._evaluate(trial)
                finally:
                    with self._lock:
                        self._held.pop(trial.id, None)
                    self._study._heartbeats.release(trial)
                self._progress.ended(state)
                self._after(trial)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            with self._lock:
                if self._error is None:
                    self._error = error
            self._end.set()

    def _over(self) -> bool:
        timed_out = self._deadline is not None and time.monotonic() >= self._deadline
        return timed_out or self._end.is_set() or self._study._stop.is_set()

    def _claim(self) -> bool:
        if self._over():
            return False
        with self._lock:
            if self._left is None:
                return True
            if self._left == 0:
                return False
            self._left -= 1
            return True

    def _ask(self) -> Optional[AskedTrial]:
        from .study import _client_id

        client_id = _client_id()
        away_until = time.monotonic() + self._study.patience_s
        while not self._over():
            try:
                trial, reason, pause = self._study._suggest(client_id, self._lease_s)
            except DaemonUnavailable as error:
                if time.monotonic() >= away_until:
                    raise
                self._progress.note("waiting for the daemon")
                self._sleep(min(error.retry_after_s or 1.0, 10.0))
                continue
            if trial is not None:
                return trial
            if reason not in ("wait", "paused"):
                # Used up or ended, for all threads.
                if reason not in ("exhausted", "budget", "complete"):
                    _log.warning("metaopt: study %s is %s", self._study.name, reason)
                self._end.set()
                return None
            away_until = time.monotonic() + self._study.patience_s
            self._progress.note("the study is paused" if reason == "paused" else "waiting for running trials")
            self._sleep(pause)
        return None

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._over() and time.monotonic() < until:
            self._end.wait(min(_TICK_S, max(0.0, until - time.monotonic())))

    # --- one trial ---

    def _evaluate(self, trial: AskedTrial) -> str:
        """Calls the objective and tells what came of it; the trial's state."""
        try:
            result = self._objective(trial)
        except TrialPruned as pruned:
            return self._tell(trial, {"state": "pruned", **({"detail": str(pruned)} if str(pruned) else {})})
        except Exception as error:
            self._tell(trial, {"state": "fail", "detail": f"{type(error).__name__}: {error}"[:2000]}, quietly=True)
            if isinstance(error, self._catch):
                _log.warning("metaopt: trial %s failed: %s: %s", trial.label, type(error).__name__, error)
                return "fail"
            raise
        except BaseException:
            # Ctrl-C or SystemExit: says nothing about the configuration.
            self._withdraw(trial)
            raise
        if trial.told:
            return "complete"
        if result is None:
            return self._nothing_returned(trial)
        try:
            values = self._study._named(result)
        except ValidationError as error:
            self._tell(trial, {"state": "fail", "detail": f"the objective's result: {error.detail}"}, quietly=True)
            if isinstance(error, self._catch):
                return "fail"
            raise
        odd = [f"{metric} is {value}" for metric, value in values.items() if not math.isfinite(value)]
        if odd:
            _log.warning("metaopt: trial %s failed: %s", trial.label, ", ".join(odd))
            return self._tell(trial, {"state": "fail", "detail": f"not finite: {', '.join(odd)}"})
        state = self._tell(trial, {"values": values})
        if state == "complete":
            self._show_best(trial, values)
        return state

    def _nothing_returned(self, trial: AskedTrial) -> str:
        if trial.stopped_by != "continue":
            # The answer itself was the transition.
            return _stopped(trial)
        if trial.should_stop():
            # Interrupted by Ctrl-C, and it left as asked.
            self._withdraw(trial)
            return "cancelled"
        last = trial.last_values()
        if all(metric in last for metric in self._study.metric_names):
            # As for a script that exits well: its last report is its result.
            values = {m: last[m] for m in last}
            state = self._tell(trial, {"values": values})
            if state == "complete":
                self._show_best(trial, values)
            return state
        wanted = ", ".join(self._study.metric_names)
        error = TypeError(f"the objective returned None: return a value for {wanted}, or report it before")
        self._tell(trial, {"state": "fail", "detail": str(error)}, quietly=True)
        if isinstance(error, self._catch):
            return "fail"
        raise error

    def _tell(self, trial: AskedTrial, body: Dict[str, Any], quietly: bool = False) -> str:
        """Tells the end of a trial; its state. `quietly`: an exception is under way already."""
        stopped = trial.stopped_by != "continue"
        if trial.told or (stopped and "state" in body):
            return _stopped(trial) if stopped else str(body.get("state", "complete"))
        try:
            trial.tell(body)
        except MetaoptError as error:
            if not quietly:
                if not isinstance(error, DaemonUnavailable) and "values" in body:
                    # Refused (an objective without a value, say): end it, rather than let its lease run out.
                    self._tell(trial, {"state": "fail", "detail": str(error)[:2000]}, quietly=True)
                raise
            _log.warning("metaopt: trial %s could not be told: %s", trial.label, error)
        return _stopped(trial) if stopped else str(body.get("state", "complete"))

    def _withdraw(self, trial: AskedTrial) -> None:
        try:
            if not trial.told and trial.stopped_by == "continue":
                trial.withdraw()
        except MetaoptError as error:
            # Its lease runs out, and it is offered again.
            _log.warning("metaopt: trial %s could not be cancelled: %s", trial.label, error)
        finally:
            self._study._heartbeats.release(trial)

    def _after(self, trial: AskedTrial) -> None:
        if not self._callbacks:
            return
        from ._frozen import frozen

        body = self._study._trial_body(trial)
        for callback in self._callbacks:
            callback(self._study, frozen(body, self._study.metric_names))

    # --- the best value, for people ---

    def _show_known_best(self) -> None:
        if len(self._study.metric_names) != 1 or not self._progress.shown:
            return
        try:
            best = self._study.best_trial
        except (NoBestTrial, Conflict, DaemonUnavailable):
            return
        if best.value is not None:
            self._best = best.value
            self._progress.best(f"{best.value:.6g} ({best.label})")

    def _show_best(self, trial: AskedTrial, values: Dict[str, float]) -> None:
        metrics: List[str] = self._study.metric_names
        if len(metrics) != 1 or metrics[0] not in values:
            return
        value = values[metrics[0]]
        with self._lock:
            sign = 1.0 if self._study.direction == "minimize" else -1.0
            if self._best is not None and sign * value >= sign * self._best:
                return
            self._best = value
        self._progress.best(f"{value:.6g} ({trial.label})")


def _stopped(trial: AskedTrial) -> str:
    return "paused" if trial.stopped_by == "pause" else "pruned"
