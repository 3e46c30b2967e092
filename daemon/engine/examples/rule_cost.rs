//! CPU time of one decision of each rule at a report: `rule_cost [trials] [steps]` (1000, 100); of freeze-thaw with 200 curves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use metaopt_engine::{Free, History, Newcomer, Record, RecordState, Reported, hash64, rule, rules::NAMES};
use metaopt_schema::space::Params;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// A trial of some steps: every third complete, every third paused, every third running, curves that cross.
fn trial(n: u64, steps: u64) -> (Record, Params) {
    let u = |i: u64| hash64(&format!("{n} {i}")) as f64 / u64::MAX as f64;
    let state = [RecordState::Complete, RecordState::Paused, RecordState::Pending][n as usize % 3];
    let last = if state == RecordState::Complete { steps } else { steps / 2 + n % (steps / 2) };
    let curve: Vec<(u64, f64)> =
        (1..=last).map(|s| (s, u(0) + 2.0 / (1.0 + s as f64 * u(1)) + 0.01 * u(10 + s))).collect();
    let costs = if state == RecordState::Complete { vec![curve[last as usize - 1].1] } else { Vec::new() };
    let done = if state == RecordState::Pending { 0 } else { n + 1 };
    let params = json!({"a": u(2), "b": u(3), "c": u(4), "d": u(5)});
    let record = Record {
        order: n,
        done,
        key: hash64(&format!("trial {n}")),
        state,
        costs,
        last_step: last,
        curve,
        ..Record::default()
    };
    (record, serde_json::from_value(params).unwrap())
}

fn main() {
    let given: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().expect("a number")).collect();
    let (trials, steps) = (given.first().copied().unwrap_or(1000), given.get(1).copied().unwrap_or(100));
    let axis = |name: &str| json!({"name": name, "type": "float", "low": 0.0, "high": 1.0});
    let space = serde_json::from_value(json!([axis("a"), axis("b"), axis("c"), axis("d")])).unwrap();
    for name in NAMES {
        let rule = rule(&serde_json::from_value(json!({"rule": name, "max_steps": steps})).unwrap()).unwrap();
        let trials = if name == "freeze-thaw" { trials.min(200) } else { trials };
        let mut history = History::new(&space, 1);
        for n in 0..trials {
            let (record, params) = trial(n, steps);
            history.upsert(record, || params);
        }
        let running: Vec<u64> =
            history.records().filter(|r| r.state == RecordState::Pending).map(|r| r.key).take(30).collect();
        let mut times: Vec<f64> = Vec::new();
        for key in &running {
            let step = history.get(*key).unwrap().last_step + 1;
            history.report(*key, step, 0.4);
            let begin = cpu_ms();
            rule.decide(&history, &Reported { key: *key, step, freezes: true, new: Newcomer::Unknown, start: 0.0 });
            times.push(cpu_ms() - begin);
        }
        let params = trial(9999, steps).1;
        let begin = cpu_ms();
        rule.next(&history, &Free { new: Some(&params), restore: &|_| Some(0.0), start: 0.0 });
        let next = cpu_ms() - begin;
        times.sort_by(f64::total_cmp);
        println!(
            "{name}: {trials} trials of {steps} steps: a report's decision {:.3} ms in the median, {:.3} at most; a free slot's {next:.3} ms",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
}
