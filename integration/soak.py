"""Hours of mixed load in a few minutes, and whether anything grows: `just soak [MINUTES]`.

One daemon is asked, told, reported to, imported into, exported from, followed, paused, cancelled and run with real
processes, by several threads at once, and is killed or stopped now and then. Studies come and go, so that what is stored
stays about the same. Memory, open files, threads, the database and the data directory are sampled all the while; the
medians of the second and the last quarter are compared. Exits with 1 where something grew, or where a call was answered
wrongly. A lab of five boxes runs about 60 trials an hour: the last lines say how many hours of that the run was.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional
from urllib.parse import urlsplit

#: Trials an hour of a lab of five boxes whose trainings take five minutes each.
LAB = 60
#: Studies alive at a time; older ones are deleted.
ALIVE = 12
SPACE = [{"name": f"x{i}", "type": "float", "low": 0, "high": 1} for i in range(5)] + [
    {"name": "n", "type": "int", "low": 1, "high": 64, "log": True},
    {"name": "opt", "type": "categorical", "choices": ["sgd", "adam", "lion"]},
]


class Daemon:
    """A metaoptd that comes back on the same directory after it was killed."""

    def __init__(self, programs: Path, folder: Path) -> None:
        """Starts the first one."""
        self.programs, self.folder, self.boots = programs, folder, 0
        self.lock = threading.Lock()
        self.start()

    def start(self) -> None:
        """Starts one and waits until it serves."""
        command = [self.programs / "metaoptd", "--data-dir", self.folder / "data", "--listen", "127.0.0.1:0"]
        command += ["--peer-listen", "127.0.0.1:0", "--no-mdns", "--allow-root", "--slots", "2", "--grace", "1s"]
        log = (self.folder / "metaoptd.log").open("a")
        self.process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("metaoptd ready"), f"{line!r}; see {self.folder}/metaoptd.log"
        self.api = json.loads((self.folder / "data" / "api.json").read_text())
        self.boots += 1

    def restart(self, how: int) -> None:
        """Ends it with a signal, and starts another."""
        with self.lock:
            self.process.send_signal(how)
            self.process.wait()
            self.start()

    def sizes(self) -> Optional[Dict[str, float]]:
        """What must not grow; none while it is being started."""
        pid, data = self.process.pid, self.folder / "data"
        try:
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            return {
                "memory MB": int(status["VmRSS"].split()[0]) / 1000,
                "open files": len(os.listdir(f"/proc/{pid}/fd")),
                "threads": int(status["Threads"]),
                "database MB": (data / "metaopt.redb").stat().st_size / 1e6,
                "data directory MB": sum(f.lstat().st_blocks for f in data.rglob("*")) * 512 / 1e6,
            }
        except (OSError, KeyError):
            return None


class Client:
    """One kept connection; calls are made again while the daemon is away."""

    def __init__(self, daemon: Daemon, until: float) -> None:
        """To `daemon`, until a time on the monotonic clock."""
        self.daemon, self.until = daemon, until
        self.connection: Optional[http.client.HTTPConnection] = None
        self.calls = 0

    def call(self, method: str, path: str, body: Any = None, gone: tuple = (404, 409)) -> Any:
        """The answer's JSON or text; none for what is gone or in another state meanwhile."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        while True:
            api = self.daemon.api
            try:
                if self.connection is None:
                    place = urlsplit(api["url"])
                    self.connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
                headers = {"Authorization": "Bearer " + api["token"], "Content-Type": "application/json"}
                self.connection.request(method, "/api/v1" + path, data, headers)
                answer = self.connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self.connection = None
                if time.monotonic() > self.until + 60:
                    raise
                time.sleep(0.05)
                continue
            self.calls += 1
            if answer.status in (429, 503):
                time.sleep(0.1)
                continue
            if answer.status in gone:
                return None
            assert answer.status < 300, f"{method} {path}: {answer.status} {text[:500]!r}"
            kind = answer.getheader("content-type", "")
            return json.loads(text) if "application/json" in kind else text


