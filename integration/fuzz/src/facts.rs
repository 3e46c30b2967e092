//! From keys and values to what people see: whatever stands in a document is a fact, unknown, or a named problem; views
//! of the same facts are the same whatever their order; every derived field can be asked for.
//!
//! Input: a byte for the kind of document, then lines `KEY TAB VALUE`. `N:KEY` stands in bucket N. A value's first
//! character is its version's number, the rest JSON. Lines that begin with `!` are another writer's.

use automerge::{ActorId, Automerge, ObjType, ROOT, transaction::Transactable};
use metaopt_schema::{
    NodeId,
    docs::{Actor, Doc, RawChange},
    facts::{ClusterFact, Fact, StudyFact, TrialFact},
    trial::TrialState,
    view::{StudyView, World},
};

use crate::{documents::document, head};

pub fn run(data: &[u8]) -> bool {
    let (kind, data) = head(data);
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let id = document(kind);
    let mut doc = Doc::new(id.clone(), &Actor::new(&NodeId::new("reader"), 7));
    let mut told = Vec::new();
    for (writer, mark) in [("aaaabbbbccccdddd", false), ("eeeeffffgggghhhh", true)] {
        let lines = text.lines().filter(|line| line.starts_with('!') == mark);
        let Some(change) = write(writer, lines.map(|line| line.trim_start_matches('!'))) else { continue };
        let applied = doc.apply(&[change]);
        if applied.refold {
            told.clear();
            told.extend(doc.facts().facts);
        } else {
            told.extend(applied.facts);
        }
    }
    let facts = doc.facts().facts;
    let bag = |facts: &[Fact]| {
        let mut bag: Vec<String> = facts.iter().map(|fact| format!("{fact:?}")).collect();
        bag.sort();
        bag
    };
    assert_eq!(bag(&told), bag(&facts), "what patches tell is what the document holds");
    let forth = fold(facts.iter());
    inspect(&forth);
    let twice = fold(facts.iter().chain(&facts));
    assert_eq!(shown(&twice), shown(&forth), "a fact told twice");
    if has_one_writer_each(&facts) {
        let back = fold(facts.iter().rev());
        assert_eq!(shown(&back), shown(&forth), "facts in another order");
    }
    !facts.is_empty() && doc.facts().problems.is_empty()
}

/// A change as its writer would have made it, without the checks of `Doc::write`.
fn write<'a>(writer: &str, lines: impl Iterator<Item = &'a str>) -> Option<RawChange> {
    let actor = Actor::new(&NodeId::new(writer), 1);
    let mut replica = Automerge::new().with_actor(ActorId::from(&**actor.bytes()));
    let mut buckets = std::collections::BTreeMap::new();
    let mut transaction = replica.transaction();
    for line in lines {
        let Some((key, value)) = line.split_once('\t') else { continue };
        let mut bytes = value.as_bytes().to_vec();
        if let Some(first) = bytes.first_mut() {
            *first = first.wrapping_sub(b'0');
        }
        let (map, key) = match key.split_once(':') {
            Some((bucket, key)) if !bucket.contains('/') => {
                let map = match buckets.get(bucket) {
                    Some(map) => automerge::ObjId::clone(map),
                    None => transaction.put_object(ROOT, format!("b/{bucket}"), ObjType::Map).ok()?,
                };
                buckets.insert(bucket.to_owned(), map.clone());
                (map, key)
            }
            _ => (ROOT, key),
        };
        transaction.put(map, key, bytes).ok()?;
    }
    transaction.commit();
    let change = replica.get_last_local_change()?;
    Some(RawChange { actor: actor.bytes().clone(), seq: change.seq(), bytes: change.raw_bytes().into() })
}

fn fold<'a>(facts: impl Iterator<Item = &'a Fact>) -> World {
    let mut world = World::new();
    // Trials and curves are seen only below a study.
    world.fold(&Fact::Study("s-1".into(), StudyFact::Defined(study())));
    for fact in facts {
        world.fold(fact);
    }
    world
}

