//! Trials that the node runs: slots, fairness, retries, ends, adoption.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, good};
use metaopt_core::{
    Effect,
    commands::{Action, StudyAction, TrialAction},
    launch::{AttemptEvent, ExitReport, StopWhy},
};
use metaopt_schema::trial::{Reason, TrialState};
use serde_json::{Value, json};

fn run(extra: Value) -> Value {
    let mut run = json!({"command": ["true"]});
    for (key, value) in extra.as_object().unwrap() {
        run[key] = value.clone();
    }
    run
}

#[test]
fn slots_are_filled_and_never_more() {
    let mut bench = Bench::new(2);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({})), "budget": {"max_trials": 5}}));
    assert_eq!(bench.launched.len(), 2);
    for i in 0..5 {
        let key = bench.launched[i].key.clone();
        bench.exit(&key, good(i as f64));
        assert!(bench.node.running().count() <= 2);
    }
    assert_eq!(bench.launched.len(), 5);
    assert_eq!(bench.node.study("s").unwrap().best().unwrap().values()["loss"], 0.0);
}

#[test]
fn priorities_go_first_and_equals_share() {
    let mut bench = Bench::new(4);
    for (name, priority) in [("a", 0), ("b", 0), ("high", 1)] {
        bench.study(json!({"name": name, "run": run(json!({})), "budget": {"priority": priority, "max_parallel": 2}}));
    }
    bench.node.adopted(bench.now, &[]);
    bench.settle();
    let mut names: Vec<_> = bench.launched.iter().map(|l| l.study_name.clone()).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "high", "high"]);
}

#[test]
fn a_daemon_that_stops_its_jobs_starts_none_in_their_place() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({})), "budget": {"max_trials": 3}}));
    let key = bench.launched[0].key.clone();
    bench.node.stop_all(bench.now);
    bench.exit(&key, ExitReport { signal: Some(15), ..ExitReport::default() });
    bench.pass(60.0);
    assert_eq!((bench.launched.len(), bench.node.running().count()), (1, 0));
    assert_eq!(bench.trial(key.trial.as_str()).state, TrialState::Waiting);
    bench.restart(1);
    bench.node.adopted(bench.now, &[]);
    bench.pass(1.0);
    let again = &bench.launched[1].key;
    assert_eq!((&again.trial, again.attempt), (&key.trial, 2), "the next daemon goes on with it");
}

#[test]
fn a_failure_is_final_unless_asked_and_machines_failures_are_retried() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({})), "budget": {"max_trials": 1}}));
    let key = bench.launched[0].key.clone();
    bench.node.attempt(bench.now, &key, AttemptEvent::Vanished("gone".into()));
    bench.settle();
    let again = bench.launched[1].key.clone();
    assert_eq!((again.trial.clone(), again.attempt), (key.trial, 2));
    bench.exit(&again, ExitReport { exit_code: Some(3), tail: "boom".into(), ..ExitReport::default() });
    let trial = bench.trial(again.trial.as_str());
    assert_eq!(trial.state, TrialState::Fail);
    assert!(trial.end().unwrap().detail.as_ref().unwrap().contains("exited with 3: boom"));
    assert_eq!(bench.launched.len(), 2);
}

#[test]
fn retry_failed_tries_up_to_max_attempts() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({"retry_failed": true, "max_attempts": 2})), "budget": {"max_trials": 1}}));
    for i in 0..2 {
        let key = bench.launched[i].key.clone();
        bench.exit(&key, ExitReport { exit_code: Some(1), ..ExitReport::default() });
    }
    assert_eq!(bench.launched.len(), 2);
    let id = bench.launched[0].key.trial.clone();
    assert_eq!(bench.trial(id.as_str()).state, TrialState::Fail);
    bench.node.trial_action(bench.now, id.as_str(), TrialAction::Retry).unwrap();
    bench.node.dispatch(bench.now);
    bench.settle();
    assert_eq!(bench.launched[2].key.attempt, 3, "attempt numbers never go back");
}

