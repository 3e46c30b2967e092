//! Strategies for facts: any ID (slashes, percent signs, other alphabets), any finite number, every variant.
//! Boxed, since nested unions of them by value overflow a test thread's stack.

use indexmap::IndexMap;
use metaopt_schema::{
    ClaimId, NodeId, Stamp, StudyId, TrialId,
    facts::{
        ClusterFact, Fact, Hardware, MetricChunk, NodeEdit, NodeRecord, SEGMENT, SlotKind, SlotSpec, StudyFact,
        TrialFact,
    },
    space::Space,
    study::{Budget, StudyEdit, StudyRecord, StudyState},
    trial::{Claim, End, Outcome, Place, Point, Proposer, Reason, TrialEdit, TrialSpec},
};
use proptest::{collection::vec, option, prelude::*};
use serde_json::Value;

pub fn name() -> BoxedStrategy<String> {
    prop_oneof!["[a-z0-9]{1,16}", "[a-z/%.\\-]{1,6}", "\\PC{1,8}"].boxed()
}

pub fn node_id() -> BoxedStrategy<NodeId> {
    name().prop_map(NodeId::new).boxed()
}

fn finite() -> BoxedStrategy<f64> {
    any::<f64>().prop_filter("finite", |number| number.is_finite()).boxed()
}

fn stamp() -> BoxedStrategy<Stamp> {
    (any::<u64>(), any::<u32>(), node_id()).prop_map(|(ms, n, node)| Stamp { ms, n, node }).boxed()
}

fn map<V: std::fmt::Debug + 'static>(value: impl Strategy<Value = V> + 'static) -> BoxedStrategy<IndexMap<String, V>> {
    vec((name(), value), 0..4).prop_map(|pairs| pairs.into_iter().collect()).boxed()
}

fn json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        finite().prop_map(Value::from),
        "\\PC*".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((name(), inner), 0..3).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
    .boxed()
}

fn cluster() -> BoxedStrategy<ClusterFact> {
    let slots = vec(
        (name(), prop_oneof![Just(SlotKind::Gpu), Just(SlotKind::Cpu)]).prop_map(|(id, kind)| SlotSpec { id, kind }),
        0..3,
    );
    let hardware = (name(), name(), vec(name(), 0..3), map(name()), slots)
        .prop_map(|(name, version, addresses, labels, slots)| Hardware { name, version, addresses, labels, slots });
    let edit = prop_oneof![
        Just(NodeEdit::Drain),
        Just(NodeEdit::Resume),
        Just(NodeEdit::Lost),
        Just(NodeEdit::Quarantine),
        Just(NodeEdit::Removed)
    ];
    prop_oneof![
        (node_id(), "[0-9a-f]{64}", stamp()).prop_map(|(node, public_key, at)| ClusterFact::Joined(NodeRecord {
            node,
            public_key,
            at
        })),
        (node_id(), any::<u64>(), hardware).prop_map(|(node, lamport, hardware)| ClusterFact::Hardware {
            node,
            lamport,
            hardware
        }),
        (name(), node_id(), stamp()).prop_map(|(study, node, at)| ClusterFact::Listed {
            study: StudyId::new(study),
            node,
            at
        }),
        (node_id(), any::<u64>(), node_id(), edit).prop_map(|(node, lamport, by, edit)| ClusterFact::NodeEdit {
            node,
            lamport,
            by,
            edit
        }),
    ]
    .boxed()
}

fn study(id: StudyId) -> BoxedStrategy<StudyFact> {
    let states = prop_oneof![
        Just(StudyState::Running),
        Just(StudyState::Paused),
        Just(StudyState::Complete),
        Just(StudyState::Cancelled),
        Just(StudyState::Archived)
    ];
    let budget =
        (option::of(any::<u64>()), option::of(any::<u64>()), option::of(finite()), any::<bool>(), any::<i64>())
            .prop_map(|(max_trials, max_parallel, timeout_s, strict, priority)| Budget {
                max_trials,
                max_parallel,
                timeout_s,
                strict,
                priority,
            });
    let edit = prop_oneof![
        states.prop_map(StudyEdit::State),
        budget.prop_map(StudyEdit::Budget),
        name().prop_map(StudyEdit::Name),
        "\\PC*".prop_map(StudyEdit::Note),
        (name(), json()).prop_map(|(name, value)| StudyEdit::UserAttr(name, value)),
        Just(StudyEdit::Space(Space::default())),
        Just(StudyEdit::Deleted),
    ];
    prop_oneof![
        (node_id(), stamp(), map(json()), name()).prop_map(move |(node, at, user_attrs, label)| {
            let def = metaopt_schema::study::StudyDef { name: label, user_attrs, ..super::definition() };
            StudyFact::Defined(StudyRecord { id: id.clone(), node, at, def, forked_from: None })
        }),
        (any::<u64>(), node_id(), edit).prop_map(|(lamport, by, edit)| StudyFact::Edited { lamport, by, edit }),
        (node_id(), any::<u32>(), any::<u64>()).prop_map(|(to, nth, trials)| StudyFact::Share {
            from: super::node(),
            to,
            nth,
            trials
        }),
    ]
    .boxed()
}

