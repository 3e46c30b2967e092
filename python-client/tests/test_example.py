"""The demonstration's training script, alone and as a trial that is frozen and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Inside
from fake_daemon import FakeDaemon

pytest.importorskip("sklearn")
ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "examples" / "digits.py"


def train(*arguments: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_runs_alone_and_learns() -> None:
    lines = train("--lr", "0.05", "--epochs", "5").splitlines()
    assert len(lines) == 5
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in lines]
    assert losses[-1] < min(losses[0], 0.5)
    assert float(lines[-1].split()[-1]) > 0.9


def test_it_describes_its_space() -> None:
    line = train(METAOPT_DESCRIBE="1")
    assert [p["name"] for p in json.loads(line.partition(": ")[2])] == ["lr", "alpha", "hidden"]


def test_frozen_and_thawed_it_ends_as_if_it_had_not_been(
    inside: Inside, here: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def values(record: Any) -> Any:
        return {step: report["loss"] for step, report in here.reports[record["id"]].items()}

    params = '{"lr": 0.05, "alpha": 0.001, "hidden": 16}'
    whole = inside(params)
    train("--epochs", "4")
    assert whole["state"] == "complete"
    assert whole["values"]["accuracy"] > 0.9
    expected = values(whole)
    here.reports["node.0"] = {}
    here.actions = lambda _, report: "pause" if report["step"] == 2 else "continue"
    frozen = inside(params)
    assert "stopping early" in train("--epochs", "4")
    assert list(here.reports["node.0"]) == [1, 2]
    monkeypatch.setenv("METAOPT_RESUME_STEP", "2")
    here.actions = lambda *_: "continue"
    assert "resuming after epoch 2" in train("--epochs", "4")
    assert frozen["state"] == "complete"
    assert values(frozen) == expected