#[test]
fn ends_are_read_in_the_contracts_order() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({}))}));
    let mut next = 0;
    let mut end = |bench: &mut Bench, before: &dyn Fn(&mut Bench, &str), report: ExitReport| {
        let key = bench.launched[next].key.clone();
        next += 1;
        before(bench, key.trial.as_str());
        bench.exit(&key, report);
        let trial = bench.trial(key.trial.as_str());
        (trial.state, trial.end().unwrap().reason, trial.values().get("loss").copied())
    };
    let none = |_: &mut Bench, _: &str| {};
    let bad = ExitReport { exit_code: Some(1), ..good(0.4) };
    assert_eq!(
        end(&mut bench, &none, bad),
        (TrialState::Complete, Reason::Exit, Some(0.4)),
        "a result and then a bad exit"
    );
    let told = |bench: &mut Bench, id: &str| bench.tell(id, None, 0.1).unwrap();
    assert_eq!(end(&mut bench, &told, good(0.4)).2, Some(0.1), "what the script told comes first");
    let reported = |bench: &mut Bench, id: &str| {
        bench.report(id, 1, 0.7);
    };
    let clean = ExitReport { exit_code: Some(0), ..ExitReport::default() };
    assert_eq!(end(&mut bench, &reported, clean.clone()).2, Some(0.7), "on exit 0, the last report");
    assert_eq!(end(&mut bench, &none, clean).1, Reason::MissingMetric);
    let slow = ExitReport { timed_out: true, ..ExitReport::default() };
    assert_eq!(end(&mut bench, &reported, slow).1, Reason::Timeout);
    assert_eq!(end(&mut bench, &none, ExitReport { oom: true, ..ExitReport::default() }).1, Reason::Oom);
}

#[test]
fn a_cancel_signals_the_process_and_what_it_says_afterwards_changes_nothing() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({})), "budget": {"max_trials": 1}}));
    let key = bench.launched[0].key.clone();
    bench.node.study_action(bench.now, "s", StudyAction::Cancel).unwrap();
    bench.settle();
    assert!(bench.effects.contains(&Effect::Stop(key.clone(), StopWhy::Cancelled)));
    assert_eq!(bench.report(key.trial.as_str(), 1, 0.5), Action::Stop);
    bench.exit(&key, good(0.1));
    assert_eq!(bench.trial(key.trial.as_str()).state, TrialState::Cancelled);
}

#[test]
fn a_pause_first_answers_then_signals() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({})), "budget": {"max_trials": 1}}));
    let key = bench.launched[0].key.clone();
    bench.node.trial_action(bench.now, key.trial.as_str(), TrialAction::Pause).unwrap();
    bench.settle();
    assert_eq!(bench.report(key.trial.as_str(), 3, 0.5), Action::Pause);
    assert!(!bench.effects.contains(&Effect::Stop(key.clone(), StopWhy::Paused)));
    bench.pass(121.0);
    assert!(bench.effects.contains(&Effect::Stop(key.clone(), StopWhy::Paused)));
    bench.exit(&key, ExitReport { signal: Some(15), has_checkpoint: true, ..ExitReport::default() });
    assert_eq!(bench.trial(key.trial.as_str()).state, TrialState::Paused);
    bench.node.trial_action(bench.now, key.trial.as_str(), TrialAction::Resume).unwrap();
    bench.pass(1.0);
    assert_eq!((bench.launched[1].key.attempt, bench.launched[1].resume_step), (2, 3));
}

#[test]
fn a_later_attempt_goes_on_from_the_step_that_the_checkpoint_holds_not_from_the_last_one_reported() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({"max_attempts": 9})), "budget": {"max_trials": 1}}));
    let mut resumed = |checkpoint_step, written_after: u64| {
        let key = bench.launched.last().unwrap().key.clone();
        let mut at = vec![0];
        for step in 1..=7 {
            bench.pass(1.0);
            bench.report(key.trial.as_str(), step, 0.5);
            at.push(bench.now.wall_ms);
        }
        let checkpoint_at = at[written_after as usize];
        let stopped = Some(StopWhy::Preempted);
        let report =
            ExitReport { stopped, has_checkpoint: true, checkpoint_step, checkpoint_at, ..ExitReport::default() };
        bench.exit(&key, report);
        bench.pass(1.0);
        bench.launched.last().unwrap().resume_step
    };
    assert_eq!(resumed(Some((5, true)), 7), 5, "the script says so");
    assert_eq!(resumed(Some((8, true)), 7), 8, "it saved what it could not report any more");
    assert_eq!(resumed(Some((3, false)), 7), 3, "saved after its third report");
    assert_eq!(resumed(Some((6, false)), 7), 7, "saved right before the report of its seventh step");
    assert_eq!(resumed(None, 4), 4, "by when it was written");
    assert_eq!(resumed(None, 6), 7);
    assert_eq!(resumed(None, 0), 7, "nobody knows");
}

