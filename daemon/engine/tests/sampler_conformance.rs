//! What every sampler must do. A new sampler is covered by being in `NAMES`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::*;
use metaopt_engine::{History, Member, RecordState, Stop, hash64, samplers::NAMES};
use metaopt_schema::space::{Params, Space};
use proptest::prelude::*;
use serde_json::json;

/// Samplers that search this space; grids need their floats cut.
fn searching() -> Vec<(&'static str, Box<dyn metaopt_engine::Sampler>)> {
    NAMES
        .iter()
        .map(|name| (*name, build(name, if *name == "grid" { json!({"levels": 5}) } else { json!({}) })))
        .collect()
}

fn assert_valid(space: &Space, params: &Params, who: &str) {
    let checked = space.check_params(params).unwrap_or_else(|errors| panic!("{who} suggested {params:?}: {errors:?}"));
    assert_eq!(
        serde_json::to_string(&checked).unwrap(),
        serde_json::to_string(params).unwrap(),
        "{who}: not canonical"
    );
}

/// Twenty-five trials over `space`, their results by `outcome`, then a suggestion.
fn after(space: &Space, objectives: usize, outcome: impl Fn(u64) -> (RecordState, Vec<f64>)) {
    for (name, sampler) in searching() {
        let mut history = History::new(space, objectives);
        for draw in 0..25 {
            let suggestion = sampler.suggest(&ask(&history, 3, draw)).unwrap();
            assert_valid(space, &suggestion.params, name);
            assert!(NAMES.contains(&suggestion.sampler) && suggestion.sampler != "auto");
            let (state, costs) = outcome(draw);
            history.put(record(draw, &suggestion.params, state, &costs));
        }
        assert_valid(space, &sampler.suggest(&ask(&history, 3, 25)).unwrap().params, name);
    }
}

#[test]
fn suggestions_are_valid_whatever_became_of_trials() {
    use RecordState::{Complete, Failed, Ignored, Infeasible, Pending, Pruned};
    let space = mixed();
    after(&space, 1, |draw| (Complete, vec![(draw as f64 * 1.7).sin()]));
    after(&space, 1, |_| (Complete, vec![0.5]));
    after(&space, 1, |_| (Failed, vec![]));
    after(&space, 1, |_| (Ignored, vec![]));
    after(&space, 1, |_| (Pending, vec![]));
    after(&space, 1, |_| (Infeasible, vec![]));
    after(&space, 1, |_| (Pruned, vec![]));
    after(&space, 1, |draw| (Complete, vec![[f64::INFINITY, f64::NEG_INFINITY, 1.0, f64::NAN][draw as usize % 4]]));
    after(&space, 1, |_| (Complete, vec![f64::INFINITY]));
    after(&space, 1, |_| (Complete, vec![f64::NEG_INFINITY]));
    after(&space, 1, |draw| (Complete, vec![[f64::MAX, -f64::MAX, 0.0][draw as usize % 3]]));
    after(&space, 2, |draw| (Complete, vec![draw as f64, -(draw as f64)]));
    after(&space, 3, |draw| (if draw % 3 == 0 { Failed } else { Complete }, vec![0.0, draw as f64, f64::INFINITY]));
}

#[test]
fn the_first_suggestions_are_valid_and_differ() {
    for (name, sampler) in searching() {
        let space = mixed();
        let mut history = History::new(&space, 1);
        let (drawn, stop) = drain(sampler.as_ref(), &mut history, 11, 40);
        assert_eq!(stop, None, "{name}");
        drawn.iter().for_each(|params| assert_valid(&space, params, name));
        let different: BTreeSet<String> = drawn.iter().map(|p| serde_json::to_string(p).unwrap()).collect();
        assert_eq!(different.len(), 40, "{name} repeats itself");
    }
}

#[test]
fn the_same_ask_has_the_same_answer_and_the_seed_matters() {
    for (name, sampler) in searching() {
        let space = mixed();
        let mut history = History::new(&space, 1);
        for draw in 0..30 {
            let first = sampler.suggest(&ask(&history, 5, draw)).unwrap();
            assert_eq!(first, sampler.suggest(&ask(&history.clone(), 5, draw)).unwrap(), "{name}");
            history.put(complete(draw, &first.params, number(&first.params, "lr")));
        }
        let one = sampler.suggest(&ask(&history, 5, 30)).unwrap();
        assert_ne!(one, sampler.suggest(&ask(&history, 6, 30)).unwrap(), "{name} ignores its seed");
        if name != "grid" {
            assert_ne!(one, sampler.suggest(&ask(&history, 5, 31)).unwrap(), "{name} ignores the draw");
        }
    }
}

