//! Hyperparameters of the joint model by maximum a posteriori, with analytic gradients in block form; or several samples of
//! them by slice sampling.
//!
//! θ = (ln α, ln β, ln s², ln σ², A; ln ρ_j; ln of the asymptotes' variance).

use super::{
    blocks::{Block, Grid, solve_back},
    kernel::{Decay, OWN},
    posterior::{LEVEL, Posterior, Prior},
};
use crate::{
    algebra::{
        lbfgs::{Limits, minimise},
        linalg::{Triangle, dot},
    },
    rng::Stream,
    samplers::gp::kernel::{Cloud, Metric, matern},
};

/// Means and standard deviations of θ's priors, which are normal: times are such that a trial's length is 50, costs such that
/// those of most trials lie within one or two of each other.
const PRIORS: [(f64, f64); OWN] = [(0.0, 0.7), (1.6, 1.2), (-0.7, 1.5), (-6.0, 2.5), (1.0, 1.0)];
/// That of the asymptotes' variance.
const SCALE: (f64, f64) = (-0.7, 1.0);
/// Evaluations of one fit.
const EVALUATIONS: usize = 30;

/// Curves to fit: normalised costs on shared grids, by configuration.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    /// How configurations compare.
    pub metrics: Vec<Metric>,
    /// Times of each grid.
    pub grids: Vec<Vec<f64>>,
    /// By curve: its configuration, its grid, its costs at the first times of that grid.
    pub rows: Vec<(Vec<f64>, usize, Vec<f64>)>,
}

/// Where fits begin: the priors' means.
pub fn start(d: usize) -> Vec<f64> {
    let own = PRIORS.iter().map(|(mean, _)| *mean);
    own.chain(std::iter::repeat_n(0.0, d)).chain([SCALE.0]).collect()
}

/// The box of θ.
fn bounds(d: usize) -> (Vec<f64>, Vec<f64>) {
    let low = [-2.0, -2.0, -7.0, -12.0, -4.0].into_iter().chain(std::iter::repeat_n(-9.0, d)).chain([-6.0]);
    let high = [2.0, 5.0, 3.0, 0.0, 4.0].into_iter().chain(std::iter::repeat_n(7.0, d)).chain([2.5]);
    (low.collect(), high.collect())
}

/// The prior over configurations that θ holds.
pub fn prior(theta: &[f64]) -> Prior {
    let tail = &theta[OWN..];
    let (scale, rho) = tail.split_last().unwrap_or((&0.0, &[]));
    Prior { rho: rho.iter().map(|v| libm::exp(*v)).collect(), scale: libm::exp(*scale) }
}

/// What curves say about θ; distances of all pairs are kept over many evaluations.
pub struct Evidence<'a> {
    curves: &'a Curves,
    /// One list a parameter, over pairs (i, j < i) by rows.
    distances: Vec<Vec<f64>>,
    /// How many reports the longest curve of each grid has.
    longest: Vec<usize>,
}

impl<'a> Evidence<'a> {
    /// Of `curves`.
    pub fn new(curves: &'a Curves) -> Self {
        let points: Vec<Vec<f64>> = curves.rows.iter().map(|(point, ..)| point.clone()).collect();
        let cloud = Cloud::new(&curves.metrics, &points);
        let column = |(column, metric): (&Vec<f64>, &Metric)| -> Vec<f64> {
            (0..points.len()).flat_map(|i| (0..i).map(move |j| metric.distance(column[i], column[j]))).collect()
        };
        let distances = cloud.columns.iter().zip(&cloud.metrics).map(column).collect();
        let mut longest = vec![0; curves.grids.len()];
        curves.rows.iter().for_each(|(_, grid, costs)| longest[*grid] = longest[*grid].max(costs.len()));
        Self { curves, distances, longest }
    }

    /// The negative logarithm of the posterior of θ (but for a constant) and its gradient; infinite where a matrix isn't
    /// positive definite.
    pub fn loss(&self, theta: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        self.likelihood(theta, gradient).map_or(f64::INFINITY, |loss| loss + penalty(theta, gradient))
    }

