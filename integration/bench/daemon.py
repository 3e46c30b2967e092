"""One real metaoptd to measure: started, called, and read about in /proc. Linux only, as the figures are."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Optional, Sequence
from urllib.parse import urlsplit


def cpu_of(pid: int) -> float:
    """CPU seconds of a whole process, to the nanosecond: /proc/PID/stat only counts hundredths."""
    # What clock_getcpuclockid(3) answers; Python has it for threads alone.
    return time.clock_gettime(~pid << 3 | 2)


class Daemon:
    """A metaoptd on a directory of its own, or on one that is given and kept."""

    def __init__(self, programs: Path, data: Optional[Path] = None, more: Sequence[str] = ()) -> None:
        """Starts it, with more options, and waits for the ready line."""
        self.folder = tempfile.TemporaryDirectory() if data is None else None
        self.dir = Path(self.folder.name) if self.folder else Path(str(data))
        command = [
            programs / "metaoptd",
            "--data-dir",
            self.dir,
            "--listen",
            "127.0.0.1:0",
            "--peer-listen",
            "127.0.0.1:0",
            "--no-mdns",
            "--allow-root",
            *more,
        ]
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.started = time.perf_counter() - self.begun
        assert line.startswith("metaoptd ready"), line
        self.api = json.loads((self.dir / "api.json").read_text())
        self.url = str(self.api["url"])
        self.token = str(self.api["token"])
        self.connection: Optional[http.client.HTTPConnection] = None

    def call(self, method: str, path: str, body: Any = None, timeout: float = 60) -> Any:
        """One call to the API on a kept connection; `body` is JSON, or bytes as they are."""
        if self.connection is None or self.connection.timeout != timeout:
            place = urlsplit(self.url)
            self.connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=timeout)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.connection.request(method, "/api/v1" + path, data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text[:500]!r}"
        return json.loads(text)

    def cpu(self) -> float:
        """CPU seconds used so far."""
        return cpu_of(self.process.pid)

    def memory(self, field: str) -> float:
        """`VmRSS` (now) or `VmHWM` (most so far) in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024 / 1e6
        raise AssertionError(f"/proc has no {field}")

    def disk(self) -> float:
        """MB that the data directory takes on the disk."""
        return sum(path.lstat().st_blocks for path in self.dir.rglob("*")) * 512 / 1e6

    def close(self) -> None:
        """Ends it."""
        if self.connection is not None:
            self.connection.close()
        self.process.terminate()
        self.process.wait()
        if self.folder is not None:
            self.folder.cleanup()


def environment() -> dict[str, str]:
    """This process's environment without a metaopt of the user's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("METAOPT_")}
