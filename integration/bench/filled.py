"""Data directories with a large study in them, made once in a run and copied for whoever measures on one."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Dict, Tuple

from bench import problem
from bench.daemon import Daemon

#: A line of 10 parameters is about 230 bytes, so that this stays far below what one import may weigh.
BATCH = 50_000
_made: Dict[int, Path] = {}


def imported(programs: Path, trials: int) -> Path:
    """A data directory whose study `big` has so many finished trials of 10 parameters."""
    if trials not in _made:
        folder = Path(tempfile.mkdtemp(prefix="metaopt-bench-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        daemon = Daemon(programs, folder)
        try:
            daemon.call("POST", "/studies", problem.study("big", "tpe"))
            lines = list(problem.lines(trials))
            for at in range(0, trials, BATCH):
                body = b"".join(lines[at : at + BATCH])
                daemon.call("POST", "/studies/big/import?format=jsonl", body, timeout=600)
            counts = daemon.call("GET", "/studies/big")["counts"]
            assert counts["complete"] == trials, counts
        finally:
            daemon.close()
        _made[trials] = folder
    return _made[trials]


def copied(programs: Path, trials: int) -> Tuple[Path, tempfile.TemporaryDirectory[str]]:
    """A copy that may be changed, and what removes it."""
    folder = tempfile.TemporaryDirectory(prefix="metaopt-bench-")
    target = Path(folder.name) / "data"
    shutil.copytree(imported(programs, trials), target)
    return target, folder
