//! That several nodes walk one Sobol sequence, without holes and without falling behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::HashSet;

use common::*;
use metaopt_engine::{History, Member, hash64};
use serde_json::json;

fn members(n: usize) -> Vec<Member> {
    (0..n).map(|i| Member { id: hash64(&format!("node {i}")), weight: 1.0 + (i % 3) as f64 }).collect()
}

#[test]
fn nodes_walk_one_sequence_together_also_when_members_come_and_go() {
    let space = space(json!([
        {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "y", "type": "float", "low": 0.0, "high": 1.0}
    ]));
    let sobol = build("sobol", json!({}));
    let text = |params: &metaopt_schema::space::Params| serde_json::to_string(params).unwrap();
    let empty = History::new(&space, 1);
    let index: Vec<String> = (0..5000).map(|i| text(&sobol.suggest(&ask(&empty, 3, i)).unwrap().params)).collect();
    let mut history = History::new(&space, 1);
    let mut given = HashSet::new();
    let mut n = 0;
    let mut draws = [0; 17];
    // Sixteen nodes, then one more that has drawn nothing, then the creator alone.
    for (count, trials) in [(16, 1600), (17, 400), (1, 200)] {
        let all = members(count);
        for i in 0..trials {
            // Each as often as its weight says.
            let me = (0..count).min_by_key(|k| draws[*k] * 6 / (1 + k % 3)).unwrap();
            let asked = as_member(&history, 3, draws[me] as u64, &all, me);
            let params = sobol.suggest(&asked).unwrap().params;
            if i % 97 == 0 {
                let fresh = history.clone();
                let again = as_member(&fresh, 3, draws[me] as u64, &all, me);
                assert_eq!(sobol.suggest(&again).unwrap().params, params, "what was walked must not matter");
            }
            draws[me] += 1;
            history.put(record(n, &params, metaopt_engine::RecordState::Pending, &[]));
            assert!(given.insert(text(&params)), "trial {n} repeats one");
            n += 1;
        }
    }
    // Owners hold shares by chance, so that the front is ragged; far from it no hole is left.
    let place: Vec<usize> = (0..5000).filter(|i| given.contains(&index[*i])).collect();
    assert!(given.len() == 2200 && place.len() == 2200, "{} of {} are of the sequence", place.len(), given.len());
    let holes = (0..1200).filter(|i| !given.contains(&index[*i])).count();
    assert!(holes == 0, "{holes} of the first 1200 points were left out");
}
