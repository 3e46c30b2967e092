//! Training curves as blocks of the joint model: what depends on one curve alone.
//!
//! Curves that report at the same steps share one Cholesky factor, of which a shorter curve uses the first rows.

use super::kernel::Decay;
use crate::algebra::linalg::{Triangle, dot};

/// The factor of a series of times.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The times, ascending.
    pub times: Vec<f64>,
    /// Cholesky factor of their covariance, with noise.
    pub factor: Triangle,
    /// `L⁻¹ 1`.
    pub ones: Vec<f64>,
}

/// A solution of `L x = y` by rows.
pub fn solve(factor: &Triangle, y: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut x: Vec<f64> = Vec::new();
    for (i, y) in y.enumerate().take(factor.n) {
        let row = factor.row(i);
        let value = (y - dot(&row[..i], &x)) / row[i];
        x.push(value);
    }
    x
}

/// A solution of `Lᵀ x = y` with the first rows of `factor`.
pub fn solve_back(factor: &Triangle, y: &[f64]) -> Vec<f64> {
    let mut x = y.to_vec();
    for i in (0..x.len()).rev() {
        let row = factor.row(i);
        x[i] /= row[i];
        let own = x[i];
        for (x, entry) in x[..i].iter_mut().zip(row) {
            *x -= own * entry;
        }
    }
    x
}

impl Grid {
    /// None where the covariance is too near to singular.
    pub fn new(times: Vec<f64>, decay: &Decay) -> Option<Self> {
        let mut factor = Triangle::zeros(times.len());
        for (i, time) in times.iter().enumerate() {
            let (_, row) = factor.split(i);
            for (entry, other) in row.iter_mut().zip(&times) {
                *entry = decay.covariance(time + other);
            }
            row[i] += decay.noise;
        }
        let times_ = times.len();
        factor.factor().then(|| {
            let ones = solve(&factor, std::iter::repeat_n(1.0, times_));
            Self { times, factor, ones }
        })
    }

    /// What the grid says about the curve at `time`.
    pub fn target(&self, decay: &Decay, time: f64) -> Target {
        let cross = solve(&self.factor, self.times.iter().map(|t| decay.covariance(t + time)));
        let (mut omega, mut left) = (1.0, decay.covariance(2.0 * time));
        let (mut omegas, mut lefts) = (vec![omega], vec![left]);
        for (c, one) in cross.iter().zip(&self.ones) {
            omega -= c * one;
            left -= c * c;
            omegas.push(omega);
            lefts.push(left.max(0.0));
        }
        Target { cross, omegas, lefts, mean: decay.mean(time) }
    }

    /// `1ᵀ K⁻¹ 1` of the first `n` times.
    pub fn weight(&self, n: usize) -> f64 {
        self.ones[..n].iter().map(|a| a * a).sum()
    }
}

/// Predicting the noise-free curve at one time, from the first `n` times of a grid.
#[derive(Clone, Debug)]
pub struct Target {
    /// `L⁻¹ k`.
    pub cross: Vec<f64>,
    /// By n: what of the asymptote remains in it, `Ω = 1 − k K⁻¹ 1`.
    pub omegas: Vec<f64>,
    /// By n: its variance where the asymptote is known.
    pub lefts: Vec<f64>,
    /// The mean decay.
    pub mean: f64,
}

/// One curve's share of the joint model.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Its grid.
    pub grid: usize,
    /// `L⁻¹ (y − mean)`, one entry a report.
    pub b: Vec<f64>,
    /// `1ᵀ K⁻¹ 1`.
    pub lambda: f64,
    /// `1ᵀ K⁻¹ (y − mean)`.
    pub gamma: f64,
}

impl Block {
    /// An empty curve on a grid.
    pub fn new(grid: usize) -> Self {
        Self { grid, ..Self::default() }
    }

    /// Takes the next report, whose place on the grid is that after the last; answers what it adds to λ and γ.
    pub fn push(&mut self, grid: &Grid, decay: &Decay, y: f64) -> (f64, f64) {
        let n = self.b.len();
        let row = grid.factor.row(n);
        let b = (y - decay.mean(grid.times[n]) - dot(&row[..n], &self.b)) / row[n];
        let (lambda, gamma) = (grid.ones[n] * grid.ones[n], grid.ones[n] * b);
        self.b.push(b);
        self.lambda += lambda;
        self.gamma += gamma;
        (lambda, gamma)
    }
}
