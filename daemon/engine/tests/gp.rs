//! That the Gaussian process models: equivariances, pending trials, constraints, recorded hyperparameters, and comparisons with chance.
//!
//! Mutations that were tried by hand, and what failed then: the sign of improvement: `it_beats_chance_clearly` and four more; the gradient's
//! sign: its finite differences and `pending_trials_push_…`; pending trials not imagined: `pending_trials_push_…`; ln Φ left out, or
//! failures not counted as the worst: `infeasible_and_failed_regions_are_left`; recorded hyperparameters not read:
//! `what_was_fitted_is_found_again_…`; a region's bounds ignored: `a_region_holds_it` in the module of searches.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use metaopt_engine::{History, RecordState};
use metaopt_schema::space::{Params, Space};
use serde_json::json;

fn cube(d: usize) -> Space {
    space(json!(
        (0..d).map(|i| json!({"name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1.0})).collect::<Vec<_>>()
    ))
}

fn x(params: &Params) -> Vec<f64> {
    params.values().map(|v| v.as_f64().unwrap()).collect()
}

fn branin(x: &[f64]) -> f64 {
    let pi = std::f64::consts::PI;
    let (a, b) = (15.0 * x[0] - 5.0, 15.0 * x[1]);
    (b - 5.1 / (4.0 * pi * pi) * a * a + 5.0 / pi * a - 6.0).powi(2) + 10.0 * (1.0 - 1.0 / (8.0 * pi)) * a.cos() + 10.0
        - 0.397_887
}

fn bowl(x: &[f64]) -> f64 {
    x.iter().enumerate().map(|(i, v)| (1.0 + i as f64) * (v - 0.3 - 0.1 * i as f64).powi(2)).sum()
}

fn training_space() -> Space {
    space(json!([
        {"name": "lr", "type": "float", "low": 1e-6, "high": 1.0, "log": true},
        {"name": "layers", "type": "int", "low": 1, "high": 30},
        {"name": "opt", "type": "categorical", "choices": ["lion", "adam", "sgd", "rms"]},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}}
    ]))
}

fn training(params: &Params) -> f64 {
    let branch = match params["opt"].as_str() {
        Some("sgd") => (number(params, "momentum") - 0.9).abs(),
        Some("adam") => 0.7,
        _ => 1.0,
    };
    (number(params, "lr").log10() + 2.5).powi(2) * 0.3 + (number(params, "layers") - 5.0).abs() * 0.1 + branch
}

#[test]
fn it_beats_chance_clearly() {
    type Task<'a> = (&'a str, Space, &'a dyn Fn(&Params) -> f64, f64);
    let tasks: [Task; 3] = [
        ("branin", cube(2), &|p| branin(&x(p)), 0.05),
        ("bowl", cube(5), &|p| bowl(&x(p)), 0.02),
        ("training", training_space(), &training, 0.3),
    ];
    for (name, space, f, factor) in tasks {
        let (gp, random) = (build("gp", json!({})), build("random", json!({})));
        let end = |sampler: &dyn metaopt_engine::Sampler| -> Vec<f64> {
            (0..8).map(|seed| optimise(sampler, &space, seed, 40, f)).collect()
        };
        let (mut ours, mut chance) = (end(gp.as_ref()), end(random.as_ref()));
        // By a sign test 7 of 8 has p = 0.04 under chance, and all tasks together far less.
        let wins = ours.iter().zip(&chance).filter(|(a, b)| a < b).count();
        ours.sort_by(f64::total_cmp);
        chance.sort_by(f64::total_cmp);
        assert!(wins >= 7 && ours[4] < factor * chance[4], "{name}: {wins} wins, {} against {}", ours[4], chance[4]);
    }
}

#[test]
fn scaling_a_metric_changes_no_suggestion_and_shifting_it_next_to_nothing() {
    let space = mixed();
    let gp = build("gp", json!({}));
    let (mut plain, mut scaled, mut moved) =
        (History::new(&space, 1), History::new(&space, 1), History::new(&space, 1));
    for draw in 0..24 {
        let one = gp.suggest(&ask(&plain, 8, draw)).unwrap();
        assert_eq!(one, gp.suggest(&ask(&scaled, 8, draw)).unwrap(), "draw {draw}");
        if draw == 10 {
            let other = gp.suggest(&ask(&moved, 8, draw)).unwrap();
            assert_eq!(other.params["opt"], one.params["opt"]);
            assert!((number(&one.params, "decay") - number(&other.params, "decay")).abs() < 1e-2);
        }
        let cost = (number(&one.params, "lr") * 1000.0).round() + number(&one.params, "layers");
        let put = |history: &mut History, cost: f64| {
            let mut tried = complete(draw, &one.params, cost);
            tried.record.fit = one.fit.clone();
            history.put(tried);
        };
        put(&mut plain, cost);
        put(&mut scaled, cost * 4.0);
        put(&mut moved, cost * 4.0 - 1024.0);
    }
}

/// Forty random trials of `f`.
fn sampled(space: &Space, f: impl Fn(&Params) -> f64) -> History {
    let random = build("random", json!({}));
    let mut history = History::new(space, 1);
    for draw in 0..40 {
        let params = random.suggest(&ask(&history, 1, draw)).unwrap().params;
        let cost = f(&params);
        history.put(complete(draw, &params, cost));
    }
    history
}

#[test]
fn pending_trials_push_the_next_suggestion_away() {
    // Noise leaves doubt at the best place, so that without anything pending it is suggested again and again.
    let noisy = |p: &Params| (x(p)[0] - 0.3).powi(2) + 0.02 * (x(p)[0] * 1e4).sin();
    let space = cube(1);
    let gp = build("gp", json!({"exploration": 0.0}));
    let mut history = sampled(&space, noisy);
    let mut spread = Vec::new();
    for draw in 0..10 {
        let params = gp.suggest(&ask(&history, 1, 100 + draw)).unwrap().params;
        spread.push(x(&params)[0]);
        history.put(record(1000 + draw, &params, RecordState::Pending, &[]));
    }
    let alone = sampled(&space, noisy);
    let near: Vec<f64> = (0..10).map(|draw| x(&gp.suggest(&ask(&alone, 1, 100 + draw)).unwrap().params)[0]).collect();
    let width = |v: &[f64]| {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt()
    };
    assert!(width(&spread) > 2.0 * width(&near), "{spread:?} {near:?}");
}

#[test]
fn infeasible_and_failed_regions_are_left() {
    let space = cube(1);
    let gp = build("gp", json!({}));
    for (state, told) in [
        (RecordState::Complete, true),
        (RecordState::Complete, false),
        (RecordState::Failed, false),
        (RecordState::Infeasible, false),
    ] {
        let mut history = History::new(&space, 1);
        for draw in 0..50 {
            let suggestion = gp.suggest(&ask(&history, 3, draw)).unwrap();
            let at = x(&suggestion.params)[0];
            // The lowest costs lie where nothing is allowed.
            let mut tried =
                record(draw, &suggestion.params, if at < 0.5 { state } else { RecordState::Complete }, &[at]);
            tried.violation = (0.5 - at).max(0.0);
            if told {
                tried.constraints = vec![0.5 - at];
            }
            tried.fit = suggestion.fit;
            history.put(tried);
        }
        // The optimum lies on the border of what is allowed, and the best costs lie beyond it, so some tries do too.
        let late: Vec<f64> = history.results((30, 0)).map(|(_, _, config)| config.u[0]).collect();
        let there = late.iter().filter(|at| (0.45..0.65).contains(*at)).count();
        let best =
            history.results((0, 0)).map(|(_, _, config)| config.u[0]).filter(|at| *at >= 0.5).fold(1.0, f64::min);
        assert!(there >= 12 && best < 0.52, "{state:?}, {told}: {there} of 20, {best}, {late:?}");
    }
}

#[test]
fn what_was_fitted_is_found_again_and_nonsense_is_ignored() {
    let space = cube(3);
    let gp = build("gp", json!({}));
    let mut history = sampled(&space, |p| bowl(&x(p)));
    let first = gp.suggest(&ask(&history, 1, 40)).unwrap();
    assert!(!first.fit.is_empty());
    let with = |fit: Vec<f32>| {
        let mut tried = record(900, &first.params, RecordState::Pending, &[]);
        tried.fit = fit;
        tried
    };
    for nonsense in [vec![], vec![1.0, 2.0], vec![f32::NAN; first.fit.len()], vec![0.0; first.fit.len()]] {
        history.put(with(nonsense));
        let next = gp.suggest(&ask(&history, 1, 41)).unwrap();
        assert_eq!(next.fit, first.fit);
    }
    // Whoever asks next, on whatever node: as good as if it had fitted itself, which it needn't.
    history.put(with(vec![]));
    let anew = gp.suggest(&ask(&history, 1, 41)).unwrap();
    history.put(with(first.fit.clone()));
    let next = gp.suggest(&ask(&history, 1, 41)).unwrap();
    assert_eq!((&next.params, next.fit.len()), (&anew.params, 0));
}

#[test]
fn many_constraints_are_fitted_once_and_found_again() {
    let space = cube(2);
    let (gp, random) = (build("gp", json!({})), build("random", json!({})));
    let mut history = History::new(&space, 1);
    for draw in 0..40 {
        let params = random.suggest(&ask(&history, 1, draw)).unwrap().params;
        let mut tried = complete(draw, &params, bowl(&x(&params)));
        tried.constraints = (0..20).map(|k| x(&params)[k % 2] - 0.5 - k as f64 / 50.0).collect();
        tried.violation = tried.constraints.iter().map(|c| c.max(0.0)).sum();
        history.put(tried);
    }
    let first = gp.suggest(&ask(&history, 1, 40)).unwrap();
    assert!(!first.fit.is_empty());
    let mut tried = record(40, &first.params, RecordState::Pending, &[]);
    tried.record.fit = first.fit;
    history.put(tried);
    assert!(gp.suggest(&ask(&history, 1, 41)).unwrap().fit.is_empty());
}

#[test]
fn beyond_its_size_the_search_stays_near_the_best_and_still_gains() {
    let space = cube(30);
    let gp = build("gp", json!({}));
    let mut history = History::new(&space, 1);
    let f = |p: &Params| x(p).iter().map(|v| (v - 0.4).powi(2)).sum::<f64>();
    let (mut best, mut far) = ((f64::INFINITY, Vec::new()), 0.0);
    for draw in 0..60 {
        let suggestion = gp.suggest(&ask(&history, 2, draw)).unwrap();
        let (at, cost) = (x(&suggestion.params), f(&suggestion.params));
        if draw >= 50 {
            far += at.iter().zip(&best.1).filter(|(a, b): &(&f64, &f64)| (*a - *b).abs() > 0.41).count() as f64;
        }
        if cost < best.0 {
            best = (cost, at);
        }
        let mut tried = complete(draw, &suggestion.params, cost);
        tried.record.fit = suggestion.fit;
        history.put(tried);
    }
    let chance = optimise(build("random", json!({})).as_ref(), &space, 2, 60, f);
    assert!(best.0 < 0.6 * chance && far / 300.0 < 0.25, "{} {chance} {far}", best.0);
}

#[test]
fn several_objectives_approach_the_front() {
    let space = cube(3);
    let run = |name: &str, seed: u64| {
        let sampler = build(name, json!({}));
        let mut history = History::new(&space, 2);
        let mut off = 0.0;
        for draw in 0..40 {
            let at = sampler.suggest(&ask(&history, seed, draw)).unwrap();
            let v = x(&at.params);
            let rest = v[1] + v[2];
            let costs = [(v[0] - 0.2).abs() + rest, (v[0] - 0.8).abs() + rest];
            history.put(record(draw, &at.params, RecordState::Complete, &costs));
            off += if draw >= 20 { rest / 20.0 } else { 0.0 };
        }
        off
    };
    for seed in 0..3 {
        let (gp, random) = (run("gp", seed), run("random", seed));
        assert!(gp < 0.4 * random, "seed {seed}: {gp} {random}");
    }
}

/// What sixty trials of ZDT1 in `d` dimensions dominate, up to 11 in both objectives.
fn dominated(d: usize, seed: u64) -> f64 {
    let (space, gp) = (cube(d), build("gp", json!({})));
    let mut history = History::new(&space, 2);
    let mut front = Vec::new();
    for draw in 0..60 {
        let suggestion = gp.suggest(&ask(&history, seed, draw)).unwrap();
        let at = x(&suggestion.params);
        let g = 1.0 + 9.0 * at[1..].iter().sum::<f64>() / (d - 1) as f64;
        let costs = [at[0], g * (1.0 - (at[0] / g).sqrt())];
        history.put(record(draw, &suggestion.params, RecordState::Complete, &costs));
        front.push(costs);
    }
    front.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let step = |(sum, low): (f64, f64), [a, b]: [f64; 2]| {
        if b < low { (sum + (11.0 - a) * (low - b), b) } else { (sum, low) }
    };
    front.into_iter().fold((0.0, 11.0), step).0
}

#[test]
fn several_objectives_are_all_sought_beyond_twenty_parameters_too() {
    // A search around the first objective's best misses most of the front: it was at 97 where others were at 115.
    let mean = |d: usize| (dominated(d, 1) + dominated(d, 2)) / 2.0;
    let (narrow, wide) = (mean(20), mean(21));
    assert!(wide > narrow - 8.0, "{narrow} {wide}");
}

#[test]
fn a_long_study_of_others_trials_leaves_the_search_around_its_best() {
    let (space, gp, random) = (cube(4), build("gp", json!({})), build("random", json!({})));
    let mut history = History::new(&space, 1);
    let mut best = f64::INFINITY;
    for draw in 0..700 {
        let params = random.suggest(&ask(&history, 1, draw)).unwrap().params;
        best = best.min(bowl(&x(&params)));
        history.put(complete(draw, &params, bowl(&x(&params))));
    }
    for draw in 700..702 {
        let suggestion = gp.suggest(&ask(&history, 1, draw)).unwrap();
        // Its own trials can be told from others', whether or not there was anything to fit.
        assert!(bowl(&x(&suggestion.params)) < best && !suggestion.fit.is_empty(), "{suggestion:?} {best}");
        let mut tried = record(draw, &suggestion.params, RecordState::Pending, &[]);
        tried.record.fit = suggestion.fit;
        history.put(tried);
    }
}

#[test]
fn large_spaces_and_long_studies_are_answered() {
    let wide = space(json!(
        (0..100)
            .map(|i| json!({"name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1.0}))
            .collect::<Vec<_>>()
    ));
    let choices: Vec<String> = (0..1024).map(|i| format!("c{i}")).collect();
    let many = space(
        json!([{"name": "c", "type": "categorical", "choices": choices}, {"name": "x", "type": "float", "low": 0.0, "high": 1.0}]),
    );
    for (space, n) in [(wide, 30), (many, 40), (mixed(), 520)] {
        let random = build("random", json!({}));
        let mut history = History::new(&space, 1);
        for draw in 0..n {
            let params = random.suggest(&ask(&history, 1, draw)).unwrap().params;
            history.put(complete(draw, &params, if draw % 9 == 0 { 1e300 } else { (draw as f64).sin() }));
        }
        let suggestion = build("gp", json!({})).suggest(&ask(&history, 1, n)).unwrap();
        assert!(space.check_params(&suggestion.params).is_ok() && !suggestion.fit.is_empty());
    }
}

#[test]
fn options_are_checked() {
    let wrong = |options: serde_json::Value| {
        let mut spec = options.as_object().cloned().unwrap();
        spec.insert("name".into(), json!("gp"));
        metaopt_engine::sampler(&serde_json::from_value(serde_json::Value::Object(spec)).unwrap()).is_err()
    };
    assert!(
        wrong(json!({"exploration": 1.5})) && wrong(json!({"n_startup_trials": 0})) && wrong(json!({"explore": 0}))
    );
    assert!(!wrong(json!({"exploration": 0, "n_startup_trials": 5})));
}
