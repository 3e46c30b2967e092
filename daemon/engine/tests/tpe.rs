//! That the model models: laws of §8 and a comparison with chance, on fixed seeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use metaopt_engine::{History, RecordState, importance};
use metaopt_schema::space::{Params, Space};
use serde_json::json;

fn cube(d: usize, low: f64, high: f64) -> Space {
    let params: Vec<_> =
        (0..d).map(|i| json!({"name": format!("x{i}"), "type": "float", "low": low, "high": high})).collect();
    space(json!(params))
}

fn x(params: &Params) -> Vec<f64> {
    params.values().map(|v| v.as_f64().unwrap()).collect()
}

fn hartmann(x: &[f64]) -> f64 {
    let a = [1.0, 1.2, 3.0, 3.2];
    let w = [
        [10., 3., 17., 3.5, 1.7, 8.],
        [0.05, 10., 17., 0.1, 8., 14.],
        [3., 3.5, 1.7, 10., 17., 8.],
        [17., 8., 0.05, 10., 0.1, 14.],
    ];
    let p = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let term = |i: usize| a[i] * (-(0..6).map(|j| w[i][j] * (x[j] - p[i][j]).powi(2)).sum::<f64>()).exp();
    3.32237 - (0..4).map(term).sum::<f64>()
}

fn branin(x: &[f64]) -> f64 {
    let pi = std::f64::consts::PI;
    let (a, b) = (15.0 * x[0] - 5.0, 15.0 * x[1]);
    (b - 5.1 / (4.0 * pi * pi) * a * a + 5.0 / pi * a - 6.0).powi(2) + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * a.cos() + 10.0
        - 0.397_887
}

/// Ackley's function with its minimum away from the middle.
fn ackley(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let moved = |v: &f64| 60.0 * (v - 0.73);
    let (squares, waves) = (
        x.iter().map(|v| moved(v).powi(2)).sum::<f64>() / n,
        x.iter().map(|v| (std::f64::consts::TAU * moved(v)).cos()).sum::<f64>() / n,
    );
    -20.0 * (-0.2 * squares.sqrt()).exp() - waves.exp() + 20.0 + 1f64.exp()
}

/// A training run: the right branch, a learning rate on a log scale, a condition.
fn training(params: &Params) -> f64 {
    let lr = (number(params, "lr").log10() + 2.5).powi(2) * 0.3;
    let layers = (number(params, "layers") - 5.0).abs() * 0.1;
    let branch = match params["opt"].as_str() {
        Some("sgd") => (number(params, "momentum") - 0.9).abs(),
        Some("adam") => 0.7,
        _ => 1.0,
    };
    lr + layers + branch
}

fn training_space() -> Space {
    space(json!([
        {"name": "lr", "type": "float", "low": 1e-6, "high": 1.0, "log": true},
        {"name": "layers", "type": "int", "low": 1, "high": 30},
        {"name": "opt", "type": "categorical", "choices": ["lion", "adam", "sgd", "rms"]},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}}
    ]))
}

/// How often `tpe` ends below `random`, and both medians, over twenty seeds of sixty trials.
fn duel(space: &Space, f: impl Fn(&Params) -> f64) -> (usize, f64, f64) {
    let (tpe, random) = (build("tpe", json!({})), build("random", json!({})));
    let mut ends: Vec<(f64, f64)> = (0..20)
        .map(|seed| (optimise(tpe.as_ref(), space, seed, 60, &f), optimise(random.as_ref(), space, seed, 60, &f)))
        .collect();
    let wins = ends.iter().filter(|(t, r)| t < r).count();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let tpe = ends[10].0;
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    (wins, tpe, ends[10].1)
}

#[test]
fn tpe_beats_chance_clearly() {
    // By a sign test 15 of 20 has p = 0.02 under chance, and all four together far less.
    for (name, (wins, tpe, random), factor) in [
        ("branin", duel(&cube(2, 0.0, 1.0), |p| branin(&x(p))), 0.3),
        ("hartmann", duel(&cube(6, 0.0, 1.0), |p| hartmann(&x(p))), 0.7),
        ("ackley", duel(&cube(5, 0.0, 1.0), |p| ackley(&x(p))), 0.7),
        ("training", duel(&training_space(), training), 0.6),
    ] {
        assert!(wins >= 15 && tpe < factor * random, "{name}: {wins} wins, median {tpe} against {random}");
    }
}

