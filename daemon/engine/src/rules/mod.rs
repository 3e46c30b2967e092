//! The contract of early-stopping rules, written once, and their registry. One file per rule.
//!
//! A rule is a pure function of the history and is asked only when a report has been folded into it. Steps are
//! completed units of work, from 1 up; costs are those of the first objective, smaller is better.

mod median;
mod none;
mod patience;

use metaopt_schema::{FieldError, study::EarlyStopping};

use crate::{history::History, options};

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

    /// Whether it compares whole curves, so that a history must have those of finished trials too.
    fn reads_curves(&self) -> bool {
        true
    }
}

/// Rules of this version, as named in a study.
pub const NAMES: [&str; 4] = ["none", "median", "percentile", "patience"];

/// Rules that the contract names and this version lacks.
const PLANNED: [&str; 3] = ["asha", "hyperband", "freeze-thaw"];

/// The rule that a study names, with its options; errors point into `/early_stopping`.
pub fn rule(spec: &EarlyStopping) -> Result<Box<dyn Rule>, Vec<FieldError>> {
    let options = &spec.options;
    Ok(match spec.rule.as_str() {
        "none" => Box::new(none::None::new(options)?),
        "median" => Box::new(median::Percentile::median(options)?),
        "percentile" => Box::new(median::Percentile::new(options)?),
        "patience" => Box::new(patience::Patience::new(options)?),
        other => return Err(options::no_such("early-stopping rule", "/early_stopping/rule", other, &NAMES, &PLANNED)),
    })
}