class Load:
    """All threads, and what they did."""

    def __init__(self, daemon: Daemon, minutes: float, seed: int) -> None:
        """For so many minutes."""
        self.daemon = daemon
        self.until = time.monotonic() + minutes * 60
        self.seed = seed
        self.studies: List[str] = []
        self.lock = threading.Lock()
        self.counts: Dict[str, int] = {}
        self.wrong: List[str] = []

    def count(self, what: str) -> None:
        """One more of `what`."""
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def thread(self, work: Callable[[Client, random.Random], None], number: int) -> threading.Thread:
        """A thread that works until the time is up or something is wrong."""

        def run() -> None:
            client, draw = Client(self.daemon, self.until), random.Random(f"{self.seed}-{work.__name__}-{number}")
            try:
                while time.monotonic() < self.until and not self.wrong:
                    work(client, draw)
            except Exception as error:  # noqa: BLE001
                self.wrong.append(f"{work.__name__}: {error!r}")

        return threading.Thread(target=run, name=f"{work.__name__}-{number}")

    def pick(self, draw: random.Random) -> Optional[str]:
        """A study that is or was alive."""
        with self.lock:
            return draw.choice(self.studies) if self.studies else None

    def create(self, client: Client, draw: random.Random) -> None:
        """A new ask-and-tell study now and then; the oldest goes."""
        body = {
            "name": f"ask-{draw.getrandbits(48):x}",
            "space": SPACE,
            "objectives": [{"metric": "loss", "direction": draw.choice(["minimize", "maximize"])}],
            "sampler": {"name": draw.choice(["tpe", "random", "sobol", "auto"]), "seed": draw.getrandbits(32)},
            "early_stopping": {"rule": draw.choice(["none", "median", "patience"])},
            "budget": {"max_trials": 100_000},
        }
        study = client.call("POST", "/studies", body)
        with self.lock:
            self.studies.append(study["id"])
            old = self.studies.pop(0) if len(self.studies) > ALIVE else None
        if old:
            client.call("DELETE", f"/studies/{old}")
            self.count("studies deleted")
        self.count("studies created")
        time.sleep(draw.uniform(1, 3))

    def ask(self, client: Client, draw: random.Random) -> None:
        """Ask, report, tell; some trials are left to their lease, some fail."""
        study = self.pick(draw)
        if study is None:
            time.sleep(0.05)
            return
        lease = 2 if draw.random() < 0.1 else 60
        given = client.call("POST", f"/studies/{study}/trials/suggest", {"count": draw.choice([1, 1, 4]), "lease_s": lease})
        for trial in (given or {}).get("items", []):
            loss = sum(trial["params"][f"x{i}"] for i in range(5))
            action: Any = {"action": "continue"}
            for step in range(1, draw.choice([1, 5, 20])):
                report = {"step": step, "values": {"loss": loss + 1 / step, "lr": 0.1 / step}}
                action = client.call("POST", f"/trials/{trial['id']}/reports", report) or {"action": "stop"}
                if action["action"] != "continue":
                    break
            if action["action"] != "continue" or draw.random() < 0.02:
                self.count("trials stopped or left")
                continue
            told = {"values": {"loss": loss}} if draw.random() < 0.95 else {"state": "fail", "detail": "as drawn"}
            client.call("POST", f"/trials/{trial['id']}/complete", told)
            self.count("trials told")

    def run(self, client: Client, draw: random.Random) -> None:
        """A study of short processes that report, write files, fail and are cancelled."""
        script = (
            "for i in 1 2 3; do echo step $i; done; head -c 20000 /dev/zero > $METAOPT_OUTPUT_DIR/weights; "
            "[ {n} -gt 60 ] && exit 3; echo metaopt: loss={x0}"
        )
        body = {
            "name": f"run-{draw.getrandbits(48):x}",
            "space": SPACE,
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "sampler": {"name": "random"},
            "budget": {"max_trials": 20},
            "run": {"command": ["sh", "-c", script], "workdir": "in_place", "path": "/tmp"},
        }
        study = client.call("POST", "/studies", body)
        while time.monotonic() < self.until:
            now = client.call("GET", f"/studies/{study['id']}")
            if now is None or now["state"] == "complete":
                break
            if draw.random() < 0.02:
                client.call("POST", f"/studies/{study['id']}/cancel")
                break
            time.sleep(0.1)
        for trial in (client.call("GET", f"/studies/{study['id']}/trials?limit=5") or {"items": []})["items"]:
            client.call("GET", f"/trials/{trial['id']}/logs")
            self.count("processes run (a quarter of them)")
        client.call("DELETE", f"/studies/{study['id']}")

    def read(self, client: Client, draw: random.Random) -> None:
        """What a page and a person look at."""
        study = self.pick(draw)
        if study is None:
            time.sleep(0.05)
            return
        kind = draw.choice(["history", "curves", "parallel", "slice"])
        for path in ["", "/trials?sort=-value&limit=20", "/trials?state=running", f"/plots/{kind}", "/importances", "/best"]:
            client.call("GET", f"/studies/{study}{path}")
        trials = client.call("GET", f"/studies/{study}/trials?limit=3")
        for trial in (trials or {"items": []})["items"]:
            client.call("GET", f"/trials/{trial['id']}/reports")
            client.call("GET", f"/trials/{trial['id']}/explain")
            client.call("PATCH", f"/trials/{trial['id']}", {"note": f"seen {draw.random()}"})
        self.count("looks")
        time.sleep(draw.uniform(0, 0.3))

    def move(self, client: Client, draw: random.Random) -> None:
        """Export, and import into another study."""
        study = self.pick(draw)
        if study is not None:
            exported = client.call("GET", f"/studies/{study}/export?format={draw.choice(['jsonl', 'csv', 'parquet'])}")
            lines = [
                json.dumps({"params": {**{f"x{i}": draw.random() for i in range(5)}, "n": 3, "opt": "sgd"}}
                           | {"state": "complete", "values": {"loss": draw.random()}})
                for _ in range(200)
            ]
            client.call("POST", f"/studies/{study}/import?format=jsonl", "\n".join(lines).encode())
            self.count("exports" if exported is not None else "exports of deleted studies")
        client.call("POST", "/gc", {"dry_run": draw.random() < 0.5}, gone=(404, 409))
        time.sleep(draw.uniform(1, 4))

    def follow(self, client: Client, draw: random.Random) -> None:
        """A follower of events that comes and goes, sometimes without reading."""
        api = client.daemon.api
        place = urlsplit(api["url"])
        try:
            stream = http.client.HTTPConnection(str(place.hostname), place.port, timeout=2)
            stream.request("GET", "/api/v1/events", headers={"Authorization": "Bearer " + api["token"]})
            answer = stream.getresponse()
            end = time.monotonic() + draw.uniform(0, 5)
            while time.monotonic() < end and draw.random() < 0.99:
                answer.readline()
            stream.close()
            self.count("event streams")
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)


