//! What crosses the border between the node's decisions and the processes that carry them out.

use metaopt_schema::{AttemptKey, NodeId, StudyId, space::Params, stamp::WallMs, study::RunSpec, trial::Values};
use serde::{Deserialize, Serialize};

/// Everything the shell needs to run one attempt. Also written (as JSON) into the attempt's directory, for adoption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Which attempt.
    pub key: AttemptKey,
    /// The trial's label, for logs and `{trial.label}`.
    pub label: String,
    /// Its study.
    pub study: StudyId,
    /// Its study's name.
    pub study_name: String,
    /// Active parameters.
    pub params: Params,
    /// All parameters of the space, so that a placeholder of an inactive one is told from an unknown one.
    pub space_names: Vec<String>,
    /// Metrics that a result must have, for the `missing_metric` message.
    pub metrics: Vec<String>,
    /// What to run.
    pub run: RunSpec,
    /// Steps already done.
    pub resume_step: u64,
    /// Where the checkpoint of that step is, if on another node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// GPU UUIDs to show to the process; empty: none.
    pub gpus: Vec<String>,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_s: f64,
    /// When the node decided.
    pub at: WallMs,
}

/// A checkpoint that another node has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Which node.
    pub node: NodeId,
    /// Its archive's name; none: that node did not pack it.
    pub hash: Option<String>,
}

/// Why a running attempt is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopWhy {
    /// The rule.
    Pruned,
    /// Freezing: the longer pause grace applies.
    Paused,
    /// A person.
    Cancelled,
    /// Another attempt counts.
    Superseded,
    /// `--stop-jobs`.
    Preempted,
}

/// What the shell tells the node of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptEvent {
    /// The supervisor runs (also said after adoption).
    Started,
    /// The setup command failed or timed out; the text goes to people.
    SetupFailed(String),
    /// It could not be started at all.
    LaunchFailed(String),
    /// It is over.
    Exited(ExitReport),
    /// Its supervisor vanished without an exit record (reboot, kill -9).
    Vanished(String),
}

/// How an attempt's process ended. Written by the supervisor as `exit.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExitReport {
    /// Exit code, when it exited.
    pub exit_code: Option<i32>,
    /// Signal, when one killed it.
    pub signal: Option<i32>,
    /// It ran past `timeout_s` and was stopped for it.
    pub timed_out: bool,
    /// The kernel killed it for memory.
    pub oom: bool,
    /// Why it was asked to stop, if it was.
    pub stopped: Option<StopWhy>,
    /// The result found in the results file or on standard output; `Err` says what was wrong with it.
    pub result: Option<Result<Values, String>>,
    /// Metrics seen that weren't objectives or weren't finite, for the message.
    pub seen: Vec<String>,
    /// A committed checkpoint exists.
    pub has_checkpoint: bool,
    /// The step that its marker names, and whether the script said so itself.
    pub checkpoint_step: Option<(u64, bool)>,
    /// When the latest finished entry beside it was written (milliseconds since 1970).
    pub checkpoint_at: WallMs,
    /// Its archive's name, where others may want it.
    pub checkpoint: Option<String>,
    /// What people should know of how it began, beside how it ended.
    pub note: Option<String>,
    /// API calls that the script could not deliver while the daemon was away, oldest first.
    pub spooled: Vec<Spooled>,
    /// Milliseconds since 1970.
    pub ended_at: WallMs,
    /// The last lines of standard error, for people.
    pub tail: String,
}

/// A call that a script spooled (one JSON line of `spool.jsonl` in its results directory).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spooled {
    /// `reports` or `complete`.
    pub call: String,
    /// The body it would have posted.
    pub body: serde_json::Value,
}
