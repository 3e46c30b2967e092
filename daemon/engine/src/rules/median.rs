//! Stops a trial whose best cost so far is worse than that of most earlier trials at the same step (Golovin et al. 2017,
//! as "median stopping"; any percentile).

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Reported, Rule, Verdict};
use crate::{
    history::{History, RecordState},
    math::sortable,
    options::Options,
};

/// See the module; the median is percentile 50.
#[derive(Clone, Copy, Debug)]
pub struct Percentile {
    percentile: f64,
    startup: usize,
    peers: usize,
    min_steps: Option<u64>,
    max_steps: Option<u64>,
}

const COMMON: [&str; 4] = ["n_startup_trials", "min_peers", "min_steps", "max_steps"];

impl Percentile {
    /// The median rule: `n_startup_trials` (5 complete trials before anything is stopped), `min_peers` (3 of them with a
    /// report at this step or later), `min_steps` (the first step at which a trial may be stopped; by default a
    /// twentieth of `max_steps`, at least 1), `max_steps` (a trial's length; by default that of the longest complete one).
    pub fn median(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        Self::read(Options::new(options, "/early_stopping", "median", &COMMON), 50.0)
    }

    /// As the median, with `percentile` (25): trials beyond that percentile of the costs are stopped, so 25 keeps the
    /// best quarter.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let known: Vec<&str> = COMMON.into_iter().chain(["percentile"]).collect();
        let mut read = Options::new(options, "/early_stopping", "percentile", &known);
        let percentile =
            read.number("percentile", "a number above 0 and below 100", |p| p > 0.0 && p < 100.0).unwrap_or(25.0);
        Self::read(read, percentile)
    }

    fn read(mut read: Options, percentile: f64) -> Result<Self, Vec<FieldError>> {
        let rule = Self {
            percentile,
            startup: read.count("n_startup_trials", 0, 1_000_000).unwrap_or(5) as usize,
            peers: read.count("min_peers", 1, 1_000_000).unwrap_or(3) as usize,
            min_steps: read.count("min_steps", 1, u64::MAX >> 1),
            max_steps: read.count("max_steps", 1, u64::MAX >> 1),
        };
        if let (Some(min), Some(max)) = (rule.min_steps, rule.max_steps)
            && min > max
        {
            read.fault(
                "min_steps",
                format!("`min_steps` ({min}) is above `max_steps` ({max}), so no trial could ever be stopped"),
            );
        }
        read.done(rule)
    }
}

impl Rule for Percentile {
    fn decide(&self, history: &History, &Reported { key, step, .. }: &Reported) -> Verdict {
        let Some(own) = history.get(key) else { return Verdict::Continue };
        let complete: Vec<_> = history.records().filter(|r| r.state == RecordState::Complete && r.key != key).collect();
        let length = self.max_steps.or_else(|| complete.iter().map(|r| r.last_step).max()).unwrap_or(0);
        let first = self.min_steps.unwrap_or_else(|| length.div_ceil(20).max(1));
        // At its last step a trial is as good as complete.
        if complete.len() < self.startup || step < first || self.max_steps.is_some_and(|max| step >= max) {
            return Verdict::Continue;
        }
        let reached = complete.iter().filter(|r| r.curve.last().is_some_and(|(last, _)| *last >= step));
        let mut peers: Vec<f64> = reached.filter_map(|r| Some(r.best_until(step)?.1)).collect();
        if peers.len() < self.peers {
            return Verdict::Continue;
        }
        peers.sort_by_key(|cost| sortable(*cost));
        if own.curve.is_empty() {
            return Verdict::Continue;
        }
        // None: it never was a number.
        let best = own.best_until(step).map_or(f64::INFINITY, |(_, best)| best);
        if best > at(&peers, self.percentile) { Verdict::Stop } else { Verdict::Continue }
    }
}

/// A percentile of sorted values, between neighbours in proportion.
fn at(sorted: &[f64], percentile: f64) -> f64 {
    let place = percentile / 100.0 * (sorted.len() - 1) as f64;
    let (below, share) = (place as usize, place.fract());
    let above = sorted[(below + 1).min(sorted.len() - 1)];
    if share == 0.0 || above == sorted[below] { sorted[below] } else { sorted[below] + share * (above - sorted[below]) }
}
