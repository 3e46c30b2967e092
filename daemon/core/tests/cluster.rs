//! Several nodes and what passes between them, without faults beyond a link that is cut: what the simulation takes for
//! granted.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{collections::BTreeMap, sync::Arc};

use common::{
    Disk, def, good,
    net::{Box1, Net, id},
};
use metaopt_core::{
    About, Effect, Node, NodeConfig,
    commands::{Completion, ImportedTrial, NodeAction, Report, StudyPatch, SuggestRequest, Told, TrialAction},
    launch::AttemptEvent,
    wire::{Frame, Heartbeat},
};
use metaopt_schema::{
    DocId, StudyId, TrialId,
    docs::{Actor, Doc, RawChange},
    facts::{Fact, Hardware, SlotKind, SlotSpec, TrialFact},
    study::Budget,
    trial::{Place, Proposer, Reason, TrialSpec, TrialState},
};
use serde_json::json;

/// How `of` is shown by `at`, and what is said of it.
fn shown(net: &Net, at: usize, of: usize) -> (&'static str, String) {
    let all = net.nodes[at].node.nodes(net.now);
    let found = all.into_iter().find(|node| node.id == id(of)).unwrap();
    assert_eq!(found.last_seen.is_none(), found.why.as_deref().is_some_and(|why| why.contains("not heard since")));
    (found.state, found.why.unwrap_or_default())
}

fn run() -> serde_json::Value {
    json!({"command": ["true"]})
}

#[test]
fn what_one_does_all_know_at_once_and_the_work_is_shared() {
    let mut net = Net::new(3, 2);
    net.study(1, json!({"run": run(), "budget": {"max_trials": 18}}));
    assert!(net.nodes.iter().all(|one| one.launched.len() == 2), "each fills its slots");
    for _ in 0..40 {
        (0..3).for_each(|at| net.finish(at));
        net.pass(0.5);
    }
    net.agree();
    let trials = net.trials(0);
    assert_eq!(trials.len(), 18, "no trial too many");
    assert!(trials.iter().all(|(_, state)| *state == TrialState::Complete), "{trials:?}");
}

#[test]
fn what_a_dead_node_held_is_run_elsewhere_and_its_late_result_counts() {
    let mut net = Net::new(3, 1);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 3}}));
    let held = net.nodes[2].launched[0].key.clone();
    net.nodes[2].asleep = true;
    net.pass(60.0);
    assert_eq!(net.nodes[0].node.trial(held.trial.as_str()).unwrap().1.state, TrialState::Running, "only suspected");
    (0..2).for_each(|at| net.finish(at));
    net.pass(60.0);
    let again: Vec<usize> =
        (0..2).filter(|at| net.nodes[*at].launched.iter().any(|l| l.key.trial == held.trial)).collect();
    assert_eq!(again.len(), 1, "one of them took it over");
    net.finish(again[0]);
    let ended = net.nodes[0].node.trial(held.trial.as_str()).unwrap().1.clone();
    assert_eq!(ended.state, TrialState::Complete);
    assert_eq!(ended.attempts[0].effective_end().unwrap().reason, Reason::LostNode);

    // It comes back with a result that it made alone.
    net.nodes[2].asleep = false;
    net.nodes[2].node.attempt(net.now, &held, AttemptEvent::Exited(good(0.1)));
    net.pass(5.0);
    net.agree();
    let counted = net.nodes[1].node.trial(held.trial.as_str()).unwrap().1.clone();
    assert_eq!(counted.attempts[counted.counted.unwrap()].attempt, 1, "the lowest complete attempt counts");
}

#[test]
fn a_minority_gives_nothing_up_and_two_doubles_become_one() {
    let mut net = Net::new(5, 1);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 5}}));
    net.pass(5.0);
    let held: Vec<_> = net.nodes.iter().map(|one| one.launched[0].key.clone()).collect();
    net.cut = (0..3).flat_map(|a| (3..5).map(move |b| (a, b))).collect();
    for step in 1..=3 {
        let report =
            |loss: f64| Report { step, values: [("loss".to_owned(), Some(loss))].into_iter().collect(), attempt: None };
        net.nodes[4].node.report(net.now, held[4].trial.as_str(), vec![report(0.3)]).unwrap();
    }
    (0..3).for_each(|at| net.finish(at));
    net.pass(120.0);
    assert!(net.nodes[3].launched.len() == 1 && net.nodes[4].launched.len() == 1, "the two wait");
    let taken: Vec<usize> = (0..3).filter(|at| !net.nodes[*at].launched.is_empty()).collect();
    assert_eq!(taken.len(), 2, "the three took over what the two held");

    net.cut.clear();
    net.pass(5.0);
    net.agree();
    // The holder that is further along goes on, the other was told to stop; without steps, the earlier attempt.
    assert!(net.nodes[3].stopped.is_empty() && net.nodes[4].stopped.is_empty());
    let stopped: usize = taken.iter().map(|at| net.nodes[*at].stopped.len()).sum();
    assert_eq!(stopped, 2, "{:?}", net.nodes.iter().map(|n| n.stopped.clone()).collect::<Vec<_>>());
}

