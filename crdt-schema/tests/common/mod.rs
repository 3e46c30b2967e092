//! Facts for tests: fixed samples of every kind, and strategies that generate any.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod arbitrary;

use automerge::{Change, ExpandedChange};
use metaopt_schema::{
    ClaimId, DocId, NodeId, Stamp, StudyId, TrialId,
    docs::{Actor, Doc, RawChange, digest::read as read_digest},
    facts::{ClusterFact, Fact, Hardware, MetricChunk, NodeEdit, NodeRecord, SlotKind, SlotSpec, StudyFact, TrialFact},
    seen::{Ledger, Packed, Run, Sight},
    space::{Domain, Param, Prior, Space},
    study::{
        Budget, Constraint, Direction, EarlyStopping, Objective, RunSpec, SamplerSpec, StudyDef, StudyEdit,
        StudyRecord, StudyState, Workdir,
    },
    trial::{Claim, End, Outcome, Place, Point, Proposer, Reason, TrialEdit, TrialSpec},
};
use serde_json::{Value, json};

/// The node in whose segments the samples stand.
pub fn node() -> NodeId {
    NodeId::new("aaaabbbbccccdddd")
}

pub fn other() -> NodeId {
    NodeId::new("eeeeffffgggghhhh")
}

pub fn study() -> StudyId {
    StudyId::new("s-1")
}

pub fn stamp(n: u64) -> Stamp {
    Stamp { ms: 1_800_000_000_000 + n, n: 0, node: node() }
}

pub fn place(seq: u64) -> Place {
    Place { id: TrialId::mint(&node(), seq + 100), node: node(), seq }
}

pub fn on(seq: u64, fact: TrialFact) -> Fact {
    Fact::Trial(study(), place(seq), fact)
}

pub fn proposed(seq: u64) -> Fact {
    on(
        seq,
        TrialFact::Proposed(TrialSpec {
            node_name: "gpu1".into(),
            counter: seq + 100,
            at: stamp(seq),
            params: [("lr".to_owned(), json!(0.01)), ("opt".to_owned(), Value::Null)].into_iter().collect(),
            by: Proposer::Sampler {
                name: "tpe".into(),
                seed: u64::MAX,
                slot: 3,
                draw: seq,
                saw: 17,
                seen: Default::default(),
                fit: Default::default(),
            },
            user_attrs: Default::default(),
            imported_as: None,
        }),
    )
}

pub fn claim(id: &str) -> Claim {
    Claim {
        id: ClaimId::new(id),
        at: stamp(1),
        client_id: None,
        lease_s: Some(3600.0),
        slots: vec!["GPU-1".into(), "cpu-0".into()],
        resume_step: 5,
        rank: 0,
        asked: true,
        until: 0,
    }
}

pub fn claimed(seq: u64, node: &NodeId, id: &str) -> Fact {
    on(seq, TrialFact::Claimed { attempt: 1, node: node.clone(), claim: claim(id) })
}

pub fn end(loss: f64) -> End {
    End {
        outcome: Outcome::Complete,
        reason: Reason::Exit,
        detail: Some("fine".into()),
        exit_code: Some(-9),
        values: [("loss".to_owned(), loss), ("acc".to_owned(), 0.1 + 0.2)].into_iter().collect(),
        at: stamp(9),
        last_step: 12,
        checkpoint_step: 10,
        checkpoint: None,
    }
}

pub fn noted(lamport: u64, text: &str) -> Fact {
    Fact::Study(study(), StudyFact::Edited { lamport, by: node(), edit: StudyEdit::Note(text.into()) })
}

