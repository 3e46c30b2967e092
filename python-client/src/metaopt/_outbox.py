"""Delivers one trial's reports and result, in order, whether its daemon is there or not.

A report is sent at once while the daemon answers; else it is spooled and sent, before anything newer, when it answers again.
Never raises because the daemon is away. Raises `ValidationError` and `Conflict` where a value itself is at fault.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, List, Optional

from ._connection import Connection, segment
from ._spool import Call, Spool
from .errors import AuthenticationError, Conflict, DaemonUnavailable, MetaoptError, NotFound

_log = logging.getLogger("metaopt")

# A training loop waits at most this long for an answer, and asks an absent daemon at most this often.
REPORT_TIMEOUT_S = 5.0
RETRY_EVERY_S = 2.0
# A failed try that took longer than this hung, rather than being refused: the next one waits four times as long.
_SLOW_S = 0.2
# Calls sent in one request when a spool is emptied.
_BATCH = 200
_STOPPING = ("stop", "pause")


class Outbox:
    """The way from one attempt of one trial to its daemon; `connection` is `None` where none is known."""

    def __init__(
        self,
        connection: Optional[Connection],
        trial_id: str,
        attempt: Optional[int],
        spool: Spool,
        lenient: bool,
    ) -> None:
        # Lenient: refused tokens and unknown trials don't reach the script (it runs unattended, its supervisor knows).
        self._lenient = lenient
        self.lock = threading.RLock()
        self.action = "continue"
        self._connection = connection
        self._path = f"/api/v1/trials/{segment(trial_id)}"
        self._attempt = attempt
        self._spool = spool
        self._next_try = 0.0
        self._told_away = False

    @property
    def stopping(self) -> bool:
        """Whether the daemon said that this attempt shall leave, or is over."""
        return self.action in _STOPPING

    def report(self, body: Any) -> str:
        """Sends or spools one report; the last known action."""
        with self.lock:
            if self._spool.empty() and self._may_try():
                try:
                    self._note(self._post("reports", body))
                    return self.action
                except DaemonUnavailable as error:
                    self._away(error)
                except Conflict as error:
                    self._settle(error)
                    return self.action
            self._spool.append(Call("reports", body), sync=False)
            self.flush()
            return self.action

    def complete(self, body: Any, patience_s: float) -> bool:
        """Sends the result, trying for `patience_s`; else spools it. Whether it was delivered."""
        with self.lock:
            deadline = time.monotonic() + patience_s
            pause = 0.1
            while True:
                # What waits goes first: the result ends the attempt, and its curve belongs before it.
                self._next_try = 0.0
                self.flush()
                if self._spool.empty():
                    try:
                        self._post("complete", body)
                        return True
                    except DaemonUnavailable as error:
                        self._away(error)
                    except Conflict as error:
                        self._settle_complete(error)
                        return True
                if self._connection is None or time.monotonic() + pause > deadline:
                    break
                time.sleep(pause)
                pause = min(pause * 2, RETRY_EVERY_S)
            self._spool.append(Call("complete", body), sync=True)
            return False

    @property
    def durable(self) -> bool:
        """Whether what is spooled outlives this process."""
        return self._spool.durable

    def waiting(self) -> bool:
        """Whether anything is spooled."""
        return not self._spool.empty()

    def flush(self, at_once: bool = False) -> None:
        """Sends what is spooled if the daemon answers; asks it at most every two seconds unless `at_once`."""
        with self.lock:
            if at_once:
                self._next_try = 0.0
            while not self._spool.empty() and self._may_try():
                calls, mark = self._spool.peek(_BATCH)
                try:
                    self._deliver(calls)
                except DaemonUnavailable as error:
                    self._away(error)
                    return
                self._spool.delivered(mark)
                if self._spool.empty():
                    _log.info("metaopt: the daemon answers again; everything kept for it is delivered")

    def act(self, method: str, suffix: str, body: Any = None) -> Any:
        """Another call about this trial, sent now or not at all."""
        if self._connection is None:
            raise DaemonUnavailable("METAOPT_URL and METAOPT_TOKEN are not set, so there is no daemon to ask")
        return self._connection.request(method, self._path + suffix, body, timeout_s=REPORT_TIMEOUT_S)

    def noticed(self, answer: Any) -> None:
        """Takes an action from an answer to something else (a heartbeat)."""
        with self.lock:
            self._note(answer)

    def over(self) -> None:
        """The attempt has ended: everything that follows is answered `stop`."""
        with self.lock:
            if not self.stopping:
                self.action = "stop"

    # --- sending ---

    def _may_try(self) -> bool:
        return self._connection is not None and time.monotonic() >= self._next_try

    def _away(self, error: DaemonUnavailable) -> None:
        if not self._told_away:
            self._told_away = True
            _log.warning("metaopt: %s; going on, reports are kept and delivered later", error.detail)
        self._next_try = max(self._next_try, time.monotonic() + max(RETRY_EVERY_S, error.retry_after_s or 0.0))

    def _post(self, what: str, body: Any) -> Any:
        if self._connection is None:
            raise DaemonUnavailable("METAOPT_URL and METAOPT_TOKEN are not set, so there is no daemon to report to")
        started = time.monotonic()
        try:
            answer = self._connection.request("POST", f"{self._path}/{what}", body, timeout_s=REPORT_TIMEOUT_S)
        except (DaemonUnavailable, AuthenticationError) as error:
            if isinstance(error, AuthenticationError) and not self._lenient:
                raise
            # A refused token means that something else listens there, or that the attempt is over and its supervisor will
            # collect what is spooled: no reason for the script to fail. A daemon that hangs is asked less often.
            spent = time.monotonic() - started
            rest = 4 * spent if spent > _SLOW_S else 0.0
            retry = getattr(error, "retry_after_s", None)
            raise DaemonUnavailable(error.detail, error.status, max(retry or 0.0, rest)) from error
        except NotFound:
            self.over()
            if not self._lenient:
                raise
            return None
        except MetaoptError as error:
            if error.status is not None and error.status >= 500:
                raise DaemonUnavailable(error.detail, error.status) from error
            raise
        self._told_away = False
        return answer

    def _deliver(self, calls: List[Call]) -> None:
        batch: List[Any] = []
        for call in calls:
            if call.call == "reports":
                batch.extend(call.body if isinstance(call.body, list) else [call.body])
                continue
            self._deliver_reports(batch)
            batch = []
            self._deliver_one(call)
        self._deliver_reports(batch)

    def _deliver_reports(self, bodies: List[Any]) -> None:
        if not bodies:
            return
        if len(bodies) > 1:
            try:
                self._note(self._post("reports", bodies))
                return
            except DaemonUnavailable:
                raise
            except MetaoptError:
                # One of them is at fault; the others count.
                pass
        for body in bodies:
            self._deliver_one(Call("reports", body))

    def _deliver_one(self, call: Call) -> None:
        try:
            answer = self._post(call.call, call.body)
        except DaemonUnavailable:
            raise
        except MetaoptError as error:
            # The script has gone on long ago: nobody is there to mend the value.
            _log.warning("metaopt: a kept call (%s %s) was refused: %s", call.call, call.body, error)
            if error.status == 410:
                self.over()
            return
        if call.call == "reports":
            self._note(answer)

    def _note(self, answer: Any) -> None:
        action = answer.get("action") if isinstance(answer, dict) else None
        # Once told to stop, an attempt is not called back.
        if action in ("continue", *_STOPPING) and not self.stopping:
            self.action = action

    # --- conflicts ---

    def _settle(self, error: Conflict) -> None:
        """A refused report: the attempt is over (stop), or the value contradicts an earlier one (raise)."""
        if error.status == 410 or self._attempt_is_over():
            self.over()
            return
        raise error

    def _settle_complete(self, error: Conflict) -> None:
        """A refused result: fine for an attempt that was stopped; raise where this attempt has another result already."""
        if self.stopping or error.status == 410:
            return
        if self._attempt_is_over(complete_too=False):
            self.over()
            _log.warning("metaopt: the result was not taken: %s", error.detail)
            return
        raise error

    def _attempt_is_over(self, complete_too: bool = True) -> bool:
        # 409 alone doesn't say which it is; the trial does.
        try:
            trial = self.act("GET", "")
        except NotFound:
            return True
        except MetaoptError:
            return False
        if not isinstance(trial, dict):
            return False
        newer = self._attempt is not None and isinstance(trial.get("attempt"), int) and trial["attempt"] > self._attempt
        if newer:
            return True
        ended = trial.get("state") not in ("running", "waiting", None)
        return ended and (complete_too or trial.get("state") != "complete")