#[test]
fn what_a_peer_heard_long_ago_makes_no_majority() {
    let mut net = Net::new(5, 1);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 5}}));
    // Node 3 knows that node 4 has no link to node 0, then neither hears of anybody.
    net.cut = vec![(0, 4)];
    net.pass(5.0);
    net.cut = (0..4).map(|other| (other, 4)).collect();
    net.pass(20.0);
    net.cut.extend((0..3).map(|other| (other, 3)));
    net.pass(100.0);
    net.cut.retain(|pair| *pair != (3, 4));
    net.settle();
    let seen = |net: &Net, of: usize| {
        let all = net.nodes[4].node.nodes(net.now).into_iter();
        all.map(|node| (node.id, node.state)).find(|(node, _)| *node == id(of)).unwrap().1
    };
    assert_eq!(seen(&net, 3), "alive");
    assert_ne!(seen(&net, 0), "alive", "what node 3 tells of it is as old as its own silence");
    net.pass(30.0);
    for trial in net.nodes[4].node.study("s").unwrap().trials().iter() {
        assert!(trial.attempts.iter().all(|a| a.given_up().is_none()), "two of five give nobody up");
    }
}

#[test]
fn clients_may_tell_any_node() {
    let mut net = Net::new(3, 0);
    net.study(0, json!({"budget": {"max_trials": 4}}));
    let ask = SuggestRequest { count: 1, client_id: None, lease_s: 60.0 };
    let trial = net.nodes[1].node.suggest(net.now, "s", ask.clone()).unwrap().trials.remove(0);
    net.settle();
    let told = Told::Complete([("loss".to_owned(), 0.2)].into_iter().collect());
    let completion = Completion { told, detail: None, attempt: None };
    net.nodes[2].node.complete(net.now, trial.as_str(), completion.clone()).unwrap();
    let there = net.nodes[2].node.trial(trial.as_str()).unwrap().1;
    assert_eq!(there.state, TrialState::Complete, "at once, where it was told");
    net.pass(1.0);
    net.agree();
    assert_eq!(net.trials(0)[0].1, TrialState::Complete);
    net.nodes[0].node.complete(net.now, trial.as_str(), completion).unwrap();

    // A trial that a dead node lent is offered again by another.
    let trial = net.nodes[1].node.suggest(net.now, "s", ask.clone()).unwrap().trials.remove(0);
    net.settle();
    net.nodes[1].asleep = true;
    net.pass(130.0);
    let again = net.nodes[0].node.suggest(net.now, "s", ask).unwrap();
    assert_eq!(again.trials, [trial]);
}

#[test]
fn a_fresh_node_learns_everything_and_a_removed_one_nothing_more() {
    let mut net = Net::new(3, 1);
    net.nodes[2].asleep = true;
    net.study(0, json!({"run": run(), "budget": {"max_trials": 200}}));
    for _ in 0..60 {
        (0..2).for_each(|at| net.finish(at));
    }
    net.nodes[2].asleep = false;
    net.pass(5.0);
    net.agree();
    assert!(net.trials(2).len() > 100);

    net.nodes[0].node.node_action(net.now, id(2).as_str(), NodeAction::Remove).unwrap();
    // By who removes it at once, not only by those who hear of it.
    let output = net.nodes[0].node.drain();
    assert!(output.effects.iter().any(|effect| matches!(effect, Effect::Cut(node) if *node == id(2))));
    assert!(output.parcels.iter().any(|parcel| parcel.to.contains(&id(2))), "it is told");
    output.parcels.into_iter().for_each(|parcel| net.deliver(0, parcel));
    assert!(net.nodes[2].node.is_removed(&id(2)));
    net.pass(10.0);
    let known = net.trials(0).len();
    let first = net.trials(0)[0].0.clone();
    net.nodes[0].node.trial_action(net.now, &first, TrialAction::Retry).unwrap_err();
    for _ in 0..5 {
        (0..2).for_each(|at| net.finish(at));
    }
    assert!(net.trials(1).len() > known && net.nodes[0].node.is_removed(&id(2)));
    assert!(!net.nodes[1].node.is_member(&id(2)));
}

#[test]
fn a_strict_budget_is_never_exceeded_though_every_side_goes_on() {
    let mut net = Net::new(4, 2);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 40, "strict": true}}));
    net.pass(5.0);
    assert!(net.nodes.iter().all(|one| !one.launched.is_empty()), "all got a part of it");
    net.cut = (0..2).flat_map(|a| (2..4).map(move |b| (a, b))).collect();
    for _ in 0..60 {
        (0..4).for_each(|at| net.finish(at));
        net.pass(1.0);
    }
    net.cut.clear();
    for _ in 0..60 {
        (0..4).for_each(|at| net.finish(at));
        net.pass(1.0);
    }
    net.agree();
    let trials = net.trials(0);
    assert_eq!(trials.len(), 40);
    assert!(trials.iter().all(|(_, state)| *state == TrialState::Complete));
}

