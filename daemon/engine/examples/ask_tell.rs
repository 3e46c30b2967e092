//! Studies over standard input and output, a line of JSON each way: what `just bench-samplers` drives, without daemon or disk.
//!
//! - `{"op": "names"}`: `{"names", "rules"}`, the samplers and early-stopping rules of this version.
//! - `{"op": "study", "space": […], "sampler": {"name": …, "seed": …}, "early_stopping": {"rule": …}, "objectives": 1,
//!   "budget": 100, "nodes": 1, "restore": 0}`: begins anew (`budget` may be null; `early_stopping` may be left out;
//!   `restore` is what a thaw costs, in steps); `{"at": 0}`, or `{"error"}` where the engine refuses the sampler or the rule.
//! - `{"op": "ask", "node": 0}`: `{"id", "params", "sampler", "resume_step", "cpu_ms", "at"}`, or
//!   `{"stop": "exhausted" | "wait"}`. A paused trial may be answered again, with the step after which it goes on.
//! - `{"op": "report", "id": 3, "step": 5, "value": 0.3, "freezes": true}`: `{"action": "continue" | "stop" | "pause", "cpu_ms",
//!   "at"}`. The action has happened: a trial that is to stop is pruned. A value may be null.
//! - `{"op": "tell", "id": 3, "values": [0.5], "state": "complete", "constraints": []}`: `{"at"}`. States: `complete`, `pruned`,
//!   `fail`, `infeasible`; a constraint holds at 0 or below.
//! - `{"op": "add", "trials": [{"params": …, "values": [0.5], "state": "complete", "constraints": []}]}`: `{"at"}`. Finished
//!   trials from elsewhere, which every node knows at once.
//! - `{"op": "sync", "node": 0, "at": 12}`: shows a node what had happened when an answer said `"at": 12`. Of what happens at
//!   itself a node knows at once; with one node there is nothing to show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::HashMap,
    io::{BufRead, Write},
};

