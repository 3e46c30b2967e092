//! What people and programs ask of a node, and why it may refuse. `Node`'s methods take these; the shell maps them to HTTP.

use indexmap::IndexMap;
use metaopt_schema::{
    AttemptNo, FieldError, Named, StudyId, TrialId,
    space::{Params, Space},
    stamp::WallMs,
    study::Budget,
    trial::Values,
};
use serde_json::Value;

/// The time at which something is handled: both clocks, read by the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never jumps; leases and timeouts use it.
    pub mono_ms: u64,
    /// Milliseconds since 1970; shown to people.
    pub wall_ms: WallMs,
}

/// The kind of a refusal; the shell maps it to an HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// No such thing (404).
    NotFound,
    /// Wrong state, or the name is taken, or ambiguous (409).
    Conflict,
    /// Fields do not fit (422).
    Invalid,
    /// The machine has no room for it now (503).
    NoRoom,
    /// What it is about can't be read now (503).
    Unreadable,
}

/// Why a command was not carried out; nothing was changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Its kind.
    pub kind: RefusalKind,
    /// One sentence for people, with the way out.
    pub detail: String,
    /// The wrong fields, if any.
    pub errors: Vec<FieldError>,
}

impl Refusal {
    /// No such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self { kind: RefusalKind::NotFound, detail: detail.into(), errors: Vec::new() }
    }
    /// Wrong state.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Conflict, detail: detail.into(), errors: Vec::new() }
    }
    /// No room now.
    pub fn no_room(detail: impl Into<String>) -> Self {
        Self { kind: RefusalKind::NoRoom, detail: detail.into(), errors: Vec::new() }
    }
    /// It rests on a disk that can't be read now.
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Unreadable, detail: detail.into(), errors: Vec::new() }
    }
    /// Wrong fields; the sentence is that of the first.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let sentence = |one: &FieldError| match one.pointer.as_str() {
            "" => one.detail.clone(),
            pointer => format!("{pointer}: {}", one.detail),
        };
        let detail = match errors.as_slice() {
            [] => "the request does not fit".to_owned(),
            [one] => sentence(one),
            [one, rest @ ..] => format!("{} (and {} more)", sentence(one), rest.len()),
        };
        Self { kind: RefusalKind::Invalid, detail, errors }
    }
    /// One wrong field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }
}

/// `PATCH /studies/{study}`; absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StudyPatch {
    /// Another label.
    pub name: Option<String>,
    /// The whole budget.
    pub budget: Option<Budget>,
    /// Free text.
    pub note: Option<String>,
    /// Merged key by key; null removes.
    pub user_attrs: IndexMap<String, Value>,
    /// Parameters to add, each with a default, or with a wider range.
    pub space: Option<Space>,
}

/// What may be done to a study as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StudyAction {
    /// Start nothing new.
    Pause,
    /// Go on (also brings back an archived study).
    Resume,
    /// End it and its trials.
    Cancel,
    /// Put it away.
    Archive,
}

/// What may be done to a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialAction {
    /// End it.
    Cancel,
    /// Offer an ended one again.
    Retry,
    /// Freeze it.
    Pause,
    /// Thaw it.
    Resume,
}

/// What may be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeAction {
    /// Start nothing new there.
    Drain,
    /// Undo a drain.
    Resume,
    /// Give it up.
    Lost,
    /// For ever.
    Remove,
}

/// `POST …/suggest`.
#[derive(Clone, Debug, PartialEq)]
pub struct SuggestRequest {
    /// How many (1 to 1,000).
    pub count: u64,
    /// Asking again with the same one gives its running trials again.
    pub client_id: Option<String>,
    /// Seconds without a renewal after which the trial is offered again.
    pub lease_s: f64,
}

/// Why there was nothing to suggest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleReason {
    /// Every configuration of a finite space was tried.
    Exhausted,
    /// The budget is used up.
    Budget,
    /// Something is running that must end first.
    Wait,
    /// The study is paused.
    Paused,
}

impl IdleReason {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Budget => "budget",
            Self::Wait => "wait",
            Self::Paused => "paused",
        }
    }
}

/// The answer to `suggest`.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggested {
    /// The trials, each with a running attempt held by the client.
    pub trials: Vec<TrialId>,
    /// Why there are fewer than asked for.
    pub reason: Option<IdleReason>,
    /// Seconds after which asking again may help.
    pub retry_after_s: Option<f64>,
}

/// What the script should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    Continue,
    /// Leave; what was reported is kept.
    Stop,
    /// Save a checkpoint and leave.
    Pause,
}

impl Action {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Stop => "stop",
            Self::Pause => "pause",
        }
    }
}

/// One reported point.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// From 1 up.
    pub step: u64,
    /// Finite metrics (JSON null where a process gave a non-finite one).
    pub values: Named<Option<f64>>,
    /// The attempt that reports; absent: the running one.
    pub attempt: Option<AttemptNo>,
}

/// How a client says that its trial is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// With all objectives.
    Complete(Values),
    /// It failed.
    Fail,
    /// The client stopped it.
    Pruned,
    /// This configuration can't be evaluated.
    Infeasible,
}

/// `POST …/complete`.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// How it ended.
    pub told: Told,
    /// Free text.
    pub detail: Option<String>,
    /// The attempt that tells; absent: the latest.
    pub attempt: Option<AttemptNo>,
}

/// One line of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedTrial {
    /// The configuration.
    pub params: Params,
    /// `complete`, `pruned`, `fail` or `infeasible` (others are refused).
    pub told: Told,
    /// Its curve.
    pub reports: Vec<Report>,
    /// Free text.
    pub detail: Option<String>,
    /// Free attributes.
    pub user_attrs: IndexMap<String, Value>,
    /// The ID it had; importing the same again changes nothing.
    pub id: Option<String>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// New trials.
    pub added: u64,
    /// Known already.
    pub skipped: u64,
}

/// A change that people may follow; the shell numbers and streams them.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `study.created`, `study.updated`, `study.deleted`, `trial.created`, `trial.updated`, `trial.report`, `node.updated`.
    pub kind: &'static str,
    /// The study concerned.
    pub study: Option<StudyId>,
    /// The trial concerned.
    pub trial: Option<TrialId>,
    /// For `trial.report`: the step and values.
    pub data: Option<Value>,
}
