//! Stops a trial that has not improved for a number of steps; looks at no other trial.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Reported, Rule, Verdict};
use crate::{history::History, options::Options};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    patience: u64,
    min_delta: f64,
    min_steps: u64,
    max_steps: Option<u64>,
}

impl Patience {
    /// `patience` (10 steps without an improvement), `min_delta` (0: by how much a cost must fall to count as one),
    /// `min_steps` (1: the first step at which a trial may be stopped), `max_steps` (a trial's length: at it none is).
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let known = ["patience", "min_delta", "min_steps", "max_steps"];
        let mut read = Options::new(options, "/early_stopping", "patience", &known);
        let rule = Self {
            patience: read.count("patience", 1, u64::MAX >> 1).unwrap_or(10),
            min_delta: read.number("min_delta", "a number from 0 up", |d| d >= 0.0).unwrap_or(0.0),
            min_steps: read.count("min_steps", 1, u64::MAX >> 1).unwrap_or(1),
            max_steps: read.count("max_steps", 1, u64::MAX >> 1),
        };
        if let Some(max) = rule.max_steps
            && rule.min_steps > max
        {
            let min = rule.min_steps;
            read.fault(
                "min_steps",
                format!("`min_steps` ({min}) is above `max_steps` ({max}), so no trial is stopped"),
            );
        }
        read.done(rule)
    }
}

impl Rule for Patience {
    fn decide(&self, history: &History, &Reported { key, step, .. }: &Reported) -> Verdict {
        let Some(own) = history.get(key) else { return Verdict::Continue };
        if own.curve.is_empty() || step < self.min_steps || self.max_steps.is_some_and(|max| step >= max) {
            return Verdict::Continue;
        }
        let mut best: Option<(u64, f64)> = None;
        for &(at, cost) in own.curve.iter().take_while(|(at, _)| *at <= step) {
            if !cost.is_nan() && best.is_none_or(|(_, low)| cost < low - self.min_delta) {
                best = Some((at, cost));
            }
        }
        // None: it never was a number.
        let since = best.map_or(0, |(at, _)| at);
        if step - since >= self.patience { Verdict::Stop } else { Verdict::Continue }
    }
}