#[test]
fn of_what_waits_for_one_to_end_only_one_node_starts_the_next() {
    for strict in [false, true] {
        let mut net = Net::new(3, 1);
        let budget = json!({"max_trials": 40, "max_parallel": 1, "strict": strict});
        net.study(0, json!({"run": run(), "budget": budget}));
        let mut held_by = Vec::new();
        for round in 0..8 {
            net.pass(10.0);
            let holders = |net: &Net| (0..3).filter(|at| !net.nodes[*at].launched.is_empty()).collect::<Vec<usize>>();
            let at = holders(&net);
            assert_eq!(at.len(), 1, "strict {strict}, round {round}");
            // It can't be started there: while it waits for another node all could go on, and see whose turn it is.
            let broken = net.nodes[at[0]].launched.remove(0);
            let failed = AttemptEvent::LaunchFailed("no such program".into());
            net.nodes[at[0]].node.attempt(net.now, &broken.key, failed);
            net.pass(20.0);
            let at = holders(&net);
            assert_eq!(at.len(), 1, "strict {strict}, round {round}");
            held_by.push(at[0]);
            // It starts nothing itself when its trial ends, so that the others hear of the end alone.
            let (me, other) = (id(at[0]), (at[0] + 1) % 3);
            net.nodes[other].node.node_action(net.now, me.as_str(), NodeAction::Drain).unwrap();
            net.settle();
            net.finish(at[0]);
            net.nodes[other].node.node_action(net.now, me.as_str(), NodeAction::Resume).unwrap();
            net.settle();
        }
        net.agree();
        assert!((0..3).any(|at| at != held_by[0] && held_by.contains(&at)), "not always one: {held_by:?}");
    }
}

#[test]
fn sixteen_nodes_that_agree_on_who_is_there_never_choose_the_same() {
    let finite =
        json!([{"name": "a", "type": "int", "low": 1, "high": 20}, {"name": "b", "type": "int", "low": 1, "high": 15}]);
    let continuous = json!([{"name": "x", "type": "float", "low": 0.0, "high": 1.0}, {"name": "y", "type": "float", "low": 0.0, "high": 1.0}]);
    // The finite one to its end; the continuous one in start-up, while every node draws from the same sequence.
    for (space, sampler, budget, most) in [
        (finite.clone(), "random", 400, 300),
        (finite, "tpe", 400, 300),
        (continuous.clone(), "sobol", 64, 64),
        (continuous, "tpe", 64, 64),
    ] {
        let mut net = Net::new(16, 2);
        let sampler = json!({"name": sampler, "seed": 7});
        net.study(3, json!({"space": space, "run": run(), "sampler": sampler, "budget": {"max_trials": budget}}));
        for _ in 0..150 {
            (0..16).for_each(|at| net.finish(at));
            net.pass(0.3);
        }
        net.agree();
        let study = net.nodes[0].node.study("s").unwrap();
        let params: std::collections::BTreeSet<String> =
            study.trials().iter().map(|t| format!("{:?}", t.spec.params.params())).collect();
        assert_eq!((params.len(), study.trials().len()), (most, most), "each configuration once, and all of them");
    }
}

#[test]
fn what_a_later_metaopt_wrote_is_kept_and_passed_on_by_one_that_does_not_know_it() {
    use automerge::{ActorId, Automerge, ROOT, ReadDoc, transaction::Transactable};

    let mut net = Net::new(2, 1);
    // A fact of a kind that doesn't exist yet, written by a node that isn't here: only its changes come.
    let mut later = Automerge::new().with_actor(ActorId::from(&b"node000000000009\0\0\0\0\0\0\0\x01"[..]));
    let mut transaction = later.transaction();
    transaction.put(ROOT, "v", 1_u64).unwrap();
    transaction.put(ROOT, "kind", "cluster").unwrap();
    transaction.put(ROOT, "zz/of-a-later-kind", b"what it says".to_vec()).unwrap();
    transaction.commit();
    let change = later.get_last_local_change().unwrap();
    let raw =
        RawChange { actor: change.actor_id().to_bytes().into(), seq: change.seq(), bytes: change.raw_bytes().into() };
    net.cut = vec![(0, 1)];
    net.settle();
    let bearer = net.nodes[1].id.clone();
    let frame = metaopt_core::wire::Frame::Changes(vec![(DocId::Cluster, raw.clone())]);
    net.nodes[0].node.frame(net.now, &bearer, frame);
    net.settle();
    assert_eq!(net.nodes[0].node.skipped_facts(), 1);
    net.cut.clear();
    net.pass(5.0);
    assert_eq!(net.nodes[1].node.skipped_facts(), 1, "it came through one that doesn't know it");
    for one in &net.nodes {
        let stored = one.disk.docs()[&DocId::Cluster].changes.contains(&raw);
        assert!(stored, "and is on the disk of both, byte for byte");
    }
    net.study(1, json!({"run": run(), "budget": {"max_trials": 2}}));
    net.agree();
    assert!(later.get(ROOT, "zz/of-a-later-kind").unwrap().is_some());
}

