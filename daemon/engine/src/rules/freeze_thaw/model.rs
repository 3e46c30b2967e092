//! The joint model of all curves of a history: asymptotes by configuration, curves about them, and what each is expected to
//! come to.

use std::sync::Arc;

use super::{
    blocks::{Block, Grid, Target},
    curves::{self, Curve, POINTS, Scale, TIME},
    fit::{self, Curves},
    kernel::Decay,
    posterior::{Posterior, Prior},
};
use crate::{
    algebra::linalg::dot,
    codec::Config,
    history::{History, RecordState},
    rng::{Stream, key},
    samplers::gp::{frame::Frame, kernel::Cloud},
};

/// Curves that the model sees: those that got furthest.
const MOST: usize = 256;
/// Curves that a fit of hyperparameters sees, and reports of each.
const FITTED: (usize, usize) = (48, 20);
/// Samples of hyperparameters.
const SAMPLES: usize = 8;

/// Curves by which the model checks itself, and forecasts that are too few to tell.
const CHECKED: usize = 32;
/// See [`CHECKED`].
const FEW: usize = 8;
/// Squared error, in variances, that four in five forecasts stay under.
const EIGHTY: f64 = 1.642;

/// What was fitted to a part of the history that changes now and then.
#[derive(Clone, Debug)]
struct Fitted {
    print: u64,
    scale: Scale,
    thetas: Vec<Vec<f64>>,
}

/// The model with one θ.
#[derive(Clone, Debug)]
pub struct One {
    prior: Prior,
    decay: Decay,
    grids: Vec<Grid>,
    targets: Vec<Target>,
    blocks: Vec<Block>,
    /// What is known.
    pub known: Posterior,
    cloud: Cloud,
    /// By how much variances are too small, as far as known curves tell.
    surprise: f64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Model {
    /// The curves.
    pub curves: Vec<Curve>,
    /// Steps of the grids.
    pub grids: Vec<Vec<u64>>,
    /// A trial's length.
    pub length: u64,
    /// How costs are normalised.
    pub scale: Scale,
    /// The lowest cost of a complete trial.
    pub done: Option<f64>,
    /// By sample of θ.
    pub ones: Vec<One>,
}

/// What a curve may come to, seen from some number of reports.
#[derive(Clone, Copy, Debug)]
pub struct Outlook {
    /// Expected final cost, normalised.
    pub mean: f64,
    /// Its variance, without noise.
    pub variance: f64,
}

/// Steps at which curves are cut for fits, so that not every report asks for a new one.
fn round(step: u64) -> u64 {
    let high = 1 << step.max(1).ilog2();
    if step >= high + high / 2 { high + high / 2 } else { high }
}

impl Model {
    /// The model of `history` for trials of `length` steps; none where there is nothing to model.
    pub fn of(history: &History, length: u64, sampled: bool) -> Option<Arc<Self>> {
        let name = key("freeze-thaw model", &[length, u64::from(sampled)]);
        if let Some((kept, _)) = history.cached::<(u64, Option<Arc<Self>>)>(name)
            && kept.0 == history.version()
        {
            return kept.1.clone();
        }
        let model = Self::build(history, length, sampled).map(Arc::new);
        history.cache(name, Arc::new((history.version(), model.clone())));
        model
    }

    fn build(history: &History, length: u64, sampled: bool) -> Option<Self> {
        let frame = Frame::new(history.codec());
        let mut curves = curves::all(history, &frame, length);
        curves.truncate(MOST);
        if length < 2 || curves.iter().all(|c| c.steps.is_empty()) {
            return None;
        }
        let fitted = Self::fitted(history, &frame, &curves, length, sampled);
        let grids = curves::share(&mut curves, length, POINTS);
        let points: Vec<Vec<f64>> = curves.iter().map(|c| c.point.clone()).collect();
        let cloud = Cloud::new(&frame.metrics, &points);
        let scale = fitted.scale;
        let ones = fitted.thetas.iter().filter_map(|theta| One::new(theta, &curves, &grids, &cloud, length, scale));
        let ones: Vec<One> = ones.collect();
        let complete = history.records().filter(|r| r.state == RecordState::Complete && r.violation <= 0.0);
        let costs = complete.filter_map(|r| r.costs.first().copied()).filter(|cost| cost.is_finite());
        let done = costs.min_by(f64::total_cmp);
        (!ones.is_empty()).then_some(Self { curves, grids, length, scale, done, ones })
    }