#[test]
fn a_finite_space_is_walked_exactly_once() {
    let space = finite();
    assert_eq!(space.size(), Some(23));
    for name in NAMES {
        for results in [false, true] {
            let sampler = build(name, json!({}));
            let mut history = History::new(&space, 1);
            let mut seen = BTreeSet::new();
            for draw in 0..23 {
                let params = sampler
                    .suggest(&ask(&history, 2, draw))
                    .unwrap_or_else(|s| panic!("{name} ended at {draw}: {s:?}"))
                    .params;
                assert_valid(&space, &params, name);
                assert!(seen.insert(serde_json::to_string(&params).unwrap()), "{name} repeats {params:?}");
                history.put(if results {
                    complete(draw, &params, number(&params, "a"))
                } else {
                    record(draw, &params, RecordState::Pending, &[])
                });
            }
            assert_eq!(sampler.suggest(&ask(&history, 2, 23)), Err(Stop::Exhausted), "{name}");
        }
    }
}

#[test]
fn enqueued_configurations_are_not_suggested_again() {
    let space = finite();
    for name in NAMES {
        let sampler = build(name, json!({}));
        let mut history = History::new(&space, 1);
        let enqueued: Vec<Params> = ["{\"a\":1,\"b\":\"x\",\"c\":0.5,\"e\":true}", "{\"a\":3,\"b\":\"y\"}"]
            .map(|text| serde_json::from_str(text).unwrap())
            .to_vec();
        for (i, params) in enqueued.iter().enumerate() {
            assert_valid(&space, params, "the test");
            history.put(record(i as u64, params, RecordState::Pending, &[]));
        }
        let (drawn, stop) = drain(sampler.as_ref(), &mut history, 1, 100);
        assert_eq!((drawn.len(), stop), (21, Some(Stop::Exhausted)), "{name}");
        assert!(drawn.iter().all(|params| !enqueued.contains(params)));
    }
}

#[test]
fn a_space_with_one_configuration_gives_it_once() {
    let space = space(json!([{"name": "c", "type": "categorical", "choices": ["only"]}]));
    for name in NAMES {
        let mut history = History::new(&space, 1);
        let (drawn, stop) = drain(build(name, json!({})).as_ref(), &mut history, 1, 5);
        assert_eq!((drawn.len(), stop), (1, Some(Stop::Exhausted)), "{name}");
    }
}

#[test]
fn nodes_that_agree_on_the_members_never_repeat_each_other_blindly() {
    let space = space(json!([{"name": "a", "type": "int", "low": 1, "high": 60}, {"name": "b", "type": "bool"}]));
    let members: Vec<Member> =
        (0..4).map(|i| Member { id: hash64(&format!("node {i}")), weight: 1.0 + i as f64 }).collect();
    for name in NAMES {
        let sampler = build(name, json!({}));
        // A shared history, then one round in which no node sees what the others propose.
        let mut shared = History::new(&space, 1);
        for draw in 0..12 {
            let params = sampler.suggest(&ask(&shared, 9, draw)).unwrap().params;
            shared.put(complete(draw, &params, number(&params, "a")));
        }
        let mut all = Vec::new();
        for me in 0..4 {
            let mut own = shared.clone();
            for draw in 0..6 {
                match sampler.suggest(&as_member(&own, 9, draw, &members, me)) {
                    Ok(suggestion) => {
                        own.put(record(100 + draw, &suggestion.params, RecordState::Pending, &[]));
                        all.push(serde_json::to_string(&suggestion.params).unwrap());
                    }
                    Err(stop) => assert_eq!(stop, Stop::Wait),
                }
            }
        }
        let different: BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{name}");
        assert!(all.len() >= 20, "{name} gave only {}", all.len());
    }
}

#[test]
fn nodes_that_see_each_other_finish_a_finite_space_together() {
    let space = finite();
    let members: Vec<Member> = (0..3).map(|i| Member { id: hash64(&format!("node {i}")), weight: 1.0 }).collect();
    for name in NAMES {
        let sampler = build(name, json!({}));
        let mut history = History::new(&space, 1);
        let mut n = 0;
        for round in 0..40 {
            for me in 0..3 {
                if let Ok(s) = sampler.suggest(&as_member(&history, 4, round, &members, me)) {
                    history.put(complete(n, &s.params, number(&s.params, "a")));
                    n += 1;
                }
            }
        }
        assert_eq!((n, history.known()), (23, 23), "{name}");
        assert_eq!(sampler.suggest(&as_member(&history, 4, 41, &members, 1)), Err(Stop::Exhausted), "{name}");
    }
}

#[test]
fn a_node_waits_for_cells_that_are_not_its_own() {
    let space = space(json!([{"name": "a", "type": "int", "low": 1, "high": 6}]));
    let members: Vec<Member> = (0..2).map(|i| Member { id: hash64(&format!("node {i}")), weight: 1.0 }).collect();
    for name in NAMES {
        let sampler = build(name, json!({}));
        let mut history = History::new(&space, 1);
        let mut draws = 0;
        let stop = loop {
            match sampler.suggest(&as_member(&history, 4, draws, &members, 0)) {
                Ok(s) => history.put(record(draws, &s.params, RecordState::Pending, &[])),
                Err(stop) => break stop,
            }
            draws += 1;
        };
        assert_eq!(stop, Stop::Wait, "{name}");
        assert!(draws < 6, "{name}: the other node must keep some");
        // The other one is gone: all is ours.
        assert!(sampler.suggest(&ask(&history, 4, draws)).is_ok(), "{name}");
    }
}

