//! Bayesian optimisation with Gaussian processes (Jones et al. 1998; Snoek et al. 2012), for mixed and conditional spaces.
//!
//! A process is fitted to the results; what is suggested maximises the logarithm of expected improvement, averaged over what pending
//! trials may bring. Hyperparameters are recorded with the trial, so that other nodes and later suggestions need no fit of their own.

mod acquisition;
mod data;
mod fit;
mod frame;
mod kernel;
mod lbfgs;
mod linalg;
mod optimise;
mod process;
mod transform;

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use self::{
    acquisition::{Aim, Worth},
    data::Data,
    fit::Theta,
    frame::Frame,
    kernel::Cloud,
    optimise::Search,
    process::{Process, Room},
};
use super::{Ask, Sampler, Stop, Suggestion, own, random, tpe};
use crate::{codec::Config, math::ppf, options::Options, rng::Stream};

/// Imagined futures of pending trials.
const FUTURES: usize = 16;
/// Pending trials that are imagined, the newest.
const IMAGINED: usize = 48;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Gp {
    startup: usize,
    warp: u64,
    dscale: f64,
    starts: usize,
    cover: usize,
    fopt: u64,
}

impl Gp {
    /// `n_startup_trials` (10).
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut read = Options::new(
            options,
            "/sampler",
            "gp",
            &["n_startup_trials", "warp", "dscale", "starts", "cover", "fopt"],
        );
        let gp = Self {
            startup: read.count("n_startup_trials", 1, 1_000_000).unwrap_or(10) as usize,
            warp: read.count("warp", 0, 100).unwrap_or(1),
            dscale: read.number("dscale", "x", |_| true).unwrap_or(0.0),
            starts: read.count("starts", 1, 100).unwrap_or(8) as usize,
            cover: read.count("cover", 1, 10000).unwrap_or(1024) as usize,
            fopt: read.count("fopt", 0, 10000).unwrap_or(0),
        };
        read.done(gp)
    }

    fn model(&self, ask: &Ask) -> Result<(Config, Vec<f32>), Stop> {
        let mut stream = Stream::of(ask, "gp");
        let mut frame = Frame::new(ask.history.codec());
        let data = Data::of(ask.history, &frame);
        if frame.d() == 0 || data.points.is_empty() {
            return Ok((random::pick(ask, &mut stream)?, Vec::new()));
        }
        let weights: Vec<f64> = (0..ask.history.objectives()).map(|_| -libm::log(stream.unit())).collect();
        let sum: f64 = weights.iter().sum();
        let weights: Vec<f64> = weights.iter().map(|w| w / sum).collect();
        let (at, values) = data.objective(&weights, self.warp);
        let mut ranked: Vec<usize> = (0..at.len()).collect();
        ranked.sort_by(|a, b| {
            data.feasible[at[*b]].cmp(&data.feasible[at[*a]]).then(values[*a].total_cmp(&values[*b])).then(a.cmp(b))
        });
        let best: Vec<Vec<f64>> = ranked.iter().take(10).map(|k| data.points[at[*k]].clone()).collect();
        frame.learn_donors(ranked.iter().map(|k| &data.points[at[*k]]));
        let frame = frame;
        let see = |raw: &Vec<f64>| {
            let mut seen = Vec::new();
            frame.see(raw, &mut seen);
            seen
        };
        let mut fits = Fits::new(ask, data.constraints.len() + usize::from(!at.is_empty()), frame.d(), data.points.len());
        let mut worth = Worth::default();
        let mut process = |at: &[usize], values: &[f64]| {
            let points: Vec<Vec<f64>> = at.iter().map(|i| see(&data.points[*i])).collect();
            let cloud = Cloud::new(&frame.metrics, &points);
            let theta = fits.next(&cloud, values, self.dscale);
            Process::new(theta, cloud, values)
        };
        if !at.is_empty() {
            let objective = process(&at, &values);
            let bar = if at.iter().any(|i| data.feasible[*i]) {
                let mut room = Room::default();
                let mut bar = f64::INFINITY;
                for (i, value) in at.iter().zip(&values).filter(|(i, _)| data.feasible[**i]) {
                    objective.predict(&see(&data.points[*i]), &mut room);
                    bar = bar.min(if self.fopt == 0 { room.means[0] } else { *value });
                }
                Some(bar)
            } else {
                None
            };
            // Nothing feasible yet: first find where constraints hold.
            if let Some(bar) = bar {
                worth.objective = Some((objective, Aim::Improve(vec![bar])));
            }
        }
        for column in &data.constraints {
            let at: Vec<usize> = (0..column.len()).filter(|i| column[*i].is_some()).collect();
            let (values, limit) = transform::constraint(&column.iter().filter_map(|v| *v).collect::<Vec<_>>());
            if at.is_empty() {
                continue;
            }
            worth.constraints.push((process(&at, &values), limit));
        }
        let pending: Vec<Vec<f64>> = ask.history.pending().rev().take(IMAGINED).map(|(_, c)| see(&frame.point(c))).collect();
        imagine(&mut worth, &pending, &mut stream);
        let rho = match (&worth.objective, worth.constraints.first()) {
            (Some((process, _)), _) | (None, Some((process, _))) => process.theta().rho.clone(),
            (None, None) => return Ok((random::pick(ask, &mut stream)?, Vec::new())),
        };
        let mut search = Search::new(&frame, &worth, &rho, &best);
        search.starts = self.starts;
        search.cover = self.cover;
        let codec = ask.history.codec();
        if let Some(cells) = codec.numbering()
            && cells.size().saturating_sub(ask.history.known() as u128) <= self.cover as u128
        {
            let mut left = own::remaining(ask, cells)?;
            let scores: Vec<f64> = left.iter().map(|config| search.value(&frame.point(config))).collect();
            let top = (0..left.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a))).unwrap_or(0);
            return Ok((left.swap_remove(top), fits.record()));
        }
        for (_, raw) in search.run(&mut stream) {
            let config = frame.config(&raw);
            if own::is_free(ask, &config) {
                return Ok((config, fits.record()));
            }
        }
        Ok((random::pick(ask, &mut stream)?, fits.record()))
    }
}

