"""Sixteen nodes on one machine, a process each, linked over loopback: how soon one node's change is on all others, what it
costs all of them together, and how soon a fresh node has a large study.

The machine's cores carry all nodes at once, and this client beside them: in a real cluster each has its own.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

from bench import problem
from bench.daemon import Daemon
from bench.filled import copied
from bench.table import Row, at_most, ratio, row

LATENCY_AIM_MS = 100
JOIN_AIM = 1.5
#: How long a step of this benchmark may take before it is given up.
PATIENCE = 120.0


class Cluster:
    """Daemons that are linked, each with a stream of its events open."""

    def __init__(self, programs: Path, nodes: int) -> None:
        """Starts them and waits until each sees all."""
        self.folder = tempfile.TemporaryDirectory(prefix="metaopt-bench-")
        self.key = key_in(Path(self.folder.name))
        self.nodes: List[Daemon] = []
        for number in range(nodes):
            self.nodes.append(Daemon(programs, Path(self.folder.name) / f"node{number}", self.options(number)))
        wait("all to see all", lambda: all(len(alive(node)) == nodes for node in self.nodes))

    def options(self, number: int) -> List[str]:
        """What makes it a member of this cluster."""
        return member(f"node{number}", self.key, self.nodes[0] if self.nodes else None)

    def cpu(self) -> float:
        """CPU seconds of all of them."""
        return sum(node.cpu() for node in self.nodes)

    def bytes(self) -> Optional[int]:
        """Bytes that all links have carried, TLS included."""
        return carried({port(node) for node in self.nodes})

    def close(self) -> None:
        """Ends them."""
        for node in self.nodes:
            node.close()
        self.folder.cleanup()


def key_in(folder: Path) -> Path:
    """A fleet's secret."""
    path = folder / "key"
    path.touch(mode=0o600)
    path.write_text("a secret of benchmarks alone")
    return path


def member(name: str, key: Path, peer: Optional[Daemon]) -> List[str]:
    """The options of a node without slots, on loopback."""
    options = ["--name", name, "--slots", "0", "--gpus", "none"]
    options += ["--advertise", "127.0.0.1", "--cluster-key-file", str(key)]
    return options if peer is None else [*options, "--peer", f"127.0.0.1:{port(peer)}"]


def port(node: Daemon) -> int:
    """Where it listens for peers."""
    return int(node.call("GET", "/cluster")["peers_address"].rsplit(":", 1)[1])


def alive(node: Daemon) -> List[Any]:
    """The nodes that it sees."""
    return [seen for seen in node.call("GET", "/nodes")["items"] if seen["state"] == "alive"]


