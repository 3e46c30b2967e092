"""Trials a second by four clients at once, durable before each answer: metaopt beside Optuna's journal file.

Repetitions of both tools alternate, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

from bench import problem
from bench.daemon import Daemon, cpu_of, environment
from bench.table import Aim, Row, at_least, ratio, row

CLIENTS = 4
PYTHON_AIM = 10.0
COMPILED_AIM = 20.0


class Run(NamedTuple):
    """One repetition."""

    rate: float
    client_ms: float
    daemon_ms: float


def processes(arguments: List[str], trials: int, env: Dict[str, str]) -> Run:
    """Four Python clients; from the word to go to the last one's end."""
    command = [sys.executable, "-m", "bench.clients", *arguments]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        for _ in range(CLIENTS)
    ]
    for client in started:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n", "a client did not come up; its message stands above"
    begin = time.perf_counter()
    for client in started:
        assert client.stdin is not None
        client.stdin.write("\n")
        client.stdin.flush()
    cpu = 0.0
    for client in started:
        assert client.stdout is not None
        cpu += float(client.stdout.readline())
    took = time.perf_counter() - begin
    for client in started:
        client.communicate()
    return Run(trials / took, cpu * 1000 / trials, 0.0)


def metaopt_python(programs: Path, sampler: str, each: int) -> Run:
    """Through metaopt's own package."""
    daemon = Daemon(programs)
    try:
        daemon.call("POST", "/studies", problem.study("rate", sampler))
        env = {**environment(), "METAOPT_URL": daemon.url, "METAOPT_TOKEN": daemon.token}
        before = daemon.cpu()
        run = processes(["metaopt", "rate", sampler, str(each)], each * CLIENTS, env)
        told(daemon, each * CLIENTS)
        return run._replace(daemon_ms=(daemon.cpu() - before) * 1000 / (each * CLIENTS))
    finally:
        daemon.close()


def metaopt_compiled(programs: Path, sampler: str, each: int) -> Run:
    """Through a compiled client with four threads, each with a connection of its own."""
    daemon = Daemon(programs)
    try:
        daemon.call("POST", "/studies", problem.study("rate", sampler))
        before = daemon.cpu()
        run = asktell(programs, daemon, each)
        told(daemon, each * CLIENTS)
        return run._replace(daemon_ms=(daemon.cpu() - before) * 1000 / (each * CLIENTS))
    finally:
        daemon.close()


def asktell(programs: Path, daemon: Daemon, each: int, *more: str, threads: int = CLIENTS) -> Run:
    """Runs the compiled client on the study `rate`."""
    command = [str(programs / "asktell"), daemon.url, "rate", str(threads), str(each), *more]
    env = {**environment(), "METAOPT_TOKEN": daemon.token}
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    assert client.stdout is not None
    said = client.stdout.readline()
    assert said, "asktell failed; its message stands above"
    answer = json.loads(said)
    if answer["refused"]:
        print(
            f"# {answer['refused']} calls were answered 429 and made again: the daemon's limit of calls a second",
            flush=True,
        )
    # It waits for its input's end, so that its CPU time can still be read.
    cpu = cpu_of(client.pid)
    client.communicate()
    return Run(each * threads / answer["seconds"], cpu * 1000 / (each * threads), 0.0)


def told(daemon: Daemon, trials: int) -> None:
    """A rate of trials that were not told would be a lie."""
    counts = daemon.call("GET", "/studies/rate")["counts"]
    assert counts["complete"] == trials, counts


def optuna_journal(sampler: str, each: int) -> Run:
    """Optuna with four processes on one journal file, on the same disk as metaopt's data directories."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        journal = str(Path(folder) / "journal.log")
        optuna.create_study(study_name="rate", storage=JournalStorage(JournalFileBackend(journal)))
        return processes(["optuna", "rate", sampler, str(each), journal], each * CLIENTS, environment())


def measure(programs: Path, short: bool) -> Iterator[Row]:
    """Both samplers; rows of both clients and of the peer, then the ratios."""
    each, repetitions = (25, 1) if short else (250, 3)
    peer = has_optuna()
    for sampler in ("random", "tpe"):
        python, compiled, optuna = [], [], []
        for _ in range(repetitions):
            python.append(metaopt_python(programs, sampler, each))
            if peer:
                optuna.append(optuna_journal(sampler, each))
            compiled.append(metaopt_compiled(programs, sampler, each))
        yield from described(f"ask+tell, {sampler}, 4 Python processes", python)
        yield from described(f"ask+tell, {sampler}, compiled client, 4 threads", compiled)
        if peer:
            name = f"ask+tell, {sampler}, Optuna's journal file, 4 processes"
            yield row(name, "trials/s", [run.rate for run in optuna])
            yield row("  CPU of the clients", "ms/trial", [run.client_ms for run in optuna])
            yield against(f"  Python over Optuna, {sampler}", python, optuna, at_least(PYTHON_AIM))
            yield against(f"  compiled over Optuna, {sampler}", compiled, optuna, at_least(COMPILED_AIM))


def described(name: str, runs: List[Run]) -> Iterator[Row]:
    """The rows of one of metaopt's clients."""
    yield row(name, "trials/s", [run.rate for run in runs])
    yield row("  CPU of the daemon", "ms/trial", [run.daemon_ms for run in runs])
    yield row("  CPU of the clients", "ms/trial", [run.client_ms for run in runs])


def against(name: str, ours: List[Run], theirs: List[Run], aim: Aim) -> Row:
    """How many times as fast."""
    return ratio(name, [run.rate for run in ours], [run.rate for run in theirs], aim)


def has_optuna() -> bool:
    """Whether the peer is here; said where it isn't."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        print("optuna is not installed in this environment: its rows and the ratios are left out", flush=True)
        return False
    return True