/// A trial is pending, paused, pending again, paused later and complete, and samplers are asked in between, so that their caches
/// are those of a view that changed. (Turns red where a thaw leaves a place in the order of results behind, a count of partial
/// trials, or a cache untouched.)
#[test]
fn paused_trials_that_go_on_leave_nothing_behind() {
    let space = mixed();
    let source = build("random", json!({}));
    let mut grown = History::new(&space, 1);
    let mut straight = History::new(&space, 1);
    for n in 0..36u64 {
        let params = source.suggest(&ask(&straight, 5, n)).unwrap().params;
        let at = |state: RecordState, steps: u64| {
            let costs: &[f64] = if state == RecordState::Complete { &[n as f64 / 36.0] } else { &[] };
            let mut tried = record(n + 1, &params, state, costs);
            (tried.last_step, tried.curve) = (steps, (1..=steps).map(|s| (s, 1.0 / s as f64)).collect());
            tried.done = if state == RecordState::Pending { 0 } else { 100 * (n + 1) + steps };
            tried
        };
        let last = match n % 3 {
            0 => at(RecordState::Complete, 12),
            1 => at(RecordState::Paused, 5),
            _ => at(RecordState::Pending, 3),
        };
        grown.put(at(RecordState::Pending, 0));
        grown.put(at(RecordState::Paused, 2));
        if n % 6 == 0 {
            for (_, sampler) in searching() {
                let _ = sampler.suggest(&ask(&grown, 5, n));
            }
        }
        grown.put(at(RecordState::Pending, 2));
        grown.report(last.key, 3, 1.0 / 3.0);
        grown.put(last.clone());
        straight.put(last);
    }
    assert_eq!(grown.finished(), straight.finished());
    assert_eq!(grown.pending().count(), 12);
    for (name, sampler) in searching() {
        assert_eq!(sampler.suggest(&ask(&straight, 5, 40)), sampler.suggest(&ask(&grown, 5, 40)), "{name}");
    }
}

/// (Turns red where trials count, not steps.)
#[test]
fn what_stopped_early_counts_by_the_share_that_it_ran() {
    let space = mixed();
    let source = build("random", json!({}));
    let mut history = History::new(&space, 1);
    for n in 0..20u64 {
        let params = source.suggest(&ask(&history, 5, n)).unwrap().params;
        let mut tried = record(n, &params, RecordState::Paused, &[]);
        (tried.last_step, tried.curve) = (1, vec![(1, 0.5)]);
        history.put(tried);
    }
    // No trial is complete: nobody knows what a step is worth.
    assert_eq!((history.finished(), history.judgeable()), (0, 20));
    let params = source.suggest(&ask(&history, 5, 20)).unwrap().params;
    let mut whole = record(20, &params, RecordState::Complete, &[0.1]);
    whole.last_step = 10;
    history.put(whole);
    assert_eq!((history.finished(), history.judgeable()), (1 + 2, 21));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_in_which_records_arrive_changes_nothing(seed in 0u64..1000, swaps in prop::collection::vec((0usize..40, 0usize..40), 60)) {
        let space = mixed();
        let source = build("random", json!({}));
        let mut straight = History::new(&space, 1);
        let mut records = Vec::new();
        for draw in 0..40u64 {
            let params = source.suggest(&ask(&straight, seed, draw)).unwrap().params;
            let state = [RecordState::Complete, RecordState::Complete, RecordState::Pruned, RecordState::Failed, RecordState::Pending][draw as usize % 5];
            let mut r = record(draw, &params, state, if state == RecordState::Complete { &[0.5] } else { &[] });
            if draw % 3 == 0 && state == RecordState::Complete { r.costs = vec![draw as f64] }
            if draw % 7 == 0 { r.violation = 1.0 + draw as f64 }
            r.last_step = draw % 4;
            r.curve = vec![(1, draw as f64)];
            straight.put(r.clone());
            records.push(r);
        }
        for (a, b) in swaps { records.swap(a, b) }
        let mut shuffled = History::new(&space, 1);
        for r in &records {
            // First seen as pending, some of them twice.
            shuffled.put(record(r.order, &r.params, RecordState::Pending, &[]));
        }
        for r in records { shuffled.put(r) }
        for (name, sampler) in searching() {
            prop_assert_eq!(sampler.suggest(&ask(&straight, seed, 40)), sampler.suggest(&ask(&shuffled, seed, 40)), "{}", name);
        }
    }
}
