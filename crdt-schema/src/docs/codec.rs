//! Fact ⇄ (bucket, key, bytes).
//!
//! Owns: the spelling of every key and which record stands under it. Must not: know Automerge.
//!
//! | document | key | value |
//! | --- | --- | --- |
//! | cluster | `j/NODE/BY` | a node joined, as `BY` stamped it |
//! | | `h/NODE/LAMPORT` | its hardware |
//! | | `s/STUDY/NODE` | a study exists |
//! | | `n/NODE/LAMPORT/BY` | an edit of a node |
//! | study | `d/NODE` | the definition |
//! | | `e/LAMPORT/BY` | an edit |
//! | | `g/FROM/TO/NTH` | a part of a strict budget given away |
//! | trials | `b/N` | bucket `N`: the map of trials `N·64 … N·64+63`, in which: |
//! | | `SEQ-COUNTER/p` | the specification |
//! | | `SEQ-COUNTER/c/ATTEMPT/NODE` | a claim |
//! | | `SEQ-COUNTER/x/ATTEMPT/NODE` | an end |
//! | | `SEQ-COUNTER/t/ATTEMPT/NODE` | what was told before or after the end |
//! | | `SEQ-COUNTER/g/ATTEMPT/NODE/KEPT/BY` | given up by another node |
//! | | `SEQ-COUNTER/k/ATTEMPT/NODE/KEPT` | kept by its holder after all |
//! | | `SEQ-COUNTER/e/LAMPORT/BY` | an edit |
//! | metrics | `m/TRIAL/ATTEMPT/CHUNK` | points |
//!
//! `SEQ` is the trial's position among its proposer's trials of the study, `COUNTER` the number in its ID.

use serde::{Deserialize, Serialize};

use super::{
    DocError,
    key::{field, number, text},
};
use crate::{
    DocId, NodeId, Stamp, StudyId, TrialId,
    facts::{BUCKET, ClusterFact, Fact, Hardware, MetricChunk, NodeEdit, NodeRecord, SEGMENT, StudyFact, TrialFact},
    migrate::{self, ReadError, Stored, first_version},
    study::{StudyEdit, StudyRecord},
    trial::{Claim, End, Place, Point, TrialEdit, TrialSpec},
};

/// What stands under a `s/…` key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Listing {
    at: Stamp,
}

/// What stands under a `m/…` key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Points(Vec<Point>);

/// What stands under a `g/…` key of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Given {
    trials: u64,
}

/// What stands under a `k/…` key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Alive {
    at: Stamp,
}

first_version!(
    NodeRecord,
    Given,
    Alive,
    Hardware,
    Listing,
    NodeEdit,
    StudyRecord,
    StudyEdit,
    TrialSpec,
    Claim,
    End,
    TrialEdit,
    Points
);

/// Where a fact stands within its document, and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// In a trial segment, which bucket.
    pub bucket: Option<u64>,
    /// Within the bucket, or the root.
    pub key: String,
    /// The value.
    pub bytes: Vec<u8>,
    /// The only node that may write this entry; `None`: any.
    pub owner: Option<NodeId>,
    /// It makes its bucket where that is missing.
    pub opens_bucket: bool,
}

/// A document's word in its `kind` marker.
pub(super) fn kind(doc: &DocId) -> &'static str {
    match doc {
        DocId::Cluster => "cluster",
        DocId::Study(_) => "study",
        DocId::Trials { .. } => "trials",
        DocId::Metrics { .. } => "metrics",
    }
}

/// A bucket's key in the root map.
pub(super) fn bucket_key(bucket: u64) -> String {
    format!("b/{bucket}")
}

/// The bucket that a root key names.
pub(super) fn bucket_of(key: &str) -> Option<u64> {
    number(key.strip_prefix("b/")?)
}