    pub(super) fn likelihood(&self, theta: &[f64], gradient: &mut [f64]) -> Option<f64> {
        let decay = Decay::of(theta);
        let rows = &self.curves.rows;
        let times = self.curves.grids.iter().zip(&self.longest).map(|(grid, n)| grid[..*n].to_vec());
        let grids = times.map(|times| Grid::new(times, &decay)).collect::<Option<Vec<_>>>()?;
        let slopes: Vec<Slopes> = grids.iter().map(|grid| Slopes::new(grid, &decay)).collect();
        let mut loss = 0.0;
        let mut blocks = Vec::with_capacity(rows.len());
        for (_, at, costs) in rows {
            let grid = &grids[*at];
            let mut block = Block::new(*at);
            for cost in costs {
                block.push(grid, &decay, *cost);
            }
            let diagonal = (0..costs.len()).map(|i| grid.factor.row(i)[i]);
            loss += 0.5 * dot(&block.b, &block.b) + diagonal.map(libm::log).sum::<f64>();
            blocks.push(block);
        }
        let (lambda, gamma): (Vec<f64>, Vec<f64>) = blocks.iter().map(|b| (b.lambda, b.gamma)).unzip();
        let (k, slope) = self.matrix(theta);
        let posterior = Posterior::new(&k, &lambda, &gamma)?;
        loss += posterior.ln_det - 0.5 * dot(&gamma, &posterior.mu);
        for (i, block) in blocks.iter().enumerate() {
            slopes[block.grid].add(&grids[block.grid], &decay, block, posterior.mu[i], posterior.c[i][i], gradient);
        }
        self.add_asymptotes(theta, &k, &slope, &lambda, &posterior, gradient);
        Some(loss)
    }

    /// The prior covariance, and the derivative of its lower triangle by r², over pairs by rows.
    fn matrix(&self, theta: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let n = self.curves.rows.len();
        let prior = prior(theta);
        let mut r2 = vec![0.0; n * n.saturating_sub(1) / 2];
        for (rho, distances) in prior.rho.iter().zip(&self.distances) {
            r2.iter_mut().zip(distances).for_each(|(r2, distance)| *r2 += rho * distance);
        }
        let (mut k, mut slope) = (vec![0.0; r2.len()], vec![0.0; r2.len()]);
        matern(&r2, &mut k, &mut slope);
        let mut full = vec![vec![prior.variance(); n]; n];
        let places = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        for ((i, j), k) in places.zip(&k) {
            full[i][j] = LEVEL + prior.scale * k;
            full[j][i] = full[i][j];
        }
        slope.iter_mut().for_each(|s| *s *= prior.scale);
        (full, slope)
    }

    /// Adds `½ Σ (Λ − Λ C Λ − e eᵀ) ∂K` for what K depends on, with `e = γ − Λ μ`.
    fn add_asymptotes(
        &self,
        theta: &[f64],
        k: &[Vec<f64>],
        slope: &[f64],
        lambda: &[f64],
        posterior: &Posterior,
        gradient: &mut [f64],
    ) {
        let e = &posterior.weights;
        let d = self.distances.len();
        let weight = |i: usize, j: usize| -lambda[i] * posterior.c[i][j] * lambda[j] - e[i] * e[j];
        let mut pairs = Vec::with_capacity(slope.len());
        let mut by_scale = 0.0;
        for (i, row) in k.iter().enumerate() {
            for (j, k) in row[..i].iter().enumerate() {
                let weight = weight(i, j);
                by_scale += weight * (k - LEVEL);
                pairs.push(weight * slope[pairs.len()]);
            }
            by_scale += 0.5 * (lambda[i] + weight(i, i)) * (row[i] - LEVEL);
        }
        for (j, distances) in self.distances.iter().enumerate() {
            gradient[OWN + j] += libm::exp(theta[OWN + j]) * dot(&pairs, distances);
        }
        gradient[OWN + d] += by_scale;
    }
}

/// Derivatives of a grid's covariance by ln α, ln β and ln s² (that by ln σ² is `σ² I`).
struct Slopes {
    by: [Vec<Vec<f64>>; 3],
    /// By number of times: ½ tr(K⁻¹ ∂K) by ln α, ln β, ln s², ln σ².
    traces: Vec<[f64; 4]>,
    /// Derivatives of the mean's share by ln α and ln β, and the share.
    mean: Vec<[f64; 3]>,
}

