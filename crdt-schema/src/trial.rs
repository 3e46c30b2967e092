//! What a trial is: its immutable specification, claims, ends, curve points and edits.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    AttemptNo, ClaimId, Named, NodeId, Stamp, TrialId,
    seen::{Fit, Packed},
    space::Params,
    stamp::WallMs,
};

/// Metric values by name; the user's sign.
pub type Values = Named<f64>;

/// As documents and people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialState {
    /// Ready to be claimed.
    Waiting,
    /// Held by a lease.
    Running,
    /// Frozen; can be thawed.
    Paused,
    /// Has its counted result.
    Complete,
    /// Ended early by the rule.
    Pruned,
    /// Its attempts failed.
    Fail,
    /// Told infeasible.
    Infeasible,
    /// Ended by a person.
    Cancelled,
}

impl TrialState {
    /// All, in the order in which counts are shown.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Running,
        Self::Paused,
        Self::Complete,
        Self::Pruned,
        Self::Fail,
        Self::Infeasible,
        Self::Cancelled,
    ];

    /// No further attempt follows by itself.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running | Self::Paused)
    }

    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Complete => "complete",
            Self::Pruned => "pruned",
            Self::Fail => "fail",
            Self::Infeasible => "infeasible",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The script ended, or the client told.
    Exit,
    /// It gave no value for an objective.
    MissingMetric,
    /// It took longer than allowed.
    Timeout,
    /// It ran out of memory.
    Oom,
    /// The setup command failed.
    SetupFailed,
    /// Its node was lost.
    LostNode,
    /// Its client stopped renewing the lease.
    LostClient,
    /// Its slot was taken away.
    Preempted,
    /// Stopped by the early-stopping rule.
    Pruned,
    /// Frozen.
    Paused,
    /// Ended by a person.
    Cancelled,
    /// Another attempt was counted or went on.
    Superseded,
}

impl Reason {
    /// Retried without counting against `max_attempts`.
    pub fn is_machines_fault(self) -> bool {
        matches!(self, Self::LostNode | Self::LostClient | Self::Preempted)
    }
}

/// How often a machine's failure is retried by itself.
pub const MAX_MACHINE_RETRIES: usize = 20;

/// What a trial is, written once by its proposer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialSpec {
    /// The proposing node's name when it proposed, for the label.
    pub node_name: String,
    /// The proposing node's counter over all studies, for the label.
    pub counter: u64,
    /// When it was proposed.
    pub at: Stamp,
    /// The configuration.
    pub params: Params,
    /// Who chose it.
    pub by: Proposer,
    /// Given with an import or a PATCH-free enqueue.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub user_attrs: IndexMap<String, Value>,
    /// Identity of an imported trial, so that importing twice changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_as: Option<String>,
}

/// Where a configuration came from, and all that reproduces it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Proposer {
    /// A person or client gave it.
    Enqueued,
    /// It came with an import.
    Imported,
    /// A sampler drew it.
    Sampler {
        /// The arm that proposed (`auto` names the one it chose).
        name: std::sync::Arc<str>,
        /// The study's seed.
        seed: u64,
        /// The node's slot in this study: creator 0, others a hash of their id.
        slot: u64,
        /// The node's proposal counter in this study.
        draw: u64,
        /// How many trials it knew.
        saw: u64,
        /// What of the history it knew, and its other inputs, as far as they are others than at the node's draw before
        /// (see [`crate::seen`]).
        #[serde(default, skip_serializing_if = "Packed::is_empty")]
        seen: Packed,
        /// What the sampler fitted, for those that draw later.
        #[serde(default, skip_serializing_if = "Fit::is_empty")]
        fit: Fit,
    },
}

/// A lease: who holds which attempt, from when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Breaks ties.
    pub id: ClaimId,
    /// When it was claimed.
    pub at: Stamp,
    /// An asking client; none for trials that the node runs itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Seconds without a renewal after which an asked trial is offered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_s: Option<f64>,
    /// Slots it occupies on the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<String>,
    /// Steps already done, for a thaw or a retry from a checkpoint.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resume_step: u64,
    /// Where its holder stood among those that could have claimed it; of two claims of one attempt the lower one stands.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rank: u32,
    /// Asked through the API rather than run by the node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
    /// Its value of the space's fidelity: the step at which its run ends; 0: the space has none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub until: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn is_none(n: &u32) -> bool {
    *n == 0
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All objectives have a value.
    Complete,
    /// Ended by the rule; what it reported counts as a curve.
    Pruned,
    /// Frozen.
    Paused,
    /// It failed; `reason` says how.
    Fail,
    /// Told infeasible.
    Infeasible,
    /// Ended by a person.
    Cancelled,
}

/// The end of one attempt; written once, never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// What came of it.
    pub outcome: Outcome,
    /// Why it ended.
    pub reason: Reason,
    /// Free text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The process's exit code, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Final values; of an attempt that was ended early those last reported.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub values: Values,
    /// When.
    pub at: Stamp,
    /// Its last reported step.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub last_step: u64,
    /// The step a committed checkpoint allows to resume from; 0: from scratch.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checkpoint_step: u64,
    /// The name of that checkpoint's archive, by which other nodes get it from this attempt's; none where it was not
    /// packed, so that the node itself alone can go on from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// One point of a training curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Completed units of work, from 1 up.
    pub step: u64,
    /// Metrics; null where a process reported a non-finite value.
    pub values: Named<Option<f64>>,
    /// Milliseconds since 1970.
    pub at: WallMs,
}

/// One edit of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialEdit {
    /// End it, whatever it is doing.
    Cancel,
    /// Freeze it; its attempts up to `after` are over or will be.
    Pause {
        /// The last attempt at the time.
        after: AttemptNo,
    },
    /// Offer a paused trial again.
    Resume {
        /// The last attempt at the time.
        after: AttemptNo,
    },
    /// Offer a failed, cancelled, pruned or infeasible trial again: ends of attempts up to `after` no longer decide its state.
    Retry {
        /// The last attempt at the time.
        after: AttemptNo,
    },
    /// Free text.
    Note(String),
    /// One attribute; null removes it.
    UserAttr(String, Value),
}

/// A trial's place: which document and bucket hold it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The trial.
    pub id: TrialId,
    /// Who proposed it.
    pub node: NodeId,
    /// Its position among that node's trials of the study, from 0 up.
    pub seq: u64,
}