#[test]
fn scaling_and_shifting_a_metric_changes_no_suggestion() {
    let space = mixed();
    let tpe = build("tpe", json!({}));
    let (mut plain, mut moved) = (History::new(&space, 1), History::new(&space, 1));
    for draw in 0..60 {
        let one = tpe.suggest(&ask(&plain, 8, draw)).unwrap();
        assert_eq!(one, tpe.suggest(&ask(&moved, 8, draw)).unwrap(), "draw {draw}");
        // Whole numbers and powers of two, so that the arithmetic is exact.
        let cost = (number(&one.params, "lr") * 1000.0).round() + number(&one.params, "layers");
        plain.put(complete(draw, &one.params, cost));
        moved.put(complete(draw, &one.params, cost * 4.0 - 1024.0));
    }
}

#[test]
fn pending_trials_push_the_next_suggestion_away() {
    let space = cube(1, 0.0, 1.0);
    let mut history = History::new(&space, 1);
    let random = build("random", json!({}));
    for draw in 0..40 {
        let params = random.suggest(&ask(&history, 1, draw)).unwrap().params;
        let cost = (x(&params)[0] - 0.3).powi(2);
        history.put(complete(draw, &params, cost));
    }
    // Many workers are already busy at the best place.
    for n in 0..40 {
        let at: Params = serde_json::from_value(json!({"x0": 0.28 + 0.001 * n as f64})).unwrap();
        history.put(record(1000 + n, &at, RecordState::Pending, &[]));
    }
    let distance = |liar: bool| {
        let tpe = build("tpe", json!({"constant_liar": liar}));
        (0..30).map(|draw| (x(&tpe.suggest(&ask(&history, 1, draw)).unwrap().params)[0] - 0.3).abs()).sum::<f64>()
            / 30.0
    };
    assert!(distance(true) > 2.0 * distance(false), "{} {}", distance(true), distance(false));
}

#[test]
fn the_newest_pending_trials_count_however_many_there_are() {
    let space = cube(1, 0.0, 1.0);
    let (random, tpe) = (build("random", json!({})), build("tpe", json!({})));
    let mut history = History::new(&space, 1);
    for draw in 0..40 {
        let params = random.suggest(&ask(&history, 1, draw)).unwrap().params;
        let cost = (x(&params)[0] - 0.3).powi(2);
        history.put(complete(draw, &params, cost));
    }
    let mut fill = |n: u64, from: f64| {
        for i in 0..n {
            let at = from + 0.0005 * i as f64;
            let params = serde_json::from_value(json!({ "x0": at })).unwrap();
            history.put(record(1000 * n + i, &params, RecordState::Pending, &[]));
        }
        let off = |draw| (x(&tpe.suggest(&ask(&history, 1, draw)).unwrap().params)[0] - 0.3).abs();
        (0..30).map(off).sum::<f64>() / 30.0
    };
    // (The later ones are further on in the order of proposals.)
    let (far, then) = (fill(160, 0.9), fill(161, 0.26));
    assert!(then > 2.0 * far, "{far} {then}");
}

#[test]
fn infeasible_and_failed_regions_are_left() {
    let space = cube(1, 0.0, 1.0);
    for state in [RecordState::Complete, RecordState::Failed, RecordState::Infeasible] {
        let mut history = History::new(&space, 1);
        let tpe = build("tpe", json!({}));
        for draw in 0..60 {
            let params = tpe.suggest(&ask(&history, 3, draw)).unwrap().params;
            let at = x(&params)[0];
            // The lowest costs lie where nothing is allowed.
            history.put(if at < 0.5 {
                let mut tried = record(draw, &params, state, &[at]);
                tried.violation = 0.5 - at;
                tried
            } else {
                complete(draw, &params, at)
            });
        }
        let late: Vec<f64> =
            (0..20).map(|draw| x(&tpe.suggest(&ask(&history, 3, 100 + draw)).unwrap().params)[0]).collect();
        // The optimum lies on the border of what is allowed, so some fall just short of it.
        let there = late.iter().filter(|at| (0.45..0.65).contains(*at)).count();
        assert!(there >= 16, "{state:?}: {there} of 20, {late:?}");
    }
}

