//! The law of the view: any order and any duplicates of the same facts give the same view.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use metaopt_schema::{
    ClaimId, NodeId, Stamp, StudyId, TrialId,
    facts::{ClusterFact, Fact, Hardware, MetricChunk, NodeEdit, NodeRecord, StudyFact, TrialFact},
    study::{StudyEdit, StudyRecord, StudyState, validate::parse_study},
    trial::{Claim, End, Outcome, Place, Point, Proposer, Reason, TrialEdit, TrialSpec, TrialState, Values},
    view::{TrialView, World},
};
use proptest::prelude::*;
use serde_json::json;

fn node(n: u8) -> NodeId {
    NodeId::new(format!("node{n}"))
}

fn stamp(ms: u64, n: u8) -> Stamp {
    Stamp { ms, n: 0, node: node(n) }
}

fn study_id() -> StudyId {
    StudyId::new("s1")
}

fn defined() -> Fact {
    let def = parse_study(&json!({
        "name": "mnist", "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}], "run": {"command": ["true"], "retry_failed": true},
    }))
    .unwrap();
    let record = StudyRecord { id: study_id(), node: node(0), at: stamp(1, 0), def, forked_from: None };
    Fact::Study(study_id(), StudyFact::Defined(record))
}

fn place(n: u8) -> Place {
    Place { id: TrialId::mint(&node(n % 2), u64::from(n)), node: node(n % 2), seq: u64::from(n) }
}

fn proposed(n: u8) -> Fact {
    let spec = TrialSpec {
        node_name: format!("box{}", n % 2),
        counter: u64::from(n),
        at: stamp(100 - u64::from(n), n % 2),
        params: [("x".to_owned(), json!(0.5))].into_iter().collect(),
        by: Proposer::Enqueued,
        user_attrs: Default::default(),
        imported_as: None,
    };
    Fact::Trial(study_id(), place(n), TrialFact::Proposed(spec))
}

/// Facts about attempts and edits; the same arguments give the same fact, as create-only keys demand.
fn about(trial: u8, kind: u8, attempt: u32, holder: u8) -> Fact {
    let node = node(holder);
    let at = stamp(1000 + u64::from(attempt) * 10 + u64::from(kind), holder);
    let mix = u32::from(trial) + attempt + u32::from(holder);
    let outcomes = [
        (Outcome::Complete, Reason::Exit),
        (Outcome::Fail, Reason::LostNode),
        (Outcome::Fail, Reason::Exit),
        (Outcome::Pruned, Reason::Pruned),
        (Outcome::Paused, Reason::Paused),
        (Outcome::Fail, Reason::Superseded),
    ];
    let (outcome, reason) = outcomes[(mix % 6) as usize];
    let values: Values = [("loss".to_owned(), f64::from(mix))].into_iter().collect();
    let end = End {
        outcome,
        reason,
        detail: None,
        exit_code: None,
        values,
        at: at.clone(),
        last_step: 0,
        checkpoint_step: 0,
        checkpoint: None,
    };
    let lamport = u64::from(attempt);
    let body = match kind {
        0 => TrialFact::Claimed {
            attempt,
            node,
            claim: Claim {
                id: ClaimId::new(format!("c{attempt}{holder}")),
                at,
                client_id: None,
                lease_s: None,
                slots: Vec::new(),
                resume_step: 0,
                rank: 0,
                asked: holder == 1,
                until: 0,
            },
        },
        1 => TrialFact::Ended { attempt, node, end },
        2 => TrialFact::Told { attempt, node, end: End { outcome: Outcome::Complete, reason: Reason::Exit, ..end } },
        3 => TrialFact::Edited { lamport, by: node, edit: TrialEdit::Pause { after: attempt } },
        4 => TrialFact::Edited { lamport: lamport + 1, by: node, edit: TrialEdit::Resume { after: attempt } },
        5 => TrialFact::Edited { lamport, by: node, edit: TrialEdit::UserAttr("k".into(), json!(holder)) },
        6 => TrialFact::Edited { lamport: lamport + 2, by: node, edit: TrialEdit::Retry { after: attempt } },
        7 => TrialFact::Edited { lamport, by: node, edit: TrialEdit::Cancel },
        9 => TrialFact::GivenUp { attempt, node, kept: holder.into(), by: at.node, end },
        10 => TrialFact::Kept { attempt, node, kept: u32::from(holder) + 1, at },
        _ => {
            let points = vec![Point {
                step: u64::from(attempt),
                values: [("loss".to_owned(), Some(0.5))].into_iter().collect(),
                at: 7,
            }];
            let chunk =
                MetricChunk { node, segment: 0, trial: place(trial).id, attempt, chunk: u64::from(attempt), points };
            return Fact::Metric(study_id(), chunk);
        }
    };
    Fact::Trial(study_id(), place(trial), body)
}

