//! Freeze-thaw (Swersky, Snoek and Adams 2014, arXiv 1406.3896): a Gaussian process over the asymptotes of training curves
//! says which trial's next steps are worth most; the others are frozen and may go on later.
//!
//! The model is the paper's, with a mean decay that curves share; hyperparameters are the most probable ones, or
//! sampled. What is chosen isn't by entropy search but by expected gain per step (see `choice`). Where a script can't be
//! frozen, asynchronous successive halving stops it.

mod blocks;
mod choice;
mod curves;
mod fit;
mod kernel;
mod model;
mod posterior;
#[cfg(test)]
mod tests;

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use self::{
    choice::{Candidate, Weigher},
    model::Model,
    posterior::Posterior,
};
use super::{Forecast, Free, Newcomer, Next, Reported, Rule, Verdict, asha::Asha, rungs::Ladder};
use crate::{
    codec::Config,
    history::{History, Record, RecordState},
    options::Options,
    rng::Stream,
};

/// A running trial goes on unless another is worth so many times as much: frozen and thawed trials cost more than they show.
const HYSTERESIS: f64 = 1.1;
/// Once nothing new may begin, a trial goes on as long as a whole trial's steps at its worth would gain so much: of the way from
/// the median to the best tenth.
const WORTHWHILE: f64 = 0.01;
/// Configurations that stand for the next new one, where it isn't known.
const STAND_INS: usize = 8;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct FreezeThaw {
    ladder: Ladder,
    sampled: bool,
    restore: f64,
    startup: usize,
    fallback: Asha,
}

/// The model with what is expected of others, and the two costs below which is a gain: the best that a complete trial has
/// (before there is one, what is expected of most), so that trials are finished, and the lowest ever reported.
struct Weighed<'a> {
    model: &'a Model,
    posteriors: Vec<Posterior>,
    weighers: Vec<Vec<Weigher>>,
}

impl FreezeThaw {
    /// `max_steps` (a trial's length: by default that of the longest known), `n_startup_trials` (2: the first trials are run to
    /// their ends, so that it is known what curves do), `hyperparameters` ("map", the most probable; or "sampled", several),
    /// `restore_steps` (0.5: what freezing and going on costs at least, in steps).
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let known = ["max_steps", "hyperparameters", "restore_steps", "n_startup_trials"];
        let mut read = Options::new(options, "/early_stopping", "freeze-thaw", &known);
        let max_steps = read.count("max_steps", 1, u64::MAX >> 1);
        let ladder = Ladder { factor: 3, min_steps: None, max_steps, brackets: 1 };
        let rule = Self {
            ladder,
            sampled: read.choice("hyperparameters", &["map", "sampled"]) == Some("sampled"),
            restore: read.number("restore_steps", "a number from 0 up", |n| n >= 0.0).unwrap_or(0.5),
            startup: read.count("n_startup_trials", 0, 1_000_000).unwrap_or(2) as usize,
            fallback: Asha::stopping(ladder),
        };
        read.done(rule)
    }

    /// Whether a trial is among those that are run to their ends, whatever they look like: so that it is known what curves do.
    fn is_first(&self, history: &History, key: u64) -> bool {
        let Some(own) = history.get(key) else { return false };
        let sound = |r: &&Record| !matches!(r.state, RecordState::Failed | RecordState::Ignored);
        let before = |r: &&Record| (r.order, r.key) < (own.order, own.key);
        history.records().filter(sound).filter(before).take(self.startup).count() < self.startup
    }

    fn weigh<'a>(&self, model: &'a Model, except: Option<u64>) -> Weighed<'a> {
        let curves = &model.curves;
        let posteriors: Vec<Posterior> = model.ones.iter().map(|one| one.expecting(curves, except)).collect();
        let seen = curves.iter().map(|c| c.best).fold(f64::INFINITY, f64::min);
        let weighers = model.ones.iter().map(|one| {
            let expected = || {
                let mut means: Vec<f64> = (0..curves.len()).map(|i| one.outlook(i, &one.known).mean).collect();
                means.sort_by(f64::total_cmp);
                means[means.len() / 2]
            };
            let done = model.done.map_or_else(expected, |done| model.scale.to(done));
            vec![Weigher::new(done), Weigher::new(model.scale.to(seen))]
        });
        let weighers = weighers.collect();
        Weighed { model, posteriors, weighers }
    }
}