impl Slopes {
    fn new(grid: &Grid, decay: &Decay) -> Self {
        let n = grid.times.len();
        let mut by = [vec![vec![0.0; n]; n], vec![vec![0.0; n]; n], vec![vec![0.0; n]; n]];
        for (i, j) in (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))) {
            let [share, alpha, beta] = decay.slopes(grid.times[i] + grid.times[j]);
            for (by, value) in by.iter_mut().zip([alpha, beta, share]) {
                by[i][j] = decay.scale * value;
                by[j][i] = by[i][j];
            }
        }
        // The determinant of the first n is that of the factor's first n rows; its derivative is the factor's.
        let mut traces = vec![[0.0; 4]; n + 1];
        for k in 0..4 {
            let entry = |i: usize, j: usize| match k {
                3 => decay.noise * f64::from(i == j),
                _ => by[k][i][j],
            };
            let mut slope = Triangle::zeros(n);
            for i in 0..n {
                let (before, row) = slope.split(i);
                let own = grid.factor.row(i);
                for j in 0..i {
                    let (other, other_slope) = (grid.factor.row(j), &before[j * (j + 1) / 2..(j + 1) * (j + 2) / 2]);
                    let left = entry(i, j) - dot(&row[..j], other) - dot(own, &other_slope[..j]);
                    row[j] = (left - own[j] * other_slope[j]) / other[j];
                }
                row[i] = (0.5 * entry(i, i) - dot(&row[..i], own)) / own[i];
                traces[i + 1][k] = traces[i][k] + row[i] / own[i];
            }
        }
        let mean = grid.times.iter().map(|time| decay.slopes(*time)).collect();
        Self { by, traces, mean }
    }

    /// Adds what one curve adds: `½ tr(K⁻¹∂K) − ½ C vᵀ∂K v − ½ αᵀ∂K α − αᵀ ∂mean`, with `v = K⁻¹1` and `α = K⁻¹(r − μ 1)`.
    fn add(&self, grid: &Grid, decay: &Decay, block: &Block, mu: f64, c: f64, gradient: &mut [f64]) {
        let n = block.b.len();
        let v = solve_back(&grid.factor, &grid.ones[..n]);
        let rest: Vec<f64> = block.b.iter().zip(&grid.ones).map(|(b, one)| b - mu * one).collect();
        let alpha = solve_back(&grid.factor, &rest);
        let square = |by: &[Vec<f64>], x: &[f64]| -> f64 { (0..n).map(|i| x[i] * dot(&by[i][..n], x)).sum() };
        for ((gradient, trace), by) in gradient.iter_mut().zip(&self.traces[n]).zip(&self.by) {
            *gradient += trace - 0.5 * (c * square(by, &v) + square(by, &alpha));
        }
        gradient[3] += self.traces[n][3] - 0.5 * decay.noise * (c * dot(&v, &v) + dot(&alpha, &alpha));
        for (alpha, [share, by_alpha, by_beta]) in alpha.iter().zip(&self.mean) {
            gradient[0] -= alpha * decay.fall * by_alpha;
            gradient[1] -= alpha * decay.fall * by_beta;
            gradient[4] -= alpha * share;
        }
    }
}

/// The negative logarithm of the prior of θ, its gradient added.
fn penalty(theta: &[f64], gradient: &mut [f64]) -> f64 {
    let last = theta.len() - 1;
    let mut loss = 0.0;
    for (i, (mean, sd)) in PRIORS.iter().copied().enumerate().chain([(last, SCALE)]) {
        let z = (theta[i] - mean) / sd;
        loss += 0.5 * z * z;
        gradient[i] += z / sd;
    }
    for i in OWN..last {
        // As the prior of the Gaussian-process sampler: 0.1/ρ + 0.1ρ.
        let rho = libm::exp(theta[i]);
        loss += 0.1 / rho + 0.1 * rho;
        gradient[i] += 0.1 * rho - 0.1 / rho;
    }
    loss
}

/// The most probable θ.
pub fn fit(curves: &Curves) -> Vec<f64> {
    let mut theta = start(curves.metrics.len());
    let evidence = Evidence::new(curves);
    let (low, high) = bounds(curves.metrics.len());
    let limits = Limits { evaluations: EVALUATIONS, step: 1.5, gain: 1e-2 };
    minimise(|theta, gradient| evidence.loss(theta, gradient), &mut theta, &low, &high, limits);
    theta
}

/// `n` samples of θ, from the most probable one on: coordinate-wise slice sampling with stepping out and shrinkage
/// (Neal 2003).
pub fn sample(curves: &Curves, n: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let mut theta = fit(curves);
    let evidence = Evidence::new(curves);
    let (low, high) = bounds(curves.metrics.len());
    let mut room = vec![0.0; theta.len()];
    let mut ln = |theta: &[f64]| -evidence.loss(theta, &mut room);
    let mut samples = Vec::with_capacity(n);
    for _ in 0..n {
        for i in 0..theta.len() {
            let level = ln(&theta) + libm::log(stream.unit());
            let own = theta[i];
            let at = |value: f64, theta: &mut Vec<f64>, ln: &mut dyn FnMut(&[f64]) -> f64| {
                theta[i] = value;
                ln(theta)
            };
            let mut left = own - stream.unit();
            let mut right = left + 1.0;
            for _ in 0..4 {
                if left > low[i] && at(left, &mut theta, &mut ln) > level { left -= 1.0 } else { break }
            }
            for _ in 0..4 {
                if right < high[i] && at(right, &mut theta, &mut ln) > level { right += 1.0 } else { break }
            }
            (left, right) = (left.max(low[i]), right.min(high[i]));
            // (Ends: the interval shrinks towards the value that is above the level.)
            let mut found = own;
            for _ in 0..40 {
                let value = left + stream.unit() * (right - left);
                if at(value, &mut theta, &mut ln) > level {
                    found = value;
                    break;
                }
                if value < own { left = value } else { right = value }
            }
            theta[i] = found;
        }
        samples.push(theta.clone());
    }
    samples
}
