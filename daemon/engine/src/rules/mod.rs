//! The contract of early-stopping rules, written once, and their registry. One file per rule.
//!
//! A rule is a pure function of the history and is asked only when a report has been folded into it.

use metaopt_schema::{FieldError, study::EarlyStopping};

use crate::history::History;

/// What to do with the trial that reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// End it as pruned.
    Stop,
    /// Freeze it.
    Pause,
}

/// Decides about running trials.
pub trait Rule: Send + Sync {
    /// What to do with trial `key` (see [`crate::Record::key`]), whose report for `step` is in the history.
    fn decide(&self, history: &History, key: u64, step: u64) -> Verdict;
}

/// Rules of this version, as named in a study.
pub const NAMES: [&str; 4] = ["none", "median", "percentile", "patience"];

/// The rule that a study names, with its options; errors point into `/early_stopping`.
pub fn rule(spec: &EarlyStopping) -> Result<Box<dyn Rule>, Vec<FieldError>> {
    let _ = spec;
    Err(Vec::new())
}
