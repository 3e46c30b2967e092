from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from fake_daemon import FakeDaemon

import metaopt
from metaopt import _arguments, _outbox
from metaopt import trial as trial_module


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's own daemon, home or trial."""
    for name in [n for n in os.environ if n.startswith("METAOPT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("METAOPT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(trial_module, "_current", {})
    monkeypatch.setattr(_arguments, "declared_defaults", {})
    # An absent daemon is asked again at once: the tests wait for nothing.
    monkeypatch.setattr(_outbox, "RETRY_EVERY_S", 0.0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    fake = FakeDaemon().start()
    yield fake
    fake.stop()


@pytest.fixture
def here(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> FakeDaemon:
    """The daemon, found through the environment."""
    monkeypatch.setenv("METAOPT_URL", daemon.url)
    monkeypatch.setenv("METAOPT_TOKEN", daemon.token)
    return daemon


@pytest.fixture
def study(here: FakeDaemon) -> metaopt.Study:
    made = metaopt.create_study("svm", [metaopt.Float("x", 0.0, 1.0)], minimize="error")
    made.patience_s = 5.0
    return made


Inside = Callable[..., Any]


@pytest.fixture
def inside(here: FakeDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Inside:
    """Makes this process a trial's, as its supervisor would, and answers the fake's record of it."""

    def enter(params: str = '{"lr": 0.1, "opt": "sgd", "n": 3}', resume_step: int = 0, attempt: int = 1) -> Any:
        for directory in ("ckpt", "out", "result"):
            (tmp_path / directory).mkdir(exist_ok=True)
        monkeypatch.setenv("METAOPT_TRIAL_ID", "node.0")
        monkeypatch.setenv("METAOPT_STUDY", "digits")
        monkeypatch.setenv("METAOPT_ATTEMPT", str(attempt))
        monkeypatch.setenv("METAOPT_PARAMS", params)
        monkeypatch.setenv("METAOPT_RESUME_STEP", str(resume_step))
        monkeypatch.setenv("METAOPT_CHECKPOINT_DIR", str(tmp_path / "ckpt"))
        monkeypatch.setenv("METAOPT_OUTPUT_DIR", str(tmp_path / "out"))
        monkeypatch.setenv("METAOPT_RESULTS_PATH", str(tmp_path / "result" / "result.json"))
        return here.add_running()

    return enter
