"""The progress line of `study.optimize` on standard error: one line redrawn in a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import Optional, TextIO

# Redrawing more often than this only flickers; plain lines are for logs.
_REDRAW_S = 0.1
_PLAIN_EVERY_S = 10.0


class Progress:
    """Counts told trials; safe to use from several threads."""

    def __init__(self, show: Optional[bool], name: str, total: Optional[int], stream: Optional[TextIO] = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        try:
            self._terminal = self._stream.isatty()
        except (AttributeError, ValueError):
            self._terminal = False
        self._shown = self._terminal if show is None else show
        self._name = name
        self._total = total
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._drawn = 0.0
        self._done = 0
        self._ended_early = 0
        self._failed = 0
        self._running = 0
        self._best: Optional[str] = None
        self._note = ""

    @property
    def shown(self) -> bool:
        """Whether anybody sees it."""
        return self._shown

    def started(self) -> None:
        """A trial was asked for."""
        with self._lock:
            self._running += 1
            self._note = ""
            self._draw()

    def ended(self, state: str) -> None:
        """A trial was told."""
        with self._lock:
            self._running -= 1
            self._done += 1
            self._ended_early += state in ("pruned", "paused")
            self._failed += state in ("fail", "infeasible", "cancelled")
            self._draw()

    def best(self, text: str) -> None:
        """A better value was found."""
        with self._lock:
            self._best = text
            self._draw()

    def note(self, text: str) -> None:
        """Why nothing is happening."""
        with self._lock:
            self._note = text
            self._draw()

    def close(self) -> None:
        """Draws the last state and ends the line."""
        with self._lock:
            if self._shown and (self._done or self._running or self._note):
                self._draw(last=True)

    def _draw(self, last: bool = False) -> None:
        now = time.monotonic()
        if not self._shown or (not last and now - self._drawn < (_REDRAW_S if self._terminal else _PLAIN_EVERY_S)):
            return
        self._drawn = now
        text = self._text(now - self._started)
        try:
            if self._terminal:
                width = shutil.get_terminal_size().columns - 1
                self._stream.write("\r" + text[:width].ljust(width) + ("\n" if last else ""))
            else:
                self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # A closed terminal must not end the search.
            self._shown = False

    def _text(self, seconds: float) -> str:
        parts = []
        if self._total:
            filled = min(20, 20 * self._done // self._total)
            parts.append(f"[{'#' * filled}{'-' * (20 - filled)}] {self._done}/{self._total}")
        else:
            parts.append(f"{self._done} trials")
        if self._best is not None:
            parts.append(f"best {self._best}")
        for count, word in (
            (self._running, "running"),
            (self._ended_early, "ended early"),
            (self._failed, "failed"),
        ):
            if count:
                parts.append(f"{count} {word}")
        parts.append(_clock(seconds))
        if self._total and self._done and self._done < self._total:
            parts.append(f"about {_clock(seconds / self._done * (self._total - self._done))} left")
        if self._note:
            parts.append(self._note)
        return f"{self._name}: " + ", ".join(parts)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
