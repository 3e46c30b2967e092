//! Frozen trials go on: which, where, from which step; and runs that end at a rung.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, net::Net};
use metaopt_core::{
    commands::{Action, IdleReason, NodeAction, Report, TrialAction},
    launch::{AttemptEvent, ExitReport},
};
use metaopt_schema::{
    study::StudyState,
    trial::{Outcome, Reason, TrialState},
};
use serde_json::{Value, json};

/// Rungs at 1 and 3 steps of 9.
fn asha(more: Value) -> Value {
    let mut study = json!({"early_stopping": {"rule": "asha", "mode": "promotion", "max_steps": 9, "min_steps": 1}});
    study.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    study
}

fn command() -> Value {
    json!({"command": ["true"]})
}

fn leave(bench: &mut Bench, saved: bool) {
    let key = bench.launched.last().unwrap().key.clone();
    bench.exit(&key, ExitReport { exit_code: Some(0), has_checkpoint: saved, ..ExitReport::default() });
}

#[test]
fn clients_are_handed_the_best_frozen_trial_again_with_the_step_it_got_to() {
    let mut bench = Bench::new(0);
    let study = bench.study(asha(json!({"budget": {"max_trials": 3}})));
    let mut ids = Vec::new();
    for (i, loss) in [0.5, 0.2, 0.4].into_iter().enumerate() {
        let id = bench.ask(&study, 1, None).trials.remove(0);
        assert!(!ids.contains(&id), "trial {i} is a new one");
        assert_eq!(bench.report(id.as_str(), 1, loss), Action::Pause);
        assert_eq!(
            (bench.trial(id.as_str()).state, bench.trial(id.as_str()).end().unwrap().reason),
            (TrialState::Paused, Reason::Paused)
        );
        ids.push(id);
    }
    let view = bench.node.study(&study).unwrap();
    assert_eq!(bench.node.state_of(view, bench.now), StudyState::Running, "one of them is to go on");
    let again = bench.ask(&study, 1, None).trials.remove(0);
    assert_eq!(again, ids[1], "the best of three");
    assert_eq!(bench.ask(&study, 1, None).reason, Some(IdleReason::Wait), "what runs may make room for another");
    let trial = bench.trial(again.as_str());
    assert_eq!((trial.attempts.len(), trial.attempts[1].claim.as_ref().unwrap().resume_step), (2, 1));
    assert_eq!(trial.state, TrialState::Running);
    // An answer that comes late says the same.
    assert_eq!(bench.node.heartbeat(bench.now, again.as_str(), Some(1)).unwrap(), Action::Pause);
    for step in 2..9 {
        let action = bench.report(again.as_str(), step, 0.1);
        assert_eq!(action, Action::Continue, "step {step}: at the last rung the best goes on");
    }
    bench.tell(again.as_str(), None, 0.05).unwrap();
    // The two others go on while nothing else can: each rung's best, and then nothing is worth it.
    let (mut more, mut reason) = (0, None);
    while reason.is_none() {
        let asked = bench.ask(&study, 1, None);
        reason = asked.reason;
        for id in asked.trials {
            more += 1;
            assert!(more < 9, "it comes to an end");
            bench.report(id.as_str(), 3, 0.3);
        }
    }
    assert_eq!(reason, Some(IdleReason::Budget));
    bench.pass(3.0);
    let view = bench.node.study(&study).unwrap();
    assert_eq!(bench.node.state_of(view, bench.now), StudyState::Complete);
    assert!(view.count(TrialState::Paused) > 0, "they stay frozen, and can be resumed by hand");
}

/// Steps of a second after starts of a minute: what runs goes on, though a newcomer may promise somewhat more. (Turns red where
/// it isn't known what a start takes, since the points of what has ended rest.)
#[test]
fn freeze_thaw_learns_what_a_start_takes_while_trials_run() {
    let frozen_at = |start_s: f64| {
        let mut bench = Bench::new(1);
        bench.node.adopted(bench.now, &[]);
        bench.study(json!({"early_stopping": {"rule": "freeze-thaw", "max_steps": 27}, "run": command()}));
        for end in [0.4, 0.5, 0.39] {
            let key = bench.launched.last().unwrap().key.clone();
            bench.pass(start_s);
            for step in 1..=27 {
                bench.pass(1.0);
                if bench.report(key.trial.as_str(), step, end + 0.6 / step as f64) == Action::Pause {
                    return Some(step);
                }
            }
            bench.exit(&key, ExitReport { exit_code: Some(0), has_checkpoint: true, ..ExitReport::default() });
            bench.rest();
        }
        None
    };
    assert!(frozen_at(0.0).is_some_and(|step| step < 20) && frozen_at(60.0).is_none());
}

