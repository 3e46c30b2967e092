//! Explaining: whatever its node knew when it drew a trial, every node that has the same draws it again.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::{
    Bench,
    net::{Net, id},
};
use metaopt_core::commands::{Completion, Report, StudyPatch, SuggestRequest, Told, TrialAction};
use metaopt_schema::{TrialId, space::Space, study::Budget, trial::Proposer};
use serde_json::{Value, json};

/// A stream of numbers without a library: enough to make clients differ.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn ask(net: &mut Net, at: usize) -> Option<TrialId> {
    let request = SuggestRequest { count: 1, client_id: None, lease_s: 3600.0 };
    net.nodes[at].node.suggest(net.now, "s", request).unwrap().trials.pop()
}

/// What the clients of all nodes do in a while: ask, report, tell results of all sorts, cancel.
fn work(net: &mut Net, dice: &mut Dice, held: &mut Vec<(usize, TrialId)>, rounds: usize) {
    for _ in 0..rounds {
        for at in 0..net.nodes.len() {
            if dice.roll(3) > 0 {
                held.extend(ask(net, at).map(|trial| (at, trial)));
            }
            if held.len() > 3 {
                let (at, trial) = held.remove(dice.roll(held.len() as u64) as usize);
                let node = &mut net.nodes[at].node;
                let x = node.trial(trial.as_str()).unwrap().1.spec.params.get("x").and_then(|x| x.as_f64()).unwrap();
                let values = || [("loss".to_owned(), (x - 0.3).abs())].into_iter().collect();
                let report =
                    || Report { step: 3, values: [("loss".to_owned(), Some(x))].into_iter().collect(), attempt: None };
                let told = match dice.roll(8) {
                    0 => Told::Fail,
                    1 => Told::Infeasible,
                    2 => {
                        node.report(net.now, trial.as_str(), vec![report()]).unwrap();
                        Told::Pruned
                    }
                    3 => {
                        node.trial_action(net.now, trial.as_str(), TrialAction::Cancel).unwrap();
                        continue;
                    }
                    _ => Told::Complete(values()),
                };
                node.complete(net.now, trial.as_str(), Completion { told, attempt: None, detail: None }).unwrap();
            }
        }
        net.pass(0.2);
    }
}

/// Every drawn trial, at every node: how many came out the same.
fn all_reproduced(net: &Net) -> usize {
    let mut drawn = 0;
    for one in &net.nodes {
        for trial in one.node.study("s").unwrap().trials() {
            if matches!(trial.spec.by, Proposer::Sampler { .. }) {
                let explained = one.node.explain(trial.place.id.as_str()).unwrap();
                assert_eq!(explained["reproduced"], json!(true), "{} at {}: {explained:#}", trial.label(), one.id);
                drawn += 1;
            }
        }
    }
    drawn / net.nodes.len()
}

/// Trials of whose draw others' earlier proposals or results were still under way.
fn drawn_behind(net: &Net) -> usize {
    let mut behind = 0;
    for trial in net.nodes[0].node.study("s").unwrap().trials() {
        let explained = net.nodes[0].node.explain(trial.place.id.as_str()).unwrap();
        behind += usize::from(explained["inputs"]["saw"]["not_yet"].as_u64().is_some_and(|n| n > 0));
    }
    behind
}

fn bytes_of_sight(net: &Net) -> (usize, usize) {
    let of = |by: &Proposer| if let Proposer::Sampler { seen, .. } = by { Some(seen.len()) } else { None };
    let all: Vec<usize> =
        net.nodes[0].node.study("s").unwrap().trials().iter().filter_map(|t| of(&t.spec.by)).collect();
    (all.iter().sum::<usize>(), all.len())
}

