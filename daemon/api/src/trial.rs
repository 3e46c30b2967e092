//! Trials, reports, results, and what is asked for and told.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A trial's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// Ended early.
    Pruned,
    /// Its attempts failed.
    Fail,
    /// Told infeasible.
    Infeasible,
    /// Ended by a person.
    Cancelled,
}

/// Why an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The script ended, or the client told.
    Exit,
    /// No value for an objective.
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

/// Who chose a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SampledBy {
    /// The sampler.
    pub name: String,
    /// Its seed.
    pub seed: u64,
}

/// One execution of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// From 1 up.
    pub attempt: u32,
    /// Who held it.
    pub node: String,
    /// When it was claimed.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// Why it ended; null while it runs.
    pub reason: Option<Reason>,
    /// Free text about its end.
    pub detail: Option<String>,
    /// Of its process.
    pub exit_code: Option<i32>,
    /// Its values are the trial's.
    pub counted: bool,
    /// Its final values.
    pub values: IndexMap<String, f64>,
    /// Its last reported step.
    pub last_step: u64,
    /// Steps that were done before it began.
    pub resume_step: u64,
    /// Slots it occupies or occupied on its node; none where a client held it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<String>,
}

/// A trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trial {
    /// Its identity.
    pub id: String,
    /// What people type: proposing node and counter.
    pub label: String,
    /// Position in the study's canonical order.
    pub number: u64,
    /// Its study's name.
    pub study: String,
    /// Its study.
    pub study_id: String,
    /// Its state.
    pub state: TrialState,
    /// Why its shown attempt ended; null while it is open.
    pub reason: Option<Reason>,
    /// Free text about its end.
    pub detail: Option<String>,
    /// Active parameters.
    pub params: IndexMap<String, Value>,
    /// Values of the counted attempt; for a pruned or paused trial those last reported.
    pub values: IndexMap<String, f64>,
    /// Who holds or held the shown attempt.
    pub node: Option<String>,
    /// The shown attempt: counted, else running, else latest; null before the first.
    pub attempt: Option<u32>,
    /// All attempts.
    pub attempts: Vec<Attempt>,
    /// Its last reported step.
    pub last_step: u64,
    /// Steps already done when the shown attempt began.
    pub resume_step: u64,
    /// What a running or paused trial is expected to come to; null where its curves don't tell.
    pub predicted: Option<Predicted>,
    /// Why a waiting or paused trial isn't running, in words; only where one trial is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it was proposed.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When its first attempt was claimed.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it reached a terminal state.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// Free attributes.
    pub user_attrs: IndexMap<String, Value>,
    /// Free text.
    pub note: String,
    /// Who chose its parameters; null: they were given.
    pub sampler: Option<SampledBy>,
}

/// What a trial is expected to come to, by its curve and those of the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Predicted {
    /// The first objective's value at `step`.
    pub value: f64,
    /// With `high`: four of five such trials end between them.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// A trial's length in steps.
    pub step: u64,
    /// Seconds of running until then, as long as its steps take; null where that is unknown.
    pub remaining_s: Option<f64>,
}

/// Names of [`Trial`]'s fields, for `fields=` and imports.
pub const TRIAL_FIELDS: [&str; 23] = [
    "id",
    "label",
    "number",
    "study",
    "study_id",
    "state",
    "reason",
    "detail",
    "params",
    "values",
    "node",
    "attempt",
    "attempts",
    "last_step",
    "resume_step",
    "predicted",
    "created_at",
    "started_at",
    "finished_at",
    "user_attrs",
    "note",
    "sampler",
    "reports",
];

/// `POST /studies/{study}/trials`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enqueue {
    /// The configuration: every active parameter.
    pub params: IndexMap<String, Value>,
    /// Free attributes.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub user_attrs: IndexMap<String, Value>,
}

/// `PATCH /trials/{trial}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrialPatch {
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Merged key by key; null removes.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub user_attrs: IndexMap<String, Value>,
}

/// Seconds of a lease when none are given.
pub const DEFAULT_LEASE_S: f64 = 3600.0;
/// Longest lease, in seconds.
pub const MAX_LEASE_S: f64 = 604_800.0;
/// Most trials asked for at once.
pub const MAX_COUNT: u64 = 1000;
/// Most reports sent at once.
pub const MAX_REPORTS: usize = 10_000;

/// `POST …/suggest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Suggest {
    /// How many, 1 to 1,000.
    #[schema(minimum = 1, maximum = 1000)]
    pub count: u64,
    /// Asking again with the same one gives its running trials again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub client_id: Option<String>,
    /// Seconds (1 to 604,800) without a renewal after which the trial is offered again.
    #[schema(minimum = 1, maximum = 604800)]
    pub lease_s: f64,
}

impl Default for Suggest {
    fn default() -> Self {
        Self { count: 1, client_id: None, lease_s: DEFAULT_LEASE_S }
    }
}

/// The answer to `suggest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Suggested {
    /// The trials, held by the client.
    pub items: Vec<Trial>,
    /// Why there are fewer than asked for: `exhausted`, `budget`, `wait` or `paused`.
    pub reason: Option<String>,
    /// Seconds after which asking again may help.
    pub retry_after_s: Option<f64>,
}

