//! Laws 1, 3 and 5: however changes are shuffled, repeated, grouped or held back, the replicas end with the same facts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;

use common::{actor, all, bag, claim, end, node, proposed, study};
use metaopt_schema::{
    DocId, NodeId,
    docs::{Doc, RawChange},
    facts::{ClusterFact, Fact, Hardware, StudyFact, TrialFact},
    study::StudyEdit,
    trial::Place,
};
use proptest::{collection::vec, prelude::*, sample::Index};

const REPLICAS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A replica writes up to three facts as one change.
    Write { replica: usize, what: u8, pick: Index, count: usize },
    /// A replica gets some of all changes so far, in some order, some of them twice.
    Deliver { to: usize, picks: Vec<Index> },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = (0..REPLICAS, any::<u8>(), any::<Index>(), 1..4_usize)
        .prop_map(|(replica, what, pick, count)| Step::Write { replica, what, pick, count });
    let deliver = (0..REPLICAS, vec(any::<Index>(), 1..12)).prop_map(|(to, picks)| Step::Deliver { to, picks });
    vec(prop_oneof![2 => write, 1 => deliver], 1..60)
}

fn nodes() -> [NodeId; REPLICAS] {
    [node(), NodeId::new("node-two"), NodeId::new("node/three")]
}

struct World {
    docs: Vec<Doc>,
    /// Facts that each replica was told of, by writing or applying.
    told: Vec<Vec<Fact>>,
    /// Changes that each replica would have stored.
    stored: Vec<Vec<RawChange>>,
    changes: Vec<RawChange>,
    written: Vec<Fact>,
    lamport: u64,
}

impl World {
    fn new(id: &DocId) -> Self {
        let docs = nodes().iter().map(|node| Doc::new(id.clone(), &actor(node))).collect();
        let empty = || vec![Vec::new(); REPLICAS];
        Self {
            docs,
            told: empty(),
            stored: vec![Vec::new(); REPLICAS],
            changes: Vec::new(),
            written: Vec::new(),
            lamport: 0,
        }
    }