#[test]
fn a_stranger_is_not_heard_and_gets_no_answer() {
    let mut net = Net::new(2, 1);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 9}}));
    net.nodes[0].node.drain();
    let root = net.nodes[0].node.root();
    // Everything that a member would be answered for, and a change that would make it one.
    let mut other = Node::load(
        NodeConfig { id: id(9), entropy: [9; 32], ..common::config(9) },
        net.now,
        Vec::new(),
        Arc::new(Disk::default()),
        None,
    )
    .unwrap();
    other.adopted(net.now, &[]);
    let joined = other.drain().changes;
    assert!(!joined.is_empty());
    let wanted = net.nodes[0].disk.docs().into_keys().map(|doc| (doc, BTreeMap::new())).collect();
    let lent = net.nodes[1]
        .disk
        .docs()
        .into_iter()
        .flat_map(|(doc, stored)| stored.changes.into_iter().map(move |change| (doc.clone(), change)));
    let frames = [
        Frame::Heartbeat(Heartbeat { boot: 1, seq: 1, free: 9, ..Heartbeat::default() }),
        Frame::Changes(joined),
        Frame::Changes(lent.collect()),
        Frame::Compare(Vec::new()),
        Frame::Want(wanted),
    ];
    for frame in frames {
        net.nodes[0].node.frame(net.now, &id(9), frame);
    }
    let output = net.nodes[0].node.drain();
    assert!(output.is_empty(), "{output:?}");
    assert_eq!(net.nodes[0].node.root(), root);
    assert!(!net.nodes[0].node.is_member(&id(9)) && net.nodes[0].node.nodes(net.now).len() == 2);
}

#[test]
fn garbage_from_a_member_changes_nothing_and_stands_in_nobodys_way() {
    let mut net = Net::new(3, 1);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 30}}));
    let rogue = id(2);
    let docs = net.nodes[2].disk.docs();
    let (doc, stored) = docs.iter().find(|(doc, _)| matches!(doc, DocId::Trials { .. })).unwrap();
    let good = stored.changes[0].clone();
    let root = net.nodes[0].node.root();
    let change = |seq: u64, actor: &[u8], bytes: &[u8]| {
        (doc.clone(), RawChange { actor: actor.into(), seq, bytes: bytes.into() })
    };
    let study = |name: &str| DocId::Study(StudyId::new(name));
    let mut torn = good.bytes.to_vec();
    torn[good.bytes.len() / 2] ^= 1;
    let refused = [
        // Under another number, another's name, and of another document.
        Frame::Changes(vec![change(good.seq + 7, &good.actor, &good.bytes)]),
        Frame::Changes(vec![change(good.seq, b"node000000000000\0\0\0\0\0\0\0\x07", &good.bytes)]),
        Frame::Changes(vec![(study("madeup"), RawChange { seq: 1, ..good.clone() })]),
        Frame::Changes(vec![change(900, &good.actor, &torn), change(901, b"", b""), change(902, b"x", &[0; 64])]),
        Frame::Whole(study("another"), b"no document".as_slice().into(), b"no digest".as_slice().into()),
    ];
    for frame in refused {
        let what = format!("{frame:?}");
        net.nodes[0].node.frame(net.now, &rogue, frame);
        let output = net.nodes[0].node.drain();
        assert!(!output.troubles.is_empty(), "{what}");
        assert!(output.changes.is_empty() && output.wholes.is_empty() && output.parcels.is_empty(), "{output:?}");
    }
    let far: BTreeMap<DocId, BTreeMap<Arc<[u8]>, u64>> = (0..2_000)
        .map(|i| (study(&format!("madeup{i}")), [(Arc::from(b"actor".as_slice()), u64::MAX)].into()))
        .chain([(doc.clone(), [(good.actor.clone(), u64::MAX)].into())])
        .collect();
    let odd = [
        Frame::Have { vectors: far.clone(), more: true },
        Frame::Have { vectors: far.clone(), more: false },
        Frame::Want(far),
        Frame::Compare((0..60_000u32).map(|i| (i as u8, u64::from(i))).collect()),
        Frame::Sent,
        Frame::Sent,
        Frame::Heartbeat(Heartbeat { wall_ms: 1 << 63, root: 1, ..Heartbeat::default() }),
        Frame::Heartbeat(Heartbeat {
            wall_ms: u64::MAX,
            links: vec![id(7)],
            heard: vec![(id(7), 1, u64::MAX)],
            ..Heartbeat::default()
        }),
        Frame::Heartbeat(Heartbeat {
            wants: vec![StudyId::new("madeup")],
            active: vec![StudyId::new("madeup")],
            ..Heartbeat::default()
        }),
    ];
    for frame in odd {
        net.nodes[0].node.frame(net.now, &rogue, frame);
        assert!(net.nodes[0].node.drain().changes.is_empty());
    }
    assert_eq!(net.nodes[0].node.root(), root);

    for _ in 0..40 {
        (0..3).for_each(|at| net.finish(at));
        net.pass(1.0);
    }
    net.agree();
    let trials = net.trials(0);
    assert!(trials.len() == 30 && trials.iter().all(|(_, state)| *state == TrialState::Complete), "{trials:?}");
    assert!(net.nodes.iter().all(|one| one.node.root() == net.nodes[0].node.root()));
}

