//! Whom `auto` asks, by what it sees; that it is as good as its parts is measured (docs/performance.md), not tested.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;

use common::*;
use metaopt_engine::{Ask, History};
use metaopt_schema::space::Space;
use serde_json::{Value, json};

fn floats(d: usize) -> Space {
    let params: Vec<Value> =
        (0..d).map(|i| json!({"name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1.0})).collect();
    space(json!(params))
}

/// Whom it asks in eighty draws after `n` results of random configurations.
fn asked(space: &Space, objectives: usize, n: u64) -> BTreeMap<&'static str, usize> {
    let (auto, random) = (build("auto", json!({})), build("random", json!({})));
    let mut history = History::new(space, objectives);
    for draw in 0..n {
        let params = random.suggest(&ask(&history, 4, draw)).unwrap().params;
        let costs: Vec<f64> = (0..objectives).map(|o| ((draw + 3 * o as u64) as f64).sin()).collect();
        history.put(record(draw, &params, metaopt_engine::RecordState::Complete, &costs));
    }
    let mut asked = BTreeMap::new();
    for draw in 1000..1080 {
        let suggestion = auto.suggest(&ask(&history, 4, draw)).unwrap();
        assert!(!suggestion.why.is_empty(), "{suggestion:?}");
        *asked.entry(suggestion.sampler).or_default() += 1;
    }
    asked
}

#[test]
fn few_trials_and_many_parameters_are_for_the_gaussian_process() {
    assert_eq!(asked(&floats(2), 1, 12), BTreeMap::from([("gp", 80)]));
    assert_eq!(asked(&floats(21), 1, 35), BTreeMap::from([("gp", 80)]));
}

#[test]
fn later_others_are_asked_too_by_the_kind_of_space() {
    // A half, a quarter, a quarter: by a binomial distribution with p = 1/2 and 1/4 all bounds are four deviations away.
    let among = |asked: &BTreeMap<&str, usize>, other: &str| {
        assert_eq!(asked.keys().copied().collect::<Vec<_>>(), {
            let mut names = ["gp", "tpe", other];
            names.sort_unstable();
            names
        });
        assert!((22..=58).contains(&asked["gp"]) && (5..=36).contains(&asked["tpe"]), "{asked:?}");
    };
    among(&asked(&floats(3), 1, 30), "cmaes");
    among(&asked(&mixed(), 1, 30), "bore");
}

#[test]
fn several_objectives_have_rules_of_their_own() {
    let two = asked(&floats(2), 2, 12);
    assert!(two["gp"] > two["tpe"] && two.len() == 2, "{two:?}");
    assert_eq!(asked(&floats(2), 3, 12), BTreeMap::from([("tpe", 80)]));
    assert_eq!(asked(&floats(2), 2, 1000), BTreeMap::from([("nsga2", 80)]));
}

#[test]
fn what_fits_the_budget_is_ordered_not_drawn() {
    let space = finite();
    let history = History::new(&space, 1);
    let ask = Ask { budget_left: Some(23), ..ask(&history, 1, 0) };
    let suggestion = build("auto", json!({})).suggest(&ask).unwrap();
    assert_eq!(suggestion.sampler, "tpe");
    assert!(suggestion.why.contains("budget"));
}
