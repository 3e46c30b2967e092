//! Hyperparameters of a Gaussian process by maximum a posteriori, with analytic gradients (Rasmussen and Williams 2006, §5.4).
//!
//! θ = (ln ρ_j, ln s², ln (σ² − 1e-6)). Half the variance of standardised values is the scale of the priors.

use super::{
    kernel::{Cloud, Metric, matern},
    lbfgs::{Limits, minimise},
    linalg::{Triangle, dot},
};

/// Least variance of the noise: keeps matrices positive definite.
pub const NOISE_FLOOR: f64 = 1e-6;
/// Observations that a fit looks at, at most: its time grows with their cube, what it learns hardly at all.
pub const MOST: usize = 200;

/// Hyperparameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Theta {
    /// Inverse squared length scales, one a parameter.
    pub rho: Vec<f64>,
    /// Variance of the function.
    pub scale: f64,
    /// Variance of the noise.
    pub noise: f64,
}

impl Theta {
    /// Where fits begin.
    pub fn start(d: usize) -> Self {
        Self { rho: vec![1.0; d], scale: 1.0, noise: 1e-2 }
    }

    /// As a vector of logarithms.
    pub fn logs(&self) -> Vec<f64> {
        let noise = (self.noise - NOISE_FLOOR).max(1e-12);
        self.rho.iter().chain([&self.scale, &noise]).map(|v| libm::log(*v)).collect()
    }

    /// From such a vector, forced into [`bounds`].
    pub fn from_logs(logs: &[f64]) -> Self {
        let d = logs.len().saturating_sub(2);
        let (low, high) = bounds(d);
        let at = |i: usize| libm::exp(logs[i].clamp(low[i], high[i]));
        Self { rho: (0..d).map(at).collect(), scale: at(d), noise: at(d + 1) + NOISE_FLOOR }
    }
}

/// The box of θ.
pub fn bounds(d: usize) -> (Vec<f64>, Vec<f64>) {
    let fill = |rho: f64, scale: f64, noise: f64| {
        let mut all = vec![rho; d];
        all.extend([scale, noise]);
        all
    };
    (fill(-9.0, -5.0, -14.0), fill(8.0, 4.0, 1.0))
}

/// What observations say about θ: squared distances of all pairs by parameter, kept over many evaluations.
pub struct Evidence<'a> {
    n: usize,
    y: &'a [f64],
    /// One list a parameter, over pairs (i, j < i) by rows.
    distances: Vec<Vec<f64>>,
    metrics: Vec<Metric>,
    k: Vec<f64>,
    slope: Vec<f64>,
    r2: Vec<f64>,
    pub dscale: f64,
}

impl<'a> Evidence<'a> {
    /// Of `y` at the points of `cloud`.
    pub fn new(cloud: &Cloud, y: &'a [f64], dscale: f64) -> Self {
        let n = y.len();
        let column = |(column, metric): (&Vec<f64>, &Metric)| -> Vec<f64> {
            (0..n).flat_map(|i| (0..i).map(move |j| metric.distance(column[i], column[j]))).collect()
        };
        let distances = cloud.columns.iter().zip(&cloud.metrics).map(column).collect();
        let pairs = n * n.saturating_sub(1) / 2;
        let zeros = || vec![0.0; pairs];
        Self { n, y, distances, metrics: cloud.metrics.clone(), k: zeros(), slope: zeros(), r2: zeros(), dscale }
    }

    /// The negative logarithm of the posterior of θ (but for a constant) and its gradient; infinite where the matrix isn't
    /// positive definite.
    pub fn loss(&mut self, logs: &[f64], gradient: &mut [f64]) -> f64 {
        let n = self.n;
        let d = self.distances.len();
        let exps: Vec<f64> = logs.iter().map(|v| libm::exp(*v)).collect();
        let (rho, s2, noise) = (&exps[..d], exps[d], exps[d + 1] + NOISE_FLOOR);
        self.r2.fill(0.0);
        for (rho, distances) in rho.iter().zip(&self.distances) {
            for (r2, distance) in self.r2.iter_mut().zip(distances) {
                *r2 += rho * distance;
            }
        }
        matern(&self.r2, &mut self.k, &mut self.slope);
        let mut l = Triangle::zeros(n);
        for i in 0..n {
            let own = &self.k[i * i.saturating_sub(1) / 2..][..i];
            let (_, row) = l.split(i);
            for (entry, k) in row.iter_mut().zip(own) {
                *entry = s2 * k;
            }
            row[i] = s2 + noise;
        }
        if !l.factor() {
            return f64::INFINITY;
        }
        let ln_det: f64 = (0..n).map(|i| libm::log(l.row(i)[i])).sum();
        let inverse = l.inverse();
        let (mut beta, mut alpha) = (Vec::new(), Vec::new());
        inverse.times(self.y, &mut beta);
        inverse.transposed_times(&beta, &mut alpha);
        let precision = inverse.gram();
        // ½ tr((K⁻¹ − ααᵀ) ∂K), over pairs twice as much as over the diagonal.
        let mut trace = 0.0;
        let mut by_scale = 0.0;
        for i in 0..n {
            let row = precision.row(i);
            let at = i * i.saturating_sub(1) / 2;
            let own = alpha[i];
            for j in 0..i {
                let weight = (row[j] - own * alpha[j]) * s2;
                by_scale += weight * self.k[at + j];
                self.slope[at + j] *= weight;
            }
            trace += row[i] - own * own;
        }
        for j in 0..d {
            gradient[j] = rho[j] * dot(&self.slope, &self.distances[j]);
        }
        gradient[d] = by_scale + 0.5 * trace * s2;
        gradient[d + 1] = 0.5 * trace * exps[d + 1];
        let mut loss = 0.5 * dot(self.y, &alpha) + ln_det;
        for (j, rho) in rho.iter().enumerate() {
            let (penalty, slope) = self.relevance(*rho, d);
            loss += penalty;
            gradient[j] += slope;
        }
        // s² ~ Γ(2, 1), σ² ~ Γ(1.1, 30).
        loss += s2 - logs[d] + 30.0 * noise - 0.1 * libm::log(noise);
        gradient[d] += s2 - 1.0;
        gradient[d + 1] += (30.0 - 0.1 / noise) * exps[d + 1];
        loss
    }

    /// The negative logarithm of ρ's prior, and its derivative by ln ρ.
    fn relevance(&self, rho: f64, d: usize) -> (f64, f64) {
        if self.dscale > 0.0 {
            let mean = -2.0 * std::f64::consts::SQRT_2 - libm::log(d as f64);
            let z = libm::log(rho) - mean;
            return (0.5 * z * z / 12.0 * self.dscale, z / 12.0 * self.dscale);
        }
        (0.1 / rho + 0.1 * rho, 0.1 * rho - 0.1 / rho)
    }
}

/// θ of largest posterior from the best of `starts`, each followed for some `evaluations`.
pub fn fit(cloud: &Cloud, y: &[f64], starts: &[Theta], evaluations: usize, dscale: f64) -> Theta {
    let mut evidence = Evidence::new(cloud, y, dscale);
    let (low, high) = bounds(cloud.metrics.len());
    let mut best = (f64::INFINITY, starts.first().cloned().unwrap_or_else(|| Theta::start(cloud.metrics.len())));
    for start in starts {
        let mut logs = start.logs();
        let limits = Limits { evaluations, step: 2.0, gain: 1e-3 };
        let loss = minimise(|x, g| evidence.loss(x, g), &mut logs, &low, &high, limits);
        if loss < best.0 {
            best = (loss, Theta::from_logs(&logs));
        }
    }
    best.1
}
