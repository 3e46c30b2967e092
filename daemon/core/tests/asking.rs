//! Ask and tell: leases, late results, what is promised about results.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Bench;
use metaopt_core::commands::{Action, IdleReason, ImportedTrial, Report, StudyAction, Told, TrialAction};
use metaopt_schema::{
    study::StudyState,
    trial::{Reason, TrialState},
};
use serde_json::json;

#[test]
fn a_budget_is_handed_out_once_and_then_the_study_is_complete() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"budget": {"max_trials": 3}}));
    let asked = bench.ask(&study, 5, None);
    assert_eq!((asked.trials.len(), asked.reason), (3, Some(IdleReason::Budget)));
    for trial in &asked.trials {
        bench.tell(trial.as_str(), None, 0.5).unwrap();
    }
    let view = bench.node.study(&study).unwrap();
    assert_eq!(bench.node.state_of(view, bench.now), StudyState::Complete);
    assert_eq!(view.best().unwrap().place.id, asked.trials[0], "ties go to the earlier trial");
}

#[test]
fn the_same_client_gets_its_running_trial_again() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let first = bench.ask(&study, 1, Some("a")).trials;
    assert_eq!(bench.ask(&study, 1, Some("a")).trials, first);
    assert_ne!(bench.ask(&study, 1, Some("b")).trials, first);
}

#[test]
fn an_expired_lease_is_offered_again_and_a_late_result_of_the_first_attempt_wins() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, Some("a")).trials.remove(0);
    bench.pass(59.0);
    assert_eq!(bench.trial(id.as_str()).state, TrialState::Running);
    bench.pass(2.0);
    assert_eq!(bench.trial(id.as_str()).state, TrialState::Waiting);
    assert_eq!(bench.trial(id.as_str()).attempts[0].end.as_ref().unwrap().reason, Reason::LostClient);
    assert_eq!(bench.ask(&study, 1, Some("b")).trials, vec![id.clone()], "waiting trials come first");
    bench.tell(id.as_str(), Some(1), 0.1).unwrap();
    let trial = bench.trial(id.as_str());
    assert_eq!(trial.state, TrialState::Complete);
    assert_eq!(trial.attempts[trial.counted.unwrap()].attempt, 1);
    assert_eq!(trial.attempts[1].end.as_ref().unwrap().reason, Reason::Superseded);
    bench.tell(id.as_str(), Some(2), 0.9).unwrap();
    assert_eq!(bench.trial(id.as_str()).values()["loss"], 0.1, "kept, and not counted");
}

#[test]
fn heartbeats_and_reports_renew() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, None).trials.remove(0);
    for step in 1..=5 {
        bench.pass(50.0);
        if step % 2 == 0 {
            assert_eq!(bench.report(id.as_str(), step, 0.5), Action::Continue);
        } else {
            bench.node.heartbeat(bench.now, id.as_str(), None).unwrap();
        }
    }
    assert_eq!(bench.trial(id.as_str()).state, TrialState::Running);
}

#[test]
fn a_result_is_idempotent_and_never_overwritten() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, None).trials.remove(0);
    bench.tell(id.as_str(), None, 0.3).unwrap();
    bench.tell(id.as_str(), None, 0.3).unwrap();
    assert!(bench.tell(id.as_str(), None, 0.4).unwrap_err().contains("never overwritten"));
    assert_eq!(bench.trial(id.as_str()).values()["loss"], 0.3);
}

#[test]
fn a_missing_objective_is_named_and_changes_nothing() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"objectives": [
        {"metric": "loss", "direction": "minimize"}, {"metric": "acc", "direction": "maximize"}]}));
    let id = bench.ask(&study, 1, None).trials.remove(0);
    assert!(bench.tell(id.as_str(), None, 0.3).unwrap_err().contains("acc"));
    assert_eq!(bench.trial(id.as_str()).state, TrialState::Running);
}