/// (Turns red where a script that takes no notice of `pause` and is done before its time to leave is up keeps its result to itself.)
#[test]
fn a_script_that_was_done_before_it_could_be_frozen_is_complete() {
    for (last, expected) in [(9, Outcome::Complete), (8, Outcome::Paused)] {
        let mut bench = Bench::new(1);
        bench.node.adopted(bench.now, &[]);
        bench.study(asha(json!({"run": command(), "budget": {"max_trials": 1}})));
        let id = bench.launched[0].key.trial.as_str().to_owned();
        assert_eq!(bench.report(&id, 1, 0.9), Action::Pause);
        for step in 2..=last {
            bench.report(&id, step, 0.5);
        }
        leave(&mut bench, false);
        let end = bench.trial(&id).attempts[0].end.clone().unwrap();
        assert_eq!((end.outcome, end.values.get("loss")), (expected, Some(&0.5)));
    }
}

#[test]
fn what_a_person_froze_stays_frozen() {
    let mut bench = Bench::new(0);
    let study = bench.study(asha(json!({"budget": {"max_trials": 3}})));
    let ids: Vec<_> = (0..3).map(|_| bench.ask(&study, 1, None).trials.remove(0)).collect();
    for (id, loss) in ids.iter().zip([0.1, 0.2, 0.3]) {
        bench.report(id.as_str(), 1, loss);
    }
    bench.node.trial_action(bench.now, ids[0].as_str(), TrialAction::Pause).unwrap();
    assert_ne!(bench.ask(&study, 1, None).trials.first(), Some(&ids[0]));
    bench.node.trial_action(bench.now, ids[0].as_str(), TrialAction::Resume).unwrap();
    assert_eq!(bench.ask(&study, 1, None).trials, [ids[0].clone()]);
}

/// (Turns red where the rule freezes it again at its next report.)
#[test]
fn what_a_person_thaws_goes_on_whatever_the_rule_says() {
    let mut bench = Bench::new(0);
    let study = bench.study(asha(json!({"budget": {"max_trials": 9}})));
    let ids: Vec<_> = (0..3).map(|_| bench.ask(&study, 1, None).trials.remove(0)).collect();
    for (id, loss) in ids.iter().zip([0.1, 0.2, 0.3]) {
        assert_eq!(bench.report(id.as_str(), 1, loss), Action::Pause);
    }
    bench.node.trial_action(bench.now, ids[2].as_str(), TrialAction::Resume).unwrap();
    assert_eq!(bench.ask(&study, 1, None).trials, [ids[2].clone()]);
    for step in 2..9 {
        assert_eq!(bench.report(ids[2].as_str(), step, 0.3), Action::Continue, "step {step}");
    }
}

#[test]
fn a_frozen_process_frees_its_slot_and_goes_on_from_its_checkpoint() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(asha(json!({"run": command(), "budget": {"max_trials": 3}})));
    let mut ids = Vec::new();
    for loss in [0.5, 0.2, 0.4] {
        let key = bench.launched.last().unwrap().key.clone();
        ids.push(key.trial.clone());
        assert_eq!(bench.report(key.trial.as_str(), 1, loss), Action::Pause);
        leave(&mut bench, true);
    }
    let launch = bench.launched.last().unwrap().clone();
    assert_eq!((&launch.key.trial, launch.key.attempt, launch.resume_step), (&ids[1], 2, 1));
}

#[test]
fn of_a_script_that_had_to_be_killed_its_trial_says_so() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(asha(json!({"run": command()})));
    let key = bench.launched.last().unwrap().key.clone();
    assert_eq!(bench.report(key.trial.as_str(), 1, 0.5), Action::Pause);
    bench.exit(&key, ExitReport { signal: Some(9), ..ExitReport::default() });
    let detail = bench.trial(key.trial.as_str()).end().unwrap().detail.clone().unwrap();
    assert!(detail.contains("no checkpoint") && detail.contains("killed"), "{detail}");
}