def wait(what: str, done: Any) -> None:
    """Looks until it is so."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def carried(ports: Any) -> Optional[int]:
    """Bytes sent on all TCP connections to or from these ports; none where `ss` isn't there to tell."""
    try:
        said = subprocess.run(["ss", "-tinH", "state", "established"], stdout=subprocess.PIPE, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    # Two lines a socket: its addresses, then its counters.
    pairs = re.findall(r"^\d.*?:(\d+)\s+\S+:(\d+).*\n\s+(.*)$", said.stdout, re.MULTILINE)
    counted = [re.search(r"bytes_sent:(\d+)", more) for here, there, more in pairs if {int(here), int(there)} & ports]
    return sum(int(found.group(1)) for found in counted if found)


class Watch:
    """Event streams of several nodes, read in one thread."""

    def __init__(self, nodes: List[Daemon]) -> None:
        """Opens them."""
        self.selector = selectors.DefaultSelector()
        self.texts: Dict[socket.socket, bytes] = {}
        for node in nodes:
            place = urlsplit(node.url)
            stream = socket.create_connection((str(place.hostname), place.port))
            head = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {node.token}\r\n\r\n"
            stream.sendall(head.encode())
            self.selector.register(stream, selectors.EVENT_READ)
            self.texts[stream] = b""

    def drain(self, seconds: float) -> None:
        """Forgets what came until it was quiet for so long."""
        while ready := self.selector.select(seconds):
            for key, _ in ready:
                key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
        self.texts = dict.fromkeys(self.texts, b"")

    def seen_by_all(self, word: bytes) -> float:
        """When the last of them told it."""
        missing = set(self.texts)
        at = 0.0
        end = time.perf_counter() + PATIENCE
        while missing:
            assert time.perf_counter() < end, f"{len(missing)} nodes never told of {word!r}"
            for key, _ in self.selector.select(1):
                stream = key.fileobj
                assert isinstance(stream, socket.socket)
                self.texts[stream] = self.texts[stream][-4096:] + stream.recv(1 << 16)
                if stream in missing and word in self.texts[stream]:
                    missing.discard(stream)
                    at = time.perf_counter()
        return at

    def close(self) -> None:
        """Closes them."""
        for stream in self.texts:
            stream.close()


def told(cluster: Cluster, tells: int) -> Tuple[List[float], List[float]]:
    """Milliseconds from a call, and from its answer, until all other nodes have told of it; one tell at a time."""
    first = cluster.nodes[0]
    watch = Watch(cluster.nodes[1:])
    from_call, from_answer = [], []
    try:
        for _ in range(tells):
            asked = first.call("POST", "/studies/s/trials/suggest", {"count": 1})["items"][0]
            watch.drain(0.1)
            begin = time.perf_counter()
            first.call("POST", f"/trials/{asked['id']}/complete", {"values": {"loss": 1.0}})
            answered = time.perf_counter()
            at = watch.seen_by_all(asked["id"].encode())
            from_call.append((at - begin) * 1000)
            # It may be there before the answer is.
            from_answer.append(max(0.0, at - answered) * 1000)
    finally:
        watch.close()
    return from_call, from_answer


def spent(cluster: Cluster, tells: int) -> Tuple[float, Optional[float], float, Optional[float]]:
    """CPU (ms) and bytes an event, over what the cluster spends idle; and that, in ms and bytes a second."""
    first = cluster.nodes[0]
    asked = [first.call("POST", "/studies/s/trials/suggest", {"count": 1})["items"][0]["id"] for _ in range(tells)]
    time.sleep(2)

    def measured(work: Any) -> Tuple[float, float, Optional[float]]:
        begin, cpu, sent = time.perf_counter(), cluster.cpu(), cluster.bytes()
        work()
        took = time.perf_counter() - begin
        after = cluster.bytes()
        return took, (cluster.cpu() - cpu) * 1000, None if sent is None or after is None else float(after - sent)

    def work() -> None:
        for trial in asked:
            first.call("POST", f"/trials/{trial}/complete", {"values": {"loss": 1.0}})
        told_all = json.dumps(tells)
        wait(f"{told_all} tells", lambda: all(complete(node) >= tells for node in cluster.nodes[-1:]))
        time.sleep(0.5)

    idle_s, idle_cpu, idle_sent = measured(lambda: time.sleep(5))
    took, cpu, sent = measured(work)
    each = (cpu - idle_cpu / idle_s * took) / tells
    bytes_each = None if sent is None or idle_sent is None else (sent - idle_sent / idle_s * took) / tells
    return each, bytes_each, idle_cpu / idle_s, None if idle_sent is None else idle_sent / idle_s


def complete(node: Daemon) -> int:
    """Trials that a node knows to be complete."""
    return int(node.call("GET", "/studies/s")["counts"]["complete"])


def measure(programs: Path, short: bool) -> Iterator[Row]:
    """One change on all nodes, its cost, and fresh nodes that join."""
    nodes, tells = (4, 20) if short else (16, 200)
    cluster = Cluster(programs, nodes)
    try:
        cluster.nodes[0].call("POST", "/studies", problem.study("s", "random"))
        wait("the study everywhere", lambda: all(studies(node) == 1 for node in cluster.nodes))
        told(cluster, 5)
        from_call, from_answer = told(cluster, tells)
        name = f"a told result, from the call until all {nodes} nodes have it"
        yield row(name, "ms", from_call, at_most(LATENCY_AIM_MS))
        yield row("  the slowest of twenty", "ms", [slowest(from_call)])
        yield row("  from its answer", "ms", from_answer)
        each, sent, idle, idle_sent = spent(cluster, tells)
        yield row(f"  CPU of all {nodes} nodes together", "ms", [each])
        if sent is not None and idle_sent is not None:
            yield row(f"  bytes on all links together, for each of {nodes - 1} nodes", "bytes", [sent / (nodes - 1)])
            yield row(f"{nodes} nodes that have nothing to do: on all links", "kB/s", [idle_sent / 1000])
        yield row("  CPU of each", "% of a core", [idle / 10 / nodes])
    finally:
        cluster.close()
    for trials in (2_000,) if short else (10_000, 100_000):
        yield from joined(programs, trials, 1 if short else 3)


def slowest(seen: List[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(seen, n=20)[-1]


def studies(node: Daemon) -> int:
    """How many studies a node knows."""
    return len(node.call("GET", "/studies")["items"])


def joined(programs: Path, trials: int, repetitions: int) -> Iterator[Row]:
    """A fresh node beside one that has a large study: until it has all of it; beside a start on the same bytes."""
    loads, joins = [], []
    for _ in range(repetitions):
        data, folder = copied(programs, trials)
        key = key_in(Path(folder.name))
        holder = Daemon(programs, data, member("holder", key, None))
        fresh: Optional[Daemon] = None
        try:
            loads.append(holder.started * 1000)
            fresh = Daemon(programs, Path(folder.name) / "fresh", member("fresh", key, holder))
            begun = fresh.begun
            wait("the study", lambda: has(fresh, trials))
            joins.append((time.perf_counter() - begun) * 1000)
        finally:
            for daemon in (holder, fresh):
                if daemon is not None:
                    daemon.close()
            folder.cleanup()
    yield row(f"a fresh node joins a study of {trials:,} trials: exec until it has all", "ms", joins)
    yield row("  the other's start on the same bytes, exec to the ready line", "ms", loads)
    # Below, most of it is finding each other, and has nothing to do with the history.
    yield ratio("  joining over loading", joins, loads, at_most(JOIN_AIM) if trials >= 100_000 else None)


def has(node: Optional[Daemon], trials: int) -> bool:
    """Whether a node has all of the study `big`."""
    assert node is not None
    seen = node.call("GET", "/studies")["items"]
    return any(study["name"] == "big" and study["counts"]["complete"] == trials for study in seen)
