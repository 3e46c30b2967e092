"""The package against a real `metaoptd`: what the fake daemon claims, checked with the one that users run.

The binary is looked for in METAOPT_BIN_DIR, else in the repository's debug build; without either the file is skipped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

import metaopt
from metaopt import FrozenTrial, _discovery
from metaopt.space import Parameter
from metaopt.trial import AskedTrial

_REPOSITORY = Path(__file__).resolve().parents[2]
_SOURCE = Path(__file__).resolve().parents[1] / "src"
# Read at import: the fixtures of conftest take every METAOPT_* variable away.
_BIN_DIR = os.environ.get("METAOPT_BIN_DIR")
_BINARY = (Path(_BIN_DIR).resolve() if _BIN_DIR else _REPOSITORY / "target" / "debug") / "metaoptd"

pytestmark = pytest.mark.skipif(
    _BIN_DIR is None and not _BINARY.exists(),
    reason="no metaoptd: build it (cargo build -p metaopt), or set METAOPT_BIN_DIR to the directory that holds it",
)


class RealDaemon:
    """One `metaoptd` over a data directory of its own, that may be killed and started again."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._log = data_dir.parent / "metaoptd.log"
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(_BINARY), "--data-dir", str(self.data_dir), "--listen", "127.0.0.1:0"),
                    *("--peer-listen", "127.0.0.1:0", "--allow-root", "--no-mdns", "--gpus", "none", "--slots", "2"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.defpath, "HOME": str(self.data_dir.parent)},
            )
        # After a kill the old api.json is still there: only one with the new process's ID counts.
        wait_for(self._serves, f"metaoptd to serve; its log is {self._log}")

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"metaoptd ended with {self._process.returncode}:\n{self._log.read_text()}")
        try:
            return bool(json.loads((self.data_dir / "api.json").read_text())["pid"] == self._process.pid)
        except (OSError, ValueError):
            return False

    def kill(self) -> None:
        """As a crash or the OOM killer would: no last words."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.03)
    return pytest.fail(f"waited {seconds:g} s in vain for {what}")


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    daemon = RealDaemon(tmp_path_factory.mktemp("real") / "data")
    daemon.start()
    yield daemon
    daemon.close()


@pytest.fixture
def real(shared_daemon: RealDaemon, monkeypatch: pytest.MonkeyPatch) -> RealDaemon:
    """The daemon, found as users' scripts find it: through the data directory's api.json and the challenge."""
    monkeypatch.setenv("METAOPT_DATA_DIR", str(shared_daemon.data_dir))
    return shared_daemon


X = [metaopt.Float("x", 0.0, 1.0)]


def square(trial: AskedTrial) -> float:
    return float((trial.params["x"] - 0.3) ** 2)


# --- studies ---


def test_studies_are_created_loaded_and_continued(real: RealDaemon) -> None:
    space: List[Parameter] = [
        metaopt.Float("lr", 1e-5, 1.0, log=True),
        metaopt.Int("layers", 1, 12),
        metaopt.Categorical("opt", ["sgd", "adam", None, 3, True]),
        metaopt.Float("momentum", 0.0, 1.0, when={"opt": ["sgd"]}),
    ]
    made = metaopt.create_study("created", space, minimize="error", seed=7, user_attrs={"who": "me"})
    loaded = metaopt.load_study("created")
    assert loaded.id == made.id == metaopt.load_study(made.id).id
    assert (loaded.metric_names, loaded.direction) == (["error"], "minimize")
    assert [p.name for p in loaded.space] == ["lr", "layers", "opt", "momentum"]
    assert loaded.user_attrs == {"who": "me"}
    with pytest.raises(metaopt.StudyExists, match="load_if_exists=True"):
        metaopt.create_study("created", space, minimize="error")
    assert metaopt.create_study("created", space, minimize="error", load_if_exists=True).id == made.id
    with pytest.raises(metaopt.StudyExists):
        metaopt.create_study("created", X, minimize="error", load_if_exists=True)
    with pytest.raises(metaopt.StudyNotFound):
        metaopt.load_study("nobody-made-this")
    for _ in range(12):
        trial = made.ask()
        assert ("momentum" in trial.params) == (trial.params["opt"] == "sgd")
        made.tell(trial, 1.0)


def test_wrong_fields_are_named(real: RealDaemon) -> None:
    # Both are the daemon's own checks: the package sends plain dictionaries as they are.
    with pytest.raises(metaopt.ValidationError, match="/space/0/low") as caught:
        metaopt.create_study("bad", [{"name": "x", "type": "float", "low": 2.0, "high": 1.0}])
    assert caught.value.status == 422
    assert str(caught.value).count("/space/0/low") == 1
    with pytest.raises(metaopt.ValidationError, match="/sampler/name"):
        metaopt.create_study("bad", X, sampler="oracle")
    with pytest.raises(metaopt.ValidationError, match="/early_stopping/rule"):
        metaopt.create_study("bad", X, early_stopping="never")
    study = metaopt.create_study("fields", X, minimize="error")
    with pytest.raises(metaopt.ValidationError, match="x"):
        study.enqueue_trial({"x": 7.0})
    trial = study.ask()
    with pytest.raises(metaopt.ValidationError, match="error"):
        study.tell(trial, {"loss": 0.1})
    study.tell(trial, 0.1)
    study.tell(trial.id, 0.1)
    with pytest.raises(metaopt.Conflict):
        study.tell(trial.id, 0.2)


# --- optimize ---


def test_four_threads_share_out_the_trials(real: RealDaemon) -> None:
    study = metaopt.create_study("threads", X, minimize="error", seed=1)
    with pytest.raises(metaopt.NoBestTrial):
        _ = study.best_trial
    seen: List[FrozenTrial] = []
    study.optimize(square, n_trials=24, n_jobs=4, callbacks=[lambda _, trial: seen.append(trial)])
    trials = study.trials
    assert [t.number for t in trials] == list(range(24))
    assert {t.state for t in trials} == {"complete"}
    assert {t.id for t in seen} == {t.id for t in trials}
    assert {t.state for t in seen} == {"complete"}
    best = min(trials, key=lambda t: t.values["error"])
    assert (study.best_value, study.best_trial.id, study.best_params) == (best.value, best.id, best.params)
    assert all(t.duration is not None and t.datetime_start is not None for t in trials)
    assert [t.id for t in study.get_trials(["complete"])] == [t.id for t in trials]
    assert study.get_trials("fail") == []


def test_the_best_of_a_maximised_metric_is_the_highest(real: RealDaemon) -> None:
    study = metaopt.create_study("maximised", X, maximize="acc")
    for value in (0.2, 0.9, 0.4):
        study.tell(study.ask(), value)
    assert study.best_value == 0.9


def test_the_median_rule_prunes(real: RealDaemon) -> None:
    study = metaopt.create_study("median", X, minimize="loss", early_stopping={"rule": "median", "max_steps": 10})
    turn = iter(range(40))

    def objective(trial: AskedTrial) -> float:
        # Every other one is hopeless.
        offset = float(next(turn) % 2)
        for step in range(1, 11):
            trial.report(loss=offset + 1.0 / step, step=step)
            if trial.should_prune():
                raise metaopt.TrialPruned
        return offset + 0.1

    study.optimize(objective, n_trials=24)
    pruned = study.get_trials("pruned")
    assert len(pruned) + len(study.get_trials("complete")) == 24
    assert len(pruned) >= 5
    assert all(t.number % 2 and 1 <= t.last_step < 10 and t.reason == "pruned" for t in pruned)
    assert study.best_value == pytest.approx(0.1)


def test_an_objective_may_prune_by_itself(real: RealDaemon) -> None:
    study = metaopt.create_study("own-prune", X)

    def objective(trial: AskedTrial) -> float:
        trial.report(0.5, step=1)
        raise metaopt.TrialPruned("hopeless")

    study.optimize(objective, n_trials=2)
    assert [(t.state, t.last_step) for t in study.trials] == [("pruned", 1)] * 2
    with pytest.raises(metaopt.NoBestTrial):
        _ = study.best_trial


def test_failures_are_told_and_caught_where_asked(real: RealDaemon) -> None:
    study = metaopt.create_study("failing", X)

    def objective(trial: AskedTrial) -> float:
        if trial.number % 2:
            raise ZeroDivisionError("no luck")
        return square(trial)

    study.optimize(objective, n_trials=6, catch=(ZeroDivisionError,))
    assert [t.state for t in study.trials] == ["complete", "fail"] * 3
    assert study.trials[1].detail == "ZeroDivisionError: no luck"
    with pytest.raises(ZeroDivisionError):
        study.optimize(objective, n_trials=6)
    assert [t.state for t in study.trials[6:]] == ["complete", "fail"]


def test_several_objectives_have_a_front_and_no_best(real: RealDaemon) -> None:
    study = metaopt.create_study("pareto", X, minimize="loss", maximize="acc")
    for values in ((0.1, 0.5), (0.2, 0.9), (0.3, 0.4)):
        study.tell(study.ask(), values)
    with pytest.raises(metaopt.NoBestTrial, match="best_trials"):
        _ = study.best_trial
    assert sorted(t.values["loss"] for t in study.best_trials) == [0.1, 0.2]
    with pytest.raises(metaopt.Conflict, match="pareto"):
        study._call("GET", "/best")


def test_trials_are_enqueued_and_added(real: RealDaemon) -> None:
    study = metaopt.create_study("queue", [*X, metaopt.Categorical("opt", ["sgd", "adam"])])
    waiting = study.enqueue_trial({"x": 0.25, "opt": "adam"}, user_attrs={"from": "me"})
    assert waiting.state == "waiting"
    trial = study.ask()
    assert (trial.id, dict(trial.params)) == (waiting.id, {"x": 0.25, "opt": "adam"})
    assert trial.suggest_float("x", 0.0, 1.0) == 0.25
    assert trial.suggest_categorical("opt", ["sgd", "adam"]) == "adam"
    with pytest.raises(metaopt.ValidationError):
        trial.suggest_float("x", 0.0, 2.0)
    trial.set_user_attr("seen", [1, 2])
    study.tell(trial, 0.5)
    assert study.trials[0].user_attrs == {"from": "me", "seen": [1, 2]}
    study.add_trial(params={"x": 0.5, "opt": "sgd"}, values=0.01)
    study.add_trial(params={"x": 0.6, "opt": "sgd"}, state="fail")
    assert sorted(t.state for t in study.trials) == ["complete", "complete", "fail"]
    assert (study.best_value, study.best_params) == (0.01, {"x": 0.5, "opt": "sgd"})
    other = metaopt.create_study("queue-2", [*X, metaopt.Categorical("opt", ["sgd", "adam"])])
    for _ in range(2):
        other.add_trials(study.trials)
    assert sorted(t.values.get("loss", 9.0) for t in other.trials) == [0.01, 0.5, 9.0]
    assert other.best_value == 0.01
    warm = metaopt.create_study("queue-3", [*X, metaopt.Categorical("opt", ["sgd"])], from_study="queue", max_trials=1)
    assert sorted(t.values.get("loss", 9.0) for t in warm.trials) == [0.01, 9.0]
    assert warm.ask() is not None, "what was copied does not use up the budget"
    with pytest.raises(metaopt.ValidationError, match="/from"):
        metaopt.create_study("queue-4", [*X], from_study="kew")


def test_asked_trials_are_told_by_object_number_and_label(real: RealDaemon) -> None:
    study = metaopt.create_study("ask-tell", X)
    trials = [study.ask() for _ in range(4)]
    assert len({t.id for t in trials}) == 4
    study.tell(trials[0], 0.4)
    study.tell(trials[1].number, 0.3)
    study.tell(trials[2].label, 0.2)
    study.tell(trials[3], state="infeasible", detail="does not fit")
    assert [t.state for t in study.trials] == ["complete"] * 3 + ["infeasible"]
    assert [t.value for t in study.trials] == [0.4, 0.3, 0.2, None]
    assert study.best_trial.id == trials[2].id


def test_a_finite_space_and_a_budget_end_the_loop(real: RealDaemon) -> None:
    finite = metaopt.create_study("finite", [metaopt.Categorical("opt", ["a", "b", "c"]), metaopt.Int("n", 1, 2)])
    finite.optimize(lambda trial: float(trial.params["n"]), n_jobs=2)
    assert sorted((t.params["opt"], t.params["n"]) for t in finite.trials) == [(o, n) for o in "abc" for n in (1, 2)]
    with pytest.raises(metaopt.NoMoreTrials) as caught:
        finite.ask()
    assert caught.value.reason == "exhausted"
    spent = metaopt.create_study("spent", X, max_trials=5)
    spent.optimize(square, n_jobs=2)
    assert len(spent.trials) == 5
    with pytest.raises(metaopt.NoMoreTrials):
        spent.ask()


# --- a daemon that dies ---


@pytest.fixture
def mortal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealDaemon]:
    daemon = RealDaemon(tmp_path / "data")
    monkeypatch.setenv("METAOPT_DATA_DIR", str(daemon.data_dir))
    daemon.start()
    yield daemon
    daemon.close()


def test_optimize_goes_on_over_a_killed_daemon(mortal: RealDaemon) -> None:
    study = metaopt.create_study("killed", X)
    under_way, back = threading.Event(), threading.Event()

    def crash() -> None:
        under_way.wait(10)
        mortal.kill()
        time.sleep(0.3)
        mortal.start()
        back.set()

    crashing = threading.Thread(target=crash)
    crashing.start()

    def objective(trial: AskedTrial) -> float:
        if trial.number >= 6:
            under_way.set()
        for step in (1, 2, 3):
            # Some of these are reported to nobody.
            trial.report(loss=square(trial) + 1.0 / step, step=step)
            time.sleep(0.02)
        return square(trial)

    study.optimize(objective, n_trials=30, n_jobs=2)
    crashing.join()
    assert back.is_set()
    trials = study.trials
    assert [t.state for t in trials] == ["complete"] * len(trials)
    # A suggestion whose answer died with the daemon is asked for again under the same name: none is lost or extra.
    assert len(trials) == 30
    assert all(t.last_step == 3 for t in trials)
    assert all(len(t.raw["attempts"]) == 1 for t in trials)


# --- scripts that the daemon runs ---


def run_study(name: str, script: Path, text: str, **more: Any) -> metaopt.Study:
    script.write_text(textwrap.dedent(text))
    body: Dict[str, Any] = {
        "name": name,
        "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "run": {
            "command": [sys.executable, str(script), "--x", "{x}"],
            "workdir": "in_place",
            "path": str(script.parent),
            "env": {"PYTHONPATH": str(_SOURCE)},
        },
        **more,
    }
    # The package itself makes ask-and-tell studies only: scripts are submitted from the command line.
    _discovery.connect().request("POST", "/api/v1/studies", body)
    return metaopt.load_study(name)


def reports(study: metaopt.Study, trial: FrozenTrial) -> List[Dict[str, Any]]:
    answer = study._connection.request("GET", f"/api/v1/trials/{trial.id}/reports")
    found: List[Dict[str, Any]] = answer["items"] if isinstance(answer, dict) else answer
    return found


def ended(study: metaopt.Study, count: int) -> Callable[[], Any]:
    def check() -> Any:
        trials = study.trials
        return trials if sum(t.state not in ("waiting", "running") for t in trials) >= count else None

    return check


def test_a_script_reports_checkpoints_and_completes(real: RealDaemon, tmp_path: Path) -> None:
    script = """
        import sys
        import metaopt
        trial = metaopt.current_trial()
        assert sys.argv[1] == "--x" and float(sys.argv[2]) == trial.params["x"]
        assert trial.study_name == "script" and trial.attempt == 1 and trial.number in (0, 1), trial.number
        for epoch in range(trial.resume_step + 1, 4):
            loss = trial.params["x"] + 1 / epoch
            (trial.checkpoint_dir / "state").write_text(str(epoch))
            trial.report(loss=loss, step=epoch)
            trial.checkpoint()
            if trial.should_stop():
                break
        else:
            (trial.output_dir / "model").write_text("weights")
            trial.set_user_attr("host", "here")
            trial.complete(loss=loss, extra=2.0)
    """
    study = run_study("script", tmp_path / "train.py", script, budget={"max_trials": 2})
    trials = wait_for(ended(study, 2), "two trials to end")
    assert [(t.state, t.reason, t.detail) for t in trials] == [("complete", "exit", None)] * 2
    for trial in trials:
        assert trial.values == {"loss": pytest.approx(trial.params["x"] + 1 / 3), "extra": 2.0}
        assert [r["step"] for r in reports(study, trial)] == [1, 2, 3]
        assert (trial.last_step, trial.user_attrs) == (3, {"host": "here"})
    assert study.best_trial.id == min(trials, key=lambda t: t.values["loss"]).id
    assert wait_for(lambda: study.info()["state"] == "complete", "the study's end")
    with pytest.raises(metaopt.NoMoreTrials) as caught:
        study.ask()
    assert caught.value.reason == "complete"


def test_what_a_script_says_to_an_absent_daemon_counts(mortal: RealDaemon, tmp_path: Path) -> None:
    script = f"""
        import time
        from pathlib import Path
        import metaopt
        here = Path({str(tmp_path)!r})
        trial = metaopt.current_trial()
        trial.report(loss=1.0, step=1)
        (here / "reported").touch()
        while not (here / "go").exists():
            time.sleep(0.02)
        for step in (2, 3):
            trial.report(loss=1.0 / step, step=step)
            assert not trial.should_stop()
        trial.complete(loss=0.25)
        (here / "done").touch()
    """
    study = run_study("away", tmp_path / "train.py", script, budget={"max_trials": 1})
    wait_for((tmp_path / "reported").exists, "the first report")
    with pytest.raises(metaopt.Conflict, match="run"):
        study.ask()
    mortal.kill()
    (tmp_path / "go").touch()
    wait_for((tmp_path / "done").exists, "the script to end without a daemon")
    # The supervisor too: it has read what was spooled when the daemon is back.
    time.sleep(0.5)
    mortal.start()
    (trial,) = wait_for(ended(study, 1), "the trial to end")
    assert (trial.state, trial.reason, trial.values) == ("complete", "exit", {"loss": 0.25})
    assert [(r["step"], r["values"]["loss"]) for r in reports(study, trial)] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert [a["counted"] for a in trial.raw["attempts"]] == [True]


def test_a_running_script_delivers_what_waited_when_the_daemon_is_back(mortal: RealDaemon, tmp_path: Path) -> None:
    script = f"""
        import time
        from pathlib import Path
        import metaopt
        here = Path({str(tmp_path)!r})
        trial = metaopt.current_trial()
        trial.report(loss=1.0, step=1)
        (here / "reported").touch()
        while not (here / "go").exists():
            time.sleep(0.02)
        trial.report(loss=0.5, step=2)
        (here / "spooled").touch()
        while not (here / "end").exists():
            assert not trial.should_stop()
            time.sleep(0.1)
        trial.complete(loss=0.25)
    """
    study = run_study("back", tmp_path / "train.py", script, budget={"max_trials": 1})
    wait_for((tmp_path / "reported").exists, "the first report")
    before = (mortal.data_dir / "api.json").read_text()
    mortal.kill()
    (tmp_path / "go").touch()
    wait_for((tmp_path / "spooled").exists, "a report to nobody")
    mortal.start()
    after = (mortal.data_dir / "api.json").read_text()
    # What the script was given at its start has to stay good.
    assert [json.loads(before)[k] for k in ("url", "token")] == [json.loads(after)[k] for k in ("url", "token")]
    (running,) = study.trials
    assert running.state == "running"
    wait_for(lambda: [r["step"] for r in reports(study, running)] == [1, 2], "the kept report, from the script itself")
    assert study.trials[0].state == "running"
    (tmp_path / "end").touch()
    (trial,) = wait_for(ended(study, 1), "the trial to end")
    assert (trial.id, trial.state, trial.values, trial.attempt) == (running.id, "complete", {"loss": 0.25}, 1)


def test_a_script_is_stopped_by_the_rule_and_a_bad_one_fails(real: RealDaemon, tmp_path: Path) -> None:
    script = """
        import sys
        import metaopt
        trial = metaopt.current_trial()
        if trial.number == 9:
            sys.exit("the disk is upside down")
        for step in range(1, 7):
            trial.report(loss=trial.params["x"] + 1 / step, step=step)
            if trial.should_stop():
                break
        else:
            trial.complete(loss=trial.params["x"])
    """
    study = run_study(
        "stopped",
        tmp_path / "train.py",
        script,
        early_stopping={"rule": "median", "max_steps": 6},
        sampler={"name": "random", "seed": 3},
        budget={"max_trials": 16},
    )
    trials = wait_for(ended(study, 16), "sixteen trials to end", 20)
    pruned = [t for t in trials if t.state == "pruned"]
    assert pruned
    assert all(t.reason == "pruned" and 1 <= t.last_step < 6 for t in pruned)
    assert [(t.number, t.reason) for t in trials if t.state == "fail"] == [(9, "exit")]
    assert all(t.last_step == 6 for t in trials if t.state == "complete")
    assert study.best_trial.state == "complete"
