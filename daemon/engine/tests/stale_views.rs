//! What each rule does where every node sees the others' steps late (docs/early-stopping.md says it in words): eight nodes of a
//! slot each in virtual time, each with the history that it knows, everything from one seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use metaopt_engine::{Free, History, Newcomer, Next, RecordState, Reported, Rule, Verdict, hash64, rule};
use serde_json::{Value, json};

const NODES: usize = 8;
const STEPS: u64 = 27;
const LAG: usize = 5;

/// What a node wrote down in a round.
#[derive(Clone, Debug)]
enum Fact {
    Begun,
    Cost(u64, f64),
    Became(RecordState),
}

/// Where a trial really stands, and who ran it last.
struct Trial {
    state: RecordState,
    step: u64,
    node: usize,
}

/// A cluster under way.
struct Cluster {
    rule: Box<dyn Rule>,
    seed: u64,
    lag: usize,
    trials: Vec<Trial>,
    /// Every fact: its round, its node, its trial.
    facts: Vec<(usize, usize, u64, Fact)>,
    round: usize,
    /// Stops, and how many of these a fresh view would have given as well.
    stops: (u32, u32),
    /// Least cost after each step done, of whole trials.
    best: Vec<f64>,
    refused: u32,
}

/// From 0 to 1.
fn unit(seed: u64, n: u64, what: &str) -> f64 {
    hash64(&format!("{seed} {n} {what}")) as f64 / u64::MAX as f64
}

impl Cluster {
    fn new(spec: Value, seed: u64, lag: usize) -> Self {
        let rule = rule(&serde_json::from_value(spec).unwrap()).unwrap();
        let (trials, facts, best) = (Vec::new(), Vec::new(), Vec::new());
        Self { rule, seed, lag, trials, facts, round: 0, stops: (0, 0), best, refused: 0 }
    }

    /// Curves that cross: ends and speeds have nothing to do with each other.
    fn cost(&self, n: u64, step: u64) -> f64 {
        let (end, speed) = (unit(self.seed, n, "end"), 0.1 + 0.5 * unit(self.seed, n, "speed"));
        end + (1.0 - end) * (-speed * step as f64).exp()
    }

    /// What a node knows: its own facts, and others' that are `lag` rounds old.
    fn view(&self, node: usize, lag: usize) -> History {
        let space = space(json!([{"name": "x", "type": "float", "low": 0.0, "high": 1.0}]));
        let mut trials: Vec<Option<Tried>> = vec![None; self.trials.len()];
        for (done, (round, by, n, fact)) in self.facts.iter().enumerate() {
            if *by != node && round + lag > self.round {
                continue;
            }
            let trial = &mut trials[*n as usize];
            match fact {
                Fact::Begun => {
                    let params = serde_json::from_value(json!({"x": unit(self.seed, *n, "x")})).unwrap();
                    *trial = Some(record(*n, &params, RecordState::Pending, &[]));
                }
                Fact::Cost(step, cost) => {
                    let Some(trial) = trial else { continue };
                    trial.last_step = *step;
                    trial.curve.push((*step, *cost));
                }
                Fact::Became(state) => {
                    let Some(trial) = trial else { continue };
                    (trial.state, trial.done) = (*state, if *state == RecordState::Pending { 0 } else { done as u64 });
                    if *state == RecordState::Complete {
                        trial.costs = vec![trial.curve.last().unwrap().1];
                    }
                }
            }
        }
        let mut history = History::new(&space, 1);
        trials.into_iter().flatten().for_each(|trial| history.put(trial));
        history
    }

    fn note(&mut self, node: usize, n: u64, fact: Fact) {
        if let Fact::Became(state) = &fact {
            self.trials[n as usize].state = *state;
        }
        self.facts.push((self.round, node, n, fact));
    }

    /// A free slot: a frozen trial, if nobody else has taken it, or a new one.
    fn fill(&mut self, node: usize) {
        let view = self.view(node, self.lag);
        let params = serde_json::from_value(json!({"x": unit(self.seed, self.trials.len() as u64, "x")})).unwrap();
        let keys: Vec<u64> = (0..self.trials.len()).map(|n| hash64(&format!("trial {n}"))).collect();
        match self.rule.next(&view, &Free { new: Some(&params), restore: &|_| Some(0.0), start: 0.0 }) {
            Next::Thaw(key) => {
                let n = keys.iter().position(|k| *k == key).unwrap();
                if self.trials[n].state == RecordState::Paused {
                    self.trials[n].node = node;
                    self.note(node, n as u64, Fact::Became(RecordState::Pending));
                    return;
                }
                // The claim decides. It learns so, and asks again in the next round.
                self.refused += 1;
                let (step, state) = (self.trials[n].step, self.trials[n].state);
                assert!(step > 0 && state != RecordState::Ignored, "trial {n} was never begun");
            }
            Next::New => {
                self.trials.push(Trial { state: RecordState::Pending, step: 0, node });
                self.note(node, self.trials.len() as u64 - 1, Fact::Begun);
            }
            Next::Wait => {}
        }
    }