use metaopt_engine::{
    Ask, Free, History, Member, Newcomer, Next, Record, RecordState, Reported, Rule, Sampler, Stop, Suggestion,
    Verdict, hash64, rule, rules, sampler, samplers,
};
use metaopt_schema::{
    space::Params,
    study::{EarlyStopping, SamplerSpec},
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// What happened to a trial.
enum Event {
    /// It stands so since then.
    Stands(Record, Params),
    /// It reported.
    Reported { key: u64, step: u64, cost: f64 },
}

impl Event {
    fn key(&self) -> u64 {
        match self {
            Self::Stands(record, _) => record.key,
            Self::Reported { key, .. } => *key,
        }
    }
}

struct Node {
    history: History,
    draws: u64,
    /// How much of the log it was shown.
    seen: usize,
    /// By trial that it knows of: how many events of the log it has of it at least.
    known: HashMap<u64, usize>,
    /// What its sampler answered when last asked, until something is new: thaws and further reports aren't.
    draft: Option<Result<Suggestion, Stop>>,
}

impl Node {
    /// Takes the event at a place of the log, unless it has that already.
    fn take(&mut self, place: usize, event: &Event) {
        let known = self.known.entry(event.key()).or_default();
        if *known > place {
            return;
        }
        *known = place + 1;
        match event {
            Event::Stands(record, params) => {
                let again = self.history.get(record.key).is_some_and(|old| !old.curve.is_empty());
                if !(again && record.state == RecordState::Pending) {
                    self.draft = None;
                }
                self.history.upsert(record.clone(), || params.clone());
            }
            Event::Reported { key, step, cost } => self.history.report(*key, *step, *cost),
        }
    }
}

/// A trial as it stands.
struct Trial {
    /// Who holds it or did last.
    node: usize,
    record: Record,
    params: Params,
}

struct Bench {
    sampler: Box<dyn Sampler>,
    rule: Box<dyn Rule>,
    restore: f64,
    seed: u64,
    budget: Option<u64>,
    nodes: Vec<Node>,
    members: Vec<Member>,
    log: Vec<Event>,
    trials: Vec<Trial>,
    ids: HashMap<u64, usize>,
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
        let stopping = said.get("early_stopping").cloned().unwrap_or_else(|| json!({"rule": "none"}));
        let stopping: EarlyStopping = serde_json::from_value(stopping).expect("a rule");
        let rule = rule(&stopping).map_err(|errors| format!("{errors:?}"))?;
        let nodes = said["nodes"].as_u64().unwrap_or(1) as usize;
        let objectives = said["objectives"].as_u64().unwrap_or(1) as usize;
        let node = |_| {
            let history = History::new(&space, objectives);
            Node { history, draws: 0, seen: 0, known: HashMap::new(), draft: None }
        };
        Ok(Self {
            sampler,
            rule,
            restore: said["restore"].as_f64().unwrap_or(0.0),
            seed: spec.seed.unwrap_or(0),
            budget: said["budget"].as_u64(),
            nodes: (0..nodes).map(node).collect(),
            members: (0..nodes).map(|i| Member { id: hash64(&format!("node {i}")), weight: 1.0 }).collect(),
            log: Vec::new(),
            trials: Vec::new(),
            ids: HashMap::new(),
        })
    }

    fn ask(&mut self, at: usize) -> Value {
        let begin = cpu_ms();
        let drafted = self.nodes[at].draft.take().unwrap_or_else(|| self.suggest(at));
        let next = if self.rule.pauses() {
            // Whom another has taken meanwhile it can't have, though its view may say otherwise.
            let paused = |key: u64| self.trials[self.ids[&key]].record.state == RecordState::Paused;
            let free = Free {
                new: drafted.as_ref().ok().map(|suggestion| &suggestion.params),
                restore: &|key| paused(key).then_some(self.restore),
                start: 0.0,
            };
            self.rule.next(&self.nodes[at].history, &free)
        } else {
            Next::New
        };
        let cpu_ms = cpu_ms() - begin;
        let stop = match (&drafted, next) {
            (_, Next::Thaw(key)) => {
                self.nodes[at].draft = Some(drafted);
                let id = self.ids[&key];
                let trial = &mut self.trials[id];
                trial.node = at;
                (trial.record.state, trial.record.done) = (RecordState::Pending, 0);
                let (resume_step, params) = (trial.record.last_step, trial.params.clone());
                self.stands(id);
                return json!({"id": id, "params": params, "resume_step": resume_step, "cpu_ms": cpu_ms, "at": self.log.len()});
            }
            (Err(Stop::Exhausted), _) => "exhausted",
            (Err(Stop::Wait), _) | (Ok(_), Next::Wait) => "wait",
            (Ok(_), Next::New) => "",
        };
        let suggestion = match drafted {
            Ok(suggestion) if stop.is_empty() => suggestion,
            _ => {
                self.nodes[at].draft = Some(drafted);
                return json!({"stop": stop});
            }
        };
        self.nodes[at].draws += 1;
        let id = self.trials.len();
        let key = hash64(&format!("trial {id}"));
        let record = Record { order: self.log.len() as u64 + 1, key, fit: suggestion.fit, ..Record::default() };
        let params = suggestion.params;
        self.trials.push(Trial { node: at, record, params: params.clone() });
        self.ids.insert(key, id);
        self.stands(id);
        json!({"id": id, "params": params, "sampler": suggestion.sampler, "resume_step": 0, "cpu_ms": cpu_ms, "at": self.log.len()})
    }

    fn suggest(&self, at: usize) -> Result<Suggestion, Stop> {
        let node = &self.nodes[at];
        self.sampler.suggest(&Ask {
            history: &node.history,
            seed: self.seed,
            slot: if at == 0 { 0 } else { self.members[at].id },
            draw: node.draws,
            members: &self.members,
            me: at,
            budget_left: self.budget.map(|budget| budget.saturating_sub(node.known.len() as u64)),
        })
    }

    fn report(&mut self, said: &Value) -> Value {
        let id = said["id"].as_u64().expect("an id") as usize;
        let (step, cost) = (said["step"].as_u64().expect("a step"), said["value"].as_f64().unwrap_or(f64::NAN));
        let trial = &mut self.trials[id];
        let (key, node) = (trial.record.key, trial.node);
        if let Err(at) = trial.record.curve.binary_search_by_key(&step, |(s, _)| *s) {
            trial.record.curve.insert(at, (step, cost));
        }
        trial.record.last_step = trial.record.last_step.max(step);
        self.happen(node, Event::Reported { key, step, cost });
        let left = self.budget.is_none_or(|budget| budget > self.nodes[node].known.len() as u64);
        let new = if left { Newcomer::Unknown } else { Newcomer::None };
        let mut reported = Reported { key, step, freezes: said["freezes"].as_bool().unwrap_or(true), new, start: 0.0 };
        let begin = cpu_ms();
        let mut verdict = self.rule.decide(&self.nodes[node].history, &reported);
        if verdict == Verdict::Pause && new == Newcomer::Unknown && self.rule.weighs_newcomers() {
            let drawn = self.suggest(node);
            reported.new = drawn.as_ref().map_or(Newcomer::None, |drawn| Newcomer::Known(&drawn.params));
            verdict = self.rule.decide(&self.nodes[node].history, &reported);
        }
        let cpu_ms = cpu_ms() - begin;
        let (action, state) = match verdict {
            Verdict::Continue => ("continue", None),
            Verdict::Stop => ("stop", Some(RecordState::Pruned)),
            Verdict::Pause => ("pause", Some(RecordState::Paused)),
        };
        if let Some(state) = state {
            let record = &mut self.trials[id].record;
            (record.state, record.done) = (state, self.log.len() as u64 + 1);
            self.stands(id);
        }
        json!({"action": action, "cpu_ms": cpu_ms, "at": self.log.len()})
    }

    fn tell(&mut self, said: &Value) -> Value {
        let id = said["id"].as_u64().expect("an id") as usize;
        let record = finished(said, self.trials[id].record.clone(), self.log.len() as u64 + 1);
        self.trials[id].record = record;
        self.stands(id);
        json!({"at": self.log.len()})
    }

    fn add(&mut self, said: &Value) -> Value {
        for trial in said["trials"].as_array().expect("a list of trials") {
            let place = self.log.len();
            let order = place as u64 + 1;
            let asked = Record { order, key: hash64(&format!("added {order}")), ..Record::default() };
            let params = serde_json::from_value(trial["params"].clone()).expect("a configuration");
            let event = Event::Stands(finished(trial, asked, order), params);
            for node in &mut self.nodes {
                node.take(place, &event);
            }
            self.log.push(event);
        }
        json!({"at": self.log.len()})
    }

    /// A trial's holder writes down how it stands.
    fn stands(&mut self, id: usize) {
        let trial = &self.trials[id];
        self.happen(trial.node, Event::Stands(trial.record.clone(), trial.params.clone()));
    }

    fn happen(&mut self, at: usize, event: Event) {
        self.nodes[at].take(self.log.len(), &event);
        self.log.push(event);
    }

    fn sync(&mut self, said: &Value) -> Value {
        let node = &mut self.nodes[said["node"].as_u64().unwrap_or(0) as usize];
        let upto = (said["at"].as_u64().expect("a place") as usize).min(self.log.len());
        for place in node.seen.min(upto)..upto {
            node.take(place, &self.log[place]);
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
            (Some("names"), _) => json!({"names": samplers::NAMES, "rules": rules::NAMES}),
            (Some("study"), bench) => match Bench::new(&said) {
                Ok(begun) => {
                    *bench = Some(begun);
                    json!({"at": 0})
                }
                Err(error) => json!({"error": error}),
            },
            (Some("ask"), Some(bench)) => bench.ask(said["node"].as_u64().unwrap_or(0) as usize),
            (Some("report"), Some(bench)) => bench.report(&said),
            (Some("tell"), Some(bench)) => bench.tell(&said),
            (Some("add"), Some(bench)) => bench.add(&said),
            (Some("sync"), Some(bench)) => bench.sync(&said),
            (op, _) => panic!("no study yet, or no such op: {op:?}"),
        };
        writeln!(out, "{answer}").and_then(|()| out.flush()).expect("somebody who reads");
    }
}