    /// θ of a part of the curves that changes only now and then: a pure function of the history that needn't be computed anew
    /// at each report.
    fn fitted(history: &History, frame: &Frame, all: &[Curve], length: u64, sampled: bool) -> Arc<Fitted> {
        let mut part: Vec<Curve> = Vec::new();
        let mut order: Vec<&Curve> = all.iter().filter(|c| !c.steps.is_empty()).collect();
        let furthest = order.len().min(FITTED.0 / 2);
        // Keys are hashes, so the first by key are an even draw.
        order[furthest..].sort_by_key(|c| c.key);
        for seen in order.into_iter().take(FITTED.0) {
            let last = *seen.steps.last().unwrap_or(&1);
            let Some(record) = history.get(seen.key) else { continue };
            part.push(curves::curve(record, seen.point.clone(), length, FITTED.1, round(last)));
        }
        part.retain(|c| !c.steps.is_empty());
        part.sort_by_key(|c| c.key);
        let print = part.iter().flat_map(|c| {
            let points = c.steps.iter().zip(&c.costs).flat_map(|(step, cost)| [*step, cost.to_bits()]);
            [c.key, c.steps.len() as u64].into_iter().chain(points)
        });
        let print = key("curves", &print.collect::<Vec<u64>>());
        let name = key("freeze-thaw fit", &[length, u64::from(sampled)]);
        if let Some((kept, _)) = history.cached::<Fitted>(name)
            && kept.print == print
        {
            return kept;
        }
        let scale = Scale::of(&part);
        let grids = curves::share(&mut part, length, FITTED.1);
        let row = |c: &Curve| (c.point.clone(), c.grid, c.costs.iter().map(|cost| scale.to(*cost)).collect());
        let data = Curves {
            metrics: frame.metrics.clone(),
            grids: grids.iter().map(|grid| times(grid, length)).collect(),
            rows: part.iter().map(row).collect(),
        };
        let thetas = if sampled {
            fit::sample(&data, SAMPLES, &mut Stream::new(print, 0, 0, "slice sampling"))
        } else {
            vec![fit::fit(&data)]
        };
        let fitted = Arc::new(Fitted { print, scale, thetas });
        history.cache(name, fitted.clone());
        fitted
    }

    /// A new configuration as a point of the model.
    pub fn point(history: &History, config: &Config) -> Vec<f64> {
        let frame = Frame::new(history.codec());
        let mut point = Vec::new();
        frame.see(&frame.point(config), &mut point);
        point
    }
}

fn times(steps: &[u64], length: u64) -> Vec<f64> {
    steps.iter().map(|step| *step as f64 * TIME / length as f64).collect()
}

impl One {
    fn new(
        theta: &[f64],
        curves: &[Curve],
        grids: &[Vec<u64>],
        cloud: &Cloud,
        length: u64,
        scale: Scale,
    ) -> Option<Self> {
        let (prior, mut decay) = (fit::prior(theta), Decay::of(theta));
        // (Ends: with more noise than all covariances together every matrix is positive definite.)
        let grids = loop {
            let tried: Option<Vec<Grid>> = grids.iter().map(|grid| Grid::new(times(grid, length), &decay)).collect();
            match tried {
                Some(grids) => break grids,
                None if decay.noise.is_finite() => decay.noise *= 10.0,
                None => return None,
            }
        };
        let targets = grids.iter().map(|grid| grid.target(&decay, TIME)).collect();
        let mut blocks: Vec<Block> = Vec::with_capacity(curves.len());
        for curve in curves {
            let mut block = Block::new(curve.grid);
            for cost in &curve.costs {
                block.push(&grids[curve.grid], &decay, scale.to(*cost));
            }
            blocks.push(block);
        }
        let (lambda, gamma): (Vec<f64>, Vec<f64>) = blocks.iter().map(|b| (b.lambda, b.gamma)).unzip();
        let known = Posterior::new(&prior.matrix(cloud), &lambda, &gamma)?;
        let mut one = Self { prior, decay, grids, targets, blocks, known, cloud: cloud.clone(), surprise: 1.0 };
        one.surprise = one.surprised(curves, scale);
        Some(one)
    }