#[test]
fn a_result_says_what_constraints_bound_or_nobody_knows_whether_they_hold() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"constraints": [{"metric": "ms", "at_most": 10}]}));
    let ids = bench.ask(&study, 2, None).trials;
    let refused = bench.tell(ids[0].as_str(), None, 0.1).unwrap_err();
    assert!(refused.contains("/values/ms") && refused.contains("constraint on `ms`; got `loss`"), "{refused}");
    assert_eq!(bench.trial(ids[0].as_str()).state, TrialState::Running);
    // Reported on the way is as good.
    let values = [("ms".to_owned(), Some(5.0))].into_iter().collect();
    bench.node.report(bench.now, ids[1].as_str(), vec![Report { step: 1, values, attempt: None }]).unwrap();
    bench.tell(ids[1].as_str(), None, 0.9).unwrap();
    assert_eq!(bench.trial(ids[1].as_str()).values()["ms"], 5.0);
    // From elsewhere, where nobody measured it: kept, and never the best.
    let given = ImportedTrial {
        params: [("x".to_owned(), json!(0.5))].into_iter().collect(),
        told: Told::Complete([("loss".to_owned(), 0.0)].into_iter().collect()),
        reports: Vec::new(),
        detail: None,
        user_attrs: Default::default(),
        id: None,
    };
    assert_eq!(bench.node.import(bench.now, &study, vec![given]).unwrap().added, 1);
    assert_eq!(bench.node.study(&study).unwrap().best().unwrap().place.id, ids[1]);
}

#[test]
fn a_known_step_is_a_no_op_or_a_conflict_and_a_list_is_all_or_nothing() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, None).trials.remove(0);
    bench.report(id.as_str(), 5, 0.5);
    bench.report(id.as_str(), 5, 0.5);
    bench.report(id.as_str(), 2, 0.7);
    let point = |step, loss: f64| Report {
        step,
        values: [("loss".to_owned(), Some(loss))].into_iter().collect(),
        attempt: None,
    };
    assert!(bench.node.report(bench.now, id.as_str(), vec![point(6, 0.4), point(5, 0.1)]).is_err());
    assert!(bench.node.report(bench.now, id.as_str(), vec![point(0, 0.4)]).is_err());
    let steps: Vec<u64> = bench.trial(id.as_str()).curve().iter().map(|p| p.step).collect();
    assert_eq!(steps, [2, 5]);
}

#[test]
fn a_crash_loses_nothing_that_was_answered() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let ids = bench.ask(&study, 3, Some("a")).trials;
    bench.report(ids[0].as_str(), 1, 0.9);
    bench.tell(ids[1].as_str(), None, 0.2).unwrap();
    bench.restart(0);
    assert_eq!(bench.trial(ids[0].as_str()).curve().len(), 1);
    assert_eq!(bench.trial(ids[1].as_str()).state, TrialState::Complete);
    assert_eq!(bench.ask(&study, 2, Some("a")).trials, [ids[0].clone(), ids[2].clone()], "leases live on");
    let fresh = bench.ask(&study, 1, None).trials.remove(0);
    assert!(!ids.contains(&fresh), "identifiers are never used twice");
    let params = |id: &str| bench.trial(id).spec.params.clone();
    assert!(ids.iter().all(|id| params(id.as_str()) != params(fresh.as_str())), "draws go on where they were");
}

#[test]
fn a_deleted_studys_labels_are_never_used_again() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let old = bench.ask(&study, 2, None).trials;
    bench.node.delete_study(bench.now, &study).unwrap();
    bench.settle();
    bench.restart(0);
    assert!(bench.node.study(&study).is_err());
    let study = bench.study(json!({}));
    let new = bench.ask(&study, 1, None).trials.remove(0);
    assert!(!old.contains(&new));
}

#[test]
fn paused_cancelled_and_resumed_studies_answer_accordingly() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, None).trials.remove(0);
    bench.node.study_action(bench.now, &study, StudyAction::Pause).unwrap();
    assert_eq!(bench.ask(&study, 1, None).reason, Some(IdleReason::Paused));
    bench.node.study_action(bench.now, &study, StudyAction::Resume).unwrap();
    assert_eq!(bench.ask(&study, 1, None).trials.len(), 1);
    bench.node.study_action(bench.now, &study, StudyAction::Cancel).unwrap();
    bench.settle();
    assert_eq!(bench.trial(id.as_str()).state, TrialState::Cancelled);
    assert_eq!(bench.report(id.as_str(), 1, 0.1), Action::Stop);
    assert!(bench.node.study_action(bench.now, &study, StudyAction::Resume).is_err());
}

#[test]
fn a_pause_reaches_the_client_at_its_next_report_and_a_resume_offers_it_again() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, None).trials.remove(0);
    bench.node.trial_action(bench.now, id.as_str(), TrialAction::Pause).unwrap();
    assert_eq!(bench.report(id.as_str(), 1, 0.1), Action::Pause);
    assert_eq!(bench.trial(id.as_str()).state, TrialState::Paused);
    bench.tell(id.as_str(), None, 0.05).unwrap();
    assert_eq!(bench.trial(id.as_str()).state, TrialState::Paused, "a result after the pause is only a report");
    bench.node.trial_action(bench.now, id.as_str(), TrialAction::Resume).unwrap();
    assert_eq!(bench.ask(&study, 1, None).trials[0], id);
    assert_eq!(bench.trial(id.as_str()).attempts.len(), 2);
}