/// How `fact` is written into `doc`. Refused: facts of other documents, and facts that would not be read back equal
/// (a value that isn't finite, an ID that contradicts its place), since nothing written can ever be mended.
pub(super) fn encode(doc: &DocId, fact: &Fact) -> Result<Entry, DocError> {
    if fact.doc() != *doc {
        return Err(DocError::WrongDocument { doc: doc.clone(), fact: fact.doc() });
    }
    let unwritable = |detail: String| DocError::Unwritable { doc: doc.clone(), detail };
    let entry = spell(fact).map_err(unwritable)?;
    match decode(doc, entry.bucket, &entry.key, &entry.bytes) {
        Ok(Some(read)) if read == *fact => Ok(entry),
        Ok(_) => Err(unwritable(format!(
            "the fact under key `{}` would not be read back as it is; are all its numbers finite?",
            entry.key
        ))),
        Err(error) => {
            Err(unwritable(format!("the fact could not be read back ({error}); are all its numbers finite?")))
        }
    }
}

fn spell(fact: &Fact) -> Result<Entry, String> {
    let root = |key: String, bytes: Result<Vec<u8>, ReadError>| {
        let bytes = bytes.map_err(|error| error.to_string())?;
        Ok(Entry { bucket: None, key, bytes, owner: None, opens_bucket: false })
    };
    match fact {
        Fact::Cluster(ClusterFact::Joined(record)) => {
            root(format!("j/{}/{}", id(&record.node), id(&record.at.node)), migrate::encode(record))
        }
        Fact::Cluster(ClusterFact::Hardware { node, lamport, hardware }) => {
            root(format!("h/{}/{lamport}", id(node)), migrate::encode(hardware))
        }
        Fact::Cluster(ClusterFact::Listed { study, node, at }) => {
            root(format!("s/{}/{}", field(study.as_str()), id(node)), migrate::encode(&Listing { at: at.clone() }))
        }
        Fact::Cluster(ClusterFact::NodeEdit { node, lamport, by, edit }) => {
            root(format!("n/{}/{lamport}/{}", id(node), id(by)), migrate::encode(edit))
        }
        Fact::Study(_, StudyFact::Defined(record)) => root(format!("d/{}", id(&record.node)), migrate::encode(record)),
        Fact::Study(_, StudyFact::Edited { lamport, by, edit }) => {
            root(format!("e/{lamport}/{}", id(by)), migrate::encode(edit))
        }
        Fact::Study(_, StudyFact::Share { from, to, nth, trials }) => {
            let entry = root(format!("g/{}/{}/{nth}", id(from), id(to)), migrate::encode(&Given { trials: *trials }))?;
            Ok(Entry { owner: Some(from.clone()), ..entry })
        }
        Fact::Trial(_, place, fact) => spell_trial(place, fact),
        Fact::Metric(_, chunk) => {
            let key = format!("m/{}/{}/{}", field(chunk.trial.as_str()), chunk.attempt, chunk.chunk);
            let entry = root(key, migrate::encode_as::<Points>(&chunk.points))?;
            Ok(Entry { owner: Some(chunk.node.clone()), ..entry })
        }
    }
}

fn spell_trial(place: &Place, fact: &TrialFact) -> Result<Entry, String> {
    let counter = counter(place).ok_or_else(|| {
        format!("trial `{}` is not one that node {} proposed: its ID should be `NODE.COUNTER`", place.id, place.node)
    })?;
    let (rest, bytes) = match fact {
        TrialFact::Proposed(spec) => ("p".to_owned(), migrate::encode(spec)),
        TrialFact::Claimed { attempt, node, claim } => (format!("c/{attempt}/{}", id(node)), migrate::encode(claim)),
        TrialFact::Ended { attempt, node, end } => (format!("x/{attempt}/{}", id(node)), migrate::encode(end)),
        TrialFact::Told { attempt, node, end } => (format!("t/{attempt}/{}", id(node)), migrate::encode(end)),
        TrialFact::GivenUp { attempt, node, kept, by, end } => {
            (format!("g/{attempt}/{}/{kept}/{}", id(node), id(by)), migrate::encode(end))
        }
        TrialFact::Kept { attempt, node, kept, at } => {
            (format!("k/{attempt}/{}/{kept}", id(node)), migrate::encode(&Alive { at: at.clone() }))
        }
        TrialFact::Edited { lamport, by, edit } => (format!("e/{lamport}/{}", id(by)), migrate::encode(edit)),
    };
    let proposed = matches!(fact, TrialFact::Proposed(_));
    let owner = match fact {
        TrialFact::Proposed(_) => Some(place.node.clone()),
        TrialFact::Kept { node, .. } => Some(node.clone()),
        _ => None,
    };
    Ok(Entry {
        bucket: Some(place.seq / BUCKET),
        key: format!("{}-{counter}/{rest}", place.seq),
        bytes: bytes.map_err(|error| error.to_string())?,
        owner,
        opens_bucket: proposed,
    })
}

