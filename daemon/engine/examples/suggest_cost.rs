//! What a TPE suggestion costs as a study grows, with a history that is kept up to date one trial at a time:
//! `cargo run --release -p metaopt-engine --example suggest_cost -- 1000 10000 100000`.
//!
//! Milliseconds of CPU (of this thread, so that other load on the machine doesn't count), medians of 200.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use metaopt_engine::{Ask, History, Record, RecordState, hash64, sampler};
use metaopt_schema::space::{Params, Space};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

const REPEATS: u64 = 200;

fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// Ten parameters: 6 floats, 2 integers, 2 choices of 4; the same as in `integration/bench/problem.py`.
fn space() -> Space {
    let mut all = Vec::new();
    all.extend((0..6).map(|i| json!({"name": format!("f{i}"), "type": "float", "low": 0.0, "high": 1.0})));
    all.extend((0..2).map(|i| json!({"name": format!("i{i}"), "type": "int", "low": 1, "high": 100})));
    all.extend(
        (0..2).map(|i| json!({"name": format!("c{i}"), "type": "categorical", "choices": ["a", "b", "c", "d"]})),
    );
    serde_json::from_value(json!(all)).expect("a sound space")
}

fn record(n: u64, params: &Params, state: RecordState) -> Record {
    let loss = (0..6).map(|i| params[&format!("f{i}")].as_f64().expect("a float")).sum();
    let costs = if state == RecordState::Complete { vec![loss] } else { Vec::new() };
    let key = hash64(&format!("trial {n}"));
    Record { order: n, done: n, key, state, costs, ..Record::default() }
}

fn median(mut seen: Vec<f64>) -> f64 {
    seen.sort_by(f64::total_cmp);
    seen[seen.len() / 2]
}

fn main() {
    let mut sizes: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().expect("sizes are numbers")).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 10_000, 100_000];
    }
    let named = |name: &str| sampler(&serde_json::from_value(json!({"name": name})).unwrap()).unwrap();
    let (random, tpe) = (named("random"), named("tpe"));
    println!("{:>8} {:>12} {:>12} {:>12}", "trials", "suggest+fold", "suggest", "fold");
    for size in sizes {
        let mut history = History::new(&space(), 1);
        let ask = |history: &History, draw: u64| {
            let ask = Ask { history, seed: 7, slot: 0, draw, members: &[], me: 0, budget_left: None };
            if draw < size { random.suggest(&ask) } else { tpe.suggest(&ask) }.expect("an endless space")
        };
        for n in 0..size {
            let drawn = ask(&history, n);
            history.upsert(record(n, &drawn.params, RecordState::Complete), || drawn.params.clone());
        }
        let (mut both, mut alone, mut folds) = (Vec::new(), Vec::new(), Vec::new());
        for n in size..size + REPEATS {
            let begin = cpu_ms();
            let drawn = ask(&history, n);
            let suggested = cpu_ms();
            // As a node does it: pending when it is handed out, complete when it is told.
            history.upsert(record(n, &drawn.params, RecordState::Pending), || drawn.params.clone());
            history.upsert(record(n, &drawn.params, RecordState::Complete), || drawn.params.clone());
            let folded = cpu_ms();
            both.push(folded - begin);
            alone.push(suggested - begin);
            folds.push(folded - suggested);
        }
        println!("{size:>8} {:>12.4} {:>12.4} {:>12.4}", median(both), median(alone), median(folds));
    }
}