impl Weighed<'_> {
    fn worth(&self, of: impl Fn(usize) -> Candidate) -> f64 {
        let ones = self.model.ones.iter().enumerate();
        let one = |(s, one)| -> f64 {
            let candidate = of(s);
            self.weighers[s].iter().map(|weigher| weigher.worth(self.model, one, &candidate)).sum()
        };
        ones.map(one).sum::<f64>() / self.model.ones.len() as f64
    }

    /// Whether steps of this worth are still worth taking when nothing new may begin. (Something has to be complete first.)
    fn is_worthwhile(&self, worth: f64) -> bool {
        self.model.done.is_none() || worth * self.model.length as f64 > WORTHWHILE
    }

    /// The worth of going on with curve `i`.
    fn old(&self, i: usize, restore: f64) -> f64 {
        self.worth(|s| {
            let (one, posterior) = (&self.model.ones[s], &self.posteriors[s]);
            let (reports, c) = one.stand(i, posterior);
            let (curve, outlook) = (&self.model.curves[i], one.outlook(i, posterior));
            Candidate { outlook, c, grid: curve.grid, reports, step: curve.last_step, restore, pace: curve.pace }
        })
    }

    /// The worth of a new configuration.
    fn newcomer(&self, point: &[f64], start: f64) -> f64 {
        self.worth(|s| {
            let (outlook, c) = self.model.ones[s].newcomer(point);
            Candidate { outlook, c, grid: 0, reports: 0, step: 0, restore: start, pace: 1.0 }
        })
    }
}

impl Rule for FreezeThaw {
    fn decide(&self, history: &History, reported: &Reported) -> Verdict {
        if !reported.freezes {
            return self.fallback.decide(history, reported);
        }
        let length = self.ladder.length(history);
        if reported.step >= length || history.get(reported.key).is_none_or(|own| own.curve.is_empty()) {
            return Verdict::Continue;
        }
        if self.is_first(history, reported.key) {
            return Verdict::Continue;
        }
        let Some(model) = Model::of(history, length, self.sampled) else { return Verdict::Continue };
        let Some(own) = model.curves.iter().position(|c| c.key == reported.key) else { return Verdict::Pause };
        let weighed = self.weigh(&model, Some(reported.key));
        let worth = weighed.old(own, 0.0);
        if reported.new == Newcomer::None && !weighed.is_worthwhile(worth) {
            return Verdict::Pause;
        }
        let mine = worth * HYSTERESIS;
        let paused = model.curves.iter().enumerate().filter(|(_, c)| c.state == RecordState::Paused);
        let frozen = paused.map(|(i, _)| weighed.old(i, self.restore.max(reported.start))).fold(0.0, f64::max);
        if frozen > mine {
            return Verdict::Pause;
        }
        let newcomer = |config: &Config| weighed.newcomer(&Model::point(history, config), reported.start);
        let mut stream = Stream::new(0, 0, 0, "freeze-thaw stand-ins");
        let codec = history.codec();
        let stand_in = |_| newcomer(&codec.build(|i| codec.quantile(i, stream.unit())));
        let new = match reported.new {
            Newcomer::None => 0.0,
            Newcomer::Unknown => (0..STAND_INS).map(stand_in).fold(0.0, f64::max),
            Newcomer::Known(params) => codec.encode(params).map_or(0.0, |config| newcomer(&config)),
        };
        if new > mine { Verdict::Pause } else { Verdict::Continue }
    }

    fn next(&self, history: &History, free: &Free) -> Next {
        let fresh = if free.new.is_some() { Next::New } else { Next::Wait };
        let length = self.ladder.length(history);
        let Some(model) = Model::of(history, length, self.sampled) else { return fresh };
        let weighed = self.weigh(&model, None);
        let new = free.new.and_then(|params| history.codec().encode(params));
        let mut best = (
            new.map_or(f64::NEG_INFINITY, |config| weighed.newcomer(&Model::point(history, &config), free.start)),
            fresh,
        );
        let worthwhile = |worth: f64| free.new.is_some() || weighed.is_worthwhile(worth);
        for (i, curve) in model.curves.iter().enumerate().filter(|(_, c)| c.state == RecordState::Paused) {
            let Some(restore) = (free.restore)(curve.key) else { continue };
            let worth = weighed.old(i, restore.max(self.restore));
            if worth > best.0 && worthwhile(worth) {
                best = (worth, Next::Thaw(curve.key));
            }
        }
        best.1
    }

    fn pauses(&self) -> bool {
        true
    }

    fn weighs_newcomers(&self) -> bool {
        true
    }

    fn rungs(&self, history: &History, key: u64) -> Vec<u64> {
        self.fallback.rungs(history, key)
    }
}

/// What trials are expected to come to at `max_steps`, by the curves of all: usable with every rule. None where a trial has no
/// report, or none of length is known.
pub fn forecast(history: &History, keys: &[u64], max_steps: u64) -> Vec<Option<Forecast>> {
    let Some(model) = Model::of(history, max_steps, false) else { return vec![None; keys.len()] };
    let one = |key: &u64| {
        let i = model.curves.iter().position(|c| c.key == *key && !c.steps.is_empty())?;
        let one = model.ones.first()?;
        let outlook = one.outlook(i, &one.known);
        let sd = (outlook.variance + one.noise()).sqrt();
        let at = |z: f64| model.scale.back(outlook.mean + z * sd);
        Some(Forecast { mean: at(0.0), sd: (at(1.0) - at(-1.0)) / 2.0, steps: max_steps })
    };
    keys.iter().map(one).collect()
}
