//! That the genetic algorithm improves on its members, lets them age, and sees ranks only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use metaopt_engine::{History, RecordState};
use metaopt_schema::space::{Params, Space};
use serde_json::json;

fn training_space() -> Space {
    space(json!([
        {"name": "lr", "type": "float", "low": 1e-6, "high": 1.0, "log": true},
        {"name": "layers", "type": "int", "low": 1, "high": 30},
        {"name": "opt", "type": "categorical", "choices": ["lion", "adam", "sgd", "rms"]},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}}
    ]))
}

fn training(params: &Params) -> f64 {
    let lr = (number(params, "lr").log10() + 2.5).powi(2) * 0.3;
    let branch = match params["opt"].as_str() {
        Some("sgd") => (number(params, "momentum") - 0.9).abs(),
        Some("adam") => 0.7,
        _ => 1.0,
    };
    lr + (number(params, "layers") - 5.0).abs() * 0.1 + branch
}

fn wins(options: &serde_json::Value, n: u64) -> usize {
    let (space, random) = (training_space(), build("random", json!({})));
    let evolution = build("evolution", options.clone());
    let duel = |seed: &u64| {
        optimise(evolution.as_ref(), &space, *seed, n, training) < optimise(random.as_ref(), &space, *seed, n, training)
    };
    (0..20).filter(duel).count()
}

#[test]
fn it_beats_chance_clearly() {
    // 15 of 20 has p = 0.02 under chance. Parents from the wrong end of the ranking win 2.
    assert!(wins(&json!({}), 100) >= 16);
    // Also without crossover, and with nothing but: every part does its share.
    assert!(wins(&json!({"crossover_prob": 0.0}), 100) >= 15);
    assert!(wins(&json!({"crossover_prob": 1.0, "mutations": 1.0}), 100) >= 15);
}

#[test]
fn old_members_are_parents_no_more_however_good_they_were() {
    let space = space(json!([
        {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "y", "type": "float", "low": 0.0, "high": 1.0}
    ]));
    let at = |x: f64, y: f64| -> Params { serde_json::from_value(json!({"x": x, "y": y})).unwrap() };
    let mut history = History::new(&space, 1);
    history.put(complete(1, &at(0.9, 0.9), -100.0));
    for n in 2..=51u64 {
        history.put(complete(n, &at(0.001 * n as f64, 0.1), n as f64));
    }
    // Failures don't make anybody older.
    for n in 52..90u64 {
        history.put(record(n, &at(0.0001 * n as f64, 0.1), RecordState::Failed, &[]));
    }
    let old = |population: u64| {
        let evolution = build("evolution", json!({"population_size": population, "sigma": 0.02}));
        (0..100).filter(|d| number(&evolution.suggest(&ask(&history, 1, *d)).unwrap().params, "x") > 0.5).count()
    };
    assert_eq!(old(50), 0);
    assert!(old(51) > 30);
}

#[test]
fn only_ranks_and_the_order_of_results_count() {
    let space = mixed();
    let evolution = build("evolution", json!({}));
    let (mut plain, mut bent) = (History::new(&space, 1), History::new(&space, 1));
    for draw in 0..60 {
        let one = evolution.suggest(&ask(&plain, 8, draw)).unwrap();
        assert_eq!(one, evolution.suggest(&ask(&bent, 8, draw)).unwrap(), "draw {draw}");
        let cost = (number(&one.params, "lr") * 1000.0).round() + number(&one.params, "layers");
        plain.put(complete(draw + 1, &one.params, cost));
        bent.put(complete(draw + 1, &one.params, cost.cbrt()));
    }
}

#[test]
fn children_resemble_their_parents_and_what_is_new_in_them_is_drawn() {
    let space = training_space();
    let evolution = build("evolution", json!({"mutations": 1.0, "crossover_prob": 0.0}));
    let parent: Params = serde_json::from_value(json!({"lr": 1e-3, "layers": 7, "opt": "adam"})).unwrap();
    let mut history = History::new(&space, 1);
    for n in 1..=12u64 {
        // Nearly the same twelve times.
        let mut twin = parent.clone();
        twin.insert("lr".into(), json!(1e-3 * (1.0 + 1e-9 * n as f64)));
        history.put(complete(n, &twin, 1.0));
    }
    let (mut changed, mut momenta) = ([0; 3], Vec::new());
    for draw in 0..300 {
        let child = evolution.suggest(&ask(&history, 1, draw)).unwrap().params;
        let differs = [
            (number(&child, "lr") / 1e-3 - 1.0).abs() > 1e-6,
            child["layers"] != parent["layers"],
            child["opt"] != parent["opt"],
        ];
        assert!(differs.iter().filter(|d| **d).count() <= 1, "{child:?}");
        changed.iter_mut().zip(differs).for_each(|(count, d)| *count += u32::from(d));
        momenta.extend(child.get("momentum").and_then(|v| v.as_f64()));
    }
    // One in three each: within four standard deviations.
    assert!(changed.iter().all(|count| (68..=132).contains(count)), "{changed:?}");
    assert!(momenta.iter().any(|m| *m < 0.3) && momenta.iter().any(|m| *m > 0.7), "{momenta:?}");
}
