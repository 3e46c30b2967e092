//! What every early-stopping rule must do, and what each does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use metaopt_engine::{History, Record, RecordState, Reported, Rule, Verdict, rule, rules::NAMES};
use serde_json::{Value, json};

fn build_rule(spec: Value) -> Box<dyn Rule> {
    rule(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn history() -> History {
    History::new(&space(json!([{"name": "x", "type": "float", "low": 0.0, "high": 1.0}])), 1)
}

/// A trial whose cost at step `s` is `cost(s)`, for `steps` steps.
fn trial(n: u64, state: RecordState, steps: u64, cost: impl Fn(u64) -> f64) -> Tried {
    let params = serde_json::from_value(json!({"x": n as f64 / 1000.0})).unwrap();
    let curve: Vec<(u64, f64)> = (1..=steps).map(|s| (s, cost(s))).collect();
    let costs = if state == RecordState::Complete { vec![curve.last().map_or(0.0, |p| p.1)] } else { vec![] };
    let mut tried = record(n, &params, state, &costs);
    (tried.last_step, tried.curve) = (steps, curve);
    tried
}

/// Ten complete trials at levels 0.0 to 0.9, falling towards them.
fn peers() -> History {
    let mut history = history();
    for n in 0..10 {
        history.put(trial(n, RecordState::Complete, 20, |s| n as f64 / 10.0 + 1.0 / s as f64));
    }
    history
}

fn verdict(rule: &dyn Rule, mut history: History, own: Tried, step: u64) -> Verdict {
    let key = own.key;
    history.put(own);
    rule.decide(&history, &Reported { key, step, freezes: true })
}

#[test]
fn no_rule_stops_a_lone_trial_at_its_first_report_or_one_that_it_does_not_know() {
    for name in NAMES {
        let rule = build_rule(json!({"rule": name}));
        assert_eq!(
            verdict(rule.as_ref(), history(), trial(50, RecordState::Pending, 1, |_| 9.0), 1),
            Verdict::Continue,
            "{name}"
        );
        assert_eq!(
            rule.decide(&peers(), &Reported { key: 12345, step: 3, freezes: true }),
            Verdict::Continue,
            "{name}"
        );
        let silent = trial(50, RecordState::Pending, 0, |_| 0.0);
        assert_eq!(verdict(rule.as_ref(), peers(), silent, 5), Verdict::Continue, "{name}");
    }
}

#[test]
fn no_rule_stops_the_best_trial_while_it_improves_nor_any_at_its_last_step() {
    for name in NAMES {
        let rule = build_rule(json!({"rule": name, "max_steps": 20}));
        for step in 1..20 {
            let best = trial(50, RecordState::Pending, step, |s| -1.0 + 1.0 / s as f64);
            assert_eq!(verdict(rule.as_ref(), peers(), best, step), Verdict::Continue, "{name} at {step}");
        }
        let worst = trial(51, RecordState::Pending, 20, |_| 99.0);
        assert_eq!(verdict(rule.as_ref(), peers(), worst, 20), Verdict::Continue, "{name}");
    }
}

#[test]
fn rules_decide_alike_whatever_the_order_of_records_and_survive_odd_numbers() {
    for name in NAMES {
        let rule = build_rule(json!({"rule": name}));
        for cost in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.45, 0.6] {
            let own = trial(50, RecordState::Pending, 15, |_| cost);
            let mut backwards = history();
            let forwards = peers();
            let tried = |r: &Record| Tried { record: r.clone(), params: trial(0, r.state, 0, |_| 0.0).params };
            let mut records: Vec<Tried> = forwards.records().map(tried).collect();
            records.push(trial(60, RecordState::Complete, 20, |_| f64::NAN));
            records.push(trial(61, RecordState::Complete, 20, |_| f64::NEG_INFINITY));
            let mut one = history();
            records.iter().for_each(|r| one.put(r.clone()));
            records.iter().rev().for_each(|r| backwards.put(r.clone()));
            assert_eq!(
                verdict(rule.as_ref(), one, own.clone(), 15),
                verdict(rule.as_ref(), backwards, own, 15),
                "{name} {cost}"
            );
        }
    }
}

#[test]
fn the_median_rule_stops_the_worse_half() {
    let rule = build_rule(json!({"rule": "median"}));
    let at = |level: f64| trial(50, RecordState::Pending, 10, move |s| level + 1.0 / s as f64);
    assert_eq!(verdict(rule.as_ref(), peers(), at(0.44), 10), Verdict::Continue);
    assert_eq!(verdict(rule.as_ref(), peers(), at(0.46), 10), Verdict::Stop);
    // What a trial once reached counts, not its latest report.
    let spiky = trial(50, RecordState::Pending, 10, |s| if s == 4 { 0.3 } else { 5.0 });
    assert_eq!(verdict(rule.as_ref(), peers(), spiky, 10), Verdict::Continue);
}

#[test]
fn percentiles_are_taken_from_the_best_end() {
    let rule = build_rule(json!({"rule": "percentile", "percentile": 25}));
    let at = |level: f64| trial(50, RecordState::Pending, 10, move |s| level + 1.0 / s as f64);
    assert_eq!(verdict(rule.as_ref(), peers(), at(0.22), 10), Verdict::Continue);
    assert_eq!(verdict(rule.as_ref(), peers(), at(0.23), 10), Verdict::Stop);
}

#[test]
fn the_median_rule_waits_for_trials_peers_and_steps() {
    let bad = |steps| trial(50, RecordState::Pending, steps, |_| 50.0);
    let with = |options: Value, steps: u64| {
        let mut spec = json!({"rule": "median"});
        spec.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        verdict(build_rule(spec).as_ref(), peers(), bad(steps), steps)
    };
    assert_eq!(with(json!({}), 1), Verdict::Stop);
    assert_eq!(with(json!({"n_startup_trials": 11}), 5), Verdict::Continue);
    assert_eq!(with(json!({"min_steps": 6}), 5), Verdict::Continue);
    assert_eq!(with(json!({"min_steps": 6}), 6), Verdict::Stop);
    assert_eq!(with(json!({"max_steps": 200}), 9), Verdict::Continue);
    assert_eq!(with(json!({"max_steps": 200}), 10), Verdict::Stop);
    // No peer got that far.
    assert_eq!(with(json!({}), 21), Verdict::Continue);
    let mut pruned_only = history();
    for n in 0..10 {
        pruned_only.put(trial(n, RecordState::Pruned, 20, |_| 0.0));
    }
    assert_eq!(verdict(build_rule(json!({"rule": "median"})).as_ref(), pruned_only, bad(5), 5), Verdict::Continue);
}

#[test]
fn patience_counts_steps_since_the_last_real_improvement() {
    let rule = build_rule(json!({"rule": "patience", "patience": 5, "min_delta": 0.1}));
    let flat = |steps| trial(50, RecordState::Pending, steps, |s| if s == 3 { 1.0 } else { 2.0 - s as f64 * 0.001 });
    assert_eq!(verdict(rule.as_ref(), history(), flat(7), 7), Verdict::Continue);
    assert_eq!(verdict(rule.as_ref(), history(), flat(8), 8), Verdict::Stop);
    // Improvements smaller than min_delta are none.
    let creeping = trial(50, RecordState::Pending, 6, |s| 1.0 - s as f64 * 0.01);
    assert_eq!(verdict(rule.as_ref(), history(), creeping, 6), Verdict::Stop);
    let falling = trial(50, RecordState::Pending, 30, |s| 10.0 - s as f64 * 0.2);
    assert_eq!(verdict(rule.as_ref(), history(), falling, 30), Verdict::Continue);
}

#[test]
fn names_and_options_are_checked() {
    let refused = |spec: Value| {
        let errors = rule(&serde_json::from_value(spec).unwrap()).err().unwrap();
        (errors[0].pointer.clone(), errors[0].detail.clone())
    };
    assert_eq!(refused(json!({"rule": "pasha"})).0, "/early_stopping/rule");
    assert!(refused(json!({"rule": "asha", "mode": "stop"})).1.contains("one of promotion, stopping"));
    assert!(refused(json!({"rule": "hyperband", "min_steps": 9, "max_steps": 3})).1.contains("no rung"));
    assert!(refused(json!({"rule": "freeze-thaw", "hyperparameters": 3})).1.contains("one of map, sampled"));
    assert!(refused(json!({"rule": "medain"})).1.contains("did you mean `median`?"));
    let (at, text) = refused(json!({"rule": "median", "min_step": 3}));
    assert_eq!(at, "/early_stopping/min_step");
    assert!(text.contains("did you mean `min_steps`?"), "{text}");
    assert!(refused(json!({"rule": "median", "min_steps": 9, "max_steps": 3})).1.contains("above"));
    assert!(refused(json!({"rule": "percentile", "percentile": 100})).1.contains("below 100"));
    assert!(refused(json!({"rule": "patience", "patience": 0})).1.contains("from 1"));
}