fn study_edit(kind: u8, lamport: u64, by: u8) -> Fact {
    let edit = match kind {
        0 => StudyEdit::State(StudyState::Paused),
        1 => StudyEdit::State(StudyState::Running),
        2 => StudyEdit::State(StudyState::Cancelled),
        3 => StudyEdit::Note(format!("{by}")),
        _ => StudyEdit::UserAttr("a".into(), json!(by)),
    };
    Fact::Study(study_id(), StudyFact::Edited { lamport, by: node(by), edit })
}

/// What a key says is told by the key: of one key there is one fact.
fn cluster(kind: u8, about: u8, lamport: u64, by: u8) -> Fact {
    let (node, by) = (node(about), node(by));
    Fact::Cluster(match kind {
        0 => {
            let at = Stamp { ms: 100 - u64::from(by == node) * 50, n: 0, node: by };
            ClusterFact::Joined(NodeRecord { node, public_key: "ab".into(), at })
        }
        1 => {
            let hardware = Hardware { name: format!("gpu{lamport}"), ..Hardware::default() };
            ClusterFact::Hardware { node, lamport, hardware }
        }
        _ => {
            let edits = [NodeEdit::Drain, NodeEdit::Resume, NodeEdit::Lost, NodeEdit::Quarantine, NodeEdit::Removed];
            let edit = edits[(lamport as usize + by.as_str().len() + usize::from(about)) % 5];
            ClusterFact::NodeEdit { node, lamport, by, edit }
        }
    })
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let about = (0..3u8, 0..11u8, 1..4u32, 0..2u8).prop_map(|(t, k, a, h)| about(t, k, a, h));
    let edits = (0..5u8, 1..5u64, 0..2u8).prop_map(|(k, l, b)| study_edit(k, l, b));
    let members = (0..3u8, 0..3u8, 1..5u64, 0..3u8).prop_map(|(k, n, l, b)| cluster(k, n, l, b));
    let all =
        (prop::collection::vec(about, 0..30), prop::collection::vec(edits, 0..6), prop::collection::vec(members, 0..8));
    all.prop_map(|(about, edits, members)| {
        let mut all = vec![defined(), proposed(0), proposed(1), proposed(2)];
        all.extend(about);
        all.extend(edits);
        all.extend(members);
        all
    })
}

/// Everything people could see, as text.
fn shown(world: &World) -> String {
    let study = world.study(&study_id()).unwrap();
    let counts: Vec<u64> = TrialState::ALL.iter().map(|s| study.count(*s)).collect();
    let mut recount = vec![0; 8];
    study.trials().iter().for_each(|t| recount[t.state as usize] += 1);
    assert_eq!(counts, recount, "counts are those of the trials");
    assert_eq!(study.next_waiting(), study.trials().iter().find(|t| t.state == TrialState::Waiting));
    let cost = |t: &TrialView| study.costs(t).map(|costs| costs[0]).filter(|_| t.state == TrialState::Complete);
    let least =
        study.trials().iter().filter(|t| cost(t).is_some()).reduce(|a, b| if cost(b) < cost(a) { b } else { a });
    assert_eq!(study.best(), least, "the best is the earliest of the cheapest");
    for (number, trial) in study.trials().iter().enumerate() {
        assert_eq!(study.number(trial), number as u64);
    }
    let of_study = format!("{:?} {:?} {:?} {:?}", study.name, study.wanted, study.note, study.user_attrs);
    format!("{of_study} {:#?} {:#?}", study.trials(), world.cluster)
}