    /// The next step of a trial, and what its node makes of it.
    fn step(&mut self, n: usize) {
        let node = self.trials[n].node;
        self.trials[n].step += 1;
        let step = self.trials[n].step;
        self.note(node, n as u64, Fact::Cost(step, self.cost(n as u64, step)));
        let whole = (step == STEPS).then(|| self.cost(n as u64, STEPS));
        let last = self.best.last().copied().unwrap_or(f64::INFINITY);
        self.best.push(last.min(whole.unwrap_or(f64::INFINITY)));
        let reported =
            Reported { key: hash64(&format!("trial {n}")), step, freezes: true, new: Newcomer::Unknown, start: 0.0 };
        let decide = |lag: usize| self.rule.decide(&self.view(node, lag), &reported);
        match decide(self.lag) {
            _ if whole.is_some() => self.note(node, n as u64, Fact::Became(RecordState::Complete)),
            Verdict::Continue => {}
            Verdict::Pause => self.note(node, n as u64, Fact::Became(RecordState::Paused)),
            Verdict::Stop => {
                let too = decide(0) == Verdict::Stop;
                self.stops = (self.stops.0 + 1, self.stops.1 + u32::from(too));
                self.note(node, n as u64, Fact::Became(RecordState::Pruned));
            }
        }
    }

    /// So many steps of all nodes together.
    fn run(mut self, steps: usize) -> Self {
        while self.best.len() < steps {
            self.round += 1;
            for node in 0..NODES {
                let own = |t: &Trial| t.node == node && t.state == RecordState::Pending;
                if !self.trials.iter().any(own) {
                    self.fill(node);
                }
                if let Some(n) = self.trials.iter().position(own) {
                    self.step(n);
                }
            }
        }
        self
    }

    fn in_state(&self, state: RecordState) -> usize {
        self.trials.iter().filter(|t| t.state == state).count()
    }
}

fn spec(rule: &str, mode: Option<&str>) -> Value {
    let mut spec = json!({"rule": rule, "max_steps": STEPS});
    if let Some(mode) = mode {
        spec["mode"] = json!(mode);
    }
    spec
}

/// (Turns red where a rule that ends trials ends, on a stale view, many that a fresh one would have kept.)
#[test]
fn what_a_stale_view_ends_a_fresh_one_would_mostly_have_ended() {
    for (name, mode) in
        [("median", None), ("percentile", None), ("asha", Some("stopping")), ("hyperband", Some("stopping"))]
    {
        let (mut stops, mut agreed) = (0, 0);
        for seed in 0..6 {
            let cluster = Cluster::new(spec(name, mode), seed, LAG).run(600);
            (stops, agreed) = (stops + cluster.stops.0, agreed + cluster.stops.1);
        }
        assert!(stops >= 30, "{name}: {stops}");
        assert!(agreed * 10 >= stops * 9, "{name}: {agreed} of {stops}");
    }
}

/// (Turns red where `asha` doesn't test passed rungs again: late records then heal nothing.)
#[test]
fn a_stale_view_costs_successive_halving_few_steps() {
    for mode in ["stopping", "promotion"] {
        let (mut stale, mut fresh) = (0.0, 0.0);
        for seed in 0..20 {
            let ends = |lag| Cluster::new(spec("asha", Some(mode)), seed, lag).run(1_000).best;
            let (late, soon) = (ends(LAG), ends(0));
            // To the least cost that both get to.
            let both = late.last().unwrap().max(*soon.last().unwrap());
            assert!(both.is_finite(), "{mode}, {seed}: nothing is whole");
            let until = |best: &[f64]| (best.iter().position(|cost| *cost <= both).unwrap() + 1) as f64;
            (stale, fresh) = (stale + until(&late).ln(), fresh + until(&soon).ln());
        }
        let ratio = ((stale - fresh) / 20.0_f64).exp();
        assert!(ratio <= 1.2, "{mode}: {ratio}");
    }
}

/// (Turns red where `patience` looks at other trials.)
#[test]
fn patience_doesnt_care_how_old_a_view_is() {
    let steps = |lag| {
        let spec = json!({"rule": "patience", "patience": 3, "min_delta": 0.01});
        let cluster = Cluster::new(spec, 3, lag).run(600);
        assert!(cluster.stops.0 > 10 && cluster.stops.0 == cluster.stops.1);
        cluster.trials.iter().take(20).map(|t| t.step).collect::<Vec<_>>()
    };
    assert_eq!(steps(0), steps(LAG));
}

/// (Turns red where a rule that freezes ends a trial, or leaves one behind that is neither frozen, whole nor running.)
#[test]
fn rules_that_freeze_end_nothing_however_old_a_view_is() {
    for (name, mode, seeds, rounds) in
        [("asha", Some("promotion"), 6, 600), ("hyperband", Some("promotion"), 6, 600), ("freeze-thaw", None, 1, 240)]
    {
        let mut refused = 0;
        for seed in 0..seeds {
            let cluster = Cluster::new(spec(name, mode), seed, LAG).run(rounds);
            assert_eq!(cluster.stops.0, 0, "{name}");
            let [paused, whole, running] =
                [RecordState::Paused, RecordState::Complete, RecordState::Pending].map(|state| cluster.in_state(state));
            assert_eq!(paused + whole + running, cluster.trials.len(), "{name}");
            assert!(paused > 0 && running <= NODES, "{name}: {paused} frozen, {running} running");
            refused += cluster.refused;
        }
        // Two did want the same one.
        assert!(refused > 0 || name == "freeze-thaw", "{name}");
    }
}