fn study() -> metaopt_schema::study::StudyRecord {
    let record = r#"{"id":"s-1","node":"n","at":{"ms":1,"n":0,"node":"n"},"def":{"name":"s","space":[{"name":"lr","type":
        "float","low":0.0,"high":1.0}],"objectives":[{"metric":"loss","direction":"minimize"}],"constraints":[{"metric":
        "acc","at_least":0.5}],"run":{"command":["x"],"max_attempts":2,"retry_failed":true}}}"#;
    serde_json::from_str(record).expect("a study of ours")
}

/// What only its one writer creates, there once. Where hostile nodes broke that, views may differ: members can already
/// run commands on each other, and a study of theirs is theirs to break.
fn has_one_writer_each(facts: &[Fact]) -> bool {
    let mut made: Vec<String> = Vec::new();
    made.extend(facts.iter().filter_map(|fact| match fact {
        Fact::Cluster(ClusterFact::Joined(record)) => Some(format!("j {}", record.node)),
        Fact::Cluster(ClusterFact::Listed { study, .. }) => Some(format!("s {study}")),
        Fact::Cluster(ClusterFact::NodeEdit { node, lamport, by, .. }) => Some(format!("n {node} {lamport} {by}")),
        Fact::Study(study, StudyFact::Defined(_)) => Some(format!("d {study}")),
        // A trial's counter names it, so a proposer that used one twice made two of one name.
        Fact::Trial(_, place, TrialFact::Proposed(_)) => Some(format!("p {}", place.id)),
        Fact::Trial(_, place, TrialFact::Claimed { attempt, node, .. }) => {
            Some(format!("c {} {attempt} {node}", place.id))
        }
        Fact::Trial(_, place, TrialFact::Ended { attempt, node, .. }) => {
            Some(format!("x {} {attempt} {node}", place.id))
        }
        Fact::Trial(_, place, TrialFact::Told { attempt, node, .. }) => {
            Some(format!("t {} {attempt} {node}", place.id))
        }
        _ => None,
    }));
    let all = made.len();
    made.sort();
    made.dedup();
    made.len() == all
}

fn shown(world: &World) -> String {
    let mut out = format!("{:#?}", world.cluster);
    for study in world.studies() {
        out += &format!(
            "{:#?}",
            (&study.id, &study.name, &study.space, &study.budget, &study.note, &study.user_attrs, study.wanted)
        );
        out += &format!("{:#?}", (&study.space_conflict, study.imported(), study.trials()));
    }
    out
}

/// Asks for everything that is derived.
fn inspect(world: &World) {
    for study in world.studies() {
        let counted: u64 = TrialState::ALL.iter().map(|state| study.count(*state)).sum();
        assert_eq!(counted, study.trials().len() as u64);
        assert!(study.open() <= counted);
        inspect_study(study);
        if let Some(best) = study.best() {
            assert!(best.state == TrialState::Complete && study.violation(best) <= 0.0);
        }
    }
}

fn inspect_study(study: &StudyView) {
    for (number, trial) in study.trials().iter().enumerate() {
        assert_eq!(study.number(trial), number as u64);
        assert!(study.trial(&trial.place.id) == Some(trial));
        assert_eq!(trial.counted.is_some(), trial.state == TrialState::Complete);
        assert!(trial.attempts.iter().all(|attempt| attempt.attempt < trial.next_attempt()));
        assert!(trial.curve().windows(2).all(|pair| pair[0].step < pair[1].step));
        let _ = (study.costs(trial), study.violation(trial), trial.values(), trial.shown(), trial.end());
        let _ = (trial.last_step(), trial.checkpoint_step(), trial.started_at(), trial.finished_at(), trial.label());
        let _ = (trial.cancel_wanted(), trial.pause_wanted(), trial.running(), trial.latest());
    }
}
