//! The distribution as a fold over the canonical order of results: the sampler has no state of its own.
//!
//! As many results as a generation has members make one, whatever they were drawn from.

use std::sync::Arc;

use super::{
    Cmaes, MAX_LAMBDA,
    layout::{Layout, Sample},
    state::{State, default_lambda},
};
use crate::{
    codec::{Axis, Codec, Config},
    history::Record,
    math::truncated,
    rng::{Stream, key},
    samplers::{
        Ask,
        fold::{Mark, Marks},
    },
};

/// Share of the trials before the first own one around which the distribution begins.
const TOP: f64 = 0.3;

/// The fold up to the end of a generation.
#[derive(Clone, Debug)]
struct Stage {
    now: Arc<State>,
    /// The best trial of this run.
    best: Option<u64>,
}

/// What the fold needs beside the results.
pub struct Replay<'a> {
    ask: &'a Ask<'a>,
    layout: &'a Layout,
    options: &'a Cmaes,
    axes: Vec<Axis>,
}

impl<'a> Replay<'a> {
    /// A fold over the history of `ask`.
    pub fn new(ask: &'a Ask<'a>, layout: &'a Layout, options: &'a Cmaes) -> Self {
        let axes = layout.numbers.iter().map(|i| ask.history.codec().axes()[*i]).collect();
        Self { ask, layout, options, axes }
    }

    fn codec(&self) -> &'a Codec {
        self.ask.history.codec()
    }

    /// The distribution after all results.
    pub fn state(&self) -> Arc<State> {
        let history = self.ask.history;
        let mut marks = Marks::load(history, key("cmaes", &[self.ask.seed, self.options.fingerprint()]));
        let mut at = marks.last().cloned().unwrap_or_else(|| self.begin());
        let mut members = Vec::new();
        for (place, record, config) in history.results(at.next) {
            let sample = self.layout.sample(self.codec(), record, config);
            // What is left of an earlier run says nothing about this one.
            if sample.run.is_some_and(|run| run < at.state.now.run) {
                continue;
            }
            members.push((record.key, sample));
            if members.len() == at.state.now.lambda {
                at.state = self.generation(&at.state, &members);
                marks.push(place, at.state.clone());
                members.clear();
            }
        }
        marks.save(history);
        at.state.now
    }

    /// The distribution before the first of the sampler's own trials: around the best of what was there, or what priors say.
    fn begin(&self) -> Mark<Stage> {
        let mut next = (0, 0);
        let mut before: Vec<(&Record, &Config)> = Vec::new();
        for (place, record, config) in self.ask.history.results(next) {
            if self.layout.is_own(record) {
                next = place;
                break;
            }
            next = (place.0, place.1.saturating_add(1));
            before.push((record, config));
        }
        Mark { next, state: Stage { now: Arc::new(self.first(&before)), best: None } }
    }

    fn first(&self, before: &[(&Record, &Config)]) -> State {
        let lambda = self.options.lambda.unwrap_or_else(|| default_lambda(self.axes.len() + self.layout.choices.len()));
        let keys: Vec<u64> = before.iter().map(|(record, _)| record.key).collect();
        let samples: Vec<Sample> = self
            .ask
            .history
            .ranked(&keys)
            .into_iter()
            .map(|(at, _)| self.layout.sample(self.codec(), before[at].0, before[at].1))
            .collect();
        let (middle, scales) = self.priors();
        let top = ((samples.len() as f64 * TOP) as usize).max(1);
        let best = &samples[..top.min(samples.len())];
        let weights: Vec<f64> =
            (0..best.len()).map(|i| libm::log(top as f64 + 0.5) - libm::log(i as f64 + 1.0) + 1e-9).collect();
        let mean = (0..middle.len())
            .map(|j| {
                let known = best.iter().zip(&weights).filter(|(s, _)| !s.x[j].is_nan());
                let (sum, total) = known.fold((0.0, 0.0), |(sum, total), (s, w)| (sum + w * s.x[j], total + w));
                if total > 0.0 { sum / total } else { middle[j] }
            })
            .collect();
        let table = |(a, (_, count)): (usize, &(usize, usize))| {
            // One of each to begin with, so that a few trials decide little.
            let mut table = vec![1.0; *count];
            for (sample, weight) in best.iter().zip(&weights) {
                if let Some(cell) = sample.choices[a].and_then(|value| table.get_mut(value)) {
                    *cell += weight;
                }
            }
            let total: f64 = table.iter().sum();
            table.iter_mut().for_each(|cell| *cell /= total);
            table
        };
        let tables = self.layout.choices.iter().enumerate().map(table).collect();
        State::new(mean, self.options.sigma, &scales, tables, lambda, 0)
    }

    /// Where nothing is known: the middle, and each dimension's share of the step size, by the priors.
    fn priors(&self) -> (Vec<f64>, Vec<f64>) {
        let of = |i: &usize| match self.codec().prior(*i) {
            Some((mean, deviation)) => (truncated(0.5, mean, deviation), (deviation / 0.3).clamp(1e-6, 1.0)),
            None => (0.5, 1.0),
        };
        self.layout.numbers.iter().map(of).unzip()
    }

    fn generation(&self, from: &Stage, members: &[(u64, Sample)]) -> Stage {
        let mut state = State::clone(&from.now);
        let keys: Vec<u64> = members.iter().map(|(key, _)| *key).chain(from.best).collect();
        let ranked = self.ask.history.ranked(&keys);
        let others = ranked.iter().filter(|(at, _)| *at < members.len());
        let sorted: Vec<(&Sample, usize)> = others.map(|(at, class)| (&members[*at].1, *class)).collect();
        // Classes count from the first member's on: the best so far may stand before it.
        let lowest = sorted.first().map_or(0, |(_, class)| *class);
        let sorted: Vec<(&Sample, usize)> = sorted.into_iter().map(|(s, class)| (s, class - lowest)).collect();
        let old = ranked.iter().find(|(at, _)| *at == members.len()).map(|(_, class)| *class);
        let improved = old.is_none_or(|old| ranked[0].1 < old);
        let best = if improved { keys.get(ranked[0].0).copied() } else { from.best };
        state.learn(&sorted, &self.axes);
        state.improved(improved);
        if state.is_spent(&self.axes, self.options.tolerance) {
            return Stage { now: Arc::new(self.restart(&state)), best: None };
        }
        Stage { now: Arc::new(state), best }
    }

    /// A new run somewhere else, with larger generations (IPOP: Auger and Hansen 2005).
    fn restart(&self, old: &State) -> State {
        let run = old.run + 1;
        let mut stream = Stream::new(self.ask.seed, u64::from(run), 0, "cmaes restart");
        let mean: Vec<f64> = self
            .layout
            .numbers
            .iter()
            .map(|i| {
                let q = stream.unit();
                self.codec().prior(*i).map_or(q, |(mean, deviation)| truncated(q, mean, deviation))
            })
            .collect();
        let tables = self.layout.choices.iter().map(|(_, count)| vec![1.0 / *count as f64; *count]).collect();
        let lambda = (old.lambda as f64 * self.options.growth) as usize;
        State::new(mean, self.options.sigma, &self.priors().1, tables, lambda.clamp(4, MAX_LAMBDA), run)
    }
}
