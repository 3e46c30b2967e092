//! That NSGA-II covers a front better than chance, keeps to constraints, and is a fold over results.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use metaopt_engine::{History, Record, RecordState, Sampler};
use metaopt_schema::space::{Params, Space};
use serde_json::json;

fn cube(d: usize) -> Space {
    let params: Vec<_> =
        (0..d).map(|i| json!({"name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1.0})).collect();
    space(json!(params))
}

/// ZDT1 (Zitzler, Deb, Thiele 2000).
fn zdt1(params: &Params) -> [f64; 2] {
    let x: Vec<f64> = params.values().map(|v| v.as_f64().unwrap()).collect();
    let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / (x.len() as f64 - 1.0);
    [x[0], g * (1.0 - (x[0] / g).sqrt())]
}

fn study(
    sampler: &dyn Sampler,
    space: &Space,
    seed: u64,
    n: u64,
    f: impl Fn(&Params) -> ([f64; 2], f64),
) -> Vec<Tried> {
    let mut history = History::new(space, 2);
    let mut all = Vec::new();
    for draw in 0..n {
        let params = sampler.suggest(&ask(&history, seed, draw)).unwrap().params;
        let (costs, violation) = f(&params);
        let mut tried = record(draw + 1, &params, RecordState::Complete, &costs);
        tried.record.violation = violation;
        history.put(tried.clone());
        all.push(tried);
    }
    all
}

/// The area that feasible trials dominate below `corner`.
fn area(trials: &[Tried], corner: [f64; 2]) -> f64 {
    let mut points: Vec<(f64, f64)> =
        trials.iter().filter(|t| t.record.violation == 0.0).map(|t| (t.record.costs[0], t.record.costs[1])).collect();
    points.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let (mut area, mut below) = (0.0, corner[1]);
    for (a, b) in points.into_iter().filter(|p| p.0 < corner[0]) {
        area += (corner[0] - a) * (below - b).max(0.0);
        below = below.min(b);
    }
    area
}

#[test]
fn it_covers_a_front_far_better_than_chance() {
    // Of 6.6 − 0.33. Parents from the wrong end of the ranking, or none preferred, stay below 5.
    let areas = |name: &str| -> Vec<f64> {
        let sampler = build(name, json!({}));
        (0..8).map(|s| area(&study(sampler.as_ref(), &cube(8), s, 300, |p| (zdt1(p), 0.0)), [1.1, 6.0])).collect()
    };
    let (ours, chance) = (areas("nsga2"), areas("random"));
    assert!(ours.iter().zip(&chance).all(|(a, b)| *a > b + 0.5), "{ours:?} against {chance:?}");
    assert!(ours.iter().sum::<f64>() / 8.0 > 5.6, "{ours:?}");
}

#[test]
fn a_front_is_found_along_its_whole_length() {
    for seed in 0..5 {
        let trials = study(build("nsga2", json!({})).as_ref(), &cube(4), seed, 400, |p| (zdt1(p), 0.0));
        let near = |t: &&Tried| t.record.costs[1] < 1.25 - t.record.costs[0].sqrt();
        let mut tenths = [false; 10];
        trials.iter().filter(near).for_each(|t| tenths[(t.record.costs[0] * 9.999) as usize] = true);
        assert!(tenths.iter().filter(|t| **t).count() >= 8, "{tenths:?} at seed {seed}");
    }
}

#[test]
fn what_is_not_allowed_is_left_behind() {
    // Allowed is one part in thirty-two; among the last hundred it must be every other.
    let f = |p: &Params| {
        let over: f64 = (1..6).map(|i| (number(p, &format!("x{i}")) - 0.5).max(0.0)).sum();
        ([number(p, "x0"), 1.0 - number(p, "x0") + 1.0 - number(p, "x1")], over)
    };
    for seed in 0..5 {
        let trials = study(build("nsga2", json!({})).as_ref(), &cube(6), seed, 250, f);
        let allowed = trials[150..].iter().filter(|t| t.record.violation == 0.0).count();
        assert!(allowed >= 50, "{allowed} of 100 at seed {seed}");
    }
}

#[test]
fn a_late_result_and_lost_caches_change_no_answer() {
    let space = mixed();
    let nsga2 = build("nsga2", json!({"population_size": 8}));
    let f = |p: &Params| ([number(p, "lr"), -number(p, "layers") - number(p, "width")], 0.0);
    let trials = study(nsga2.as_ref(), &space, 9, 90, f);
    for late in [0, 13, 44, 88] {
        let mut history = History::new(&space, 2);
        for (i, tried) in trials.iter().enumerate() {
            let mut tried = tried.clone();
            if i == late {
                tried.record = Record { done: 0, state: RecordState::Pending, costs: vec![], ..tried.record.clone() };
            }
            history.put(tried);
            if i % 5 == 0 {
                let warm = nsga2.suggest(&ask(&history, 9, 500)).unwrap();
                assert_eq!(warm, nsga2.suggest(&ask(&history.clone(), 9, 500)).unwrap(), "{late} at {i}");
            }
        }
        history.put(trials[late].clone());
        let mut straight = History::new(&space, 2);
        trials.iter().for_each(|tried| straight.put(tried.clone()));
        assert_eq!(nsga2.suggest(&ask(&history, 9, 500)), nsga2.suggest(&ask(&straight, 9, 500)), "{late}");
    }
}

#[test]
fn stretching_an_objective_changes_no_suggestion() {
    let space = mixed();
    let f = |p: &Params| [(number(p, "lr") * 1000.0).round(), -number(p, "layers")];
    let nsga2 = build("nsga2", json!({}));
    let plain = study(nsga2.as_ref(), &space, 3, 120, |p| (f(p), 0.0));
    let stretched = study(nsga2.as_ref(), &space, 3, 120, |p| ([f(p)[0] * 4.0 - 64.0, f(p)[1] * 0.5], 0.0));
    assert!(plain.iter().zip(&stretched).all(|(a, b)| a.params == b.params));
}