#[test]
fn trials_of_lagging_nodes_are_drawn_again_everywhere_from_what_each_had_seen() {
    for (sampler, space) in [
        ("tpe", json!([{"name": "x", "type": "float", "low": 0, "high": 1}, {"name": "c", "type": "bool"}])),
        (
            "auto",
            json!([{"name": "x", "type": "float", "low": 0, "high": 1, "step": 0.01}, {"name": "c", "type": "bool"}]),
        ),
    ] {
        let mut net = Net::new(4, 0);
        net.study(
            0,
            json!({"sampler": {"name": sampler, "seed": 3, "n_startup_trials": 4}, "space": space,
            "budget": {"max_trials": 150}}),
        );
        net.lag = vec![0, 700, 1_600, 3_000];
        let (mut dice, mut held) = (Dice(11), Vec::new());
        work(&mut net, &mut dice, &mut held, 15);
        net.lag = vec![0; 4];
        net.pass(8.0);
        net.agree();
        let drawn = all_reproduced(&net);
        assert!(drawn > 30, "{drawn}");
        let behind = drawn_behind(&net);
        assert!(behind > 10, "the lag was felt: {behind}");
        let (bytes, trials) = bytes_of_sight(&net);
        assert!(bytes < trials * 40, "{bytes} bytes for {trials} trials");
    }
}

#[test]
fn what_was_drawn_on_both_sides_of_a_cut_is_drawn_again_after_it() {
    let mut net = Net::new(4, 0);
    net.study(1, json!({"sampler": {"name": "tpe", "seed": 3, "n_startup_trials": 4}}));
    let (mut dice, mut held) = (Dice(5), Vec::new());
    work(&mut net, &mut dice, &mut held, 6);
    net.cut = vec![(0, 2), (0, 3), (1, 2), (1, 3)];
    work(&mut net, &mut dice, &mut held, 8);
    let one_sided = net.nodes[0].node.study("s").unwrap().trials().len();
    net.cut.clear();
    net.pass(10.0);
    net.agree();
    assert!(net.trials(0).len() > one_sided, "the other side drew as well");
    work(&mut net, &mut dice, &mut held, 4);
    net.pass(5.0);
    assert!(all_reproduced(&net) > 30 && drawn_behind(&net) > 5);
}

#[test]
fn edits_of_space_and_budget_count_from_where_they_arrived() {
    let mut net = Net::new(2, 0);
    net.study(0, json!({"sampler": {"name": "tpe", "seed": 3, "n_startup_trials": 4}, "budget": {"max_trials": 60}}));
    let (mut dice, mut held) = (Dice(7), Vec::new());
    work(&mut net, &mut dice, &mut held, 8);
    net.lag = vec![2_000, 0];
    let space = Space::parse_edit(&json!([
        {"name": "x", "type": "float", "low": 0, "high": 4},
        {"name": "y", "type": "float", "low": 0, "high": 1, "default": 0.5}]))
    .unwrap();
    let budget = Some(Budget { max_trials: Some(90), ..Budget::default() });
    let now = net.now;
    net.nodes[0]
        .node
        .patch_study(now, "s", StudyPatch { space: Some(space), budget, ..StudyPatch::default() })
        .unwrap();
    work(&mut net, &mut dice, &mut held, 12);
    net.lag = vec![0, 0];
    net.pass(6.0);
    net.agree();
    assert!(all_reproduced(&net) > 20);
    let wide = |at: usize| {
        net.nodes[at].node.study("s").unwrap().trials().iter().filter(|t| t.spec.params.contains_key("y")).count()
    };
    assert!(wide(0) > 3 && wide(0) == wide(1), "both draw from the wider space");
    let short = net.nodes[1]
        .node
        .study("s")
        .unwrap()
        .trials()
        .iter()
        .any(|t| t.place.node == id(1) && !t.spec.params.contains_key("y") && t.spec.at.ms > now.wall_ms);
    assert!(short, "the second went on in the old space until it had heard");
}