fn spec(counter: u64) -> BoxedStrategy<TrialSpec> {
    let kept = (vec(any::<u8>(), 0..9), vec(any::<u32>().prop_map(f32::from_bits), 0..3));
    let sampler = (name(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), kept).prop_map(
        |(name, seed, slot, draw, saw, (seen, fit))| Proposer::Sampler {
            name: name.into(),
            seed,
            slot,
            draw,
            saw,
            seen: seen.into(),
            fit: fit.into(),
        },
    );
    let by = prop_oneof![Just(Proposer::Enqueued), Just(Proposer::Imported), sampler];
    (name(), stamp(), map(json()), by, map(json()), option::of(name()))
        .prop_map(move |(node_name, at, params, by, user_attrs, imported_as)| TrialSpec {
            node_name,
            counter,
            at,
            params,
            by,
            user_attrs,
            imported_as,
        })
        .boxed()
}

fn claim() -> BoxedStrategy<Claim> {
    (name(), stamp(), option::of(name()), option::of(finite()), vec(name(), 0..3), any::<u64>(), any::<bool>())
        .prop_map(|(id, at, client_id, lease_s, slots, resume_step, asked)| Claim {
            id: ClaimId::new(id),
            at,
            client_id,
            lease_s,
            slots,
            resume_step,
            rank: resume_step as u32 % 3,
            asked,
            until: resume_step / 2,
        })
        .boxed()
}

fn end() -> BoxedStrategy<End> {
    let outcome =
        prop_oneof![Just(Outcome::Complete), Just(Outcome::Pruned), Just(Outcome::Infeasible), Just(Outcome::Fail)];
    let reason =
        prop_oneof![Just(Reason::Exit), Just(Reason::MissingMetric), Just(Reason::Oom), Just(Reason::Superseded)];
    let steps = (any::<u64>(), any::<u64>());
    (outcome, reason, option::of("\\PC*"), option::of(any::<i32>()), map(finite()), stamp(), steps)
        .prop_map(|(outcome, reason, detail, exit_code, values, at, (last_step, checkpoint_step))| End {
            outcome,
            reason,
            detail,
            exit_code,
            values: values.into_iter().collect(),
            at,
            last_step,
            checkpoint_step,
            checkpoint: (checkpoint_step % 2 == 1).then(|| format!("b3:{checkpoint_step:064x}")),
        })
        .boxed()
}

fn trial(counter: u64, writer: NodeId) -> BoxedStrategy<TrialFact> {
    let edit = prop_oneof![
        Just(TrialEdit::Cancel),
        any::<u32>().prop_map(|after| TrialEdit::Pause { after }),
        any::<u32>().prop_map(|after| TrialEdit::Resume { after }),
        any::<u32>().prop_map(|after| TrialEdit::Retry { after }),
        "\\PC*".prop_map(TrialEdit::Note),
        (name(), json()).prop_map(|(name, value)| TrialEdit::UserAttr(name, value)),
    ];
    prop_oneof![
        spec(counter).prop_map(TrialFact::Proposed),
        (any::<u32>(), node_id(), claim()).prop_map(|(attempt, node, claim)| TrialFact::Claimed {
            attempt,
            node,
            claim
        }),
        (any::<u32>(), node_id(), end()).prop_map(|(attempt, node, end)| TrialFact::Ended { attempt, node, end }),
        (any::<u32>(), node_id(), end()).prop_map(|(attempt, node, end)| TrialFact::Told { attempt, node, end }),
        (any::<u32>(), node_id(), any::<u32>(), node_id(), end())
            .prop_map(|(attempt, node, kept, by, end)| TrialFact::GivenUp { attempt, node, kept, by, end }),
        (any::<u32>(), any::<u32>(), stamp()).prop_map(move |(attempt, kept, at)| TrialFact::Kept {
            attempt,
            node: writer.clone(),
            kept,
            at
        }),
        (any::<u64>(), node_id(), edit).prop_map(|(lamport, by, edit)| TrialFact::Edited { lamport, by, edit }),
    ]
    .boxed()
}

/// Any fact that a document may hold.
pub fn fact() -> BoxedStrategy<Fact> {
    let study_fact = name().prop_flat_map(|id| {
        let id = StudyId::new(id);
        study(id.clone()).prop_map(move |fact| Fact::Study(id.clone(), fact))
    });
    let max_seq = (u64::from(u32::MAX) + 1) * SEGMENT - 1;
    let trial_fact = (name(), node_id(), 0..=max_seq, any::<u64>()).prop_flat_map(|(study, node, seq, counter)| {
        let place = Place { id: TrialId::mint(&node, counter), node, seq };
        trial(counter, place.node.clone()).prop_map(move |fact| Fact::Trial(StudyId::new(&study), place.clone(), fact))
    });
    let point = (any::<u64>(), map(option::of(finite())), any::<u64>()).prop_map(|(step, values, at)| Point {
        step,
        values: values.into_iter().collect(),
        at,
    });
    let metric = (name(), node_id(), any::<u32>(), name(), any::<u32>(), any::<u32>(), vec(point, 0..4)).prop_map(
        |(study, node, segment, trial, attempt, chunk, points)| {
            let trial = TrialId::new(trial);
            Fact::Metric(
                StudyId::new(study),
                MetricChunk { node, segment, trial, attempt, chunk: chunk.into(), points },
            )
        },
    );
    prop_oneof![cluster().prop_map(Fact::Cluster), study_fact, trial_fact, metric].boxed()
}