pub fn definition() -> StudyDef {
    let param = |name: &str, domain, default, when| Param { name: name.to_owned(), domain, default, when };
    StudyDef {
        name: "mnist".into(),
        space: Space {
            params: vec![
                param(
                    "lr",
                    Domain::Float { low: 1e-5, high: 1.0, log: true, step: None, prior: None },
                    Some(json!(1e-3)),
                    None,
                ),
                param(
                    "decay",
                    Domain::Float {
                        low: 0.0,
                        high: 1.0,
                        log: false,
                        step: Some(0.05),
                        prior: Some(Prior::Normal(0.1, 0.05)),
                    },
                    None,
                    None,
                ),
                param("layers", Domain::Int { low: -1, high: 12, log: false, step: Some(2), prior: None }, None, None),
                param(
                    "opt",
                    Domain::Categorical { choices: vec![json!("sgd"), json!(1.5), json!(true), Value::Null] },
                    Some(Value::Null),
                    None,
                ),
                param("size", Domain::Ordinal { choices: vec![json!("s"), json!("m")] }, None, None),
                param(
                    "amp",
                    Domain::Bool {},
                    None,
                    Some([("opt".to_owned(), vec![json!("sgd"), Value::Null])].into_iter().collect()),
                ),
                param("epochs", Domain::Fidelity { low: 1, high: 81, base: 3 }, None, None),
            ],
        },
        objectives: vec![Objective { metric: "loss".into(), direction: Direction::Minimize }],
        constraints: vec![Constraint { metric: "latency_ms".into(), at_most: Some(20.0), at_least: None }],
        sampler: SamplerSpec {
            name: "tpe".into(),
            seed: Some(7),
            options: [("gamma".to_owned(), json!(0.15))].into_iter().collect(),
        },
        early_stopping: EarlyStopping {
            rule: "asha".into(),
            options: [("max_steps".to_owned(), json!(50))].into_iter().collect(),
        },
        budget: Budget { max_trials: Some(100), max_parallel: None, timeout_s: Some(0.5), strict: true, priority: -1 },
        run: Some(RunSpec {
            command: vec!["python".into(), "train.py".into(), "{lr}".into()],
            workdir: Workdir::InPlace,
            path: Some("/home/ann/sweep".into()),
            gpus: Some(0.5),
            max_attempts: 3,
            ..RunSpec::default()
        }),
        note: "first try".into(),
        user_attrs: [("owner".to_owned(), json!({"team": ["a", 1]}))].into_iter().collect(),
    }
}

/// Every kind of fact, by the document in which it stands; the golden files hold exactly these.
pub fn samples() -> Vec<(DocId, Vec<Fact>)> {
    let cluster = [
        ClusterFact::Joined(NodeRecord { node: node(), public_key: "00ff".into(), at: stamp(0) }),
        ClusterFact::Hardware {
            node: node(),
            lamport: 4,
            hardware: Hardware {
                name: "gpu1".into(),
                version: "0.1.0".into(),
                addresses: vec!["192.0.2.1:7879".into()],
                labels: [("cuda".to_owned(), "12".to_owned())].into_iter().collect(),
                slots: vec![
                    SlotSpec { id: "GPU-1".into(), kind: SlotKind::Gpu },
                    SlotSpec { id: "cpu-0".into(), kind: SlotKind::Cpu },
                ],
            },
        },
        ClusterFact::Listed { study: study(), node: node(), at: stamp(2) },
        ClusterFact::NodeEdit { node: other(), lamport: 5, by: node(), edit: NodeEdit::Drain },
        ClusterFact::NodeEdit { node: other(), lamport: 6, by: node(), edit: NodeEdit::Removed },
    ];
    let record =
        StudyRecord { id: study(), node: node(), at: stamp(3), def: definition(), forked_from: Some("s-0".into()) };
    let edits = [
        StudyEdit::State(StudyState::Paused),
        StudyEdit::Budget(Budget { max_trials: Some(200), ..Budget::default() }),
        StudyEdit::Name("mnist-2".into()),
        StudyEdit::Note("a note".into()),
        StudyEdit::UserAttr("owner".into(), Value::Null),
        StudyEdit::Space(definition().space),
        StudyEdit::Deleted,
    ];
    let edits = edits.into_iter().zip(10..).map(|(edit, lamport)| StudyFact::Edited { lamport, by: node(), edit });
    let mut trials = Vec::new();
    for seq in [0, 1, 63, 64, 1023] {
        trials.push(proposed(seq));
        trials.push(claimed(seq, &other(), "c1"));
        trials.push(on(seq, TrialFact::Ended { attempt: 1, node: other(), end: end(0.39) }));
    }
    trials.push(on(0, TrialFact::Told { attempt: 1, node: other(), end: end(-0.0) }));
    let trial_edits = [
        TrialEdit::Cancel,
        TrialEdit::Pause { after: 1 },
        TrialEdit::Resume { after: 1 },
        TrialEdit::Retry { after: 2 },
        TrialEdit::Note("odd".into()),
        TrialEdit::UserAttr("seen".into(), json!([1, 2.5, "x"])),
    ];
    for (edit, lamport) in trial_edits.into_iter().zip(20..) {
        trials.push(on(1, TrialFact::Edited { lamport, by: node(), edit }));
    }
    let chunk = |chunk, attempt| {
        let point = |step, loss| Point {
            step,
            values: [("loss".to_owned(), loss)].into_iter().collect(),
            at: 1_800_000_000_123,
        };
        Fact::Metric(
            study(),
            MetricChunk {
                node: node(),
                segment: 0,
                trial: TrialId::mint(&other(), 7),
                attempt,
                chunk,
                points: vec![point(1, Some(0.9)), point(2, None)],
            },
        )
    };
    let docs = [
        cluster.into_iter().map(Fact::Cluster).collect(),
        std::iter::once(StudyFact::Defined(record)).chain(edits).map(|fact| Fact::Study(study(), fact)).collect(),
        trials,
        vec![chunk(0, 1), chunk(1, 1), chunk(0, 2)],
    ];
    docs.into_iter().map(|facts: Vec<Fact>| (facts[0].doc(), facts)).collect()
}

