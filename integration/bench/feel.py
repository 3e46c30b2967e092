"""What one box feels like: start, idle cost, `--help`, submit to first running trial, overhead of a trial."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator, List, Tuple

from bench.daemon import Daemon
from bench.table import Aim, Row, at_most, row


def start(programs: Path) -> float:
    """Milliseconds from exec to the ready line, on an empty directory."""
    daemon = Daemon(programs)
    daemon.close()
    return daemon.started * 1000


def help_page(programs: Path) -> float:
    """Milliseconds of `metaopt --help`."""
    begin = time.perf_counter()
    subprocess.run([str(programs / "metaopt"), "--help"], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


def idle(programs: Path) -> float:
    """Per cent of one core over ten idle seconds."""
    daemon = Daemon(programs)
    time.sleep(1)
    before = daemon.cpu()
    time.sleep(10)
    used = daemon.cpu() - before
    daemon.close()
    return used * 10


def first_trial(programs: Path) -> float:
    """Milliseconds from typing `metaopt submit` to a trial's process running, the daemon being up."""
    daemon = Daemon(programs)
    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder) / "mark"
        Path(folder, "train.sh").write_text(f"date +%s.%N > {mark}\necho 'metaopt: loss=1'\n")
        begin = time.time()
        command = [str(programs / "metaopt"), "submit", "--max-trials", "1", "--", "sh", "train.sh", "--x~uniform(0,1)"]
        environment = {**os.environ, "METAOPT_DATA_DIR": str(daemon.dir)}
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        while not (mark.exists() and mark.read_text().strip()):
            time.sleep(0.005)
            assert time.time() < begin + 20
        took = float(mark.read_text()) - begin
    daemon.close()
    return took * 1000


def overhead(programs: Path) -> float:
    """Milliseconds a trial costs beyond its script's own time: 40 trials one after the other, each `true`."""
    daemon = Daemon(programs)
    with tempfile.TemporaryDirectory() as folder:
        trials = 40
        body = {
            "name": "overhead",
            "space": [{"name": "x", "type": "float", "low": 0, "high": 1}],
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "sampler": {"name": "random"},
            "budget": {"max_trials": trials, "max_parallel": 1},
            "run": {"command": ["echo", "metaopt: loss={x}"], "workdir": "in_place", "path": folder},
        }
        begin = time.perf_counter()
        daemon.call("POST", "/studies", body)
        while daemon.call("GET", "/studies/overhead")["state"] != "complete":
            time.sleep(0.01)
            assert time.perf_counter() < begin + 60
        took = time.perf_counter() - begin
    daemon.close()
    return took / trials * 1000


FIGURES: List[Tuple[str, str, Callable[[Path], float], int, Aim]] = [
    ("start on an empty directory, exec to the ready line", "ms", start, 7, at_most(100)),
    ("metaopt --help", "ms", help_page, 15, at_most(20)),
    ("idle CPU over 10 s", "% of a core", idle, 1, at_most(0.5)),
    ("metaopt submit typed to the first trial running", "ms", first_trial, 5, at_most(1000)),
    ("overhead of a trial: 40 trials of echo, one by one", "ms", overhead, 3, at_most(50)),
]


def measure(programs: Path, short: bool) -> Iterator[Row]:
    """All of them."""
    for name, unit, one, runs, aim in FIGURES:
        yield row(name, unit, [one(programs) for _ in range(min(runs, 2) if short else runs)], aim)