/// Lets all models imagine the results of `pending`.
fn imagine(worth: &mut Worth, pending: &[Vec<f64>], stream: &mut Stream) {
    if pending.is_empty() {
        return;
    }
    let scramble = (stream.unit() * f64::from(u32::MAX)) as u32;
    for (i, point) in pending.iter().enumerate() {
        let normal = |k: usize| ppf(f64::from(sobol_burley::sample(k as u32, i as u32, scramble)) + 1.0 / 33_554_432.0);
        if let Some((process, Aim::Improve(bars))) = &mut worth.objective {
            let draws: Vec<f64> = (0..FUTURES).map(normal).collect();
            bars.resize(FUTURES, bars[0]);
            let means = process.imagine(point, &draws);
            bars.iter_mut().zip(means).for_each(|(bar, mean)| *bar = bar.min(mean));
        }
        for (process, _) in &mut worth.constraints {
            process.imagine(point, &[0.0]);
        }
    }
    worth.objective.iter_mut().for_each(|(process, _)| process.settle());
    worth.constraints.iter_mut().for_each(|(process, _)| process.settle());
}

/// Hyperparameters of all models, from the newest record or fitted anew.
struct Fits {
    old: Option<Vec<Theta>>,
    refit: bool,
    n: usize,
    at: usize,
    logs: Vec<f32>,
}

/// Marks what this sampler recorded, and how.
const MARK: f32 = 7001.0;

impl Fits {
    fn new(ask: &Ask, models: usize, d: usize, n: usize) -> Self {
        let read = |fit: &[f32]| -> Option<(usize, Vec<Theta>)> {
            let (head, rest) = fit.split_at_checked(2)?;
            let whole = head[1] >= 0.0 && head[1] <= 2.0 * n as f32 + 64.0;
            if head[0] != MARK || !whole || rest.len() != models * (d + 2) || rest.iter().any(|v| !v.is_finite()) {
                return None;
            }
            let theta = |logs: &[f32]| Theta::from_logs(&logs.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
            Some((head[1] as usize, rest.chunks(d + 2).map(theta).collect()))
        };
        let records = ask.history.results((0, 0)).map(|(_, r, _)| r).chain(ask.history.pending().map(|(r, _)| r));
        let newest = records
            .filter_map(|r| Some((read(&r.fit)?, r)))
            .max_by_key(|((n, _), r)| (*n, r.order, r.key))
            .map(|(fit, _)| fit);
        let refit = newest.as_ref().is_none_or(|(then, _)| n < 30 && *then != n || n >= *then + *then / 20 + 1);
        Self { old: newest.map(|(_, thetas)| thetas), refit, n, at: 0, logs: Vec::new() }
    }

    fn next(&mut self, cloud: &Cloud, values: &[f64], dscale: f64) -> Theta {
        let old = self.old.as_ref().and_then(|thetas| thetas.get(self.at)).cloned();
        self.at += 1;
        if !self.refit && let Some(old) = old {
            return old;
        }
        let mut starts = vec![Theta::start(cloud.metrics.len())];
        starts.extend(old);
        let theta = fit::fit(cloud, values, &starts, 40, dscale);
        // What is recorded is what is used.
        let logs: Vec<f32> = theta.logs().iter().map(|v| *v as f32).collect();
        self.logs.extend(&logs);
        Theta::from_logs(&logs.iter().map(|v| f64::from(*v)).collect::<Vec<_>>())
    }

    fn record(&self) -> Vec<f32> {
        if self.logs.is_empty() {
            return Vec::new();
        }
        let mut all = vec![MARK, self.n as f32];
        all.extend(&self.logs);
        all
    }
}

impl Sampler for Gp {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let (config, fit) = if ask.history.finished() < self.startup {
            (tpe::start(ask)?, Vec::new())
        } else {
            self.model(ask)?
        };
        Ok(Suggestion { params: ask.history.codec().decode(&config), sampler: "gp", fit })
    }
}