#[test]
fn several_objectives_approach_the_front() {
    // Minimise both distances to 0.2 and 0.8 in one coordinate; the others should be 0.
    let space = cube(3, 0.0, 1.0);
    let run = |name: &str, seed: u64| {
        let sampler = build(name, json!({}));
        let mut history = History::new(&space, 2);
        let mut off = Vec::new();
        for draw in 0..80 {
            let params = sampler.suggest(&ask(&history, seed, draw)).unwrap().params;
            let at = x(&params);
            let rest = at[1] + at[2];
            history.put(record(
                draw,
                &params,
                RecordState::Complete,
                &[(at[0] - 0.2).abs() + rest, (at[0] - 0.8).abs() + rest],
            ));
            off.push(rest);
        }
        off[50..].iter().sum::<f64>() / 30.0
    };
    let (tpe, random): (f64, f64) =
        (0..8).map(|seed| (run("tpe", seed), run("random", seed))).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!(tpe < 0.6 * random, "{tpe} {random}");
}

#[test]
fn a_normal_prior_steers_first_trials() {
    let space =
        space(json!([{"name": "x", "type": "float", "low": 0.0, "high": 1.0, "prior": {"normal": [0.1, 0.02]}}]));
    for name in ["random", "sobol", "tpe"] {
        let mut history = History::new(&space, 1);
        let (drawn, _) = drain(build(name, json!({})).as_ref(), &mut history, 5, 40);
        let near = drawn.iter().filter(|p| (x(p)[0] - 0.1).abs() < 0.06).count();
        assert!(near >= 36, "{name}: {near} of 40");
    }
}

#[test]
fn defaults_come_first() {
    let space = mixed();
    let first = build("tpe", json!({})).suggest(&ask(&History::new(&space, 1), 77, 0)).unwrap().params;
    assert_eq!(first["lr"], json!(1e-3));
    assert!((number(&first, "decay") - 0.1).abs() < 0.01);
    assert_eq!(first["opt"], json!("sgd"));
}

#[test]
fn auto_lets_the_model_order_a_space_that_fits_the_budget() {
    let space = space(
        json!([{"name": "a", "type": "int", "low": 1, "high": 40}, {"name": "b", "type": "int", "low": 1, "high": 5}]),
    );
    // How many of 200 configurations it takes to meet the best.
    let met = |name: &str, seed: u64| {
        let sampler = build(name, json!({}));
        let mut history = History::new(&space, 1);
        for draw in 0..200 {
            let ask = metaopt_engine::Ask { budget_left: Some(200 - draw), ..ask(&history, seed, draw) };
            let params = sampler.suggest(&ask).unwrap().params;
            let cost = (number(&params, "a") - 31.0).abs() + (number(&params, "b") - 4.0).abs();
            if cost == 0.0 {
                return draw;
            }
            history.put(complete(draw, &params, cost));
        }
        200
    };
    let (auto, grid): (u64, u64) =
        (0..10).map(|seed| (met("auto", seed), met("grid", seed))).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert!(2 * auto < grid, "{auto} {grid}");
}

#[test]
fn importances_find_the_parameter_that_matters() {
    let space = space(json!([
        {"name": "dull", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "sharp", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]},
        {"name": "idle", "type": "bool", "when": {"kind": ["c"]}}
    ]));
    let mut history = History::new(&space, 1);
    assert!(importance(&space, &history).is_empty());
    let random = build("random", json!({}));
    for draw in 0..200 {
        let params = random.suggest(&ask(&history, 6, draw)).unwrap().params;
        let cost = (number(&params, "sharp") - 0.4).abs()
            + 0.1 * f64::from(params["kind"] == json!("b"))
            + 0.01 * number(&params, "dull");
        history.put(complete(draw, &params, cost));
    }
    let found = importance(&space, &history);
    assert_eq!(found[0].0, "sharp");
    assert!(found[0].1 > 0.6, "{found:?}");
    assert!((found.iter().map(|(_, v)| v).sum::<f64>() - 1.0).abs() < 1e-9);
}