def grew(samples: List[Dict[str, float]]) -> List[str]:
    """Prints what was measured; names what grew from the second quarter to the last."""
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]
    #: By how much the medians may differ: (share, and a little that is noise at any size).
    allowed = {
        "memory MB": (0.20, 15.0),
        "open files": (0.0, 12.0),
        "threads": (0.0, 6.0),
        "database MB": (0.30, 8.0),
        "data directory MB": (0.30, 30.0),
    }
    found = []
    print(f"{'':20} {'2nd quarter':>12} {'last quarter':>12} {'most':>10}")
    for name, (share, noise) in allowed.items():
        before, after = (statistics.median(s[name] for s in part) for part in (second, last))
        print(f"{name:20} {before:12.1f} {after:12.1f} {max(s[name] for s in samples):10.1f}")
        if after > before * (1 + share) + noise:
            found.append(f"{name} grew from {before:.1f} to {after:.1f}")
    return found


def main() -> None:
    """Runs the load and judges it."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("programs", type=Path, help="the folder of the built programs, such as target/release")
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes} minutes", flush=True)
    with tempfile.TemporaryDirectory() as name:
        daemon = Daemon(options.programs.resolve(), Path(name))
        load = Load(daemon, options.minutes, options.seed)
        works = [load.create, load.run, load.move, load.follow, load.follow, load.read, load.read] + [load.ask] * 4
        threads = [load.thread(work, number) for number, work in enumerate(works)]
        for thread in threads:
            thread.start()
        samples: List[Dict[str, float]] = []
        # Every restart begins with an empty memory: what grows shows in the last of them, which is the longest.
        restarts = [(0.10, signal.SIGKILL), (0.20, signal.SIGTERM), (0.30, signal.SIGKILL)]
        begin, whole = time.monotonic(), options.minutes * 60
        while any(thread.is_alive() for thread in threads) and not load.wrong:
            if restarts and time.monotonic() > begin + restarts[0][0] * whole:
                daemon.restart(restarts.pop(0)[1])
            sizes = daemon.sizes()
            if sizes and not restarts:
                samples.append(sizes)
            time.sleep(max(0.25, whole / 400))
        for thread in threads:
            thread.join(timeout=90)
        found = load.wrong or (grew(samples) if len(samples) >= 8 else ["too short a run to judge"])
        alive = daemon.process.poll() is None
        daemon.process.terminate()
        daemon.process.wait()
        for what, count in sorted(load.counts.items()):
            print(f"{count:8} {what}")
        trials = load.counts.get("trials told", 0)
        print(f"{trials} trials told: {trials / LAB:.0f} hours of a lab with {LAB} trials an hour; {daemon.boots} starts")
        if not alive:
            found.append("the daemon ended by itself")
        if found:
            raise SystemExit("\n".join(found))
        print("nothing grew")


if __name__ == "__main__":
    main()