#[test]
fn what_is_said_in_a_nodes_name_starts_nothing_there() {
    let mut net = Net::new(2, 2);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 1}}));
    (0..2).for_each(|at| net.finish(at));
    let study = net.nodes[0].node.study("s").unwrap().id.clone();
    let launched = |net: &Net| net.nodes.iter().map(|one| one.launched.len()).sum::<usize>();
    assert_eq!(launched(&net), 0);
    // A trial of node 1, and an attempt at it of node 0, which knows nothing of it; then its result.
    let place = Place { id: TrialId::new(format!("{}.77", id(1))), node: id(1), seq: 77 };
    let doc = DocId::Trials { study: study.clone(), node: id(1), segment: 0 };
    let real = net.nodes[0].node.study("s").unwrap().trials()[0].clone();
    let mut claim = real.attempts[0].claim.clone().unwrap();
    let spec = TrialSpec {
        node_name: "gpu1".into(),
        counter: 77,
        at: real.spec.at.clone(),
        params: real.spec.params.params(),
        by: Proposer::Enqueued,
        user_attrs: Default::default(),
        imported_as: None,
    };
    claim.asked = false;
    let facts = [TrialFact::Proposed(spec), TrialFact::Claimed { attempt: 1, node: id(0), claim }];
    let facts: Vec<Fact> = facts.into_iter().map(|fact| Fact::Trial(study.clone(), place.clone(), fact)).collect();
    let mut forged = Doc::new(doc.clone(), &Actor::new(&id(1), 77));
    let change = forged.write(&facts).unwrap().unwrap();
    for at in 0..2 {
        let other = id(1 - at);
        net.nodes[at].node.frame(net.now, &other, Frame::Changes(vec![(doc.clone(), change.clone())]));
    }
    net.pass(10.0);
    // The trial is as good as any, and is run as the attempt that somebody claimed himself.
    let of = |one: &Box1| one.launched.iter().map(|l| (l.key.trial.clone(), l.key.attempt)).collect::<Vec<_>>();
    let all: Vec<_> = net.nodes.iter().flat_map(of).collect();
    assert_eq!(all, [(place.id.clone(), 2)], "nobody runs what it didn't claim itself");
    let trial = net.nodes[1].node.trial(place.id.as_str()).unwrap().1.clone();
    assert_eq!(trial.attempts[0].effective_end().unwrap().reason, Reason::LostNode, "its node says that it has none");
    net.agree();
    assert_eq!(net.nodes[0].node.root(), net.nodes[1].node.root());
}

#[test]
fn a_node_that_fails_what_succeeds_elsewhere_puts_itself_under_quarantine() {
    let mut net = Net::new(3, 1);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 60}}));
    for _ in 0..80 {
        (0..2).for_each(|at| net.finish(at));
        for launch in std::mem::take(&mut net.nodes[2].launched) {
            let broken = metaopt_core::launch::ExitReport { exit_code: Some(1), ..Default::default() };
            net.nodes[2].node.attempt(net.now, &launch.key, AttemptEvent::Exited(broken));
        }
        net.pass(1.0);
    }
    net.agree();
    let state = |net: &Net, at: usize| {
        let all = net.nodes[at].node.nodes(net.now);
        let broken = all.into_iter().find(|node| node.id == id(2)).unwrap();
        (broken.state, broken.why)
    };
    for at in 0..3 {
        let (state, why) = state(&net, at);
        assert_eq!(state, "quarantined", "seen from {at}");
        assert!(why.clone().unwrap().contains("succeeded on other nodes"), "{why:?}");
    }
    let trials = net.trials(0);
    let lost = trials.iter().filter(|(_, state)| *state != TrialState::Complete).count();
    assert!(lost == 0 && trials.len() == 60, "its failures are made good: {lost} of {}", trials.len());

    net.nodes[0].node.node_action(net.now, "gpu2", NodeAction::Resume).unwrap();
    net.pass(2.0);
    assert_eq!(state(&net, 1), ("alive", None));
}

