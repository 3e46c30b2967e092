"""Measures what one box feels like: start, idle cost, `--help`, submit to first running trial, overhead of a trial.

    just bench            # builds with --release first; prints medians of several runs

Absolute figures depend on the machine; the table in docs/performance.md names the one it was made on.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any


class Daemon:
    """One metaoptd on a directory of its own."""

    def __init__(self, programs: Path) -> None:
        """Starts it and waits until it serves."""
        self.folder = tempfile.TemporaryDirectory()
        self.dir = Path(self.folder.name)
        begin = time.perf_counter()
        command = [programs / "metaoptd", "--data-dir", self.dir, "--listen", "127.0.0.1:0", "--no-mdns", "--allow-root"]
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.started = time.perf_counter() - begin
        assert line.startswith("metaoptd ready"), line
        self.api = json.loads((self.dir / "api.json").read_text())

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call to the API."""
        request = urllib.request.Request(
            self.api["url"] + "/api/v1" + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.api['token']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def cpu(self) -> float:
        """CPU seconds used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def start(programs: Path) -> float:
    """Milliseconds from exec to the ready line, on an empty directory."""
    daemon = Daemon(programs)
    daemon.close()
    return daemon.started * 1000


def help_page(programs: Path) -> float:
    """Milliseconds of `metaopt --help`."""
    begin = time.perf_counter()
    subprocess.run([programs / "metaopt", "--help"], check=True, stdout=subprocess.DEVNULL)
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
        command = [programs / "metaopt", "submit", "--max-trials", "1", "--", "sh", "train.sh", "--x~uniform(0,1)"]
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


FIGURES = [
    ("start on an empty directory", "ms", start, 7),
    ("metaopt --help", "ms", help_page, 15),
    ("idle CPU", "% of a core", idle, 1),
    ("submit to first running trial", "ms", first_trial, 5),
    ("overhead of a trial", "ms", overhead, 3),
]


def main() -> None:
    """Prints a row a figure: median, least, most."""
    programs = Path(sys.argv[1]).resolve()
    print(f"{'figure':34} {'unit':12} {'median':>9} {'min':>9} {'max':>9}")
    for name, unit, measure, runs in FIGURES:
        seen = [measure(programs) for _ in range(runs)]
        print(f"{name:34} {unit:12} {statistics.median(seen):9.2f} {min(seen):9.2f} {max(seen):9.2f}", flush=True)


if __name__ == "__main__":
    main()