fn id(node: &NodeId) -> std::borrow::Cow<'_, str> {
    field(node.as_str())
}

/// The number in the trial's ID.
fn counter(place: &Place) -> Option<u64> {
    number(place.id.as_str().strip_prefix(place.node.as_str())?.strip_prefix('.')?)
}

/// The fact under `key`; `None` when a later metaopt wrote it.
pub(super) fn decode(doc: &DocId, bucket: Option<u64>, key: &str, bytes: &[u8]) -> Result<Option<Fact>, DocError> {
    let parts: Vec<&str> = key.split('/').collect();
    let read = match (doc, bucket) {
        (DocId::Cluster, None) => cluster(&parts, bytes).map(|fact| fact.map(Fact::Cluster)),
        (DocId::Study(study), None) => {
            read_study(study, &parts, bytes).map(|fact| fact.map(|fact| Fact::Study(study.clone(), fact)))
        }
        (DocId::Trials { study, node, segment }, Some(bucket)) => trial(node, *segment, bucket, &parts, bytes)
            .map(|read| read.map(|(place, fact)| Fact::Trial(study.clone(), place, fact))),
        (DocId::Metrics { study, node, segment }, None) => {
            metric(node, *segment, &parts, bytes).map(|read| read.map(|chunk| Fact::Metric(study.clone(), chunk)))
        }
        // No kind of document holds such an entry today.
        _ => Ok(None),
    };
    match read {
        Ok(fact) => Ok(fact),
        Err(ReadError::Newer { .. }) => Ok(None),
        Err(ReadError::Corrupt(detail)) => {
            Err(DocError::Corrupt { doc: doc.clone(), key: full_key(bucket, key), detail })
        }
    }
}

/// A key with its bucket, for people.
pub(super) fn full_key(bucket: Option<u64>, key: &str) -> String {
    bucket.map_or_else(|| key.to_owned(), |bucket| format!("{}/{key}", bucket_key(bucket)))
}

type Read<T> = Result<Option<T>, ReadError>;

fn cluster(parts: &[&str], bytes: &[u8]) -> Read<ClusterFact> {
    Ok(Some(match parts {
        ["j", node, by] => {
            let record: NodeRecord = value(bytes)?;
            agree("node", &node_id(node)?, &record.node)?;
            agree("stamp", &node_id(by)?, &record.at.node)?;
            ClusterFact::Joined(record)
        }
        ["h", node, lamport] => {
            ClusterFact::Hardware { node: node_id(node)?, lamport: whole(lamport)?, hardware: value(bytes)? }
        }
        ["s", study, node] => {
            let Listing { at } = value(bytes)?;
            ClusterFact::Listed { study: StudyId::new(opaque(study)?), node: node_id(node)?, at }
        }
        ["n", node, lamport, by] => ClusterFact::NodeEdit {
            node: node_id(node)?,
            lamport: whole(lamport)?,
            by: node_id(by)?,
            edit: value(bytes)?,
        },
        _ => return Ok(None),
    }))
}

