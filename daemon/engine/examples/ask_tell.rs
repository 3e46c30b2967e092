//! Studies over standard input and output, a line of JSON each way: what `just bench-samplers` drives, without daemon or disk.
//!
//! - `{"op": "names"}`: `{"names"}`, the samplers of this version.
//! - `{"op": "study", "space": […], "sampler": {"name": …, "seed": …}, "objectives": 1, "budget": 100, "nodes": 1}`: begins
//!   anew (`budget` may be null); `{"at": 0}`, or `{"error"}` where the engine refuses the sampler.
//! - `{"op": "ask", "node": 0}`: `{"id", "params", "sampler", "cpu_ms", "at"}`, or `{"stop": "exhausted" | "wait"}`.
//! - `{"op": "tell", "id": 3, "values": [0.5], "state": "complete", "constraints": []}`: `{"at"}`. States: `complete`, `pruned`,
//!   `fail`, `infeasible`; a constraint holds at 0 or below.
//! - `{"op": "add", "trials": [{"params": …, "values": [0.5], "state": "complete", "constraints": []}]}`: `{"at"}`. Finished
//!   trials from elsewhere, which every node knows at once.
//! - `{"op": "sync", "node": 0, "at": 12}`: shows a node what had happened when an answer said `"at": 12`. Of what happens at
//!   itself a node knows at once; with one node there is nothing to show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, Write};

use metaopt_engine::{Ask, History, Member, Record, RecordState, Sampler, Stop, hash64, sampler, samplers::NAMES};
use metaopt_schema::{space::Params, study::SamplerSpec};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// What happened: a trial as it stands since then.
struct Event {
    record: Record,
    params: Params,
}

struct Node {
    history: History,
    draws: u64,
    /// How much of the log it was shown.
    seen: usize,
    /// Trials it knows of.
    trials: u64,
}

impl Node {
    /// Takes one event, unless it knows of it or of a later one of the same trial.
    fn take(&mut self, event: &Event) {
        let known = self.history.get(event.record.key).map(|known| known.done);
        if known.is_some_and(|done| done >= event.record.done) {
            return;
        }
        self.trials += u64::from(known.is_none());
        self.history.upsert(event.record.clone(), || event.params.clone());
    }
}

struct Bench {
    sampler: Box<dyn Sampler>,
    seed: u64,
    budget: Option<u64>,
    nodes: Vec<Node>,
    members: Vec<Member>,
    log: Vec<Event>,
    /// By trial: its node and its first event.
    trials: Vec<(usize, usize)>,
}

fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

impl Bench {
    fn new(said: &Value) -> Result<Self, String> {
        let space = serde_json::from_value(said["space"].clone()).expect("a sound space");
        let spec: SamplerSpec = serde_json::from_value(said["sampler"].clone()).expect("a sampler");
        let sampler = sampler(&spec).map_err(|errors| format!("{errors:?}"))?;
        let nodes = said["nodes"].as_u64().unwrap_or(1) as usize;
        let objectives = said["objectives"].as_u64().unwrap_or(1) as usize;
        let node = |_| Node { history: History::new(&space, objectives), draws: 0, seen: 0, trials: 0 };
        Ok(Self {
            sampler,
            seed: spec.seed.unwrap_or(0),
            budget: said["budget"].as_u64(),
            nodes: (0..nodes).map(node).collect(),
            members: (0..nodes).map(|i| Member { id: hash64(&format!("node {i}")), weight: 1.0 }).collect(),
            log: Vec::new(),
            trials: Vec::new(),
        })
    }