fn fold<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> World {
    let mut world = World::new();
    for fact in facts {
        world.fold(fact);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_duplicates_give_one_view(
        (facts, shuffled) in facts().prop_flat_map(|f| (Just(f.clone()), Just([f.clone(), f].concat()).prop_shuffle()))
    ) {
        prop_assert_eq!(shown(&fold(&facts)), shown(&fold(&shuffled)));
    }

    #[test]
    fn folding_all_at_once_gives_the_same_view(facts in facts().prop_shuffle()) {
        let mut world = World::new();
        world.fold_all(facts.clone());
        prop_assert_eq!(shown(&fold(&facts)), shown(&world));
    }

    #[test]
    fn points_let_go_and_read_back_change_nothing(
        (facts, cooled) in facts().prop_flat_map(|f| (Just(f.clone()).prop_shuffle(), 0..=f.len()))
    ) {
        let mut world = fold(&facts[..cooled]);
        world.cool(&study_id(), &|_| false);
        let mut known: Vec<&Fact> = facts[..cooled].iter().collect();
        for fact in &facts[cooled..] {
            // Nothing is ever learnt twice of a resting curve: documents tell what is new.
            if !known.contains(&fact) {
                world.fold(fact);
                known.push(fact);
            }
        }
        let whole = fold(&facts);
        let chunks: Vec<&MetricChunk> =
            known.iter().filter_map(|f| if let Fact::Metric(_, chunk) = f { Some(chunk) } else { None }).collect();
        for trial in whole.study(&study_id()).unwrap().trials() {
            let cold = world.trial(&trial.place.id).unwrap().1;
            prop_assert_eq!(cold.values(), trial.values());
            prop_assert_eq!((cold.state, cold.last_step()), (trial.state, trial.last_step()));
            prop_assert_eq!(&cold.warmed(&chunks), trial);
        }
        let ids: Vec<TrialId> = whole.study(&study_id()).unwrap().trials().iter().map(|t| t.place.id.clone()).collect();
        for id in &ids {
            [node(0), node(1)].iter().for_each(|holder| world.warm(id, holder, &chunks));
        }
        prop_assert_eq!(shown(&whole), shown(&world));
    }

    #[test]
    fn at_most_one_attempt_is_counted_and_it_is_the_lowest_complete_one(facts in facts()) {
        let world = fold(&facts);
        for trial in world.study(&study_id()).unwrap().trials() {
            let complete = |i: &usize| trial.attempts[*i].effective_end().is_some_and(|e| e.outcome == Outcome::Complete);
            prop_assert_eq!(trial.counted, (0..trial.attempts.len()).find(complete));
            prop_assert_eq!(trial.counted.is_some(), trial.state == TrialState::Complete);
            prop_assert!(trial.next_attempt() > trial.attempts.iter().map(|a| a.attempt).max().unwrap_or(0));
        }
    }
}

#[test]
fn cancel_beats_pause_beats_resume_whoever_wrote_them() {
    let wanted = |kinds: &[u8]| {
        let mut facts = vec![defined()];
        facts.extend(kinds.iter().enumerate().map(|(by, kind)| study_edit(*kind, 3, by as u8)));
        fold(&facts).study(&study_id()).unwrap().wanted
    };
    for order in [[1, 0], [0, 1]] {
        assert_eq!(wanted(&order), StudyState::Paused);
    }
    for order in [[1, 0, 2], [2, 1, 0], [0, 2, 1]] {
        assert_eq!(wanted(&order), StudyState::Cancelled);
    }
}

#[test]
fn two_studies_of_one_name_live_on_and_the_later_is_shown_with_a_number() {
    let mut world = World::new();
    let Fact::Study(_, StudyFact::Defined(record)) = defined() else { panic!("a definition") };
    for (id, ms) in [("s9", 5), ("s1", 9)] {
        let record = StudyRecord { id: StudyId::new(id), at: stamp(ms, 0), ..record.clone() };
        world.fold(&Fact::Study(StudyId::new(id), StudyFact::Defined(record)));
    }
    assert_eq!(world.study(&StudyId::new("s9")).unwrap().name, "mnist");
    assert_eq!(world.study_named("mnist-2").unwrap().id, StudyId::new("s1"));
}

#[test]
fn a_result_told_before_the_node_was_lost_counts() {
    let mut facts = vec![defined(), proposed(0), about(0, 0, 1, 0), about(0, 2, 1, 0)];
    assert_eq!(fold(&facts).study(&study_id()).unwrap().trials()[0].state, TrialState::Running);
    facts.push(about(0, 1, 1, 0)); // mix = 1: lost_node
    assert_eq!(fold(&facts).study(&study_id()).unwrap().trials()[0].state, TrialState::Complete);
}