/// Fields that came after the first files of their kind: those are read without them, and these with.
pub fn later_samples() -> Vec<(&'static str, DocId, Vec<Fact>)> {
    let drawn = |seq: u64, seen: Packed, fit: Vec<f32>| {
        let Fact::Trial(study, place, TrialFact::Proposed(spec)) = proposed(seq) else { panic!("a proposal") };
        let fit = fit.into();
        let by = Proposer::Sampler { name: "gp".into(), seed: 7, slot: 0, draw: seq, saw: seq + 3, seen, fit };
        Fact::Trial(study, place, TrialFact::Proposed(TrialSpec { by, ..spec }))
    };
    let mut ledger = Ledger::default();
    let (first, second) = sights();
    let news =
        |count| [(Run { home: other(), segment: 1, writer: other(), boot: u64::MAX }, count)].into_iter().collect();
    let base = ledger.note(Some("0.1.0"), &news(300), &first);
    let next = ledger.note(None, &news(301), &second);
    let facts =
        vec![drawn(0, base, vec![]), drawn(1, next, vec![0.25, -0.0, 1e-30]), drawn(2, Packed::default(), vec![])];
    vec![("trials-v1-seen", facts[0].doc(), facts)]
}

/// What the draws of [`later_samples`] saw beside the trials.
pub fn sights() -> (Sight, Sight) {
    let first = Sight { members: vec![(node(), 2.0), (other(), 0.1)], max_trials: Some(100), space: vec![] };
    (first.clone(), Sight { max_trials: None, space: vec![(15, node())], ..first })
}

/// The actor of `node`'s first run.
pub fn actor(node: &NodeId) -> Actor {
    Actor::new(node, 1)
}

/// `raw` with other contents and the right checksum.
pub fn forged(raw: &RawChange, edit: impl FnOnce(&mut ExpandedChange)) -> RawChange {
    let mut expanded = Change::try_from(&*raw.bytes).unwrap().decode();
    edit(&mut expanded);
    RawChange { bytes: Change::from(expanded).raw_bytes().into(), ..raw.clone() }
}

/// Facts as a sorted list of texts: to compare without an order, yet notice a fact told twice.
pub fn bag(facts: impl IntoIterator<Item = Fact>) -> Vec<String> {
    let mut bag: Vec<String> = facts.into_iter().map(|fact| format!("{fact:?}")).collect();
    bag.sort();
    bag
}

/// All facts of a document that should have nothing else.
pub fn all(doc: &Doc) -> Vec<String> {
    let facts = doc.facts();
    assert_eq!(facts.problems, []);
    assert_eq!(facts.unknown, 0);
    let (digest, vector) = read_digest(doc.id(), &doc.digest()).expect("a digest that was just made");
    assert_eq!((digest.facts, digest.unknown), (facts.facts.clone(), 0), "the digest says what the document says");
    assert_eq!(vector, doc.vector());
    bag(facts.facts)
}