#[test]
fn a_restart_begins_a_new_sum_and_a_node_out_of_reach_leaves_it_open() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"sampler": {"name": "tpe", "seed": 3, "n_startup_trials": 3}}));
    for i in 0..12 {
        let id = bench.ask(&study, 1, None).trials.remove(0);
        bench.pass(1.0);
        bench.tell(id.as_str(), None, f64::from(i % 7)).unwrap();
        if i == 6 {
            bench.restart(0);
        }
    }
    let explain = |bench: &Bench| -> Vec<Value> {
        let study = bench.node.study(&study).unwrap();
        study.trials().iter().map(|t| bench.node.explain(t.place.id.as_str()).unwrap()).collect()
    };
    for explained in explain(&bench) {
        assert_eq!(explained["reproduced"], json!(true), "{explained:#}");
    }
    let seen = |t: &metaopt_schema::view::TrialView| match &t.spec.by {
        Proposer::Sampler { seen, .. } => seen.len(),
        _ => panic!("drawn"),
    };
    let bytes: Vec<usize> = bench.node.study(&study).unwrap().trials().iter().map(seen).collect();
    assert_eq!(bytes.iter().filter(|n| **n > 0).count(), 2, "only the first draw of a run says anything: {bytes:?}");
}

#[test]
fn a_fresh_node_explains_what_it_fetched_and_says_what_it_lacks() {
    let mut net = Net::new(3, 0);
    net.study(0, json!({"sampler": {"name": "tpe", "seed": 3, "n_startup_trials": 4}}));
    let (mut dice, mut held) = (Dice(2), Vec::new());
    net.nodes[2].asleep = true;
    work_of(&mut net, &mut dice, &mut held, &[0, 1], 10);
    let known: BTreeSet<TrialId> =
        net.nodes[0].node.study("s").unwrap().trials().iter().map(|t| t.place.id.clone()).collect();
    net.nodes[2].asleep = false;
    net.pass(6.0);
    net.agree();
    for trial in &known {
        let explained = net.nodes[2].node.explain(trial.as_str()).unwrap();
        assert_eq!(explained["reproduced"], json!(true), "{explained:#}");
    }
    assert!(known.len() > 10);
}

#[test]
fn what_a_node_has_not_heard_of_it_does_not_judge() {
    let mut net = Net::new(3, 0);
    net.study(0, json!({"sampler": {"name": "tpe", "seed": 3, "n_startup_trials": 4}}));
    let (mut dice, mut held) = (Dice(2), Vec::new());
    work_of(&mut net, &mut dice, &mut held, &[0, 1, 2], 4);
    // Of the third, the first two hear through the second alone, and late of the first.
    net.lag = vec![60_000, 0, 0];
    work_of(&mut net, &mut dice, &mut held, &[0], 3);
    net.cut = vec![(0, 2), (0, 1)];
    let trial = ask(&mut net, 0).unwrap();
    net.settle();
    assert_eq!(net.nodes[0].node.explain(trial.as_str()).unwrap()["reproduced"], json!(true));
    assert!(net.nodes[1].node.explain(trial.as_str()).is_err(), "not heard of at all");
    net.lag = vec![0; 3];
    net.cut.clear();
    net.pass(6.0);
    assert_eq!(net.nodes[1].node.explain(trial.as_str()).unwrap()["reproduced"], json!(true));
}

fn work_of(net: &mut Net, dice: &mut Dice, held: &mut Vec<(usize, TrialId)>, nodes: &[usize], rounds: usize) {
    for _ in 0..rounds {
        for &at in nodes {
            held.extend(ask(net, at).map(|trial| (at, trial)));
            if held.len() > 3 {
                let (at, trial) = held.remove(dice.roll(held.len() as u64) as usize);
                let told = Told::Complete([("loss".to_owned(), dice.roll(100) as f64)].into_iter().collect());
                let completion = Completion { told, attempt: None, detail: None };
                net.nodes[at].node.complete(net.now, trial.as_str(), completion).unwrap();
            }
        }
        net.pass(0.2);
    }
}
