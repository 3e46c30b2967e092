"""A script's trial: reports, results, checkpoints, and a daemon that goes away and comes back."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest
from conftest import Inside
from fake_daemon import FakeDaemon

import metaopt
from metaopt import _outbox


def spooled(tmp_path: Path) -> List[Dict[str, Any]]:
    path = tmp_path / "result" / "spool.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_environment_is_read(inside: Inside, tmp_path: Path) -> None:
    record = inside(resume_step=4, attempt=1)
    record["number"] = 17
    trial = metaopt.current_trial()
    assert trial.params == {"lr": 0.1, "opt": "sgd", "n": 3}
    assert (trial.id, trial.resume_step, trial.last_step, trial.attempt, trial.study_name) == (
        "node.0",
        4,
        4,
        1,
        "digits",
    )
    assert trial.checkpoint_dir == tmp_path / "ckpt"
    assert trial.output_dir == tmp_path / "out"
    assert trial.number == 17
    assert metaopt.current_trial() is trial


def test_a_missing_parameter_is_explained(inside: Inside) -> None:
    inside()
    with pytest.raises(KeyError, match=r"momentum.*not active"):
        metaopt.current_trial().params["momentum"]


def test_reports_count_steps_on_from_the_resumed_one(inside: Inside, here: FakeDaemon) -> None:
    inside(resume_step=2)
    trial = metaopt.current_trial()
    assert trial.report(loss=0.5) == "continue"
    trial.report({"loss": 0.4, "acc": 0.9})
    trial.report({"loss": 0.3}, 10)
    trial.report(loss=0.2)
    assert here.reports["node.0"] == {
        3: {"loss": 0.5},
        4: {"loss": 0.4, "acc": 0.9},
        10: {"loss": 0.3},
        11: {"loss": 0.2},
    }


def test_reports_share_one_connection(inside: Inside, here: FakeDaemon) -> None:
    inside()
    trial = metaopt.current_trial()
    for step in range(1, 51):
        trial.report(loss=1 / step, step=step)
    assert here.connections == 1


def test_reports_from_several_threads_all_arrive(inside: Inside, here: FakeDaemon) -> None:
    inside()
    trial = metaopt.current_trial()
    threads = [threading.Thread(target=lambda: [trial.report(loss=1.0) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(here.reports["node.0"]) == list(range(1, 81))


def test_a_stop_stays_a_stop_and_complete_after_it_is_fine(inside: Inside, here: FakeDaemon) -> None:
    record = inside()
    trial = metaopt.current_trial()
    here.actions = lambda _, report: "stop" if report["step"] == 2 else "continue"
    trial.report(loss=0.5)
    assert not trial.should_stop()
    assert trial.report(loss=0.6) == "stop"
    trial.report(loss=0.7)
    assert trial.should_stop()
    assert trial.should_prune()
    record["state"] = "pruned"
    trial.complete(loss=0.7)
    assert record["state"] == "pruned"


def test_a_pause_stops_too(inside: Inside, here: FakeDaemon) -> None:
    inside()
    here.actions = lambda *_: "pause"
    trial = metaopt.current_trial()
    assert trial.report(loss=0.5) == "pause"
    assert trial.should_stop()


def test_complete_carries_the_attempt(inside: Inside, here: FakeDaemon) -> None:
    record = inside()
    metaopt.current_trial().complete(loss=0.25, acc=1)
    assert record["state"] == "complete"
    assert record["values"] == {"loss": 0.25, "acc": 1.0}


def test_a_different_second_result_is_an_error(inside: Inside) -> None:
    inside()
    trial = metaopt.current_trial()
    trial.complete(loss=0.25)
    trial.complete(loss=0.25)
    with pytest.raises(metaopt.Conflict, match="complete already"):
        trial.complete(loss=0.3)


def test_the_result_of_a_cancelled_trial_is_let_go(inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    inside()["state"] = "cancelled"
    trial = metaopt.current_trial()
    trial.complete(loss=0.25)
    assert trial.should_stop()
    assert "not taken" in caplog.text


def test_a_report_of_an_older_attempt_is_answered_stop(inside: Inside) -> None:
    inside()["attempt"] = 2
    trial = metaopt.current_trial()
    trial.report(loss=0.5)
    assert trial.should_stop()


def test_a_contradicting_report_raises_while_the_attempt_runs(inside: Inside) -> None:
    inside()
    trial = metaopt.current_trial()
    trial.report(loss=0.5, step=1)
    trial.report(loss=0.5, step=1)
    with pytest.raises(metaopt.Conflict, match="step 1 has other values"):
        trial.report(loss=0.6, step=1)
    assert not trial.should_stop()


@pytest.mark.parametrize("status", [409, 410])
def test_a_conflict_because_the_attempt_is_over_means_stop(inside: Inside, here: FakeDaemon, status: int) -> None:
    record = inside()
    trial = metaopt.current_trial()
    record["state"] = "cancelled"
    here.break_next = (status, b'{"title": "Gone", "detail": "the attempt is over"}', "application/problem+json")
    assert trial.report(loss=0.5) == "stop"


def test_wrong_fields_are_named(inside: Inside) -> None:
    inside()
    with pytest.raises(ValueError, match="no such metric") as caught:
        metaopt.current_trial().report(bad=1.0)
    assert isinstance(caught.value, metaopt.MetaoptError)
    assert caught.value.errors == [metaopt.FieldError("/values/bad", "there is no such metric")]
    assert "/values/bad: there is no such metric" in str(caught.value)


@pytest.mark.parametrize("step", [0, -1, 1.5, "three", True, math.nan])
def test_a_step_must_be_a_whole_number_from_one_up(inside: Inside, step: Any) -> None:
    inside()
    with pytest.raises(metaopt.ValidationError, match="step is"):
        metaopt.current_trial().report(loss=0.1, step=step)


def test_values_must_be_numbers_with_names(inside: Inside) -> None:
    inside()
    trial = metaopt.current_trial()
    with pytest.raises(metaopt.ValidationError, match="'loss' is 'low'"):
        trial.report({"loss": "low"})  # type: ignore[dict-item]
    with pytest.raises(metaopt.ValidationError, match="name the metric"):
        trial.report(0.5)
    with pytest.raises(metaopt.ValidationError, match="no values"):
        trial.report(step=1)
    with pytest.raises(metaopt.ValidationError, match="given twice"):
        trial.report({"loss": 1}, loss=2)


def test_a_diverged_loss_is_reported_as_null(inside: Inside, here: FakeDaemon) -> None:
    inside()
    metaopt.current_trial().report(loss=math.nan, acc=0.1)
    assert here.reports["node.0"][1] == {"loss": None, "acc": 0.1}


@pytest.mark.parametrize("values", [{"loss": math.nan}, {"loss": math.inf, "acc": 0.1}])
def test_a_diverged_result_fails_the_trial_and_not_the_script(inside: Inside, values: Dict[str, float]) -> None:
    record = inside()
    metaopt.current_trial().complete(values)
    assert (record["state"], record["detail"]) == ("fail", "not finite: loss")


def test_a_metric_beside_the_objectives_may_diverge(inside: Inside) -> None:
    record = inside()
    metaopt.current_trial().complete(loss=0.3, auc=math.nan)
    assert (record["state"], record["values"]) == ("complete", {"loss": 0.3})


def test_reports_are_spooled_while_away_and_delivered_in_order(
    inside: Inside, here: FakeDaemon, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inside()
    trial = metaopt.current_trial()
    trial.report(loss=1.0)
    here.stop()
    started = time.monotonic()
    for _ in range(20):
        assert trial.report(loss=0.5) == "continue"
    assert time.monotonic() - started < 2.0
    assert not trial.should_stop()
    kept = spooled(tmp_path)
    assert [k["body"]["step"] for k in kept] == list(range(2, 22))
    assert kept[0] == {"call": "reports", "body": {"step": 2, "values": {"loss": 0.5}, "attempt": 1}}
    here.actions = lambda _, report: "stop" if report["step"] == 22 else "continue"
    here.start()
    assert trial.report(loss=0.4) == "stop"
    assert list(here.reports["node.0"]) == list(range(1, 23))
    assert (tmp_path / "result" / "spool.jsonl").read_bytes() == b""
    assert caplog.text.count("going on, reports are kept") == 1


def test_should_stop_delivers_what_waits(inside: Inside, here: FakeDaemon) -> None:
    inside()
    trial = metaopt.current_trial()
    here.stop()
    trial.report(loss=0.5)
    here.actions = lambda *_: "pause"
    here.start()
    assert trial.should_stop()


def test_an_absent_daemon_is_asked_at_most_every_two_seconds(
    inside: Inside, here: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outbox, "RETRY_EVERY_S", 2.0)
    inside()
    trial = metaopt.current_trial()
    here.break_next = (503, b'{"title": "stopping"}', "application/problem+json")
    trial.report(loss=0.5)
    for _ in range(10):
        trial.report(loss=0.5)
        trial.should_stop()
    assert here.calls("POST", "/reports") == 1


def test_the_result_is_spooled_after_the_reports(
    inside: Inside, here: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaopt.trial._RESULT_PATIENCE_S", 0.2)
    inside()
    trial = metaopt.current_trial()
    here.stop()
    trial.report(loss=0.5)
    trial.complete(loss=0.4)
    assert [k["call"] for k in spooled(tmp_path)] == ["reports", "complete"]
    assert spooled(tmp_path)[1]["body"] == {"values": {"loss": 0.4}, "attempt": 1}
    here.start()
    trial.should_stop()
    assert here.trials["node.0"]["state"] == "complete"
    assert spooled(tmp_path) == []


def test_a_result_is_delivered_when_the_daemon_returns_within_its_patience(inside: Inside, here: FakeDaemon) -> None:
    record = inside()
    trial = metaopt.current_trial()
    here.stop()
    threading.Timer(0.4, here.start).start()
    trial.complete(loss=0.4)
    assert record["state"] == "complete"


@pytest.mark.parametrize(
    "answer",
    [
        (401, b'{"title": "Unauthorized", "detail": "unknown token"}', "application/problem+json"),
        (404, b"<html>nginx</html>", "text/html"),
        (200, b"<html>hello</html>", "text/html"),
        (500, b'{"title": "oops"}', "application/problem+json"),
        (503, b'{"title": "disk full"}', "application/problem+json"),
        (429, b'{"title": "slower"}', "application/problem+json"),
    ],
)
def test_whatever_else_answers_there_the_script_goes_on(
    inside: Inside, here: FakeDaemon, tmp_path: Path, answer: Any
) -> None:
    inside()
    trial = metaopt.current_trial()
    here.break_next = answer
    trial.report(loss=0.5)
    # Either it was delivered at the second try, which comes at once here, or it waits.
    trial.report(loss=0.4)
    assert sorted(here.reports["node.0"]) == [1, 2]
    assert spooled(tmp_path) == []


def test_a_refused_spooled_call_is_dropped_and_the_rest_delivered(
    inside: Inside, here: FakeDaemon, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inside()
    trial = metaopt.current_trial()
    here.stop()
    trial.report(loss=0.5)
    trial.report(bad=0.5)
    trial.report(loss=0.3)
    here.start()
    trial.should_stop()
    assert sorted(here.reports["node.0"]) == [1, 3]
    assert "no such metric" in caplog.text
    assert spooled(tmp_path) == []


def test_a_torn_line_in_the_spool_costs_only_itself(inside: Inside, here: FakeDaemon, tmp_path: Path) -> None:
    inside()
    (tmp_path / "result" / "spool.jsonl").write_text('{"call": "reports", "body": {"step": 1, "val')
    trial = metaopt.current_trial()
    here.stop()
    trial.report(loss=0.5, step=2)
    here.start()
    trial.should_stop()
    assert here.reports["node.0"] == {2: {"loss": 0.5}}


def test_a_spool_left_by_an_earlier_process_of_the_attempt_goes_first(
    inside: Inside, here: FakeDaemon, tmp_path: Path
) -> None:
    inside()
    left = {"call": "reports", "body": {"step": 1, "values": {"loss": 0.9}, "attempt": 1}}
    (tmp_path / "result" / "spool.jsonl").write_text(json.dumps(left) + "\n")
    metaopt.current_trial().report(loss=0.5, step=2)
    assert list(here.reports["node.0"]) == [1, 2]


def test_a_full_disk_does_not_end_the_script(
    inside: Inside, here: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inside()
    trial = metaopt.current_trial()
    here.stop()
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    trial.report(loss=0.9)
    monkeypatch.setattr(os, "write", full)
    trial.report(loss=0.8)
    trial.report(loss=0.7)
    monkeypatch.setattr(os, "write", write)
    assert "kept in memory" in caplog.text
    here.start()
    trial.should_stop()
    assert list(here.reports["node.0"]) == [1, 2, 3]


def test_without_a_daemon_in_the_environment_everything_is_spooled(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside()
    monkeypatch.delenv("METAOPT_URL")
    trial = metaopt.current_trial()
    trial.report(loss=0.5)
    trial.complete(loss=0.5)
    assert trial.number == -1
    assert [k["call"] for k in spooled(tmp_path)] == ["reports", "complete"]


def test_a_hanging_daemon_holds_a_report_only_until_its_timeout(
    inside: Inside, here: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outbox, "REPORT_TIMEOUT_S", 0.3)
    inside()
    trial = metaopt.current_trial()
    here.delay_s = 2.0
    started = time.monotonic()
    for _ in range(5):
        trial.report(loss=0.5)
    # Asked once, then left alone for four times as long as it took.
    assert time.monotonic() - started < 1.2
    assert here.calls("POST", "/reports") == 1


def test_what_is_spooled_at_exit_stays_for_the_supervisor(inside: Inside, here: FakeDaemon, tmp_path: Path) -> None:
    inside()
    here.stop()
    code = "import metaopt\nt = metaopt.current_trial()\nt.report(loss=0.5)\nt.complete(loss=0.4)\n"
    source = Path(__file__).parent.parent / "src"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [k["call"] for k in spooled(tmp_path)] == ["reports", "complete"]


def test_a_forked_child_does_not_speak_on_its_parents_connection(inside: Inside, here: FakeDaemon) -> None:
    inside()
    code = textwrap.dedent(
        """
        import os, metaopt
        trial = metaopt.current_trial()
        trial.report(loss=1.0, step=1)
        child = os.fork()
        if child == 0:
            trial.report(loss=0.5, step=2)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        trial.report(loss=0.25, step=3)
        """
    )
    source = Path(__file__).parent.parent / "src"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(here.reports["node.0"]) == [1, 2, 3]
    assert here.connections == 2


def test_checkpoints_are_committed_by_an_atomic_marker(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside(resume_step=3)
    trial = metaopt.current_trial()
    marker = trial.checkpoint_dir / ".metaopt-checkpoint.json"
    trial.checkpoint()
    assert json.loads(marker.read_text())["step"] == 3
    trial.report(loss=0.5)
    trial.checkpoint()
    written = json.loads(marker.read_text())
    assert written["step"] == 4
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written["time"])
    trial.checkpoint(step=9)
    assert json.loads(marker.read_text())["step"] == 9

    def crash(*_: Any) -> None:
        raise OSError("crashed before the rename")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="crashed"):
        trial.checkpoint(step=10)
    assert json.loads(marker.read_text())["step"] == 9
    assert [p.name for p in trial.checkpoint_dir.iterdir()] == [marker.name]


def test_suggest_reads_the_trials_values(inside: Inside) -> None:
    inside()
    trial = metaopt.current_trial()
    assert trial.suggest_float("lr", 1e-5, 1, log=True) == 0.1
    assert trial.suggest_int("n", 1, 5) == 3
    assert trial.suggest_categorical("opt", ["adam", "sgd"]) == "sgd"
    with pytest.raises(metaopt.ValidationError, match="outside"):
        trial.suggest_float("lr", 0.2, 1)
    with pytest.raises(metaopt.ValidationError, match="not a number"):
        trial.suggest_float("opt", 0, 1)
    with pytest.raises(metaopt.ValidationError, match="not a whole number"):
        trial.suggest_int("lr", 0, 1)
    with pytest.raises(metaopt.ValidationError, match="none of"):
        trial.suggest_categorical("opt", ["adam"])
    with pytest.raises(metaopt.ValidationError, match="no value in this trial"):
        trial.suggest_float("nope", 0, 1)


def test_user_attributes_wait_for_the_daemon(
    inside: Inside, here: FakeDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    record = inside()
    trial = metaopt.current_trial()
    trial.set_user_attr("commit", "abc")
    assert record["user_attrs"] == {"commit": "abc"}
    here.stop()
    with caplog.at_level(logging.WARNING):
        trial.set_user_attr("seed", 3)
    here.start()
    trial.report(loss=0.5)
    assert record["user_attrs"] == {"commit": "abc", "seed": 3}


def test_params_that_are_no_json_are_an_error_that_says_so(inside: Inside) -> None:
    inside(params="{lr: 1}")
    with pytest.raises(metaopt.ValidationError, match="METAOPT_PARAMS is not JSON"):
        metaopt.current_trial()


class TestOutside:
    def test_the_stand_in_has_defaults_and_reports_nowhere(self, here: FakeDaemon) -> None:
        trial = metaopt.current_trial(defaults={"lr": 0.5})
        assert trial.params["lr"] == 0.5
        assert (trial.resume_step, trial.number, trial.id) == (0, 0, "")
        assert trial.report(loss=0.4) == "continue"
        assert trial.report(0.4) == "continue"
        assert not trial.should_stop()
        trial.checkpoint()
        trial.set_user_attr("a", 1)
        trial.complete(loss=0.4)
        assert here.requests == []
        with pytest.raises(KeyError, match=r"current_trial\(defaults="):
            trial.params["missing"]

    def test_values_may_be_chosen_by_hand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("METAOPT_PARAMS", '{"lr": 0.25}')
        assert metaopt.current_trial(defaults={"lr": 0.5}).params["lr"] == 0.25

    def test_suggest_answers_the_default_or_the_middle(self) -> None:
        trial = metaopt.current_trial(defaults={"lr": 0.5})
        assert trial.suggest_float("lr", 0, 1) == 0.5
        assert trial.suggest_float("x", 0, 4) == 2
        assert trial.suggest_float("y", 1e-4, 1, log=True) == pytest.approx(1e-2)
        assert trial.suggest_int("n", 1, 9, step=4) == 5
        assert trial.suggest_categorical("opt", ["a", "b"]) == "a"

    def test_its_checkpoint_directory_is_removed_at_exit(self, tmp_path: Path) -> None:
        source = Path(__file__).parent.parent / "src"
        code = "import metaopt; d = metaopt.current_trial().checkpoint_dir; assert d.is_dir(); print(d)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(source)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert not Path(done.stdout.strip()).exists()
