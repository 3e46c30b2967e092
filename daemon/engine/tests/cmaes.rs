//! That CMA-ES is a fold over results, sees ranks only, and adapts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use metaopt_engine::{History, RecordState, Sampler};
use metaopt_schema::space::{Params, Space};
use serde_json::json;

fn cube(d: usize) -> Space {
    let params: Vec<_> =
        (0..d).map(|i| json!({"name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1.0})).collect();
    space(json!(params))
}

fn x(params: &Params) -> Vec<f64> {
    params.values().map(|v| v.as_f64().unwrap()).collect()
}

fn sphere(params: &Params) -> f64 {
    x(params).iter().map(|v| (v - 0.3).powi(2)).sum()
}

/// An ellipsoid with condition 10^4, turned by a reflection so that no axis is its own, around 0.35.
fn ellipsoid(params: &Params) -> f64 {
    let y: Vec<f64> = x(params).iter().map(|v| v - 0.35).collect();
    let d = y.len() as f64;
    let normal: Vec<f64> = (0..y.len()).map(|i| 1.0 + i as f64).collect();
    let length = normal.iter().map(|v| v * v).sum::<f64>();
    let along = 2.0 * y.iter().zip(&normal).map(|(a, b)| a * b).sum::<f64>() / length;
    let turned = y.iter().zip(&normal).map(|(a, b)| a - along * b);
    turned.enumerate().map(|(i, v)| 10f64.powf(4.0 * i as f64 / (d - 1.0)) * v * v).sum()
}

/// A finished trial of the sampler's next suggestion.
fn trial(sampler: &dyn Sampler, history: &History, seed: u64, draw: u64, f: impl Fn(&Params) -> f64) -> Tried {
    let suggestion = sampler.suggest(&ask(history, seed, draw)).unwrap();
    let mut tried = complete(draw + 1, &suggestion.params, f(&suggestion.params));
    tried.record.fit = suggestion.fit;
    tried
}

fn study(sampler: &dyn Sampler, space: &Space, seed: u64, n: u64, f: impl Fn(&Params) -> f64) -> Vec<Tried> {
    let mut history = History::new(space, 1);
    let mut all = Vec::new();
    for draw in 0..n {
        let tried = trial(sampler, &history, seed, draw, &f);
        history.put(tried.clone());
        all.push(tried);
    }
    all
}

fn history_of(space: &Space, trials: &[Tried]) -> History {
    let mut history = History::new(space, 1);
    trials.iter().for_each(|tried| history.put(tried.clone()));
    history
}

fn best(trials: &[Tried]) -> f64 {
    trials.iter().map(|tried| tried.record.costs[0]).fold(f64::INFINITY, f64::min)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn within_a_generation_the_order_of_results_makes_no_difference_and_between_two_it_does() {
    for space in [cube(4), mixed()] {
        let cmaes = build("cmaes", json!({"popsize": 6}));
        let straight = study(cmaes.as_ref(), &space, 4, 28, |p| p.values().next().unwrap().as_f64().unwrap());
        let next = |trials: &[Tried]| cmaes.suggest(&ask(&history_of(&space, trials), 4, 28)).unwrap();
        let swapped = |a: usize, b: usize| {
            let mut trials = straight.clone();
            let done = trials[a].record.done;
            trials[a].record.done = trials[b].record.done;
            trials[b].record.done = done;
            next(&trials)
        };
        // Ten start the study, then come three generations of six.
        for (a, b) in [(0, 9), (10, 15), (11, 13), (17, 20), (22, 27)] {
            assert_eq!(next(&straight), swapped(a, b), "{a} and {b}");
        }
        assert_ne!(next(&straight), swapped(10, 27));
    }
}

#[test]
fn a_late_result_and_lost_caches_change_no_answer() {
    let space = mixed();
    let cmaes = build("cmaes", json!({"popsize": 5}));
    let f = |p: &Params| number(p, "lr") + number(p, "layers") * 0.01;
    let trials = study(cmaes.as_ref(), &space, 9, 120, f);
    for late in [3, 12, 40, 77, 118] {
        let mut history = History::new(&space, 1);
        for (i, tried) in trials.iter().enumerate() {
            if i == late {
                history.put(Tried {
                    record: metaopt_engine::Record {
                        done: 0,
                        state: RecordState::Pending,
                        costs: vec![],
                        ..tried.record.clone()
                    },
                    params: tried.params.clone(),
                });
            } else {
                history.put(tried.clone());
            }
            // What is asked on the way fills the caches.
            if i % 7 == 0 || i > 115 {
                let warm = cmaes.suggest(&ask(&history, 9, 500)).unwrap();
                assert_eq!(warm, cmaes.suggest(&ask(&history.clone(), 9, 500)).unwrap(), "{late} at {i}");
            }
        }
        history.put(trials[late].clone());
        let straight = history_of(&space, &trials);
        assert_eq!(cmaes.suggest(&ask(&history, 9, 500)), cmaes.suggest(&ask(&straight, 9, 500)), "{late}");
        // Taken back, and done once more.
        history.remove(trials[late].record.key);
        let mut without = trials.clone();
        without.remove(late);
        let without = history_of(&space, &without);
        assert_eq!(cmaes.suggest(&ask(&history, 9, 500)), cmaes.suggest(&ask(&without, 9, 500)), "{late}");
    }
}

#[test]
fn only_ranks_count() {
    let space = mixed();
    for options in [json!({}), json!({"n_candidates": 1, "popsize": 4})] {
        let cmaes = build("cmaes", options);
        let f = |p: &Params| (number(p, "lr") * 100.0).round() + number(p, "layers");
        let plain = study(cmaes.as_ref(), &space, 2, 70, f);
        let bent = study(cmaes.as_ref(), &space, 2, 70, |p| -1.0 / (1.0 + f(p).powi(3)));
        for (one, other) in plain.iter().zip(&bent) {
            assert_eq!(one.params, other.params);
        }
    }
}

#[test]
fn it_learns_scales_and_directions() {
    for options in [json!({"n_candidates": 1}), json!({})] {
        let cmaes = build("cmaes", options);
        let ends = (0..9).map(|seed| best(&study(cmaes.as_ref(), &cube(5), seed, 800, ellipsoid))).collect();
        let end = median(ends);
        assert!(end < 1e-3, "{end}");
    }
}

#[test]
fn the_model_saves_trials_and_both_beat_chance() {
    let run = |name: &str, options, seed| best(&study(build(name, options).as_ref(), &cube(5), seed, 60, ellipsoid));
    let of =
        |name: &str, options: serde_json::Value| median((0..15).map(|seed| run(name, options.clone(), seed)).collect());
    let (with, without, chance) =
        (of("cmaes", json!({})), of("cmaes", json!({"n_candidates": 1})), of("random", json!({})));
    assert!(with < 0.4 * without && without < 0.4 * chance, "{with}, {without}, {chance}");
}

#[test]
fn whole_numbers_keep_moving_when_the_rest_has_settled() {
    let mut params = json!([
        {"name": "a", "type": "int", "low": 0, "high": 40},
        {"name": "b", "type": "float", "low": 0.0, "high": 1.0, "step": 0.1},
        {"name": "c", "type": "int", "low": 1, "high": 64, "log": true}
    ]);
    for i in 0..3 {
        params.as_array_mut().unwrap().push(json!({"name": format!("x{i}"), "type": "float", "low": 0.0, "high": 1.0}));
    }
    let space = space(params);
    let f = |p: &Params| {
        let smooth: f64 = (0..3).map(|i| (number(p, &format!("x{i}")) - 0.4).powi(2)).sum();
        smooth + (number(p, "a") - 11.0).abs() + 4.0 * (number(p, "b") - 0.7).abs() + (number(p, "c") - 5.0).abs()
    };
    let mut solved = 0;
    for seed in 0..5 {
        let trials = study(build("cmaes", json!({"n_candidates": 1})).as_ref(), &space, seed, 400, f);
        solved += u32::from(best(&trials) < 0.02);
        // The end of the first run, when the others are next to still.
        let own: Vec<&Tried> = trials.iter().filter(|t| t.record.fit.get(1) == Some(&0.0)).collect();
        let own = &own[own.len() - 60..];
        for name in ["a", "b", "c"] {
            let first = &own[0].params[name];
            assert!(own.iter().any(|tried| tried.params[name] != *first), "{name} is stuck, seed {seed}");
        }
    }
    assert!(solved >= 4, "{solved} of 5");
}

#[test]
fn what_others_found_is_followed() {
    // Two hundred random trials first: it begins where the best of them are.
    let (space, near) = (cube(4), |p: &Params| sphere(p).sqrt());
    let random = build("random", json!({}));
    let cmaes = build("cmaes", json!({}));
    let before = study(random.as_ref(), &space, 1, 200, sphere);
    let history = history_of(&space, &before);
    let first =
        median((0..21).map(|draw| near(&cmaes.suggest(&ask(&history, 1, 300 + draw)).unwrap().params)).collect());
    let chance = median(before.iter().map(|tried| near(&tried.params)).collect());
    assert!(first < 0.5 * chance, "{first} against {chance}");
    // In the middle of a study somebody else finds a better place.
    let mut trials = study(cmaes.as_ref(), &space, 3, 40, sphere);
    let mut history = history_of(&space, &trials);
    for n in 40..100u64 {
        let at = |i: u64| 0.8 + 0.001 * ((n * (i + 3)) % 17) as f64;
        let params: Params = (0..4).map(|i| (format!("x{i}"), json!(at(i)))).collect();
        trials.push(complete(n + 1, &params, -1.0 - n as f64 * 1e-3));
        history.put(trials[n as usize].clone());
    }
    let there = |p: &Params| x(p).iter().map(|v| (v - 0.8).powi(2)).sum::<f64>().sqrt();
    let after =
        median((0..21).map(|draw| there(&cmaes.suggest(&ask(&history, 3, 200 + draw)).unwrap().params)).collect());
    assert!(after < 0.25, "{after}");
}

#[test]
fn one_lucky_result_far_away_does_not_throw_the_distribution_there() {
    // With steps of any length the middle jumps by a third of the way, and the shape stretches along it.
    let space = cube(4);
    let cmaes = build("cmaes", json!({"n_candidates": 1, "popsize": 8}));
    let mut trials = study(cmaes.as_ref(), &space, 5, 130, sphere);
    let far: Params = (0..4).map(|i| (format!("x{i}"), json!(0.95))).collect();
    trials[129] = complete(130, &far, -1.0);
    let history = history_of(&space, &trials);
    let ends =
        (0..21).map(|draw| sphere(&cmaes.suggest(&ask(&history, 5, 300 + draw)).unwrap().params).sqrt()).collect();
    let end = median(ends);
    assert!(end < 0.1, "{end}");
}

#[test]
fn pending_trials_push_the_next_suggestion_away() {
    let space = cube(2);
    let cmaes = build("cmaes", json!({}));
    let (mut known, mut unknown) = (0.0, 0.0);
    for seed in 0..40 {
        let history = history_of(&space, &study(cmaes.as_ref(), &space, seed, 30, sphere));
        let first = cmaes.suggest(&ask(&history, seed, 30)).unwrap();
        let mut with = history.clone();
        for copy in 0..3 {
            // Others nearly there weigh as much.
            let params: Params = first
                .params
                .iter()
                .map(|(k, v)| (k.clone(), json!(v.as_f64().unwrap() * (1.0 - 1e-6 * copy as f64))))
                .collect();
            with.put(record(31 + copy, &params, RecordState::Pending, &[]));
        }
        let apart = |history: &History| {
            let next = cmaes.suggest(&ask(history, seed, 31)).unwrap();
            x(&next.params).iter().zip(x(&first.params)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        };
        known += apart(&with);
        unknown += apart(&history);
    }
    assert!(known > 1.15 * unknown, "{known} with, {unknown} without");
}

#[test]
fn a_spent_run_begins_again_elsewhere_with_larger_generations() {
    let space = cube(2);
    let cmaes = build("cmaes", json!({"tol_x": 0.01}));
    let trials = study(cmaes.as_ref(), &space, 1, 300, sphere);
    // The second number of what a trial remembers is its run.
    let runs: Vec<f32> = trials.iter().filter(|t| !t.record.fit.is_empty()).map(|t| t.record.fit[1]).collect();
    assert!(runs.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!(runs.last().is_some_and(|run| *run >= 1.0), "{:?}", runs.last());
    assert_eq!(runs[0], 0.0);
    assert!(best(&trials) < 1e-4);
}

#[test]
fn what_breaks_a_constraint_is_left_behind() {
    let space = cube(3);
    for seed in 0..5 {
        let cmaes = build("cmaes", json!({}));
        let mut history = History::new(&space, 1);
        let mut best = f64::INFINITY;
        for draw in 0..80 {
            // The optimum lies where the sum may not go.
            let mut tried = trial(cmaes.as_ref(), &history, seed, draw, sphere);
            tried.record.violation = (1.5 - x(&tried.params).iter().sum::<f64>()).max(0.0);
            if tried.record.violation == 0.0 {
                best = best.min(tried.record.costs[0]);
            }
            history.put(tried);
        }
        // The best allowed point is 0.5 in all three.
        assert!(best < 0.13, "{best} at seed {seed}");
    }
}

#[test]
fn many_parameters_and_generations_stay_sound() {
    let space = cube(100);
    let cmaes = build("cmaes", json!({"n_startup_trials": 5}));
    let trials = study(cmaes.as_ref(), &space, 1, 80, sphere);
    assert!(best(&trials[40..]) < best(&trials[..5]));
}