#[test]
fn a_restart_waits_for_adoption_and_gives_up_only_what_is_gone() {
    let mut bench = Bench::new(2);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({})), "budget": {"max_trials": 2}}));
    let (kept, gone) = (bench.launched[0].key.clone(), bench.launched[1].key.clone());
    bench.tell(gone.trial.as_str(), None, 0.2).unwrap();
    bench.pass(5.0);
    let ended_at = bench.now.wall_ms;
    bench.pass(60.0);
    bench.restart(2);
    bench.pass(1.0);
    assert_eq!(bench.launched.len(), 2, "slots are taken until the processes were looked for");
    bench.node.adopted(bench.now, std::slice::from_ref(&kept));
    bench.settle();
    assert_eq!(bench.trial(kept.trial.as_str()).state, TrialState::Running);
    assert_eq!(
        bench.trial(gone.trial.as_str()).state,
        TrialState::Complete,
        "an acknowledged result outlives its process"
    );
    bench.exit(&kept, ExitReport { ended_at, ..good(0.5) });
    assert_eq!(bench.trial(kept.trial.as_str()).finished_at(), Some(ended_at), "not when the daemon returned");
    assert_eq!(bench.node.study("s").unwrap().best().unwrap().values()["loss"], 0.2);
}

#[test]
fn a_checkpoint_s_name_stays_with_the_end_that_left_it_and_so_does_what_is_to_be_known_of_the_start() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({})), "budget": {"max_trials": 1}}));
    let key = bench.launched[0].key.clone();
    bench.report(key.trial.as_str(), 4, 0.9);
    let hash = format!("b3:{}", "1".repeat(64));
    let report = ExitReport {
        stopped: Some(StopWhy::Preempted),
        has_checkpoint: true,
        checkpoint: Some(hash.clone()),
        note: Some("began anew".into()),
        ..ExitReport::default()
    };
    bench.exit(&key, report);
    let trial = bench.trial(key.trial.as_str());
    let (node, end) = trial.checkpoint().unwrap();
    assert_eq!((node, end.checkpoint_step, end.checkpoint.as_ref()), (bench.node.id(), 4, Some(&hash)));
    assert_eq!(end.detail.as_deref(), Some("began anew"));
    bench.pass(1.0);
    let again = bench.launched.last().unwrap();
    assert_eq!((again.key.attempt, again.resume_step, &again.checkpoint), (2, 4, &None), "it is here");
}

#[test]
fn calls_spooled_while_the_daemon_was_away_are_delivered() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({})), "budget": {"max_trials": 1}}));
    let key = bench.launched[0].key.clone();
    let spooled = |call: &str, body: Value| metaopt_core::launch::Spooled { call: call.into(), body };
    let report = ExitReport {
        exit_code: Some(0),
        spooled: vec![
            spooled("reports", json!({"step": 1, "values": {"loss": 0.9}})),
            spooled("complete", json!({"values": {"loss": 0.8}})),
        ],
        ..ExitReport::default()
    };
    bench.exit(&key, report);
    let trial = bench.trial(key.trial.as_str());
    assert_eq!((trial.state, trial.values()["loss"], trial.curve().len()), (TrialState::Complete, 0.8, 1));
}

#[test]
fn a_study_that_cannot_run_here_spends_no_attempt_and_says_why() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(json!({"run": run(json!({"gpus": 1}))}));
    bench.study(json!({"name": "elsewhere", "run": run(json!({"nodes": ["other"]}))}));
    bench.pass(1.0);
    assert!(bench.launched.is_empty());
    let why = |name: &str| bench.node.why_idle(bench.node.study(name).unwrap(), bench.now).unwrap();
    assert!(why("s").contains("needs 1 GPU(s), has 0"));
    assert!(why("elsewhere").contains("restricted to node(s) other"));
}
