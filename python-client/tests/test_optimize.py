"""The loop: threads, exceptions, pruning, waiting, ending, interrupting."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest
from fake_daemon import FakeDaemon

import metaopt
from metaopt._progress import Progress


def square(trial: metaopt.Trial) -> float:
    return float((trial.params["x"] - 0.3) ** 2)


def states(here: FakeDaemon) -> List[str]:
    return [t["state"] for t in here.trials.values()]


def test_it_runs_as_many_trials_as_asked(study: metaopt.Study, here: FakeDaemon) -> None:
    study.optimize(square, n_trials=8)
    assert states(here) == ["complete"] * 8
    assert study.best_params == {"x": 0.3}


def test_threads_run_at_the_same_time_and_never_the_same_trial(study: metaopt.Study, here: FakeDaemon) -> None:
    together = threading.Barrier(4, timeout=10)
    seen: List[int] = []

    def objective(trial: metaopt.Trial) -> float:
        seen.append(trial.number)
        if len(seen) <= 4:
            together.wait()
        return square(trial)

    study.optimize(objective, n_trials=12, n_jobs=4)
    assert sorted(seen) == list(range(12))
    assert states(here) == ["complete"] * 12


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_it_ends_with_the_budget(here: FakeDaemon, n_jobs: int) -> None:
    study = metaopt.create_study("b", [metaopt.Float("x", 0.0, 1.0)], max_trials=5)
    study.optimize(square, n_jobs=n_jobs)
    assert states(here) == ["complete"] * 5


def test_it_waits_when_told_to_and_ends_when_exhausted(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        here.nothing = [{"reason": "wait", "retry_after_s": 0.05}, {"reason": "exhausted", "retry_after_s": None}]
        return 0.1

    study.optimize(objective)
    assert states(here) == ["complete"]
    assert here.calls("POST", "/suggest") == 3


def test_it_ends_at_its_timeout(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        time.sleep(0.05)
        return 0.1

    started = time.monotonic()
    study.optimize(objective, timeout=0.4)
    assert time.monotonic() - started < 3
    assert 1 <= len(here.trials) < 20
    here.nothing = [{"reason": "wait", "retry_after_s": 60}]
    started = time.monotonic()
    study.optimize(objective, timeout=0.3)
    assert time.monotonic() - started < 3


def test_stop_ends_after_the_trial(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        if trial.number == 2:
            study.stop()
        return 0.1

    study.optimize(objective, n_trials=50)
    assert states(here) == ["complete"] * 3
    study.optimize(square, n_trials=1)
    assert len(here.trials) == 4


def test_pruned_trials_are_told_so(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        trial.report(error=1.0)
        if trial.number == 1:
            raise metaopt.TrialPruned("hopeless")
        return 0.1

    study.optimize(objective, n_trials=3)
    assert states(here) == ["complete", "pruned", "complete"]
    assert here.trials["node.1"]["detail"] == "hopeless"


@pytest.mark.parametrize("action", ["stop", "pause"])
def test_optunas_way_to_leave_after_a_stop(study: metaopt.Study, here: FakeDaemon, action: str) -> None:
    here.actions = lambda trial, _: action if trial["number"] == 0 else "continue"

    def objective(trial: metaopt.Trial) -> Any:
        trial.report(error=1.0)
        if trial.should_prune():
            raise metaopt.TrialPruned
        return 0.1

    study.optimize(objective, n_trials=2)
    # The answer was the transition: nothing is told on top.
    assert states(here) == ["pruned" if action == "stop" else "paused", "complete"]
    assert here.calls("POST", "/node.0/complete") == 0


def test_leaving_a_stopped_trial_with_none_or_a_value_is_fine(study: metaopt.Study, here: FakeDaemon) -> None:
    here.actions = lambda *_: "stop"

    def objective(trial: metaopt.Trial) -> Any:
        trial.report(error=1.0)
        return None if trial.number == 0 else 0.5

    study.optimize(objective, n_trials=2)
    assert states(here) == ["pruned", "pruned"]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_exception_fails_its_trial_and_ends_the_loop(study: metaopt.Study, here: FakeDaemon, n_jobs: int) -> None:
    def objective(trial: metaopt.Trial) -> float:
        if trial.number == 1:
            raise RuntimeError("out of ideas")
        time.sleep(0.05)
        return 0.1

    with pytest.raises(RuntimeError, match="out of ideas"):
        study.optimize(objective, n_trials=20, n_jobs=n_jobs)
    assert here.trials["node.1"]["state"] == "fail"
    assert here.trials["node.1"]["detail"] == "RuntimeError: out of ideas"
    assert len(here.trials) < 20
    assert "running" not in states(here)


def test_caught_exceptions_only_fail_their_trial(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        if trial.number == 0:
            raise ValueError("no")
        return 0.1

    study.optimize(objective, n_trials=3, catch=ValueError)
    assert states(here) == ["fail", "complete", "complete"]


def test_results_that_are_not_finite_fail_their_trial_only(study: metaopt.Study, here: FakeDaemon) -> None:
    study.optimize(lambda trial: float("nan") if trial.number == 0 else 0.1, n_trials=2)
    assert states(here) == ["fail", "complete"]
    assert here.trials["node.0"]["detail"] == "not finite: error is nan"


def test_returning_nothing_takes_the_last_report_or_fails(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> None:
        if trial.number == 0:
            trial.report(error=0.5)
            trial.report(error=0.4, acc=0.9)

    with pytest.raises(TypeError, match="returned None: return a value for error"):
        study.optimize(objective, n_trials=2)
    assert states(here) == ["complete", "fail"]
    assert here.trials["node.0"]["values"] == {"error": 0.4, "acc": 0.9}


def test_an_objective_may_complete_its_trial_itself(study: metaopt.Study, here: FakeDaemon) -> None:
    study.optimize(lambda trial: trial.complete(error=0.2, acc=1), n_trials=1)
    assert here.trials["node.0"]["values"] == {"error": 0.2, "acc": 1.0}


def test_dictionaries_and_tuples_are_results_too(here: FakeDaemon) -> None:
    study = metaopt.create_study("two", [metaopt.Float("x", 0.0, 1.0)], minimize="a", maximize="b")
    results: List[Any] = [(1.0, 2.0), {"a": 3.0, "b": 4.0, "c": 5.0}]
    study.optimize(lambda trial: results[trial.number], n_trials=2)
    assert [t["values"] for t in here.trials.values()] == [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0, "c": 5.0}]
    with pytest.raises(metaopt.ValidationError, match="one value for 2 objectives"):
        study.optimize(lambda trial: 1.0, n_trials=1)
    assert states(here)[-1] == "fail"


def test_a_refused_result_ends_its_trial(study: metaopt.Study, here: FakeDaemon) -> None:
    with pytest.raises(metaopt.ValidationError, match="/values/error: is missing"):
        study.optimize(lambda trial: {"loss": 1.0}, n_trials=1)
    assert states(here) == ["fail"]


def test_callbacks_get_the_study_and_the_ended_trial(study: metaopt.Study) -> None:
    seen: List[Tuple[str, str, Dict[str, float]]] = []
    study.optimize(square, n_trials=2, callbacks=[lambda s, t: seen.append((s.name, t.state, t.values))])
    assert [(name, state) for name, state, _ in seen] == [("svm", "complete")] * 2
    assert seen[0][2] == {"error": pytest.approx(0.09)}


def test_the_daemon_may_come_and_go(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        if trial.number == 1:
            here.stop()
            threading.Timer(0.4, here.start).start()
            trial.report(error=1.0)
        return 0.1

    study.optimize(objective, n_trials=3)
    assert states(here) == ["complete"] * 3
    assert here.reports["node.1"] == {1: {"error": 1.0}}


def test_heartbeats_come_by_themselves(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        here.wait_for(lambda: here.trials[trial.id]["beats"] >= 2)
        return 0.1

    study.optimize(objective, n_trials=1, lease_s=0.2)


def test_a_study_cancelled_meanwhile_ends_the_loop(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        study.cancel()
        return 0.1

    study.optimize(objective, n_trials=9)
    assert len(here.trials) == 1


def test_wrong_arguments_are_named(study: metaopt.Study) -> None:
    with pytest.raises(metaopt.ValidationError, match="n_jobs is 0"):
        study.optimize(square, n_jobs=0)
    with pytest.raises(metaopt.ValidationError, match="n_trials is -1"):
        study.optimize(square, n_trials=-1)
    with pytest.raises(metaopt.ValidationError, match="must be a function"):
        study.optimize(3, n_trials=1)  # type: ignore[arg-type]
    with pytest.raises(metaopt.ValidationError, match="lease_s"):
        study.optimize(square, n_trials=1, lease_s=-1)


def test_an_interrupt_in_the_objective_cancels_its_trial(study: metaopt.Study, here: FakeDaemon) -> None:
    def objective(trial: metaopt.Trial) -> float:
        if trial.number == 1:
            raise KeyboardInterrupt
        return 0.1

    with pytest.raises(KeyboardInterrupt):
        study.optimize(objective, n_trials=5)
    assert states(here) == ["complete", "cancelled"]


def test_ctrl_c_with_threads_stops_them_and_cancels_what_they_held(here: FakeDaemon) -> None:
    code = textwrap.dedent(
        """
        import metaopt, time
        study = metaopt.create_study("c", [metaopt.Float("x", 0.0, 1.0)])
        def objective(trial):
            print("begun\\n", end="", flush=True)
            while not trial.should_stop():
                time.sleep(0.02)
        study.optimize(objective, n_jobs=2)
        """
    )
    source = Path(__file__).parent.parent / "src"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in err
    assert states(here) == ["cancelled", "cancelled"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_progress_line_is_redrawn_in_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    progress = Progress(None, "svm", 4, terminal)
    progress.started()
    progress.ended("complete")
    progress.best("0.25 (box-0)")
    progress.started()
    progress.ended("pruned")
    progress.close()
    last = terminal.getvalue().split("\r")[-1]
    assert last.rstrip().startswith("svm: [##########----------] 2/4, best 0.25 (box-0), 1 ended early, 0:00")
    assert last.endswith("\n")
    pipe = io.StringIO()
    quiet = Progress(None, "svm", 4, pipe)
    quiet.started()
    quiet.close()
    assert pipe.getvalue() == ""
    asked = Progress(True, "svm", None, pipe)
    asked.started()
    asked.ended("fail")
    asked.close()
    assert pipe.getvalue().splitlines()[-1] == "svm: 1 trials, 1 failed, 0:00"


def test_the_progress_line_knows_the_best_from_before(study: metaopt.Study, capsys: pytest.CaptureFixture[str]) -> None:
    study.tell(study.ask(), 0.125)
    study.optimize(lambda trial: 0.5, n_trials=1, show_progress_bar=True)
    err = capsys.readouterr().err
    assert "best 0.125 (box-0)" in err.splitlines()[-1]