    /// A fact that `replica` may write now.
    fn fact(&mut self, replica: usize, what: u8, pick: Index) -> Option<Fact> {
        self.lamport += 1;
        let (lamport, by) = (self.lamport, nodes()[replica].clone());
        match self.docs[replica].id() {
            DocId::Cluster => {
                let hardware = Hardware { name: format!("n{what}"), ..Hardware::default() };
                Some(Fact::Cluster(ClusterFact::Hardware { node: by, lamport, hardware }))
            }
            DocId::Study(_) => {
                Some(Fact::Study(study(), StudyFact::Edited { lamport, by, edit: StudyEdit::Note(what.to_string()) }))
            }
            DocId::Trials { .. } => {
                let known: Vec<&Place> = self.told[replica]
                    .iter()
                    .filter_map(|fact| match fact {
                        Fact::Trial(_, place, TrialFact::Proposed(_)) => Some(place),
                        _ => None,
                    })
                    .collect();
                if replica == 0 && (what.is_multiple_of(3) || known.is_empty()) {
                    // Far enough apart to open new buckets.
                    return Some(proposed(known.len() as u64 * 20));
                }
                if known.is_empty() {
                    return None;
                }
                let place = known[pick.index(known.len())].clone();
                let attempt = lamport as u32;
                let fact = if what.is_multiple_of(2) {
                    TrialFact::Claimed { attempt, node: by, claim: claim(&lamport.to_string()) }
                } else {
                    TrialFact::Ended { attempt, node: by, end: end(f64::from(what)) }
                };
                Some(Fact::Trial(study(), place, fact))
            }
            DocId::Metrics { .. } => None,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write { replica, what, pick, count } => {
                let mut facts = Vec::new();
                for n in 0..*count {
                    if let Some(fact) = self.fact(*replica, what.wrapping_add(n as u8), *pick)
                        && !facts.contains(&fact)
                    {
                        facts.push(fact);
                    }
                }
                if let Some(change) = self.docs[*replica].write(&facts).unwrap() {
                    self.stored[*replica].push(change.clone());
                    self.changes.push(change);
                    self.told[*replica].extend(facts.clone());
                    self.written.extend(facts);
                }
            }
            Step::Deliver { to, picks } => {
                if !self.changes.is_empty() {
                    let batch = picks.iter().map(|pick| self.changes[pick.index(self.changes.len())].clone());
                    self.deliver(*to, &batch.collect::<Vec<_>>());
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, batch: &[RawChange]) {
        let applied = self.docs[to].apply(batch);
        assert_eq!((applied.problems, applied.unknown, applied.refold), (vec![], 0, false));
        self.told[to].extend(applied.facts);
        self.stored[to].extend(applied.accepted);
    }
}

fn check(id: &DocId, steps: &[Step], order: &[Index]) {
    let mut world = World::new(id);
    for step in steps {
        world.step(step);
    }
    // In mid-partition: what a replica was told of is what it holds, and what it stored brings it back.
    for (n, doc) in world.docs.iter().enumerate() {
        assert_eq!(all(doc), bag(world.told[n].clone()));
        let stored: Vec<RawChange> = world.stored[n].iter().rev().cloned().collect();
        let back = Doc::load(id.clone(), &actor(&nodes()[n]), None, &stored).unwrap();
        assert_eq!((back.heads(), back.vector(), all(&back)), (doc.heads(), doc.vector(), all(doc)));
    }
    // Law 5: vectors alone say what is missing.
    for (a, b) in [(0, 1), (1, 2), (2, 0)] {
        let missing = world.docs[a].changes_after(&world.docs[b].vector());
        assert_eq!(missing.is_empty(), !world.docs[a].is_ahead_of(&world.docs[b].vector()));
        let mut copy = world.docs[b].clone();
        for change in missing {
            assert!(
                world.docs[b].vector().get(&change.actor).is_none_or(|count| *count < change.seq),
                "it was missing"
            );
            copy.apply(std::slice::from_ref(&change));
            assert!(copy.vector()[&change.actor] >= change.seq, "it comes after all that it depends on");
        }
        assert!(!world.docs[a].is_ahead_of(&copy.vector()));
    }
    // The heal: everything to everyone, each in another order and grouping.
    for to in 0..REPLICAS {
        let mut rest: Vec<RawChange> = world.changes.clone();
        rest.extend(world.changes.iter().take(5).cloned());
        for (n, pick) in order.iter().enumerate() {
            if !rest.is_empty() {
                let (from, with) = ((n + to) % rest.len(), pick.index(rest.len()));
                rest.swap(from, with);
            }
        }
        for batch in rest.chunks(to * 3 + 1) {
            world.deliver(to, batch);
        }
    }
    let facts = bag(world.written.clone());
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for change in &world.changes {
        *counts.entry(change.actor.clone()).or_default() += 1;
    }
    for (n, doc) in world.docs.iter().enumerate() {
        assert_eq!(doc.heads(), world.docs[0].heads());
        assert_eq!(doc.vector(), counts);
        assert_eq!(all(doc), facts);
        assert_eq!(bag(world.told[n].clone()), facts, "each fact told once");
        assert_eq!(doc.layout(), u64::from(!world.changes.is_empty()));
        let back = Doc::load(id.clone(), &actor(&node()), Some(&doc.save()), &[]).unwrap();
        assert_eq!((back.heads(), all(&back)), (doc.heads(), facts.clone()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cluster_documents_agree_after_any_delivery(steps in steps(), order in vec(any::<Index>(), 40)) {
        check(&DocId::Cluster, &steps, &order);
    }

    #[test]
    fn study_documents_agree_after_any_delivery(steps in steps(), order in vec(any::<Index>(), 40)) {
        check(&DocId::Study(study()), &steps, &order);
    }

    #[test]
    fn trial_segments_agree_after_any_delivery(steps in steps(), order in vec(any::<Index>(), 40)) {
        check(&DocId::Trials { study: study(), node: node(), segment: 0 }, &steps, &order);
    }
}
