//! Bayesian optimisation with Gaussian processes (Jones et al. 1998; Snoek et al. 2012), for mixed and conditional spaces.
//!
//! A process is fitted to the results; what is suggested maximises the logarithm of expected improvement, averaged over what pending
//! trials may bring, or now and then a confidence bound. Hyperparameters are recorded with the trial, so that other nodes and later
//! suggestions need no fit of their own.

mod acquisition;
mod data;
mod fit;
pub(crate) mod frame;
pub(crate) mod kernel;
mod models;
mod optimise;
mod pending;
mod process;
mod recorded;
mod transform;
mod trust;

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use self::{
    data::Data,
    frame::Frame,
    models::Models,
    optimise::{Region, Search},
    trust::Trust,
};
use super::{Ask, Sampler, Stop, Suggestion, own, random, sobol, tpe};
use crate::{codec::Config, options::Options, rng::Stream};

/// More results than this, or more dimensions than [`WIDE`], and the search stays in a trust region.
const LONG: usize = 500;
/// See [`LONG`].
const WIDE: usize = 20;
/// Results nearest to a region's centre that its models see.
const NEAREST: usize = 300;
/// Candidates of one search where models are small.
const COVER: usize = 1024;
/// Multiplications that scoring the candidates may take, so that large models score fewer.
const SCORING: usize = 16_000_000;
/// The share of suggestions by confidence bound where others suggest too: what they are about to suggest, nobody here knows.
const AMONG_OTHERS: f64 = 0.5;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Gp {
    startup: usize,
    exploration: f64,
}

impl Gp {
    /// `n_startup_trials` (10), `exploration` (0.3, the share of suggestions by confidence bound).
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut read = Options::new(options, "/sampler", "gp", &["n_startup_trials", "exploration"]);
        let share = read.number("exploration", "a number from 0 to 1", |v| (0.0..=1.0).contains(&v));
        let gp = Self {
            startup: read.count("n_startup_trials", 1, 1_000_000).unwrap_or(10) as usize,
            exploration: share.unwrap_or(0.3),
        };
        read.done(gp)
    }

    fn model(&self, ask: &Ask) -> Result<(Config, Vec<f32>), Stop> {
        let mut stream = Stream::of(ask, "gp");
        let mut frame = Frame::new(ask.history.codec());
        let all = Data::of(ask.history, &frame);
        if frame.d() == 0 || all.points.is_empty() {
            return Ok((random::pick(ask, &mut stream)?, Vec::new()));
        }
        let trust = (all.points.len() > LONG || frame.d() > WIDE).then(|| {
            let first = if frame.d() > WIDE { self.startup } else { LONG };
            Trust::replay(&all.sound_costs(), first, frame.d())
        });
        if let Some(trust) = trust
            && trust.began > 0
            && all.points.len() - trust.began < self.startup
        {
            // A new region begins as a study does.
            return Ok((sobol::pick(ask, ask.draw)?, Vec::new()));
        }
        let (data, region) = match trust {
            Some(trust) => {
                let (data, centre) = all.around(&frame, trust.began, NEAREST);
                (data, Some((trust, centre)))
            }
            None => (all, None),
        };
        let weights = weights(ask.history.objectives(), &mut stream);
        let share = if ask.members.len() > 1 { self.exploration.max(AMONG_OTHERS) } else { self.exploration };
        let bound = (stream.unit() < share).then(|| -2.0 * libm::log(stream.unit()));
        let Some(models) = Models::build(ask, &mut frame, &data, &weights, bound, &mut stream) else {
            return Ok((random::pick(ask, &mut stream)?, Vec::new()));
        };
        let config = search(ask, &frame, &models, region, &mut stream)?;
        Ok((config, models.recorded.record()))
    }
}

/// Weights of objectives, uniform over the simplex.
fn weights(objectives: usize, stream: &mut Stream) -> Vec<f64> {
    let weights: Vec<f64> = (0..objectives).map(|_| -libm::log(stream.unit())).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// The free configuration of largest worth that a search finds.
fn search(
    ask: &Ask,
    frame: &Frame,
    models: &Models,
    region: Option<(Trust, Vec<f64>)>,
    stream: &mut Stream,
) -> Result<Config, Stop> {
    let size = models.worth.size().max(1);
    let mut search = Search::new(frame, &models.worth, models.rho(), &models.best);
    search.cover = (SCORING / (size * size / 2 + size * frame.d())).clamp(64, COVER) / models.worth.count().max(1);
    search.starts = (1_200 / size).clamp(3, 8);
    search.region = region.map(|(trust, centre)| Region::new(&centre, &trust.halves(models.rho())));
    if own::left(ask).is_some_and(|left| left <= search.cover as u128) {
        return own::best_of_rest(ask, |config| search.value(&frame.point(config)));
    }
    let found = search.run(stream);
    let free = found.iter().map(|(_, raw)| frame.config(raw)).find(|config| own::is_free(ask, config));
    free.map_or_else(|| random::pick(ask, stream), Ok)
}

impl Sampler for Gp {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let (config, fit) =
            if ask.history.finished() < self.startup { (tpe::start(ask)?, Vec::new()) } else { self.model(ask)? };
        Ok(Suggestion { params: ask.history.codec().decode(&config), sampler: "gp", fit, ..Suggestion::default() })
    }
}
