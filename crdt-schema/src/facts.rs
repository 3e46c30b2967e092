//! Facts: the only things documents hold. Each is written once under a key that names its writer, and never changed or
//! removed; so any two replicas with the same facts agree, whatever the order in which they learnt them.

use serde::{Deserialize, Serialize};

use crate::{
    AttemptNo, DocId, Lamport, NodeId, Stamp, StudyId, TrialId,
    study::{StudyEdit, StudyRecord},
    trial::{Claim, End, Place, Point, TrialEdit, TrialSpec},
};

/// Trials in one bucket map.
pub const BUCKET: u64 = 64;
/// Trials in one segment document.
pub const SEGMENT: u64 = 1024;
/// Trials whose curves share one metric segment. Applying a chunk grows dear beyond a few thousand in one document.
pub const METRIC_SEGMENT: u64 = 32;

/// One fact and the document it stands in.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// In the cluster document.
    Cluster(ClusterFact),
    /// In a study's document.
    Study(StudyId, StudyFact),
    /// In the trial segment of the trial's proposer.
    Trial(StudyId, Place, TrialFact),
    /// In a metric segment of the executing node.
    Metric(StudyId, MetricChunk),
}

/// About the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum ClusterFact {
    /// A node made or joined the cluster.
    Joined(NodeRecord),
    /// What a node last said of itself; the largest Lamport wins.
    Hardware {
        /// The node.
        node: NodeId,
        /// Orders its statements.
        lamport: Lamport,
        /// What it says.
        hardware: Hardware,
    },
    /// A study exists.
    Listed {
        /// The study.
        study: StudyId,
        /// Who created it.
        node: NodeId,
        /// When.
        at: Stamp,
    },
    /// A person drained, resumed, gave up or removed a node.
    NodeEdit {
        /// The node.
        node: NodeId,
        /// Orders edits.
        lamport: Lamport,
        /// Who edited.
        by: NodeId,
        /// What.
        edit: NodeEdit,
    },
}

/// A member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its identity.
    pub node: NodeId,
    /// Its Ed25519 public key, hexadecimal.
    pub public_key: String,
    /// When.
    pub at: Stamp,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// The name people see.
    pub name: String,
    /// Of its daemon.
    pub version: String,
    /// Where peers reach it.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// `--label`s.
    #[serde(default)]
    pub labels: indexmap::IndexMap<String, String>,
    /// Its slots.
    #[serde(default)]
    pub slots: Vec<SlotSpec>,
}

/// One place where trials run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotSpec {
    /// A GPU's UUID, or `cpu-0`, ….
    pub id: String,
    /// Which.
    pub kind: SlotKind,
}

/// A slot's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotKind {
    /// One GPU.
    Gpu,
    /// A share of the CPUs.
    Cpu,
}

/// A person's word about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeEdit {
    /// Start nothing new there.
    Drain,
    /// Undo a drain.
    Resume,
    /// It won't come back: its attempts are over.
    Lost,
    /// It fails what succeeds elsewhere: it starts nothing new until it is resumed. It says so itself.
    Quarantine,
    /// For ever.
    Removed,
}

/// About a study.
#[derive(Clone, Debug, PartialEq)]
pub enum StudyFact {
    /// Its definition.
    Defined(StudyRecord),
    /// An edit.
    Edited {
        /// Orders edits.
        lamport: Lamport,
        /// Who edited.
        by: NodeId,
        /// What.
        edit: StudyEdit,
    },
    /// A part of a strict budget passes from one node to another.
    Share {
        /// Who had it, and alone gives it away.
        from: NodeId,
        /// Who has it now.
        to: NodeId,
        /// Counts what `from` gave to `to`, from 0 up.
        nth: u32,
        /// Trials.
        trials: u64,
    },
}

/// About a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialFact {
    /// What it is.
    Proposed(TrialSpec),
    /// Somebody holds an attempt.
    Claimed {
        /// From 1 up.
        attempt: AttemptNo,
        /// The holder.
        node: NodeId,
        /// The lease.
        claim: Claim,
    },
    /// An attempt ended.
    Ended {
        /// Which.
        attempt: AttemptNo,
        /// The holder.
        node: NodeId,
        /// How.
        end: End,
    },
    /// The result that a script gave while its process still ran, or that came after the attempt had been given up.
    Told {
        /// Which.
        attempt: AttemptNo,
        /// The holder.
        node: NodeId,
        /// What was told.
        end: End,
    },
    /// Another node took the holder for dead, or the holder is no member any more.
    GivenUp {
        /// Which attempt.
        attempt: AttemptNo,
        /// Its holder.
        node: NodeId,
        /// How often the holder had said, as far as the writer knew, that it lives after all.
        kept: u32,
        /// Who gave it up.
        by: NodeId,
        /// How it ended for the others.
        end: End,
    },
    /// The holder lives after all and goes on: what gave the attempt up before counts no more.
    Kept {
        /// Which attempt.
        attempt: AttemptNo,
        /// Its holder, who alone says this.
        node: NodeId,
        /// The how manieth time, from 1 up.
        kept: u32,
        /// When.
        at: Stamp,
    },
    /// An edit.
    Edited {
        /// Orders edits.
        lamport: Lamport,
        /// Who edited.
        by: NodeId,
        /// What.
        edit: TrialEdit,
    },
}

/// Points of one attempt's curve, written together.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricChunk {
    /// The executing node, whose segment it stands in.
    pub node: NodeId,
    /// Which of its segments.
    pub segment: u32,
    /// The trial.
    pub trial: TrialId,
    /// The attempt.
    pub attempt: AttemptNo,
    /// The step of its first point: each step is written once, so this names the chunk within its attempt.
    pub chunk: u64,
    /// The points.
    pub points: Vec<Point>,
}

impl Fact {
    /// The document this fact stands in.
    pub fn doc(&self) -> DocId {
        match self {
            Self::Cluster(_) => DocId::Cluster,
            Self::Study(study, _) => DocId::Study(study.clone()),
            Self::Trial(study, place, _) => {
                DocId::Trials { study: study.clone(), node: place.node.clone(), segment: (place.seq / SEGMENT) as u32 }
            }
            Self::Metric(study, chunk) => {
                DocId::Metrics { study: study.clone(), node: chunk.node.clone(), segment: chunk.segment }
            }
        }
    }
}
