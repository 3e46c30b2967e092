//! What a study is: the definition as created, and its states.

pub mod validate;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{NodeId, Stamp, StudyId, space::Space};

/// A study as created; immutable, edits stand beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyDef {
    /// A label, not an identity.
    pub name: String,
    /// What may vary.
    pub space: Space,
    /// What to optimise; at least one.
    pub objectives: Vec<Objective>,
    /// Bounds on other metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// How configurations are proposed.
    #[serde(default)]
    pub sampler: SamplerSpec,
    /// When trials are ended early.
    #[serde(default)]
    pub early_stopping: EarlyStopping,
    /// How much may be spent.
    #[serde(default)]
    pub budget: Budget,
    /// The command of a study that metaopt runs itself; none: ask and tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunSpec>,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Free attributes.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub user_attrs: IndexMap<String, Value>,
}

impl StudyDef {
    /// What a result must have a value for: the objectives, then what constraints bound.
    pub fn metrics(&self) -> Vec<&str> {
        let mut metrics: Vec<&str> = self.objectives.iter().map(|objective| objective.metric.as_str()).collect();
        for constraint in &self.constraints {
            if !metrics.contains(&constraint.metric.as_str()) {
                metrics.push(&constraint.metric);
            }
        }
        metrics
    }
}

/// A metric and where it should go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// The metric's name.
    pub metric: String,
    /// Smaller or larger.
    pub direction: Direction,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Direction {
    /// `value` with its sign turned so that smaller is better.
    pub fn cost(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// A bound on a metric; a trial that breaks one is complete, but never the best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// The metric's name.
    pub metric: String,
    /// Largest feasible value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Smallest feasible value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
}

/// A sampler by name, its seed and options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplerSpec {
    /// `auto`, `tpe`, `random`, `sobol`, `grid`, …
    pub name: String,
    /// Makes a single node's suggestions reproducible; drawn at creation when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The sampler's own options.
    #[serde(flatten)]
    pub options: IndexMap<String, Value>,
}

impl Default for SamplerSpec {
    fn default() -> Self {
        Self { name: "auto".into(), seed: None, options: IndexMap::new() }
    }
}

/// An early-stopping rule by name and its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// `none`, `median`, …
    pub rule: String,
    /// The rule's own options: `max_steps`, `min_steps`, …
    #[serde(flatten)]
    pub options: IndexMap<String, Value>,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { rule: "none".into(), options: IndexMap::new() }
    }
}

/// How much may be spent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Trials in all; none: no end.
    pub max_trials: Option<u64>,
    /// Trials running at once, over all nodes.
    pub max_parallel: Option<u64>,
    /// Seconds since creation after which nothing new starts.
    pub timeout_s: Option<f64>,
    /// Never above `max_trials`, even under partition.
    pub strict: bool,
    /// Larger goes first; studies of one priority share fairly.
    pub priority: i64,
}

/// What metaopt runs for each trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Program and arguments, with `{name}` placeholders.
    pub command: Vec<String>,
    /// Shell command run once per snapshot and node.
    #[serde(default)]
    pub setup: Option<String>,
    /// `b3:…` of the submitted directory.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// Where trials run.
    #[serde(default)]
    pub workdir: Workdir,
    /// The submitting directory, for `in_place`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Paths outside the snapshot that must exist on a node; linked into the working directory.
    #[serde(default)]
    pub links: Vec<String>,
    /// Text files of the snapshot whose placeholders are filled in per trial.
    #[serde(default)]
    pub templates: Vec<String>,
    /// Only these nodes (names or IDs); none: all.
    #[serde(default)]
    pub nodes: Option<Vec<String>>,
    /// Labels a node must carry.
    #[serde(default)]
    pub requires: IndexMap<String, String>,
    /// GPUs per trial: whole numbers, or a share below 1; none: one where the node has any, else a CPU slot.
    #[serde(default)]
    pub gpus: Option<f64>,
    /// CPU slots per trial without a GPU.
    #[serde(default)]
    pub cpus: Option<u32>,
    /// Extra environment; never secrets.
    #[serde(default)]
    pub env: IndexMap<String, String>,
    /// Names of secrets kept on each node.
    #[serde(default)]
    pub secret_env: Vec<String>,
    /// Seconds one attempt may take.
    #[serde(default)]
    pub timeout_s: Option<f64>,
    /// Attempts that count (machine failures don't).
    #[serde(default = "default_max_attempts")]
    pub max_attempts: u32,
    /// Try again after failures of the script too.
    #[serde(default)]
    pub retry_failed: bool,
    /// What becomes of a trial whose checkpoint only nodes have that can't be reached.
    #[serde(default, skip_serializing_if = "LostCheckpoint::is_usual")]
    pub lost_checkpoint: LostCheckpoint,
}

fn default_max_attempts() -> u32 {
    3
}

/// Where trials run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workdir {
    /// A private copy of the snapshot.
    #[default]
    Snapshot,
    /// The submitting path, on every node (shared file systems).
    InPlace,
}

/// What becomes of a trial whose checkpoint only nodes have that can't be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostCheckpoint {
    /// It starts from scratch.
    #[default]
    Restart,
    /// It waits for one of them.
    Wait,
}

impl LostCheckpoint {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// A study's state, as people see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StudyState {
    /// Proposing and running.
    #[default]
    Running,
    /// Nothing new starts; what runs goes on.
    Paused,
    /// Its budget or space is used up and nothing runs.
    Complete,
    /// Ended by a person.
    Cancelled,
    /// Put away.
    Archived,
}

/// The first fact of a study's document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyRecord {
    /// Its identity.
    pub id: StudyId,
    /// Who created it.
    pub node: NodeId,
    /// When.
    pub at: Stamp,
    /// What it is; the seed always filled in.
    pub def: StudyDef,
    /// The study this one was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<StudyId>,
}

/// One edit of a study; each field is the last write by (Lamport, node), except states, where cancel beats pause beats resume among concurrent ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StudyEdit {
    /// pause, resume, cancel, archive
    State(StudyState),
    /// The whole budget.
    Budget(Budget),
    /// Another label.
    Name(String),
    /// Free text.
    Note(String),
    /// One attribute; null removes it.
    UserAttr(String, Value),
    /// Parameters added (each with a default) or ranges widened: merged into the space.
    Space(Space),
    /// For ever.
    Deleted,
}
