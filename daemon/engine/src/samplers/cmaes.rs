//! Covariance matrix adaptation (Hansen 2016, arXiv 1604.00772): a normal distribution that moves, grows and turns towards
//! what ranks well. Only ranks count, so any increasing transformation of a metric leaves it as it is.
//!
//! Discrete numbers have a margin, choices a table of probabilities each (after CatCMA, Hamano et al. 2024,
//! arXiv 2405.09962). Constraints, failures and several objectives enter by the history's ranking.

mod layout;
mod margin;
mod matrix;
mod model;
mod replay;
mod state;

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use self::{layout::Layout, model::Model, replay::Replay, state::State};
use super::{Ask, Sampler, Stop, Suggestion, own, random, tpe};
use crate::{
    codec::Config,
    math::ppf,
    options::Options,
    rng::{Stream, key},
};

/// Draws that hit a known configuration before one is taken from the prior.
const TRIES: usize = 32;
/// Draws for one that lies within the cube.
const INSIDE: usize = 8;
/// Largest generation.
const MAX_LAMBDA: usize = 512;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Cmaes {
    startup: usize,
    sigma: f64,
    lambda: Option<usize>,
    growth: f64,
    tolerance: f64,
    candidates: usize,
}

impl Cmaes {
    /// `n_startup_trials`, `sigma0`, `popsize`, `inc_popsize`, `tol_x`, `n_candidates`: see docs/samplers.md.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let known = ["n_startup_trials", "sigma0", "popsize", "inc_popsize", "tol_x", "n_candidates"];
        let mut read = Options::new(options, "/sampler", "cmaes", &known);
        let cmaes = Self {
            startup: read.count("n_startup_trials", 1, 1_000_000).unwrap_or(10) as usize,
            sigma: read.number("sigma0", "a number above 0 and at most 1", |s| s > 0.0 && s <= 1.0).unwrap_or(0.12),
            lambda: read.count("popsize", 4, MAX_LAMBDA as u64).map(|n| n as usize),
            growth: read.number("inc_popsize", "a number from 1 to 10", |g| (1.0..=10.0).contains(&g)).unwrap_or(2.0),
            tolerance: read.number("tol_x", "a number above 0 and below 1", |t| t > 0.0 && t < 1.0).unwrap_or(1e-4),
            candidates: read.count("n_candidates", 1, 1000).unwrap_or(20) as usize,
        };
        read.done(cmaes)
    }

    /// Tells what is kept under different options apart.
    fn fingerprint(&self) -> u64 {
        let lambda = self.lambda.unwrap_or(0) as u64;
        key("cmaes options", &[self.sigma.to_bits(), lambda, self.growth.to_bits(), self.tolerance.to_bits()])
    }

    fn draw(&self, ask: &Ask, layout: &Layout, state: &State, stream: &mut Stream) -> (Config, Vec<f64>) {
        let mut x = Vec::new();
        for _ in 0..INSIDE {
            let z: Vec<f64> = (0..state.mean.len()).map(|_| ppf(stream.unit())).collect();
            x = state.point(&z);
            if x.iter().all(|v| (0.0..=1.0).contains(v)) {
                break;
            }
        }
        x.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        let choices: Vec<usize> = state.tables.iter().map(|table| stream.weighted(table)).collect();
        (layout.config(ask.history.codec(), &x, &choices), x)
    }
}

impl Sampler for Cmaes {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let codec = ask.history.codec();
        let answer = |config: &Config, fit| Suggestion {
            params: codec.decode(config),
            sampler: "cmaes",
            fit,
            ..Suggestion::default()
        };
        if ask.history.finished() < self.startup {
            return Ok(answer(&tpe::start(ask)?, Vec::new()));
        }
        let layout = Layout::new(codec);
        let state = Replay::new(ask, &layout, self).state();
        let mut stream = Stream::of(ask, "cmaes");
        let share = if own::is_small(codec) { 2 * ask.members.len().clamp(1, 16) } else { 1 };
        let model = if self.candidates > 1 { Model::new(ask, &layout, &state) } else { None };
        let wanted = if model.is_some() { self.candidates } else { 1 };
        let mut best: Option<(f64, Config, Vec<f64>)> = None;
        let mut found = 0;
        for _ in 0..wanted + TRIES * share {
            let (config, x) = self.draw(ask, &layout, &state, &mut stream);
            if !own::is_free(ask, &config) {
                continue;
            }
            let hope = model.as_ref().map_or(0.0, |model| model.hope(&state, &layout, &config));
            if best.as_ref().is_none_or(|(least, ..)| hope < *least) {
                best = Some((hope, config, x));
            }
            found += 1;
            if found == wanted {
                break;
            }
        }
        if let Some((_, config, x)) = best {
            return Ok(answer(&config, layout.fit(state.run, &x)));
        }
        Ok(answer(&random::pick(ask, &mut stream)?, Vec::new()))
    }
}
