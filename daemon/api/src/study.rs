//! Studies: as created, as edited, as answered.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::trial::Trial;

/// A study's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StudyState {
    /// Proposing and running.
    Running,
    /// Nothing new starts.
    Paused,
    /// Its budget or space is used up and nothing runs.
    Complete,
    /// Ended by a person.
    Cancelled,
    /// Put away.
    Archived,
}

/// One parameter of a space. `low` and `high` belong to numbers, `choices` to lists, `base` to fidelities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Unique within the space.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// Smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Largest value, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Searched on a logarithmic scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<bool>,
    /// Only `low + i·step`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// Where good values are thought to lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Prior>,
    /// Strings, numbers, booleans or null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<Value>>,
    /// Ratio of successive rungs of a fidelity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<f64>,
    /// The value to try first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Active only where every named parent has one of the listed values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<IndexMap<String, Vec<Value>>>,
}

/// A parameter's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// A real number.
    Float,
    /// A whole number.
    Int,
    /// One of several values without an order.
    Categorical,
    /// One of several values in order.
    Ordinal,
    /// `true` or `false`.
    Bool,
    /// How much to spend on an attempt.
    Fidelity,
}

/// A prior over a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    /// Mean and standard deviation.
    pub normal: [f64; 2],
}

/// A metric and where it should go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The metric's name.
    pub metric: String,
    /// Smaller or larger.
    pub direction: Direction,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

/// A bound on a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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

/// A sampler by name; its options stand beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sampler {
    /// `auto`, `gp`, `tpe`, `cmaes`, `bore`, `evolution`, `nsga2`, `sobol`, `random` or `grid`.
    pub name: String,
    /// Makes suggestions reproducible; drawn at creation when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The sampler's own options.
    #[serde(flatten)]
    pub options: IndexMap<String, Value>,
}

/// An early-stopping rule by name; its options stand beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EarlyStopping {
    /// `none`, `median`, …
    pub rule: String,
    /// The rule's own options, such as `max_steps`.
    #[serde(flatten)]
    pub options: IndexMap<String, Value>,
}

/// How much may be spent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Trials in all; null: no end.
    pub max_trials: Option<u64>,
    /// Trials running at once.
    pub max_parallel: Option<u64>,
    /// Seconds since creation after which nothing new starts.
    pub timeout_s: Option<f64>,
    /// Never above `max_trials`, even under partition.
    pub strict: bool,
    /// Larger goes first.
    pub priority: i64,
}

/// What metaopt runs for each trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Program and arguments, with `{name}` placeholders.
    pub command: Vec<String>,
    /// Shell command run once per snapshot and node.
    #[serde(default)]
    pub setup: Option<String>,
    /// `b3:…` of the submitted directory.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// `snapshot` or `in_place`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The submitting directory, for `in_place`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Paths outside the snapshot that must exist on a node.
    #[serde(default)]
    pub links: Vec<String>,
    /// Text files whose placeholders are filled in per trial.
    #[serde(default)]
    pub templates: Vec<String>,
    /// Only these nodes; null: all.
    #[serde(default)]
    pub nodes: Option<Vec<String>>,
    /// Labels a node must carry.
    #[serde(default)]
    pub requires: IndexMap<String, String>,
    /// GPUs per trial.
    #[serde(default)]
    pub gpus: Option<f64>,
    /// CPU slots per trial without a GPU.
    #[serde(default)]
    pub cpus: Option<f64>,
    /// Extra environment; never secrets.
    #[serde(default)]
    pub env: IndexMap<String, String>,
    /// Names of secrets kept on each node.
    #[serde(default)]
    pub secret_env: Vec<String>,
    /// Seconds one attempt may take.
    #[serde(default)]
    pub timeout_s: Option<f64>,
    /// Attempts that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u64>,
    /// Try again after failures of the script too.
    #[serde(default)]
    pub retry_failed: bool,
    /// `restart` (from scratch) or `wait`: what becomes of a trial whose checkpoint only nodes have that can't be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_checkpoint: Option<String>,
}

