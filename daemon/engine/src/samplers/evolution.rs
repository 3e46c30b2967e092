//! Regularised evolution (Real et al. 2019, arXiv 1802.01548) with crossover: a genetic algorithm whose members die of age,
//! not of weakness, so that one lucky result doesn't stay for ever.
//!
//! The population is what finished last, in the canonical order of results. It needs no model, hence fits any space.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Ask, Sampler, Stop, Suggestion, breed, own, random, tpe};
use crate::{
    codec::{Axis, Config},
    history::RecordState,
    math::ppf,
    options::Options,
    rng::Stream,
};

/// Children that are known already before one is drawn from the prior.
const TRIES: usize = 32;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Evolution {
    startup: usize,
    population: usize,
    tournament: usize,
    crossover: f64,
    extra: f64,
    sigma: f64,
}

impl Evolution {
    /// `n_startup_trials`, `population_size`, `tournament_size`, `crossover_prob`, `mutations`, `sigma`: see
    /// docs/samplers.md.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let known = ["n_startup_trials", "population_size", "tournament_size", "crossover_prob", "mutations", "sigma"];
        let mut read = Options::new(options, "/sampler", "evolution", &known);
        let share = |p: f64| (0.0..=1.0).contains(&p);
        let evolution = Self {
            startup: read.count("n_startup_trials", 1, 1_000_000).unwrap_or(10) as usize,
            population: read.count("population_size", 2, 100_000).unwrap_or(100) as usize,
            tournament: read.count("tournament_size", 1, 100_000).unwrap_or(50) as usize,
            crossover: read.number("crossover_prob", "a number from 0 to 1", share).unwrap_or(0.5),
            extra: read.number("mutations", "a number from 1 to 100", |m| (1.0..=100.0).contains(&m)).unwrap_or(1.5)
                - 1.0,
            sigma: read.number("sigma", "a number above 0 and at most 1", |s| s > 0.0 && s <= 1.0).unwrap_or(0.1),
        };
        read.done(evolution)
    }

    fn child(&self, ask: &Ask, population: &[&Config], stream: &mut Stream) -> Config {
        let codec = ask.history.codec();
        let parent = |stream: &mut Stream| {
            let best = (0..self.tournament).map(|_| stream.below(population.len())).min();
            population[best.unwrap_or(0)]
        };
        let first = parent(stream);
        let child = if stream.unit() < self.crossover {
            let second = parent(stream);
            let either = |i: usize, stream: &mut Stream| (if stream.unit() < 0.5 { first } else { second }).cells[i];
            breed::cross(codec, (first, second), stream, either)
        } else {
            first.clone()
        };
        let mut changeable = breed::changeable(codec, &child);
        let count = (1 + poisson(self.extra, stream)).min(changeable.len());
        let chosen: Vec<usize> = (0..count).map(|_| changeable.swap_remove(stream.below(changeable.len()))).collect();
        breed::mutate(codec, &child, stream, &chosen, |i, stream| match codec.axes()[i] {
            Axis::Choice { cells } => breed::other(&child, i, cells, stream),
            _ => breed::moved(codec, &child, i, child.u[i] + self.sigma * ppf(stream.unit())),
        })
    }
}

/// How many events happen where `mean` are expected.
fn poisson(mean: f64, stream: &mut Stream) -> usize {
    let (end, mut left, mut count) = (libm::exp(-mean), stream.unit(), 0);
    while left > end && count < 1000 {
        left *= stream.unit();
        count += 1;
    }
    count
}

impl Sampler for Evolution {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let codec = ask.history.codec();
        let answer = |config: &Config| Suggestion {
            params: codec.decode(config),
            sampler: "evolution",
            ..Suggestion::default()
        };
        if ask.history.finished() < self.startup {
            return Ok(answer(&tpe::start(ask)?));
        }
        let youngest = ask.history.results((0, 0)).rev().filter(|(_, record, _)| record.state != RecordState::Failed);
        let (keys, configs): (Vec<u64>, Vec<&Config>) =
            youngest.take(self.population).map(|(_, record, config)| (record.key, config)).unzip();
        let population: Vec<&Config> = ask.history.ranked(&keys).into_iter().map(|(at, _)| configs[at]).collect();
        let mut stream = Stream::of(ask, "evolution");
        let share = if own::is_small(codec) { 2 * ask.members.len().clamp(1, 16) } else { 1 };
        for _ in 0..if population.is_empty() { 0 } else { TRIES * share } {
            let child = self.child(ask, &population, &mut stream);
            if own::is_free(ask, &child) {
                return Ok(answer(&child));
            }
        }
        Ok(answer(&random::pick(ask, &mut stream)?))
    }
}