#[test]
fn a_node_whose_database_is_lost_learns_from_its_peers_what_it_did_itself() {
    let mut net = Net::new(3, 2);
    net.study(2, json!({"run": run(), "budget": {"max_trials": 60}}));
    for _ in 0..6 {
        (0..3).for_each(|at| net.finish(at));
        net.pass(1.0);
    }
    let roll = net.nodes[2].node.roll();
    assert_eq!(roll.len(), 3);
    let running: Vec<_> = net.nodes[2].node.running().cloned().collect();
    assert_eq!(running.len(), 2);

    // The disk is gone, the key and the processes are not.
    net.pass(1.0);
    let before = net.trials(2);
    let disk = Disk::default();
    let hardware = Hardware { name: "gpu2".into(), version: "test".into(), ..Hardware::default() };
    let config = NodeConfig { id: id(2), hardware, entropy: [99; 32], ..common::config(99) };
    let mut node = Node::load(config, net.now, Vec::new(), Arc::new(disk.clone()), None).unwrap();
    node.restore(net.now, roll);
    node.adopted(net.now, &running);
    node.attempt(net.now, &running[0], AttemptEvent::Exited(good(0.25)));
    let inventory = (0..2).map(|i| (SlotSpec { id: format!("cpu-{i}"), kind: SlotKind::Cpu }, None)).collect();
    node.slots(net.now, inventory);
    for other in 0..2 {
        net.nodes[other].node.peer_down(net.now, &id(2));
        net.nodes[other].linked.insert(2, false);
    }
    let launched = Vec::new();
    net.nodes[2] = Box1 { id: id(2), node, disk, launched, stopped: vec![], linked: BTreeMap::new(), asleep: false };
    net.settle();
    net.pass(3.0);
    net.agree();
    let after = net.trials(2);
    assert!(after.len() >= before.len() && after[..before.len()].iter().zip(&before).all(|(a, b)| a.0 == b.0));
    assert!(net.nodes[2].stopped.is_empty(), "its processes go on: {:?}", net.nodes[2].stopped);
    let first = net.nodes[0].node.trial(running[0].trial.as_str()).unwrap().1;
    assert_eq!(first.state, TrialState::Complete, "and the result that came early counts");
    for _ in 0..40 {
        (0..3).for_each(|at| net.finish(at));
        net.nodes[2].node.attempt(net.now, &running[1], AttemptEvent::Exited(good(0.25)));
        net.pass(1.0);
    }
    net.agree();
    let trials = net.trials(1);
    assert!(trials.len() == 60 && trials.iter().all(|(_, state)| *state == TrialState::Complete), "{trials:?}");
}