    /// How much larger than expected the squared errors are with which the beginnings of the longest curves would have
    /// forecast their latest reports: curves needn't be what the model takes them for. By the quantile that matters for
    /// intervals of 80 %; 1 where there is little to go by.
    fn surprised(&self, curves: &[Curve], scale: Scale) -> f64 {
        let mut errors: Vec<f64> = Vec::new();
        for (i, curve) in curves.iter().enumerate().take(CHECKED) {
            let (block, grid) = (&self.blocks[i], &self.grids[curve.grid]);
            let n = block.b.len();
            if n < 4 {
                continue;
            }
            // What others say about its asymptote.
            let (mu, c) = (self.known.mu[i], self.known.c[i][i]);
            let precision = (1.0 / c - block.lambda).max(1e-9);
            let pull = mu / c - block.gamma;
            let target = grid.target(&self.decay, grid.times[n - 1]);
            for from in [n / 4, n / 2] {
                let ones = &grid.ones[..from];
                let c = 1.0 / (precision + grid.weight(from));
                let mu = c * (pull + dot(ones, &block.b));
                let mean = target.mean + dot(&block.b[..from], &target.cross) + target.omegas[from] * mu;
                let variance = target.lefts[from] + target.omegas[from] * target.omegas[from] * c + self.decay.noise;
                let error = scale.to(curve.costs[n - 1]) - mean;
                errors.push(error * error / variance);
            }
        }
        errors.sort_by(f64::total_cmp);
        let at = errors.len() * 4 / 5;
        errors.get(at).filter(|_| errors.len() >= FEW).map_or(1.0, |error| (error / EIGHTY).clamp(1.0, 25.0))
    }

    /// What curve `i` may come to.
    pub fn outlook(&self, i: usize, posterior: &Posterior) -> Outlook {
        let block = &self.blocks[i];
        self.seen_from(block.grid, &block.b, posterior.mu[i], posterior.c[i][i])
    }

    fn seen_from(&self, grid: usize, b: &[f64], mu: f64, c: f64) -> Outlook {
        let target = &self.targets[grid];
        let omega = target.omegas[b.len()];
        let known: f64 = b.iter().zip(&target.cross).map(|(b, cross)| b * cross).sum();
        let variance = self.surprise * (target.lefts[b.len()] + omega * omega * c);
        Outlook { mean: target.mean + known + omega * mu, variance }
    }

    /// The variance of what a curve will come to, once it has `n` reports; its asymptote's is now `c`, with `from` reports.
    pub fn later(&self, grid: usize, from: usize, n: usize, c: f64) -> f64 {
        let more = self.grids[grid].weight(n) - self.grids[grid].weight(from);
        let target = &self.targets[grid];
        let omega = target.omegas[n];
        self.surprise * (target.lefts[n] + omega * omega * c / (1.0 + more * c))
    }

    /// The asymptote's variance of curve `i`, and how many reports it has.
    pub fn stand(&self, i: usize, posterior: &Posterior) -> (usize, f64) {
        (self.blocks[i].b.len(), posterior.c[i][i])
    }

    /// What a new configuration may come to, and its asymptote's variance.
    pub fn newcomer(&self, point: &[f64]) -> (Outlook, f64) {
        let k = self.prior.row(&self.cloud, point, self.cloud.n);
        let (mu, c) = self.known.predict(&k, self.prior.variance());
        (self.seen_from(0, &[], mu, c), c)
    }

    /// The posterior in which curves that run elsewhere have reported once more.
    pub fn expecting(&self, curves: &[Curve], except: Option<u64>) -> Posterior {
        let mut posterior = self.known.clone();
        for (i, curve) in curves.iter().enumerate() {
            let n = self.blocks[i].b.len();
            let grid = &self.grids[curve.grid];
            if curve.state == RecordState::Pending && Some(curve.key) != except && n < grid.times.len() {
                posterior.expect(i, grid.weight(n + 1) - grid.weight(n));
            }
        }
        posterior
    }

    /// Variance of one report.
    pub fn noise(&self) -> f64 {
        self.surprise * self.decay.noise
    }
}