/// (Turns red where it says that the trial starts from scratch.)
#[test]
fn one_that_leaves_no_new_checkpoint_goes_on_from_the_one_before() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(asha(json!({"run": command(), "budget": {"max_trials": 1}})));
    let trial = bench.launched.last().unwrap().key.trial.clone();
    bench.report(trial.as_str(), 1, 0.5);
    leave(&mut bench, true);
    bench.pass(2.0);
    assert_eq!(bench.launched.last().unwrap().resume_step, 1);
    bench.node.trial_action(bench.now, trial.as_str(), TrialAction::Pause).unwrap();
    leave(&mut bench, false);
    let detail = bench.trial(trial.as_str()).end().unwrap().detail.clone().unwrap();
    assert!(detail.contains("goes on from step 1"), "{detail}");
}

#[test]
fn scripts_that_leave_no_checkpoint_are_found_out_and_pruned_instead() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(asha(json!({"run": command(), "budget": {"max_trials": 30}})));
    let first = bench.launched.last().unwrap().key.clone();
    assert_eq!(bench.report(first.trial.as_str(), 1, 0.5), Action::Pause);
    leave(&mut bench, false);
    assert_eq!(bench.trial(first.trial.as_str()).state, TrialState::Paused, "nothing is lost: it can start anew");
    let mut actions = Vec::new();
    for i in 0..8 {
        let key = bench.launched.last().unwrap().key.clone();
        let action = bench.report(key.trial.as_str(), 1, 0.6 + f64::from(i));
        if action == Action::Continue {
            bench.report(key.trial.as_str(), 2, 0.6 + f64::from(i));
        }
        actions.push(action);
        leave(&mut bench, false);
    }
    assert!(!actions.contains(&Action::Pause), "{actions:?}");
    let stopped = actions.iter().position(|action| *action == Action::Stop).expect("some are pruned");
    let pruned =
        bench.node.study("s").unwrap().trials().iter().find(|t| t.state == TrialState::Pruned).unwrap().clone();
    let why = pruned.end().unwrap().detail.clone().unwrap();
    assert!(why.contains("leaves no checkpoint"), "{stopped}: {why}");
}

/// (Turns red where a pause before anything could be saved is taken for a script that saves nothing.)
#[test]
fn a_pause_before_the_first_step_says_nothing_about_checkpoints() {
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(asha(json!({"run": command(), "budget": {"max_trials": 30}})));
    let first = bench.launched.last().unwrap().key.clone();
    bench.node.trial_action(bench.now, first.trial.as_str(), TrialAction::Pause).unwrap();
    leave(&mut bench, false);
    let second = bench.launched.last().unwrap().key.clone();
    assert_ne!(first.trial, second.trial);
    assert_eq!(bench.report(second.trial.as_str(), 1, 0.5), Action::Pause);
}

/// (Turns red where a report that isn't a number is kept from the rule, or a trial that diverged is frozen to be thawed again.)
#[test]
fn what_diverged_is_stopped() {
    for rule in [json!({"rule": "patience", "patience": 1}), asha(json!({}))["early_stopping"].clone()] {
        let mut bench = Bench::new(1);
        bench.node.adopted(bench.now, &[]);
        bench.study(json!({"early_stopping": rule, "run": command()}));
        let key = bench.launched.last().unwrap().key.clone();
        let report = Report { step: 1, values: [("loss".to_owned(), None)].into_iter().collect(), attempt: None };
        assert_eq!(bench.node.report(bench.now, key.trial.as_str(), vec![report]).unwrap(), Action::Stop, "{rule}");
        leave(&mut bench, true);
        assert_eq!(bench.trial(key.trial.as_str()).state, TrialState::Pruned);
    }
}

/// (Turns red where it says that the trial is about to start.)
#[test]
fn a_study_that_waits_for_a_checkpoint_says_for_whose() {
    let mut net = Net::new(2, 1);
    net.nodes[0].node.node_action(net.now, "gpu1", NodeAction::Drain).unwrap();
    let run = json!({"command": ["true"], "lost_checkpoint": "wait"});
    net.study(0, asha(json!({"run": run, "budget": {"max_trials": 1}})));
    net.pass(5.0);
    let key = net.nodes[0].launched.pop().unwrap().key;
    net.nodes[0].node.trial_action(net.now, key.trial.as_str(), TrialAction::Pause).unwrap();
    let report = Report { step: 1, values: [("loss".to_owned(), Some(0.5))].into_iter().collect(), attempt: None };
    net.nodes[0].node.report(net.now, key.trial.as_str(), vec![report]).unwrap();
    let left = ExitReport { exit_code: Some(0), has_checkpoint: true, ..ExitReport::default() };
    net.nodes[0].node.attempt(net.now, &key, AttemptEvent::Exited(left));
    net.pass(5.0);
    net.nodes[0].asleep = true;
    net.pass(200.0);
    net.nodes[1].node.node_action(net.now, "gpu1", NodeAction::Resume).unwrap();
    net.nodes[1].node.trial_action(net.now, key.trial.as_str(), TrialAction::Resume).unwrap();
    net.pass(10.0);
    let node = &net.nodes[1].node;
    assert_eq!(node.trial(key.trial.as_str()).unwrap().1.state, TrialState::Waiting);
    let why = node.why_idle(node.study("s").unwrap(), net.now).unwrap();
    assert!(why.contains("checkpoint") && why.contains("gpu0"), "{why}");
}