/// One point of a training curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReport {
    /// Completed units of work, from 1 up.
    #[schema(minimum = 1)]
    pub step: u64,
    /// Finite metrics; null only from trials that metaopt runs.
    #[schema(value_type = std::collections::BTreeMap<String, Option<f64>>)]
    pub values: IndexMap<String, Option<f64>>,
    /// The attempt that reports; absent: the running one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub attempt: Option<u32>,
}

/// One report or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum NewReports {
    /// One.
    One(NewReport),
    /// Several.
    Many(Vec<NewReport>),
}

/// What the script should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Go on.
    Continue,
    /// Leave; what was reported is kept.
    Stop,
    /// Save a checkpoint and leave.
    Pause,
}

/// The answer to reports and heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// What to do.
    pub action: Action,
}

/// A report as read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Completed units of work.
    pub step: u64,
    /// Metrics; null where a process reported a non-finite value.
    #[schema(value_type = std::collections::BTreeMap<String, Option<f64>>)]
    pub values: IndexMap<String, Option<f64>>,
    /// When it arrived.
    #[schema(format = DateTime)]
    pub time: String,
}

/// How a client may say that a trial ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToldState {
    /// With all objectives.
    #[default]
    Complete,
    /// It failed.
    Fail,
    /// The client stopped it.
    Pruned,
    /// This configuration can't be evaluated.
    Infeasible,
}

/// `POST …/complete`: values, or a state and a detail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Complete {
    /// `complete` when absent.
    pub state: ToldState,
    /// Finite metrics, all objectives among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<IndexMap<String, f64>>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The attempt that tells; absent: the running one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub attempt: Option<u32>,
}

/// `POST …/heartbeat`; the body may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeat {
    /// The attempt that is alive; absent: the running one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub attempt: Option<u32>,
}

/// One line of an import: a trial as exported, of which only `params` and `state` (and `values` of a complete one) are needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportLine {
    /// The configuration.
    pub params: IndexMap<String, Value>,
    /// Unfinished trials are left out.
    pub state: TrialState,
    /// Final values.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, Option<f64>>)]
    pub values: IndexMap<String, Option<f64>>,
    /// Its curve.
    #[serde(default)]
    pub reports: Vec<NewReport>,
    /// The ID it had; importing the same again changes nothing.
    #[serde(default)]
    pub id: Option<String>,
    /// Free text about its end.
    #[serde(default)]
    pub detail: Option<String>,
    /// Free attributes.
    #[serde(default)]
    pub user_attrs: IndexMap<String, Value>,
}

/// A kept file of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Artifact {
    /// A relative path, with `/`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was last written.
    #[schema(format = DateTime)]
    pub modified_at: Option<String>,
    /// BLAKE3 of its bytes, hexadecimal; in lists with `hashes=true`.
    #[serde(default)]
    pub blake3: Option<String>,
}

/// What a draw depended on. What its node knew is there where it could be found again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrawInputs {
    /// The sampler that chose: for `auto` the one it handed over to.
    pub sampler: String,
    /// The study's seed.
    pub seed: u64,
    /// The node's stream of random numbers: 0 for the study's creator.
    pub slot: u64,
    /// The node's draws in this study before.
    pub draw: u64,
    /// Trials that the node knew.
    pub trials_seen: u64,
    /// What the sampler fitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fit: Vec<f32>,
    /// Who proposed then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<DrawMember>,
    /// Trials that the budget still allowed; null: no end.
    #[serde(default)]
    pub budget_left: Option<u64>,
    /// The metaopt that drew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The trials that the node knew, in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saw: Option<DrawSaw>,
    /// The rest.
    #[serde(flatten)]
    pub rest: IndexMap<String, Value>,
}

/// A node that proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrawMember {
    /// Its ID.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Its share of the work.
    pub weight: f32,
}

/// Trials that a node knew when it drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrawSaw {
    /// All.
    pub trials: u64,
    /// Those that were over.
    pub ended: u64,
    /// The others.
    pub open: u64,
    /// Trials proposed before, of which the node had not heard.
    pub not_yet: u64,
}

/// Everything that reproduces a trial's parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The trial.
    pub trial: String,
    /// Its label.
    pub label: String,
    /// `sampler`, `enqueued` or `imported`.
    pub source: String,
    /// Its study's name.
    pub study: String,
    /// Its parameters.
    pub params: IndexMap<String, Value>,
    /// ID of the node that proposed it.
    pub proposed_by: String,
    /// Its name then.
    pub proposed_by_name: String,
    /// Whether drawing again gives the same parameters; null: they were not drawn, or it can't be told.
    pub reproduced: Option<bool>,
    /// Why, in words.
    pub detail: String,
    /// What comes out now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrawn: Option<IndexMap<String, Value>>,
    /// What the draw depended on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<DrawInputs>,
    /// The rest, by source.
    #[serde(flatten)]
    pub rest: IndexMap<String, Value>,
}
