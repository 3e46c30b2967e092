"""Creating, loading, asking, telling, reading back."""

from __future__ import annotations

import gc
import sys
import threading
import time
from typing import Any, Dict, List

import pytest
from fake_daemon import FakeDaemon

import metaopt
from metaopt import errors

X = metaopt.Float("x", 0.0, 1.0)


def test_a_study_is_created_with_everything_the_contract_knows(here: FakeDaemon) -> None:
    study = metaopt.create_study(
        "mnist",
        [
            metaopt.Float("lr", 1e-5, 1.0, log=True, default=1e-3),
            metaopt.Float("drop", 0.0, 0.9, step=0.05),
            metaopt.Float("decay", 0.0, 1.0, prior=metaopt.Normal(0.1, 0.05)),
            metaopt.Int("layers", 1, 12),
            metaopt.Categorical("opt", ["sgd", "adam", None, True]),
            metaopt.Ordinal("size", ["s", "m"]),
            metaopt.Bool("amp", default=False),
            metaopt.Float("momentum", 0.0, 1.0, when={"opt": "sgd", "size": ["s", "m"]}),
            metaopt.Fidelity("epochs", 1, 81),
            {"name": "raw", "type": "bool"},
        ],
        minimize=["loss", "size_mb"],
        maximize="acc",
        constraints=[{"metric": "ms", "at_most": 20.0}],
        sampler="tpe",
        seed=7,
        early_stopping={"rule": "asha", "max_steps": 50},
        max_trials=10,
        budget={"max_parallel": 2},
        note="first",
        user_attrs={"owner": "me"},
    )
    body = here.studies[study.id]
    assert body["space"] == [
        {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": True, "default": 1e-3},
        {"name": "drop", "type": "float", "low": 0.0, "high": 0.9, "step": 0.05},
        {"name": "decay", "type": "float", "low": 0.0, "high": 1.0, "prior": {"normal": [0.1, 0.05]}},
        {"name": "layers", "type": "int", "low": 1, "high": 12},
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam", None, True]},
        {"name": "size", "type": "ordinal", "choices": ["s", "m"]},
        {"name": "amp", "type": "bool", "default": False},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"], "size": ["s", "m"]}},
        {"name": "epochs", "type": "fidelity", "low": 1, "high": 81, "base": 3},
        {"name": "raw", "type": "bool"},
    ]
    assert body["objectives"] == [
        {"metric": "loss", "direction": "minimize"},
        {"metric": "size_mb", "direction": "minimize"},
        {"metric": "acc", "direction": "maximize"},
    ]
    assert body["constraints"] == [{"metric": "ms", "at_most": 20.0}]
    assert body["sampler"] == {"name": "tpe", "seed": 7}
    assert body["early_stopping"] == {"rule": "asha", "max_steps": 50}
    assert body["budget"] == {"max_trials": 10, "max_parallel": 2}
    assert (body["note"], body["user_attrs"]) == ("first", {"owner": "me"})
    # What comes back is what went there.
    assert study.space[:4] == [
        metaopt.Float("lr", 1e-5, 1.0, log=True, default=1e-3),
        metaopt.Float("drop", 0.0, 0.9, step=0.05),
        metaopt.Float("decay", 0.0, 1.0, prior=metaopt.Normal(0.1, 0.05)),
        metaopt.Int("layers", 1, 12),
    ]
    assert study.directions == ["minimize", "minimize", "maximize"]


def test_names_of_samplers_and_rules_suffice_and_loss_is_minimised_by_default(here: FakeDaemon) -> None:
    study = metaopt.create_study("a", [X], sampler={"name": "grid"}, early_stopping="median")
    body = here.studies[study.id]
    assert body["sampler"] == {"name": "grid"}
    assert body["early_stopping"] == {"rule": "median"}
    assert body["objectives"] == [{"metric": "loss", "direction": "minimize"}]
    seeded = metaopt.create_study("b", [X], seed=3)
    assert here.studies[seeded.id]["sampler"] == {"name": "auto", "seed": 3}


def test_a_taken_name_is_an_error_unless_asked_for(study: metaopt.Study) -> None:
    with pytest.raises(metaopt.StudyExists, match="load_if_exists"):
        metaopt.create_study("svm", [X], minimize="error")
    assert metaopt.create_study("svm", [X], minimize="error", load_if_exists=True).id == study.id
    with pytest.raises(metaopt.StudyExists):
        metaopt.create_study("svm", [metaopt.Float("x", 0.0, 2.0)], minimize="error", load_if_exists=True)


def test_wrong_fields_of_a_study_are_named(here: FakeDaemon) -> None:
    with pytest.raises(metaopt.ValidationError, match="/space/0/low: must be below high"):
        metaopt.create_study("bad", [metaopt.Float("x", 1.0, 0.0)])
    with pytest.raises(metaopt.ValidationError, match=r"/space/0/high: inf is not a finite number"):
        metaopt.create_study("bad", [metaopt.Float("x", 0.0, float("inf"))])
    with pytest.raises(metaopt.ValidationError, match=r"space\[0\] is a str: write one of metaopt.Float"):
        metaopt.create_study("bad", ["x"])  # type: ignore[list-item]
    assert here.studies == {}


def test_a_study_is_loaded_by_name_or_id(study: metaopt.Study) -> None:
    assert metaopt.load_study("svm").id == study.id
    assert metaopt.load_study(study.id).name == "svm"
    with pytest.raises(metaopt.StudyNotFound, match="there is no study nope/me"):
        metaopt.load_study("nope/me")


def test_ask_and_tell(study: metaopt.Study, here: FakeDaemon) -> None:
    trial = study.ask()
    assert trial.params == {"x": 0.0}
    assert (trial.number, trial.label, trial.attempt, trial.study_name) == (0, "box-0", 1, "svm")
    study.tell(trial, 0.3)
    assert here.trials[trial.id]["values"] == {"error": 0.3}
    assert study.best_value == 0.3
    assert study.best_params == {"x": 0.0}
    assert study.best_trial.value == 0.3


def test_two_asks_in_a_row_are_two_trials(study: metaopt.Study) -> None:
    assert study.ask().id != study.ask().id


def test_trials_may_be_told_by_id_label_or_number(study: metaopt.Study, here: FakeDaemon) -> None:
    first, second, third = study.ask(), study.ask(), study.ask()
    study.tell(first.id, 0.1)
    study.tell(second.label, {"error": 0.2})
    study.tell(2, state="fail", detail="exploded")
    assert [here.trials[t.id]["state"] for t in (first, second, third)] == ["complete", "complete", "fail"]
    assert here.trials[third.id]["detail"] == "exploded"
    with pytest.raises(metaopt.TrialNotFound, match="no trial number 99"):
        study.tell(99, 0.1)
    with pytest.raises(metaopt.TrialNotFound):
        study.tell("nope", 0.1)


def test_what_can_not_be_told_is_refused_with_a_reason(study: metaopt.Study) -> None:
    trial = study.ask()
    with pytest.raises(metaopt.ValidationError, match="give the values"):
        study.tell(trial)
    with pytest.raises(metaopt.ValidationError, match="must be complete, fail"):
        study.tell(trial, state="done")
    with pytest.raises(metaopt.ValidationError, match="has no values"):
        study.tell(trial, 0.1, state="fail")
    with pytest.raises(metaopt.ValidationError, match="2 values for 1 objectives: error"):
        study.tell(trial, (1.0, 2.0))
    with pytest.raises(metaopt.ValidationError, match="/values/error: is missing"):
        study.tell(trial, {"loss": 1.0})
    with pytest.raises(metaopt.ValidationError, match="/values/error: nan"):
        study.tell(trial, float("nan"))
    study.tell(trial, 0.5)
    with pytest.raises(metaopt.Conflict):
        study.tell(trial, 0.6)


def test_reports_of_an_asked_trial_answer_the_action(study: metaopt.Study, here: FakeDaemon) -> None:
    trial = study.ask()
    assert trial.report(0.5) == "continue"
    with pytest.raises(metaopt.ValidationError, match="only finite"):
        trial.report(error=float("inf"))
    here.actions = lambda *_: "stop"
    assert trial.report(error=0.4, step=2) == "stop"
    assert trial.should_prune()
    assert here.reports[trial.id] == {1: {"error": 0.5}, 2: {"error": 0.4}}
    trial.complete(0.4)
    assert here.trials[trial.id]["state"] == "pruned"


def test_suggest_is_checked_against_the_declared_space(here: FakeDaemon) -> None:
    here.params_of = lambda n: {"lr": 0.1, "n": 3, "opt": "sgd", "b": True}
    study = metaopt.create_study(
        "s",
        [
            metaopt.Float("lr", 1e-5, 1.0, log=True),
            metaopt.Int("n", 1, 5),
            metaopt.Categorical("opt", ["sgd", "adam"]),
            metaopt.Bool("b"),
            metaopt.Float("momentum", 0.0, 1.0, when={"opt": "adam"}),
        ],
    )
    trial = study.ask()
    assert trial.suggest_float("lr", 1e-5, 1, log=True) == 0.1
    assert trial.suggest_float("n", 1, 5) == 3.0
    assert trial.suggest_int("n", 1, 5) == 3
    assert trial.suggest_categorical("opt", ["adam", "sgd"]) == "sgd"
    assert trial.suggest_categorical("b", [True, False]) is True
    wrong: List[Any] = [
        (lambda: trial.suggest_float("lr", 1e-4, 1), "disagrees.*Float\\('lr', 1e-05, 1.0, log=True\\)"),
        (lambda: trial.suggest_float("new", 0, 1), "declares no such parameter; add metaopt.Float\\('new', 0, 1\\)"),
        (lambda: trial.suggest_int("lr", 0, 1), "it is declared as Float"),
        (lambda: trial.suggest_int("n", 1, 5, log=True), "disagrees"),
        (lambda: trial.suggest_categorical("opt", ["sgd"]), "its choices are \\['sgd', 'adam'\\]"),
        (lambda: trial.suggest_categorical("b", [1, 0]), "disagrees"),
        (lambda: trial.suggest_categorical("n", [1, 2]), "it is declared as Int"),
        (lambda: trial.suggest_float("momentum", 0, 1), "not active in this trial"),
    ]
    for call, message in wrong:
        with pytest.raises(metaopt.ValidationError, match=message):
            call()


def test_ask_waits_when_told_to(study: metaopt.Study, here: FakeDaemon) -> None:
    here.nothing = [{"reason": "wait", "retry_after_s": 0.05}, {"reason": "paused", "retry_after_s": 0.05}]
    assert study.ask().number == 0
    assert here.calls("POST", "/suggest") == 3


@pytest.mark.parametrize("reason", ["exhausted", "budget"])
def test_ask_raises_when_nothing_is_left(study: metaopt.Study, here: FakeDaemon, reason: str) -> None:
    here.nothing = [{"reason": reason, "retry_after_s": None}]
    with pytest.raises(metaopt.NoMoreTrials, match=reason) as caught:
        study.ask()
    assert caught.value.reason == reason


def test_ask_of_a_cancelled_study_says_so(study: metaopt.Study) -> None:
    study.cancel()
    with pytest.raises(metaopt.NoMoreTrials, match="cancelled"):
        study.ask()


def test_enqueued_trials_come_first(study: metaopt.Study) -> None:
    queued = study.enqueue_trial({"x": 0.77}, user_attrs={"why": "hunch"})
    assert queued.state == "waiting"
    trial = study.ask()
    assert trial.id == queued.id
    assert trial.params["x"] == 0.77


def test_trials_of_elsewhere_are_added(study: metaopt.Study, here: FakeDaemon) -> None:
    study.add_trial(params={"x": 0.1}, values=0.9)
    study.add_trial(params={"x": 0.1}, values=0.9)
    study.add_trial(params={"x": 0.2}, state="fail", user_attrs={"from": "paper"})
    assert [(t.state, t.values) for t in study.trials] == [
        ("complete", {"error": 0.9}),
        ("complete", {"error": 0.9}),
        ("fail", {}),
    ]
    other = metaopt.create_study("other", [X], minimize="error")
    other.add_trial(study.trials[0])
    other.add_trials(study.trials[:2])
    other.add_trials(study.trials[:2])
    assert len(other.trials) == 2
    with pytest.raises(metaopt.ValidationError, match="params="):
        study.add_trial()


def test_all_pages_of_trials_are_read(study: metaopt.Study) -> None:
    for _ in range(17):
        study.tell(study.ask(), 0.5)
    assert [t.number for t in study.trials] == list(range(17))
    assert study.get_trials("running") == []


def test_a_frozen_trial_has_times_and_values(study: metaopt.Study) -> None:
    study.tell(study.ask(), 0.5)
    trial = study.trials[0]
    assert trial.duration is not None
    assert trial.duration.total_seconds() == 2.25
    assert trial.value == 0.5
    assert trial.raw["created_at"] == "2026-01-01T00:00:00Z"


def test_no_best_trial_yet(study: metaopt.Study) -> None:
    with pytest.raises(metaopt.NoBestTrial, match="no complete trial yet"):
        study.best_trial  # noqa: B018
    study.delete()
    with pytest.raises(metaopt.StudyNotFound):
        study.best_trial  # noqa: B018


def test_several_objectives_have_a_front_and_no_best(here: FakeDaemon) -> None:
    study = metaopt.create_study("two", [X], minimize="a", maximize="b")
    study.tell(study.ask(), (1.0, 2.0))
    assert [t.values for t in study.best_trials] == [{"a": 1.0, "b": 2.0}]
    for what in ("best_trial", "best_value", "best_params", "direction"):
        with pytest.raises(metaopt.NoBestTrial, match="several objectives"):
            getattr(study, what)
    with pytest.raises(AttributeError, match="several objectives"):
        study.trials[0].value  # noqa: B018
    trial = study.ask()
    with pytest.raises(metaopt.ValidationError, match="several objectives"):
        trial.report(0.5)


def test_the_data_frame_has_optunas_columns(study: metaopt.Study) -> None:
    pandas = pytest.importorskip("pandas")
    study.tell(study.ask(), {"error": 0.5, "time": 3.0})
    frame = study.trials_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == [
        "number",
        "value",
        "values_time",
        "datetime_start",
        "datetime_complete",
        "duration",
        "params_x",
        "state",
    ]
    assert frame.loc[0, "value"] == 0.5


def test_without_pandas_the_data_frame_says_what_to_install(
    study: metaopt.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        study.trials_dataframe()


def test_leases_are_renewed_while_a_trial_is_held_and_no_longer(
    study: metaopt.Study, here: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaopt._heartbeat._LINGER_S", 0.1)
    before = threading.active_count()
    trial = study.ask(lease_s=0.15)
    record = here.trials[trial.id]
    here.wait_for(lambda: record["beats"] >= 3)
    study.tell(trial, 0.1)
    beats = record["beats"]
    dropped = here.trials[study.ask(lease_s=0.15).id]
    gc.collect()
    time.sleep(0.3)
    assert record["beats"] <= beats + 1
    assert dropped["beats"] <= 1
    here.wait_for(lambda: study._heartbeats._looks_at is None)
    assert threading.active_count() <= before + 1


def test_a_lost_lease_means_stop(study: metaopt.Study, here: FakeDaemon) -> None:
    trial = study.ask(lease_s=0.15)
    here.trials[trial.id]["state"] = "cancelled"
    here.wait_for(trial.should_stop)


def test_tell_waits_for_a_daemon_that_went_away(study: metaopt.Study, here: FakeDaemon) -> None:
    trial = study.ask()
    here.stop()
    trial.report(error=0.5)
    threading.Timer(0.5, here.start).start()
    study.tell(trial, 0.25)
    assert here.trials[trial.id]["values"] == {"error": 0.25}
    assert here.reports[trial.id] == {1: {"error": 0.5}}


def test_tell_gives_up_after_its_patience(study: metaopt.Study, here: FakeDaemon) -> None:
    study.patience_s = 0.3
    trial = study.ask()
    here.stop()
    with pytest.raises(metaopt.DaemonUnavailable, match="could not be told"):
        study.tell(trial, 0.25)


def test_attributes_and_states_of_the_study(study: metaopt.Study) -> None:
    study.set_user_attr("a", 1)
    assert study.user_attrs == {"a": 1}
    study.pause()
    assert study.info()["state"] == "paused"
    study.resume()
    assert study.info()["state"] == "running"


def test_an_asked_trials_checkpoints_outlive_a_pause_and_not_its_end(study: metaopt.Study, here: FakeDaemon) -> None:
    trial = study.ask()
    (trial.checkpoint_dir / "weights").write_text("w")
    trial.checkpoint()
    here.actions = lambda *_: "pause"
    trial.report(error=0.5)
    trial.complete(0.5)
    assert (trial.checkpoint_dir / "weights").exists()
    other = study.ask()
    directory = other.checkpoint_dir
    study.tell(other, 0.1)
    assert not directory.exists()


def test_a_thawed_trial_goes_on_from_what_this_machine_has_of_it(study: metaopt.Study, here: FakeDaemon) -> None:
    here.add_running("node.9", resume_step=5)
    body = here.trials["node.9"]
    assert study._asked(body).resume_step == 0, "another machine, or no checkpoint: from scratch"
    trial = study._asked(body)
    (trial.checkpoint_dir / "weights").write_text("w")
    assert study._asked(body).resume_step == 5
    for step, held in [(3, 3), (5, 5), (9, 5)]:
        trial.checkpoint(step=step)
        assert study._asked(body).resume_step == held
    trial.report(error=0.5, step=3)
    trial.checkpoint()
    assert study._asked(body).resume_step == 3
    trial.report(error=0.5, step=4)
    trial.checkpoint()
    assert study._asked(body).resume_step == 5, "saved before it was reported"


def test_numpys_numbers_are_numbers(study: metaopt.Study, here: FakeDaemon) -> None:
    numpy = pytest.importorskip("numpy")
    trial = study.ask()
    trial.report(error=numpy.float32(0.5), step=numpy.int64(3))
    trial.set_user_attr("shape", numpy.array([1, 2]))
    study.tell(trial, numpy.float64(0.25))
    record: Dict[str, Any] = here.trials[trial.id]
    assert (record["values"], record["user_attrs"], record["last_step"]) == ({"error": 0.25}, {"shape": [1, 2]}, 3)


def test_a_wrong_field_is_said_once() -> None:
    first, second = errors.FieldError("/space/0/low", "swap them"), errors.FieldError("/name", "too long")
    assert str(metaopt.ValidationError("/space/0/low: swap them", [first])) == "/space/0/low: swap them"
    both = metaopt.ValidationError("/space/0/low: swap them (and 1 more)", [first, second])
    assert str(both) == "/space/0/low: swap them (and 1 more)\n  /name: too long"