#[test]
fn with_a_fidelity_an_attempt_runs_to_its_rung_and_the_best_go_on_to_the_next() {
    let space = json!([{"name": "x", "type": "float", "low": 0, "high": 1}, {"name": "epochs", "type": "fidelity", "low": 1, "high": 9}]);
    let mut bench = Bench::new(1);
    bench.node.adopted(bench.now, &[]);
    bench.study(
        json!({"space": space, "early_stopping": {"rule": "asha"}, "run": command(), "budget": {"max_trials": 3}}),
    );
    let mut ran: Vec<(metaopt_schema::AttemptKey, u64, u64)> = Vec::new();
    while let Some(launch) =
        bench.launched.last().cloned().filter(|launch| ran.last().is_none_or(|(key, ..)| *key != launch.key))
    {
        let epochs = launch.params["epochs"].as_u64().unwrap();
        ran.push((launch.key.clone(), epochs, launch.resume_step));
        assert!(ran.len() < 12, "it comes to an end: {ran:?}");
        let loss = launch.params["x"].as_f64().unwrap() + 1.0 / epochs as f64;
        bench.exit(&launch.key, common::good(loss));
        bench.pass(2.0);
    }
    // (Turns red where one that went all the way leaves its place at the rungs to the next.)
    assert_eq!(ran.iter().map(|(_, epochs, _)| *epochs).collect::<Vec<_>>(), [1, 1, 1, 3, 9]);
    assert!(ran.iter().all(|(.., resume)| *resume == 0), "without a checkpoint each run begins anew");
    let view = bench.node.study("s").unwrap();
    assert_eq!(bench.node.state_of(view, bench.now), StudyState::Complete);
    let best = view.best().unwrap();
    let x = |trial: &metaopt_schema::view::TrialView| trial.spec.params.params()["x"].as_f64().unwrap();
    assert!(view.trials().iter().all(|trial| x(trial) >= x(best)), "the best went all the way");
    let untils: Vec<u64> = best.attempts.iter().map(|attempt| attempt.claim.as_ref().unwrap().until).collect();
    assert_eq!(untils, [1, 3, 9]);
}

#[test]
fn a_client_that_completes_at_a_rung_is_handed_the_next_one_later() {
    let space = json!([{"name": "x", "type": "float", "low": 0, "high": 1}, {"name": "epochs", "type": "fidelity", "low": 1, "high": 9}]);
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"space": space, "early_stopping": {"rule": "asha"}, "budget": {"max_trials": 3}}));
    let until = |bench: &Bench, id: &str| bench.trial(id).attempts.last().unwrap().claim.as_ref().unwrap().until;
    let ids: Vec<_> = (0..3).map(|_| bench.ask(&study, 1, None).trials.remove(0)).collect();
    for (id, loss) in ids.iter().zip([0.3, 0.1, 0.2]) {
        assert_eq!(until(&bench, id.as_str()), 1);
        bench.tell(id.as_str(), None, loss).unwrap();
        bench.tell(id.as_str(), None, loss).unwrap();
        assert_eq!(
            (bench.trial(id.as_str()).state, bench.trial(id.as_str()).values()["loss"]),
            (TrialState::Paused, loss)
        );
    }
    assert!(bench.node.study(&study).unwrap().best().is_none(), "a rung is no result");
    for step in [3, 9] {
        assert_eq!(bench.ask(&study, 1, None).trials, [ids[1].clone()]);
        assert_eq!(until(&bench, ids[1].as_str()), step);
        bench.tell(ids[1].as_str(), None, 0.05).unwrap();
    }
    assert_eq!(bench.trial(ids[1].as_str()).last_step(), 9);
    assert_eq!(bench.ask(&study, 1, None).reason, Some(IdleReason::Budget), "the other two stay where they are");
}
