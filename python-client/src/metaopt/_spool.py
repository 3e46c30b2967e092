"""Calls that could not be delivered, kept in order: a file of JSON lines, or memory where there is no place for a file.

Owns the file's format (`{"call": "reports" | "complete", "body": {...}}` a line), which the trial's supervisor reads when
the process has ended. Must not know what the calls mean, nor send them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from ._connection import encode

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger("metaopt")


class Call(NamedTuple):
    """One call that waits: `reports` or `complete`, the body it would have posted."""

    call: str
    body: Any


class Spool:
    """A queue of calls; several processes of one trial may append to the same file."""

    def __init__(self, path: Optional[Path]) -> None:
        self._path = path
        # Everything in the file before this byte has been delivered.
        self._done = 0
        self._memory: List[Call] = []
        self._warned = False

    @property
    def durable(self) -> bool:
        """Whether what is appended outlives this process."""
        return self._path is not None and not self._memory

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._memory and self._size() <= self._done

    def append(self, call: Call, sync: bool) -> None:
        """Adds one call at the end; `sync`: it is on disk when this returns."""
        if self._path is not None and not self._memory:
            try:
                self._write(self._path, call, sync)
            except OSError as error:
                # A full disk must not end a training run: from now on what waits is kept in memory.
                if not self._warned:
                    self._warned = True
                    _log.warning("%s can't be written (%s): undelivered reports are kept in memory", self._path, error)
            else:
                return
        self._memory.append(call)

    def peek(self, limit: int) -> Tuple[List[Call], int]:
        """The first calls that wait, and a mark to hand to `delivered` once they are."""
        if self._size() > self._done:
            calls, mark = self._read(limit)
            if calls or mark > self._done:
                return calls, mark
        return self._memory[:limit], -min(limit, len(self._memory))

    def delivered(self, mark: int) -> None:
        """Forgets what `peek` answered with this mark; empties the file once all of it is delivered."""
        if mark < 0:
            del self._memory[:-mark]
            return
        self._done = mark
        self._truncate()

    # --- the file ---

    def _size(self) -> int:
        if self._path is None:
            return 0
        try:
            size = self._path.stat().st_size
        except OSError:
            size = 0
        if size < self._done:
            # Another process of this trial delivered all and emptied it.
            self._done = 0
        return size

    @contextlib.contextmanager
    def _locked(self, path: Path, flags: int) -> Iterator[int]:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _write(self, path: Path, call: Call, sync: bool) -> None:
        line = encode({"call": call.call, "body": call.body}) + b"\n"
        with self._locked(path, os.O_RDWR | os.O_CREAT | os.O_APPEND) as descriptor:
            before = os.fstat(descriptor).st_size
            if before:
                os.lseek(descriptor, before - 1, os.SEEK_SET)
                if os.read(descriptor, 1) != b"\n":
                    # A line torn by a crash: begin a new one, so that only the torn one is lost.
                    line = b"\n" + line
            written = 0
            try:
                while written < len(line):
                    written += os.write(descriptor, line[written:])
                if sync:
                    os.fsync(descriptor)
            except OSError:
                # Not half a line: the call goes to memory as a whole.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise

    def _read(self, limit: int) -> Tuple[List[Call], int]:
        assert self._path is not None
        calls: List[Call] = []
        mark = self._done
        try:
            with open(self._path, "rb") as file:
                file.seek(self._done)
                for line in file:
                    if len(calls) == limit:
                        break
                    mark += len(line)
                    if line.strip():
                        call = _parse(line)
                        if call is None:
                            _log.warning("%s has a line that is no call; it is skipped", self._path)
                        else:
                            calls.append(call)
        except OSError as error:
            _log.warning("%s can't be read: %s", self._path, error)
        return calls, mark

    def _truncate(self) -> None:
        if self._path is None or self._size() != self._done or self._done == 0:
            return
        try:
            with self._locked(self._path, os.O_RDWR) as descriptor:
                # Looked at again under the lock: a line appended meanwhile stays.
                if os.fstat(descriptor).st_size == self._done:
                    os.ftruncate(descriptor, 0)
                    self._done = 0
        except OSError as error:
            # Harmless: what is delivered twice counts once.
            _log.warning("%s can't be emptied: %s", self._path, error)


def _parse(line: bytes) -> Optional[Call]:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict) or value.get("call") not in ("reports", "complete") or "body" not in value:
        return None
    return Call(value["call"], value["body"])
