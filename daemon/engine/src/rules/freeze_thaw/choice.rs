//! What running a curve on is worth: expected gain over the best, per step, with the option to give it up.
//!
//! Instead of the paper's entropy search. Running a curve for some steps moves what it is expected to come to by a normal
//! step of known variance (of reports' times alone); it is then run to its end only if that is promising. The worth is the
//! best ratio of expected gain to expected steps over how far to look first and how promising it must then be. (An index in
//! the sense of Gittins and Weitzman.)

use super::model::{Model, One, Outlook};
use crate::math::{cdf, ppf};

/// Equally likely outcomes of a look ahead.
const OUTCOMES: usize = 16;

/// Expected gain under `best` of a normal variable.
fn gain(best: f64, mean: f64, variance: f64) -> f64 {
    let sd = variance.max(1e-18).sqrt();
    let z = (best - mean) / sd;
    let density = libm::exp(-0.5 * z * z) * 0.398_942_280_401_432_7;
    (sd * (z * cdf(z) + density)).max(0.0)
}

/// What is weighed.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// What it may come to.
    pub outlook: Outlook,
    /// Its asymptote's variance.
    pub c: f64,
    /// Its grid, and how many reports it has there.
    pub grid: usize,
    /// See `grid`.
    pub reports: usize,
    /// Its last step.
    pub step: u64,
    /// Steps of the median curve that it takes before it goes on.
    pub restore: f64,
    /// What a step of it takes, over one of the median curve.
    pub pace: f64,
}

/// Normal quantiles of the outcomes.
#[derive(Clone, Debug)]
pub struct Weigher {
    outcomes: Vec<f64>,
    best: f64,
}

impl Weigher {
    /// With gains under a normalised cost.
    pub fn new(best: f64) -> Self {
        let outcomes = (0..OUTCOMES).map(|i| ppf((i as f64 + 0.5) / OUTCOMES as f64)).collect();
        Self { outcomes, best }
    }

    /// The worth of one candidate: gain per step of the median curve.
    pub fn worth(&self, model: &Model, one: &One, candidate: &Candidate) -> f64 {
        let Candidate { outlook: Outlook { mean, variance }, c, grid, reports, step, restore, pace } = *candidate;
        let steps = &model.grids[grid];
        let left = model.length.saturating_sub(step) as f64;
        if left <= 0.0 {
            return 0.0;
        }
        // To the end at once.
        let mut best = gain(self.best, mean, variance) / (left * pace + restore);
        let mut look = 1;
        while reports + look < steps.len() {
            let at = reports + look;
            let later = one.later(grid, reports, at, c).min(variance);
            let moves = (variance - later).max(0.0).sqrt();
            let first = steps[at - 1].saturating_sub(step) as f64 * pace + restore;
            let rest = model.length.saturating_sub(steps[at - 1]) as f64 * pace;
            let (mut sum, weight) = (0.0, 1.0 / OUTCOMES as f64);
            for (i, outcome) in self.outcomes.iter().enumerate() {
                sum += weight * gain(self.best, mean + moves * outcome, later);
                best = best.max(sum / (first.max(1e-9) + rest * weight * (i + 1) as f64));
            }
            look *= 2;
        }
        best
    }
}