#[test]
fn what_is_much_is_said_in_changes_that_frames_can_carry() {
    let mut net = Net::new(2, 0);
    net.study(0, json!({}));
    let study = net.nodes[0].node.study("s").unwrap().id.to_string();
    // 24 MB that hardly shrink, in one call.
    let noise = |i: u64| {
        let mut bytes = vec![0; 30_000];
        blake3::Hasher::new().update(&i.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let points = |n| {
        (1..=n).map(|step| Report {
            step,
            values: [("loss".to_owned(), Some(0.5))].into_iter().collect(),
            attempt: None,
        })
    };
    let trials = (0..400u64).map(|i| ImportedTrial {
        params: [("x".to_owned(), json!(i as f64 / 400.0))].into_iter().collect(),
        told: Told::Complete([("loss".to_owned(), 0.5)].into_iter().collect()),
        reports: points(if i == 0 { 900 } else { 1 }).collect(),
        detail: None,
        user_attrs: [("noise".to_owned(), json!(noise(i)))].into_iter().collect(),
        id: None,
    });
    net.nodes[0].node.import(net.now, &study, trials.collect()).unwrap();
    net.settle();
    net.agree();
    assert_eq!(net.trials(1).len(), 400);
    assert_eq!(net.nodes[0].node.root(), net.nodes[1].node.root());
}

#[test]
fn a_budget_that_is_made_strict_is_kept_whoever_had_spent_more_than_its_part() {
    let mut net = Net::new(3, 0);
    net.study(0, json!({"budget": {"max_trials": 20}}));
    let ask = |net: &mut Net, at: usize| {
        let request = SuggestRequest { count: 1, client_id: None, lease_s: 60.0 };
        let given = net.nodes[at].node.suggest(net.now, "s", request).map_or(0, |given| given.trials.len());
        net.pass(0.2);
        given
    };
    let soft: usize = (0..12).map(|i| ask(&mut net, usize::from(i > 1))).sum();
    assert!(soft >= 8, "most of them by another than its maker");
    let strict = StudyPatch {
        budget: Some(Budget { max_trials: Some(20), strict: true, ..Budget::default() }),
        ..StudyPatch::default()
    };
    net.nodes[0].node.patch_study(net.now, "s", strict).unwrap();
    net.pass(1.0);
    // The third gets a part, then each is alone.
    (0..30).for_each(|_| _ = ask(&mut net, 2));
    net.cut = vec![(0, 1), (0, 2), (1, 2)];
    net.pass(1.0);
    for at in 0..3 {
        (0..25).for_each(|_| _ = ask(&mut net, at));
    }
    net.cut.clear();
    net.pass(8.0);
    net.agree();
    assert_eq!(net.trials(0).len(), 20, "all of it, and no more");
}

#[test]
fn who_leaves_first_tells_what_it_found_out_alone() {
    let mut net = Net::new(2, 1);
    net.pass(3.0);
    net.cut = vec![(0, 1)];
    net.pass(1.0);
    net.study(1, json!({"run": run(), "budget": {"max_trials": 3}}));
    let refused = net.nodes[1].node.leave(net.now, false).unwrap_err();
    assert!(refused.to_string().contains("no other member hears"), "{refused}");
    net.cut.clear();
    net.relink();
    let refused = net.nodes[1].node.leave(net.now, false).unwrap_err();
    assert!(refused.to_string().contains("has not reached another member"), "{refused}");
    net.pass(5.0);
    assert!(net.nodes[0].node.study("s").is_ok());
    net.nodes[1].node.leave(net.now, false).unwrap();
}

#[test]
fn a_digest_that_says_more_than_its_document_is_found_out_and_made_good() {
    let mut net = Net::new(2, 2);
    net.study(0, json!({"run": run(), "budget": {"max_trials": 9}}));
    net.pass(3.0);
    let ends = net.nodes[0].launched.remove(0);
    net.nodes[0].node.attempt(net.now, &ends.key, AttemptEvent::Exited(good(0.5)));
    net.settle();
    let of = |doc: &DocId| matches!(doc, DocId::Trials { node, .. } if *node == id(0));
    let doc = net.nodes[0].disk.docs().into_keys().find(of).unwrap();
    let changes = net.nodes[0].disk.docs()[&doc].changes.clone();
    let read = |changes: &[RawChange]| Doc::load(doc.clone(), &Actor::new(&id(5), 1), None, changes).unwrap();
    let (part, whole) = (read(&changes[..changes.len() - 1]), read(&changes));
    assert!(changes.len() > 1);
    let mut fresh = Net::new(2, 0);
    // It has the study; of the trials it gets a part under the digest of the whole.
    let study = net.nodes[0].disk.docs().into_iter().find(|(doc, _)| matches!(doc, DocId::Study(_))).unwrap();
    let study = study.1.changes.into_iter().map(|change| (study.0.clone(), change)).collect();
    let (bearer, last) = (id(0), changes[changes.len() - 1].clone());
    let now = fresh.now;
    fresh.nodes[1].node.frame(now, &bearer, Frame::Changes(study));
    let lie = Frame::Whole(doc.clone(), part.save().into(), whole.digest().into());
    fresh.nodes[1].node.frame(now, &bearer, lie);
    let said = fresh.nodes[1].node.drain();
    assert!(said.wholes.iter().any(|(id, _)| *id == doc));
    // It wakes when something new is said of it.
    fresh.nodes[1].node.frame(now, &bearer, Frame::Changes(vec![(doc.clone(), last.clone())]));
    let said = fresh.nodes[1].node.drain();
    assert!(said.troubles.is_empty(), "what it is said to have it doesn't ask for: {:?}", said.troubles);
    let running = net.nodes[0].launched[0].key.trial.clone();
    fresh.nodes[1].node.trial_action(now, running.as_str(), TrialAction::Cancel).unwrap();
    let said = fresh.nodes[1].node.drain();
    assert!(said.troubles.iter().any(|trouble| trouble.contains("fetched again")), "{:?}", said.troubles);
    fresh.nodes[1].node.frame(now, &bearer, Frame::Changes(vec![(doc.clone(), last.clone())]));
    assert!(fresh.nodes[1].node.drain().changes.iter().any(|(_, change)| *change == last), "now it is taken");
}

#[test]
fn of_two_configurations_under_one_name_all_see_the_same_however_they_came() {
    let mut net = Net::new(2, 0);
    net.study(0, json!({}));
    let study = net.nodes[0].node.study("s").unwrap().id.clone();
    let place = Place { id: TrialId::mint(&id(7), 1), node: id(7), seq: 0 };
    // One machine, put back from a copy of its disk, gives one number twice.
    let twins: Vec<(DocId, RawChange)> = [(1, 0.25), (2, 0.75)]
        .map(|(run, x)| {
            let spec = TrialSpec {
                node_name: "gpu7".into(),
                counter: 1,
                at: metaopt_schema::Stamp { ms: 1_790_000_000_000 + run, n: 0, node: id(7) },
                params: [("x".to_owned(), json!(x))].into_iter().collect(),
                by: Proposer::Enqueued,
                user_attrs: Default::default(),
                imported_as: None,
            };
            let fact = Fact::Trial(study.clone(), place.clone(), TrialFact::Proposed(spec));
            let mut doc = Doc::new(fact.doc(), &Actor::new(&id(7), run));
            (fact.doc(), doc.write(&[fact]).unwrap().unwrap())
        })
        .into();
    let shown = |net: &Net, at: usize| net.nodes[at].node.trial(place.id.as_str()).unwrap().1.spec.params.params();
    net.cut = vec![(0, 1)];
    net.pass(0.5);
    for (at, order) in [(0, [0, 1]), (1, [1, 0])] {
        for i in order {
            let (now, bearer) = (net.now, id(1 - at));
            net.nodes[at].node.frame(now, &bearer, Frame::Changes(vec![twins[i].clone()]));
            net.settle();
        }
    }
    assert_eq!(shown(&net, 0), shown(&net, 1));
    assert_eq!(net.nodes[0].node.study("s").unwrap().trials().len(), 1);
}

#[test]
fn a_removed_node_says_so_and_takes_nothing_on() {
    let mut net = Net::new(2, 1);
    net.nodes[0].node.node_action(net.now, "gpu0", NodeAction::Drain).unwrap();
    net.nodes[0].node.node_action(net.now, "gpu1", NodeAction::Drain).unwrap();
    net.study(0, json!({"run": run()}));
    net.study(0, json!({"name": "asked"}));
    net.nodes[0].node.node_action(net.now, "gpu1", NodeAction::Remove).unwrap();
    net.pass(1.0);
    let (now, node) = (net.now, &mut net.nodes[1].node);
    for name in ["s", "asked"] {
        let why = node.why_idle(node.study(name).unwrap(), now).unwrap_or_default();
        assert!(why.contains("was removed") && why.contains("`metaopt leave`"), "{name}: {why}");
    }
    assert!(node.unable(node.study("s").unwrap()).is_some_and(|why| why.contains("was removed")));
    let request = SuggestRequest { count: 1, client_id: None, lease_s: 60.0 };
    let refused = [
        node.create_study(now, def(json!({"name": "new"})), false).unwrap_err(),
        node.fork_study(now, "s", "fork".into(), None).map(|_| ()).unwrap_err(),
        node.import(now, "asked", Vec::new()).unwrap_err(),
        node.suggest(now, "asked", request).unwrap_err(),
        node.node_action(now, "gpu1", NodeAction::Resume).unwrap_err(),
        node.node_action(now, "gpu0", NodeAction::Remove).unwrap_err(),
        node.admit(now, &id(7), "00".into()).unwrap_err(),
    ];
    assert!(refused.iter().all(|refusal| refusal.detail.contains("`metaopt leave`")), "{refused:?}");
    assert_eq!(node.studies().count(), 2);
    node.leave(now, false).unwrap();
}

#[test]
fn what_keeps_a_node_from_work_is_told_where_it_is_asked() {
    let mut net = Net::new(2, 1);
    net.study(0, json!({"run": run()}));
    let unable = |net: &Net| net.nodes[1].node.unable(net.nodes[1].node.study("s").unwrap());
    assert_eq!(unable(&net), None);
    net.nodes[0].node.node_action(net.now, "gpu1", NodeAction::Drain).unwrap();
    net.pass(1.0);
    assert!(unable(&net).is_some_and(|why| why.contains("draining")));
}

#[test]
fn a_notice_stands_at_the_node_that_it_is_about_and_goes_when_that_is_over() {
    let mut net = Net::new(4, 1);
    let tell = |net: &mut Net, about, text: &str| net.nodes[0].node.notice_about(net.now, about, text.into());
    for text in ["it came in", "it came in again"] {
        tell(&mut net, About::Newcomer(id(3)), text);
    }
    net.cut.push((0, 2));
    net.pass(1.0);
    for text in ["two of it", "two of it, here and there"] {
        tell(&mut net, About::Twins(id(2)), text);
    }
    net.pass(2.0);
    assert_eq!(shown(&net, 0, 3).1, "it came in again");
    assert_eq!(shown(&net, 1, 0).1, "it came in again", "others see it at who let it in");
    assert!(shown(&net, 0, 2).1.starts_with("two of it, here and there; "), "{}", shown(&net, 0, 2).1);
    for (at, of) in [(0, 0), (0, 1), (1, 2), (1, 1), (2, 0)] {
        assert!(!shown(&net, at, of).1.contains("two of it"), "{of} as {at} sees it");
    }
    net.cut.clear();
    net.pass(30.0);
    assert!(shown(&net, 0, 2).1.contains("two of it"), "the other may still come");
    net.pass(31.0);
    assert_eq!(shown(&net, 0, 2).1, "");
    net.nodes[1].node.node_action(net.now, "gpu3", NodeAction::Remove).unwrap();
    net.pass(2.0);
    assert_eq!(shown(&net, 1, 0).1, "", "it is gone");

    tell(&mut net, About::Newcomer(id(1)), "it came in");
    assert_eq!(shown(&net, 0, 1).1, "it came in");
    net.now.mono_ms += 24 * 3_600_000;
    net.pass(2.0);
    assert_eq!(shown(&net, 0, 1).1, "", "a day is enough");
}

#[test]
fn a_member_that_nobody_hears_does_not_look_alive_to_a_newcomer() {
    let mut net = Net::new(3, 1);
    net.nodes[2].asleep = true;
    net.pass(2.0);
    net.nodes[1] = {
        let (now, disk) = (net.now, Disk::default());
        let hardware = Hardware { name: "gpu1".into(), version: "test".into(), ..Hardware::default() };
        let config = NodeConfig { id: id(1), hardware, entropy: [99; 32], ..common::config(99) };
        let mut node = Node::load(config, now, Vec::new(), Arc::new(disk.clone()), None).unwrap();
        [0, 2].iter().for_each(|other| node.admit(now, &id(*other), "00".into()).unwrap());
        Box1 { id: id(1), node, disk, launched: vec![], stopped: vec![], linked: BTreeMap::new(), asleep: false }
    };
    net.nodes[0].node.peer_down(net.now, &id(1));
    net.nodes[0].linked.clear();
    net.pass(6.0);
    assert_eq!(shown(&net, 1, 0).0, "alive");
    assert_eq!(shown(&net, 1, 2).0, "suspect");
    // Who is heard through another is.
    net.cut.push((1, 2));
    net.nodes[2].asleep = false;
    net.pass(4.0);
    assert_eq!(shown(&net, 1, 2).0, "alive");
}