fn read_study(study: &StudyId, parts: &[&str], bytes: &[u8]) -> Read<StudyFact> {
    Ok(Some(match parts {
        ["d", node] => {
            let record: StudyRecord = value(bytes)?;
            agree("node", &node_id(node)?, &record.node)?;
            agree("study", study, &record.id)?;
            StudyFact::Defined(record)
        }
        ["e", lamport, by] => StudyFact::Edited { lamport: whole(lamport)?, by: node_id(by)?, edit: value(bytes)? },
        ["g", from, to, nth] => {
            let Given { trials } = value(bytes)?;
            StudyFact::Share { from: node_id(from)?, to: node_id(to)?, nth: whole(nth)?, trials }
        }
        _ => return Ok(None),
    }))
}

fn trial(owner: &NodeId, segment: u32, bucket: u64, parts: &[&str], bytes: &[u8]) -> Read<(Place, TrialFact)> {
    let [place, rest @ ..] = parts else { return Ok(None) };
    let Some((seq, counter)) = place.split_once('-') else { return Ok(None) };
    let (seq, counter): (u64, u64) = (whole(seq)?, whole(counter)?);
    if seq / BUCKET != bucket || seq / SEGMENT != u64::from(segment) {
        return Err(ReadError::Corrupt(format!(
            "trial {seq} stands in bucket {bucket} of segment {segment}, not in its own"
        )));
    }
    let fact = match rest {
        ["p"] => {
            let spec: TrialSpec = value(bytes)?;
            agree("counter", &counter, &spec.counter)?;
            TrialFact::Proposed(spec)
        }
        ["c", attempt, node] => {
            TrialFact::Claimed { attempt: whole(attempt)?, node: node_id(node)?, claim: value(bytes)? }
        }
        ["x", attempt, node] => TrialFact::Ended { attempt: whole(attempt)?, node: node_id(node)?, end: value(bytes)? },
        ["t", attempt, node] => TrialFact::Told { attempt: whole(attempt)?, node: node_id(node)?, end: value(bytes)? },
        ["g", attempt, node, kept, by] => TrialFact::GivenUp {
            attempt: whole(attempt)?,
            node: node_id(node)?,
            kept: whole(kept)?,
            by: node_id(by)?,
            end: value(bytes)?,
        },
        ["k", attempt, node, kept] => {
            let Alive { at } = value(bytes)?;
            TrialFact::Kept { attempt: whole(attempt)?, node: node_id(node)?, kept: whole(kept)?, at }
        }
        ["e", lamport, by] => TrialFact::Edited { lamport: whole(lamport)?, by: node_id(by)?, edit: value(bytes)? },
        _ => return Ok(None),
    };
    Ok(Some((Place { id: TrialId::mint(owner, counter), node: owner.clone(), seq }, fact)))
}

fn metric(node: &NodeId, segment: u32, parts: &[&str], bytes: &[u8]) -> Read<MetricChunk> {
    let ["m", trial, attempt, chunk] = parts else { return Ok(None) };
    let Points(points) = value(bytes)?;
    Ok(Some(MetricChunk {
        node: node.clone(),
        segment,
        trial: TrialId::new(opaque(trial)?),
        attempt: whole(attempt)?,
        chunk: whole(chunk)?,
        points,
    }))
}

fn value<T: Stored>(bytes: &[u8]) -> Result<T, ReadError> {
    migrate::decode(bytes)
}

fn opaque(field: &str) -> Result<String, ReadError> {
    text(field)
        .map(Into::into)
        .ok_or_else(|| ReadError::Corrupt(format!("`{field}` is not escaped as IDs in keys are")))
}

fn node_id(field: &str) -> Result<NodeId, ReadError> {
    opaque(field).map(NodeId::new)
}

fn whole<T: std::str::FromStr>(field: &str) -> Result<T, ReadError> {
    number(field).ok_or_else(|| ReadError::Corrupt(format!("`{field}` in the key should be a whole number in range")))
}

fn agree<T: PartialEq + std::fmt::Display>(what: &str, key: &T, value: &T) -> Result<(), ReadError> {
    if key == value {
        return Ok(());
    }
    Err(ReadError::Corrupt(format!("its {what} is {key} in the key, but {value} in the value")))
}
