"""Renews the leases of the trials that this process asked for, in one background thread.

A trial that nobody holds any more (garbage) is no longer renewed: its lease runs out and it is offered again.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from typing import Dict, Optional, Tuple

from .errors import Conflict, DaemonUnavailable, MetaoptError, NotFound
from .trial import AskedTrial

_log = logging.getLogger("metaopt")
# While the daemon is away; the lease is only a few times longer.
_RETRY_S = 3.0
# With nothing to renew the thread ends after so long.
_LINGER_S = 5.0


class Heartbeats:
    """The leases to renew; the thread lives while there are any, and a little longer."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        # Trial's ID → (trial, seconds between renewals, when the next is due)
        self._held: Dict[str, Tuple[weakref.ReferenceType[AskedTrial], float, float]] = {}
        # When the thread looks again; none: there is no thread.
        self._looks_at: Optional[float] = None

    def hold(self, trial: AskedTrial, lease_s: float) -> None:
        """Renews `trial`'s lease from now on, three times per lease."""
        every = lease_s / 3
        due = time.monotonic() + every
        with self._wake:
            self._held[trial.id] = (weakref.ref(trial), every, due)
            if self._looks_at is None:
                self._looks_at = due
                threading.Thread(target=self._run, name="metaopt-heartbeat", daemon=True).start()
            elif due < self._looks_at:
                self._wake.notify()

    def release(self, trial: AskedTrial) -> None:
        """The trial is told: no more renewals."""
        # The thread is left asleep: trials of milliseconds would otherwise wake it thousands of times for nothing.
        with self._wake:
            self._held.pop(trial.id, None)

    def _run(self) -> None:
        while True:
            with self._wake:
                for key in [k for k, (ref, _, _) in self._held.items() if ref() is None]:
                    del self._held[key]
                if not self._held:
                    # The next trial of a loop comes at once; then no new thread need be made.
                    self._looks_at = time.monotonic() + _LINGER_S
                    self._wake.wait(_LINGER_S)
                    if not self._held:
                        self._looks_at = None
                        return
                    continue
                key, (reference, every, due) = min(self._held.items(), key=lambda item: item[1][2])
                wait = due - time.monotonic()
                if wait > 0:
                    self._looks_at = due
                    self._wake.wait(wait)
                    continue
                self._held[key] = (reference, every, time.monotonic() + every)
            trial = reference()
            if trial is not None:
                again = self._beat(trial, every)
                with self._wake:
                    if key in self._held:
                        if again is None:
                            del self._held[key]
                        else:
                            self._held[key] = (reference, every, time.monotonic() + again)
            # Not held over the next wait, or a forgotten trial would live for ever.
            del trial

    def _beat(self, trial: AskedTrial, every: float) -> Optional[float]:
        try:
            trial.renew()
        except DaemonUnavailable:
            return min(_RETRY_S, every)
        except (Conflict, NotFound) as error:
            if not trial.told:
                _log.warning("metaopt: trial %s is over: %s", trial.label, error.detail)
            return None
        except MetaoptError as error:
            _log.warning("metaopt: the lease of trial %s was not renewed: %s", trial.label, error)
        return every
