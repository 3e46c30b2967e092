//! The contract of early-stopping rules, written once, and their registry. One file per rule.
//!
//! A rule is a pure function of the history; it is asked when a report has been folded into it, and, if it pauses trials,
//! when a slot is free. Steps are
//! completed units of work, from 1 up; costs are those of the first objective, smaller is better.

mod asha;
mod freeze_thaw;
mod median;
mod none;
mod patience;
mod rungs;

pub use self::freeze_thaw::forecast;

use metaopt_schema::{
    FieldError,
    space::Params,
    study::{EarlyStopping, StudyDef},
};
use serde_json::json;

use crate::{history::History, options};

/// What to do with the trial that reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// End it as pruned.
    Stop,
    /// Freeze it: it may go on later.
    Pause,
}

/// A report that was folded into the history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reported<'a> {
    /// Its trial ([`crate::Record::key`]).
    pub key: u64,
    /// Its step.
    pub step: u64,
    /// Whether its script leaves checkpoints, so that it can be frozen and go on later.
    pub freezes: bool,
    /// The new trial that could take its slot.
    pub new: Newcomer<'a>,
    /// What a start takes beyond its first step, in steps.
    pub start: f64,
}

/// The next new trial, as far as is known where no slot is free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Newcomer<'a> {
    /// None: the budget or the space has none left.
    None,
    /// One that isn't drawn yet: that costs something ([`Rule::weighs_newcomers`]).
    Unknown,
    /// One of this configuration.
    Known(&'a Params),
}

/// A free slot.
pub struct Free<'a> {
    /// The configuration that a new trial would have; none: the budget or the space has none left.
    pub new: Option<&'a Params>,
    /// What it takes to go on with a paused trial on this node (fetching its checkpoint and starting it), in steps;
    /// none: not here.
    pub restore: &'a dyn Fn(u64) -> Option<f64>,
    /// What it takes to start a new one, in steps.
    pub start: f64,
}

/// What a free slot is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Begin a new trial.
    New,
    /// Go on with a paused trial, by its key.
    Thaw(u64),
    /// Nothing: nothing is worth a slot now.
    Wait,
}

/// What a trial is expected to come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Expected cost (smaller is better).
    pub mean: f64,
    /// Its standard deviation, noise of one report included.
    pub sd: f64,
    /// The step at which.
    pub steps: u64,
}

/// Decides about running trials, and where some are paused about free slots.
pub trait Rule: Send + Sync {
    /// What to do with the trial that reported.
    fn decide(&self, history: &History, reported: &Reported) -> Verdict;

    /// What a free slot is to do; asked only where the rule [`pauses`](Self::pauses).
    fn next(&self, _history: &History, free: &Free) -> Next {
        if free.new.is_some() { Next::New } else { Next::Wait }
    }

    /// Whether it compares whole curves, so that a history must have those of finished trials too.
    fn reads_curves(&self) -> bool {
        true
    }

    /// Whether it pauses trials, so that a free slot is asked for [`Rule::next`].
    fn pauses(&self) -> bool {
        false
    }

    /// Whether it may pause a trial for a newcomer, so that it is to be asked again once that is drawn.
    fn weighs_newcomers(&self) -> bool {
        false
    }

    /// The steps at which the run of trial `key` is to end when it has one go (a fidelity), ascending; empty: only at the last.
    fn rungs(&self, _history: &History, _key: u64) -> Vec<u64> {
        Vec::new()
    }
}

/// Rules of this version, as named in a study.
pub const NAMES: [&str; 7] = ["none", "median", "percentile", "patience", "asha", "hyperband", "freeze-thaw"];

/// The rule of a study. Unless its own options say otherwise, `asha` and `hyperband` pause scripts and stop what clients run, and
/// where the space has a fidelity, that says how long a trial is and where its rungs are; errors point into `/early_stopping`.
pub fn rule_of(def: &StudyDef) -> Result<Box<dyn Rule>, Vec<FieldError>> {
    let mut spec = def.early_stopping.clone();
    let halves = matches!(spec.rule.as_str(), "asha" | "hyperband");
    if def.run.is_some() && halves {
        // Scripts can be frozen, and where they leave no checkpoints that is found out; of clients nobody knows.
        spec.options.entry("mode".to_owned()).or_insert(json!("promotion"));
    }
    if let Some((low, high, base)) = def.space.fidelity() {
        let mut usual = vec![("max_steps", json!(high))];
        if halves {
            usual.extend([("min_steps", json!(low)), ("reduction_factor", json!(base)), ("mode", json!("promotion"))]);
            if spec.options.get("mode").is_some_and(|mode| mode == "stopping") {
                let detail = "the space has a fidelity, whose runs end by themselves at a rung: leave `mode` out";
                return Err(vec![FieldError { pointer: "/early_stopping/mode".into(), detail: detail.into() }]);
            }
        }
        for (name, value) in usual {
            spec.options.entry(name.to_owned()).or_insert(value);
        }
    }
    rule(&spec)
}

/// The rule that a study names, with its options; errors point into `/early_stopping`.
pub fn rule(spec: &EarlyStopping) -> Result<Box<dyn Rule>, Vec<FieldError>> {
    let options = &spec.options;
    Ok(match spec.rule.as_str() {
        "none" => Box::new(none::None::new(options)?),
        "median" => Box::new(median::Percentile::median(options)?),
        "percentile" => Box::new(median::Percentile::new(options)?),
        "patience" => Box::new(patience::Patience::new(options)?),
        "asha" => Box::new(asha::Asha::new(options)?),
        "hyperband" => Box::new(asha::Asha::hyperband(options)?),
        "freeze-thaw" => Box::new(freeze_thaw::FreezeThaw::new(options)?),
        other => return Err(options::no_such("early-stopping rule", "/early_stopping/rule", other, &NAMES, &[])),
    })
}
