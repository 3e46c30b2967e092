//! Spaces, histories and asks that the suites share.
#![allow(dead_code)]

use metaopt_engine::{Ask, History, Member, Record, RecordState, Sampler, Stop, Suggestion, hash64, sampler};
use metaopt_schema::space::{Params, Space};
use serde_json::{Value, json};

pub fn space(params: Value) -> Space {
    serde_json::from_value(params).unwrap()
}

pub fn build(name: &str, options: Value) -> Box<dyn Sampler> {
    let mut spec = options.as_object().cloned().unwrap_or_default();
    spec.insert("name".into(), json!(name));
    sampler(&serde_json::from_value(Value::Object(spec)).unwrap()).unwrap()
}

/// A record and its configuration.
#[derive(Clone, Debug)]
pub struct Tried {
    pub record: Record,
    pub params: Params,
}

impl std::ops::Deref for Tried {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

impl std::ops::DerefMut for Tried {
    fn deref_mut(&mut self) -> &mut Record {
        &mut self.record
    }
}

pub trait Put {
    fn put(&mut self, tried: Tried);
}

impl Put for History {
    fn put(&mut self, tried: Tried) {
        self.upsert(tried.record, || tried.params);
    }
}

pub fn record(n: u64, params: &Params, state: RecordState, costs: &[f64]) -> Tried {
    let record = Record {
        order: n,
        done: if state == RecordState::Pending { 0 } else { n },
        key: hash64(&format!("trial {n}")),
        state,
        costs: costs.to_vec(),
        ..Record::default()
    };
    Tried { record, params: params.clone() }
}

pub fn complete(n: u64, params: &Params, cost: f64) -> Tried {
    record(n, params, RecordState::Complete, &[cost])
}

pub fn ask(history: &History, seed: u64, draw: u64) -> Ask<'_> {
    Ask { history, seed, slot: 0, draw, members: &[], me: 0, budget_left: None }
}

pub fn as_member<'a>(history: &'a History, seed: u64, draw: u64, members: &'a [Member], me: usize) -> Ask<'a> {
    Ask { slot: if me == 0 { 0 } else { members[me].id }, members, me, ..ask(history, seed, draw) }
}

/// Every type of parameter, with conditions two deep.
pub fn mixed() -> Space {
    space(json!([
        {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": true, "default": 1e-3},
        {"name": "drop", "type": "float", "low": 0.0, "high": 0.9, "step": 0.05},
        {"name": "decay", "type": "float", "low": 0.0, "high": 1.0, "prior": {"normal": [0.1, 0.05]}},
        {"name": "layers", "type": "int", "low": 1, "high": 12},
        {"name": "width", "type": "int", "low": 8, "high": 512, "log": true},
        {"name": "odd", "type": "int", "low": 1, "high": 21, "step": 2},
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam", 3, null, true]},
        {"name": "only", "type": "categorical", "choices": ["one"]},
        {"name": "size", "type": "ordinal", "choices": ["s", "m", "l"]},
        {"name": "amp", "type": "bool"},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}},
        {"name": "nesterov", "type": "bool", "when": {"opt": ["sgd", "adam"]}},
        {"name": "depth", "type": "int", "low": 1, "high": 3, "when": {"nesterov": [true], "opt": ["sgd"]}},
        {"name": "epochs", "type": "fidelity", "low": 1, "high": 81}
    ]))
}

/// 23 configurations, with conditions: 4·(2 + 2) where b is x, 3·2 + 1 where it is y.
pub fn finite() -> Space {
    space(json!([
        {"name": "a", "type": "int", "low": 1, "high": 4},
        {"name": "b", "type": "categorical", "choices": ["x", "y"]},
        {"name": "c", "type": "float", "low": 0.0, "high": 1.0, "step": 0.5, "when": {"b": ["x"]}},
        {"name": "d", "type": "bool", "when": {"b": ["y"], "a": [1, 2, 4]}},
        {"name": "e", "type": "bool", "when": {"c": [0.5]}}
    ]))
}

/// Runs `n` trials of `f` one after the other and answers the best cost.
pub fn optimise(sampler: &dyn Sampler, space: &Space, seed: u64, n: u64, f: impl Fn(&Params) -> f64) -> f64 {
    let mut history = History::new(space, 1);
    let mut best = f64::INFINITY;
    for draw in 0..n {
        let Ok(Suggestion { params, .. }) = sampler.suggest(&ask(&history, seed, draw)) else { break };
        let cost = f(&params);
        best = best.min(cost);
        history.put(complete(draw, &params, cost));
    }
    best
}

/// Draws and records as pending until the sampler stops, at most `cap` times.
pub fn drain(sampler: &dyn Sampler, history: &mut History, seed: u64, cap: u64) -> (Vec<Params>, Option<Stop>) {
    let mut drawn = Vec::new();
    for draw in 0..cap {
        match sampler.suggest(&ask(history, seed, draw)) {
            Ok(suggestion) => {
                history.put(record(1000 + draw, &suggestion.params, RecordState::Pending, &[]));
                drawn.push(suggestion.params);
            }
            Err(stop) => return (drawn, Some(stop)),
        }
    }
    (drawn, None)
}

pub fn number(params: &Params, name: &str) -> f64 {
    params[name].as_f64().unwrap()
}