#[test]
fn importing_twice_changes_nothing() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"budget": {"max_trials": 2}}));
    let line = |x: f64, id: Option<&str>| ImportedTrial {
        params: [("x".to_owned(), json!(x))].into_iter().collect(),
        told: Told::Complete([("loss".to_owned(), x)].into_iter().collect()),
        reports: Vec::new(),
        detail: None,
        user_attrs: Default::default(),
        id: id.map(str::to_owned),
    };
    let lines = vec![line(0.25, Some("a")), line(0.5, None)];
    assert_eq!(bench.node.import(bench.now, &study, lines.clone()).unwrap().added, 2);
    assert_eq!(bench.node.import(bench.now, &study, lines).unwrap().skipped, 2);
    bench.settle();
    let wrong = vec![line(0.1, Some("c")), line(7.0, Some("d"))];
    let error = bench.node.import(bench.now, &study, wrong).unwrap_err();
    assert!(error.errors[0].pointer.starts_with("/1/params/x"), "{error:?}");
    assert_eq!(bench.node.study(&study).unwrap().trials().len(), 2, "nothing half-done");
    assert_eq!(bench.ask(&study, 2, None).trials.len(), 2, "imports don't use up the budget");
}

#[test]
fn a_drawn_trial_is_explained_by_drawing_it_again() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"sampler": {"name": "tpe", "seed": 3}}));
    for i in 0..15 {
        let id = bench.ask(&study, 1, None).trials.remove(0);
        bench.pass(1.0);
        bench.tell(id.as_str(), None, f64::from(i % 7)).unwrap();
    }
    for trial in bench.node.study(&study).unwrap().trials() {
        let explained = bench.node.explain(trial.place.id.as_str()).unwrap();
        assert_eq!(explained["reproduced"], json!(true), "{explained:#}");
    }
}

#[test]
fn a_fork_starts_from_the_finished_trials_and_may_grow_the_space() {
    use metaopt_schema::space::Space;
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"budget": {"max_trials": 2}}));
    for id in bench.ask(&study, 2, None).trials {
        bench.tell(id.as_str(), None, 0.5).unwrap();
    }
    let add = Space::parse_edit(&json!([{"name": "y", "type": "bool", "default": true}])).unwrap();
    let forked = bench.node.fork_study(bench.now, &study, "t".into(), Some(add)).unwrap();
    for some in forked.finished.chunks(1) {
        bench.node.copy_trials(bench.now, &forked.study, some).unwrap();
        bench.settle();
    }
    let fork = bench.node.study(forked.study.as_str()).unwrap();
    assert_eq!((fork.trials().len(), fork.imported()), (2, 2));
    assert!(fork.trials().iter().all(|t| t.spec.params.get("y") == Some(json!(true))));
    assert_eq!(bench.ask("t", 2, None).trials.len(), 2, "the budget is the fork's own");
    assert!(bench.node.fork_study(bench.now, &study, "t".into(), None).is_err(), "the name is taken");
}

#[test]
fn a_finite_space_ends_exhausted_and_goes_on_when_it_is_widened() {
    use metaopt_core::commands::StudyPatch;
    use metaopt_schema::space::Space;
    let mut bench = Bench::new(0);
    let study =
        bench.study(json!({"space": [{"name": "n", "type": "int", "low": 1, "high": 3}], "sampler": {"name": "tpe"}}));
    let asked = bench.ask(&study, 9, None);
    assert_eq!((asked.trials.len(), asked.reason), (3, Some(IdleReason::Wait)), "a lease may still run out");
    for id in &asked.trials {
        bench.tell(id.as_str(), None, 0.5).unwrap();
    }
    assert_eq!(bench.ask(&study, 1, None).reason, Some(IdleReason::Exhausted));
    bench.pass(1.0);
    assert_eq!(bench.node.state_of(bench.node.study(&study).unwrap(), bench.now), StudyState::Complete);
    let space = Space::parse_edit(&json!([{"name": "n", "type": "int", "low": 1, "high": 4}])).unwrap();
    bench.node.patch_study(bench.now, &study, StudyPatch { space: Some(space), ..StudyPatch::default() }).unwrap();
    let id = bench.ask(&study, 1, None).trials.remove(0);
    assert_eq!(bench.trial(id.as_str()).spec.params.get("n"), Some(json!(4)));
}