/// A study to be created. The daemon checks it as a whole and names every wrong field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStudy {
    /// A label.
    pub name: String,
    /// What may vary.
    pub space: Vec<Param>,
    /// What to optimise.
    pub objectives: Vec<Objective>,
    /// Bounds on other metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// How configurations are proposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<Sampler>,
    /// When trials are ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// How much may be spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Without it the study is ask-and-tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Free attributes.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub user_attrs: IndexMap<String, Value>,
    /// Another study (name or ID) whose results are copied, as far as its parameters fit; they don't use up the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Answer the study of this name (200) where there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub load_if_exists: bool,
}

/// `PATCH /studies/{study}`; absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StudyPatch {
    /// Another label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Fields of the budget to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Budget>)]
    pub budget: Option<Value>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Merged key by key; null removes.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub user_attrs: IndexMap<String, Value>,
    /// Parameters to add, each with a default, or with a wider range.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Param>>)]
    pub space: Option<Value>,
}

/// `POST /studies/{study}/fork`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// The new study's name.
    pub name: String,
    /// Parameters to add, each with a default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Param>>)]
    pub add: Option<Value>,
}

/// How many trials are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Counts {
    /// Ready to be claimed.
    pub waiting: u64,
    /// Held by a lease.
    pub running: u64,
    /// Frozen.
    pub paused: u64,
    /// With a counted result.
    pub complete: u64,
    /// Ended early.
    pub pruned: u64,
    /// Failed.
    pub fail: u64,
    /// Told infeasible.
    pub infeasible: u64,
    /// Ended by a person.
    pub cancelled: u64,
}

/// A study as answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Study {
    /// Its identity.
    pub id: String,
    /// Its label, with `-2` where an older study has it.
    pub name: String,
    /// Its state.
    pub state: StudyState,
    /// What may vary.
    #[schema(value_type = Vec<Param>)]
    pub space: Value,
    /// What to optimise.
    #[schema(value_type = Vec<Objective>)]
    pub objectives: Value,
    /// Bounds on other metrics.
    #[schema(value_type = Vec<Constraint>)]
    pub constraints: Value,
    /// How configurations are proposed.
    #[schema(value_type = Sampler)]
    pub sampler: Value,
    /// When trials are ended early.
    #[schema(value_type = EarlyStopping)]
    pub early_stopping: Value,
    /// How much may be spent.
    #[schema(value_type = Budget)]
    pub budget: Value,
    /// Null: ask and tell.
    #[schema(value_type = Option<Run>)]
    pub run: Value,
    /// Free text.
    pub note: String,
    /// Free attributes.
    pub user_attrs: IndexMap<String, Value>,
    /// Trials by state.
    pub counts: Counts,
    /// The best trial so far, of a study with one objective.
    #[schema(no_recursion)]
    pub best: Option<Box<Trial>>,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Its creator's name.
    pub node: String,
    /// Seconds until its budget will be used up, as far as can be told.
    pub eta_s: Option<f64>,
    /// Why nothing is running.
    pub why_idle: Option<String>,
    /// The study it was forked from, or started from.
    pub forked_from: Option<String>,
    /// What it took from that; only in the answer to its creation with `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmStart>,
    /// The best so far of the only objective after evenly spread numbers of results, at most 32; only where `spark` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spark: Option<Vec<f64>>,
    /// Why edits of the space could not all be merged, if so.
    pub space_conflict: Option<String>,
}

/// What a new study took from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WarmStart {
    /// The other's name.
    pub study: String,
    /// Finished trials that were copied.
    pub taken: u64,
    /// Those that were not.
    pub left_out: Vec<LeftOut>,
}

/// Trials that don't fit a new study, for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// The reason.
    pub why: String,
    /// How many.
    pub trials: u64,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// New trials.
    pub added: u64,
    /// Known already.
    pub skipped: u64,
    /// Left out, since they had no result yet (waiting, running, paused, cancelled).
    pub unfinished: u64,
}

/// A node, and whether it could run a study now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// Its ID.
    pub node: String,
    /// Its name.
    pub name: String,
    /// It has heard of the study.
    pub known: bool,
    /// It has the study's snapshot; null where the study has none.
    pub snapshot: Option<bool>,
    /// Places on it where trials run.
    pub slots: u64,
    /// It can run the study's trials, once a slot is free: `submit` waits for one such node.
    pub ready: bool,
    /// Why it can't, in words.
    pub why: Option<String>,
}