    fn ask(&mut self, at: usize) -> Value {
        let node = &self.nodes[at];
        let ask = Ask {
            history: &node.history,
            seed: self.seed,
            slot: if at == 0 { 0 } else { self.members[at].id },
            draw: node.draws,
            members: &self.members,
            me: at,
            budget_left: self.budget.map(|budget| budget.saturating_sub(node.trials)),
        };
        let begin = cpu_ms();
        let suggestion = match self.sampler.suggest(&ask) {
            Ok(suggestion) => suggestion,
            Err(Stop::Exhausted) => return json!({"stop": "exhausted"}),
            Err(Stop::Wait) => return json!({"stop": "wait"}),
        };
        let cpu_ms = cpu_ms() - begin;
        let id = self.trials.len();
        self.trials.push((at, self.log.len()));
        self.nodes[at].draws += 1;
        let record = Record {
            order: self.log.len() as u64 + 1,
            key: hash64(&format!("trial {id}")),
            fit: suggestion.fit,
            ..Record::default()
        };
        let params = suggestion.params;
        self.happen(at, Event { record, params: params.clone() });
        json!({"id": id, "params": params, "sampler": suggestion.sampler, "cpu_ms": cpu_ms, "at": self.log.len()})
    }

    fn tell(&mut self, said: &Value) -> Value {
        let (node, first) = self.trials[said["id"].as_u64().expect("an id") as usize];
        let asked = &self.log[first];
        let record = finished(said, asked.record.clone(), self.log.len() as u64 + 1);
        let params = asked.params.clone();
        self.happen(node, Event { record, params });
        json!({"at": self.log.len()})
    }

    fn add(&mut self, said: &Value) -> Value {
        for trial in said["trials"].as_array().expect("a list of trials") {
            let place = self.log.len() as u64 + 1;
            let asked = Record { order: place, key: hash64(&format!("added {place}")), ..Record::default() };
            let params = serde_json::from_value(trial["params"].clone()).expect("a configuration");
            let event = Event { record: finished(trial, asked, place), params };
            for node in &mut self.nodes {
                node.take(&event);
            }
            self.log.push(event);
        }
        json!({"at": self.log.len()})
    }

    fn happen(&mut self, at: usize, event: Event) {
        self.nodes[at].take(&event);
        self.log.push(event);
    }

    fn sync(&mut self, said: &Value) -> Value {
        let node = &mut self.nodes[said["node"].as_u64().unwrap_or(0) as usize];
        let upto = (said["at"].as_u64().expect("a place") as usize).min(self.log.len());
        for event in &self.log[node.seen.min(upto)..upto] {
            node.take(event);
        }
        node.seen = node.seen.max(upto);
        json!({"at": self.log.len()})
    }
}

/// The record of a trial that ended as `said`.
fn finished(said: &Value, asked: Record, done: u64) -> Record {
    let numbers = |name: &str| -> Vec<f64> {
        let all = said[name].as_array().map_or(&[][..], Vec::as_slice);
        all.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
    };
    let state = match said["state"].as_str().unwrap_or("complete") {
        "complete" => RecordState::Complete,
        "pruned" => RecordState::Pruned,
        "fail" => RecordState::Failed,
        "infeasible" => RecordState::Infeasible,
        other => panic!("no such state: {other}"),
    };
    let constraints = numbers("constraints");
    let violation = constraints.iter().filter(|value| **value > 0.0).sum();
    Record { done, state, costs: numbers("values"), violation, constraints, ..asked }
}

fn main() {
    let mut bench: Option<Bench> = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let said: Value = serde_json::from_str(&line.expect("a readable line")).expect("JSON");
        let answer = match (said["op"].as_str(), &mut bench) {
            (Some("names"), _) => json!({"names": NAMES}),
            (Some("study"), bench) => match Bench::new(&said) {
                Ok(begun) => {
                    *bench = Some(begun);
                    json!({"at": 0})
                }
                Err(error) => json!({"error": error}),
            },
            (Some("ask"), Some(bench)) => bench.ask(said["node"].as_u64().unwrap_or(0) as usize),
            (Some("tell"), Some(bench)) => bench.tell(&said),
            (Some("add"), Some(bench)) => bench.add(&said),
            (Some("sync"), Some(bench)) => bench.sync(&said),
            (op, _) => panic!("no study yet, or no such op: {op:?}"),
        };
        writeln!(out, "{answer}").and_then(|()| out.flush()).expect("somebody who reads");
    }
}
