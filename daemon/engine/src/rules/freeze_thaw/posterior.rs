//! Asymptotes of all curves given all reports, without ever factoring their joint covariance (Swersky et al. 2014, §3.1).
//!
//! With `λ`, `γ` of the blocks, `S = diag √λ` and `B = I + S K S`: `C = K − K S B⁻¹ S K`, `μ = C γ`. Needs no inverse of `K`, and
//! allows curves without a report.

use crate::{
    algebra::linalg::{Triangle, axpy, dot},
    samplers::gp::kernel::{Cloud, matern},
};

/// Variance of the level that all asymptotes share, in normalised costs: it stands for an unknown mean.
pub const LEVEL: f64 = 1.0;

/// Prior covariance of asymptotes by configuration.
#[derive(Clone, Debug)]
pub struct Prior {
    /// Inverse squared length scales.
    pub rho: Vec<f64>,
    /// Variance.
    pub scale: f64,
}

impl Prior {
    /// Covariances of the configuration `point` with the first `n` of `cloud`.
    pub fn row(&self, cloud: &Cloud, point: &[f64], n: usize) -> Vec<f64> {
        let (mut r2, mut k, mut slope) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        cloud.squared(&self.rho, point, &mut r2);
        matern(&r2, &mut k, &mut slope);
        k.iter().map(|k| LEVEL + self.scale * k).collect()
    }

    /// Variance of one asymptote.
    pub fn variance(&self) -> f64 {
        LEVEL + self.scale
    }

    /// The covariance of a cloud, row by row in full.
    pub fn matrix(&self, cloud: &Cloud) -> Vec<Vec<f64>> {
        let n = cloud.n;
        let mut k = vec![vec![0.0; n]; n];
        for i in 0..n {
            let point: Vec<f64> = cloud.columns.iter().map(|column| column[i]).collect();
            let row = self.row(cloud, &point, i);
            for (j, value) in row.into_iter().enumerate() {
                k[i][j] = value;
                k[j][i] = value;
            }
            k[i][i] = self.variance();
        }
        k
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Means of the asymptotes.
    pub mu: Vec<f64>,
    /// Their covariance.
    pub c: Vec<Vec<f64>>,
    /// `K⁻¹ μ`, by which a new configuration is predicted.
    pub weights: Vec<f64>,
    /// `L_B⁻¹`.
    inverse: Triangle,
    roots: Vec<f64>,
    /// Σ ln of the diagonal of `L_B`.
    pub ln_det: f64,
}

impl Posterior {
    /// None where the matrix isn't positive definite.
    pub fn new(k: &[Vec<f64>], lambda: &[f64], gamma: &[f64]) -> Option<Self> {
        let n = lambda.len();
        let roots: Vec<f64> = lambda.iter().map(|l| l.max(0.0).sqrt()).collect();
        let mut b = Triangle::zeros(n);
        for i in 0..n {
            let (_, row) = b.split(i);
            for j in 0..=i {
                row[j] = roots[i] * k[i][j] * roots[j] + f64::from(i == j);
            }
        }
        if !b.factor() {
            return None;
        }
        let ln_det = (0..n).map(|i| libm::log(b.row(i)[i])).sum();
        let inverse = b.inverse();
        // Rows of L_B⁻¹ S K.
        let mut v = vec![vec![0.0; n]; n];
        for (i, target) in v.iter_mut().enumerate() {
            for (j, factor) in inverse.row(i).iter().enumerate() {
                axpy(target, factor * roots[j], &k[j]);
            }
        }
        let mut c = k.to_vec();
        for row in &v {
            for (i, own) in row.iter().enumerate() {
                axpy(&mut c[i], -own, row);
            }
        }
        let mu: Vec<f64> = c.iter().map(|row| dot(row, gamma)).collect();
        let weights = (0..n).map(|i| gamma[i] - lambda[i] * mu[i]).collect();
        Some(Self { mu, c, weights, inverse, roots, ln_det })
    }

    /// Takes what one more report of curve `at` adds to its λ and γ. (A new configuration is still predicted without it.)
    pub fn extend(&mut self, at: usize, lambda: f64, gamma: f64) {
        let column = self.c[at].clone();
        let own = column[at];
        let gain = 1.0 / (1.0 + lambda * own);
        let shift = (gamma - lambda * self.mu[at]) * gain;
        axpy(&mut self.mu, shift, &column);
        for (row, factor) in self.c.iter_mut().zip(&column) {
            axpy(row, -lambda * gain * factor, &column);
        }
    }

    /// Makes covariances what they will be when curve `at` has more reports; means stay, as nobody knows them yet.
    pub fn expect(&mut self, at: usize, lambda: f64) {
        let shift = lambda * self.mu[at];
        self.extend(at, lambda, shift);
    }

    /// Mean and variance of the asymptote of a configuration whose prior covariances with all others are `k`.
    pub fn predict(&self, k: &[f64], variance: f64) -> (f64, f64) {
        let scaled: Vec<f64> = k.iter().zip(&self.roots).map(|(k, root)| k * root).collect();
        let mut v = Vec::new();
        self.inverse.times(&scaled, &mut v);
        (dot(k, &self.weights), (variance - dot(&v, &v)).max(0.0))
    }
}
