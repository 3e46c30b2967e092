//! Hyperparameters of a Gaussian process by maximum a posteriori, with analytic gradients (Rasmussen and Williams 2006, §5.4).
//!
//! θ = (ln ρ_j, ln s², ln (σ² − 1e-6)).

use super::kernel::{Cloud, matern};
use crate::algebra::{
    lbfgs::{Limits, minimise},
    linalg::{Triangle, dot},
};

/// Least variance of the noise: keeps matrices positive definite.
pub const NOISE_FLOOR: f64 = 1e-6;
/// Observations that a fit looks at, at most: its time grows with their cube, what it learns hardly at all.
const MOST: usize = 200;
/// Rate of the noise's prior Γ(1.1, rate).
const NOISE_RATE: f64 = 300.0;

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
    k: Vec<f64>,
    slope: Vec<f64>,
    r2: Vec<f64>,
}

impl<'a> Evidence<'a> {
    /// Of `y` at the points of `cloud`.
    pub fn new(cloud: &Cloud, y: &'a [f64]) -> Self {
        let n = y.len();
        let column = |(column, metric): (&Vec<f64>, &super::kernel::Metric)| -> Vec<f64> {
            (0..n).flat_map(|i| (0..i).map(move |j| metric.distance(column[i], column[j]))).collect()
        };
        let distances = cloud.columns.iter().zip(&cloud.metrics).map(column).collect();
        let pairs = n * n.saturating_sub(1) / 2;
        let zeros = || vec![0.0; pairs];
        Self { n, y, distances, k: zeros(), slope: zeros(), r2: zeros() }
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
            loss += 0.1 / rho + 0.1 * rho;
            gradient[j] += 0.1 * rho - 0.1 / rho;
        }
        // s² ~ Γ(2, 1), σ² ~ Γ(1.1, NOISE_RATE).
        loss += s2 - logs[d] + NOISE_RATE * noise - 0.1 * libm::log(noise);
        gradient[d] += s2 - 1.0;
        gradient[d + 1] += (NOISE_RATE - 0.1 / noise) * exps[d + 1];
        loss
    }
}

/// θ of (about) the largest posterior, from `old` where there is one. How long it looks is counted in operations, never in time.
pub fn fit(cloud: &Cloud, y: &[f64], old: Option<Theta>) -> Theta {
    let d = cloud.metrics.len();
    let chosen = choose(y);
    let values: Vec<f64> = chosen.iter().map(|i| y[*i]).collect();
    let part = Cloud {
        metrics: cloud.metrics.clone(),
        columns: cloud.columns.iter().map(|column| chosen.iter().map(|i| column[*i]).collect()).collect(),
        n: chosen.len(),
    };
    let n = chosen.len();
    // Short length scales are a mode of their own that no gradient leads to.
    let short = Theta { rho: vec![20.0; d], scale: 1.0, noise: 1e-4 };
    let starts: Vec<Theta> = match old {
        None => vec![Theta::start(d), short],
        Some(old) if n <= 50 => vec![Theta::start(d), old, short],
        Some(old) => vec![old, if (y.len() / 8).is_multiple_of(2) { short } else { Theta::start(d) }],
    };
    let cost = n * n * n / 2 + 3 * d * n * n / 2 + 10 * n * n;
    let budget = if y.len() <= 120 { 24_000_000 } else { 80_000_000 };
    let evaluations = (budget / cost.max(1) / starts.len()).clamp(5, 40);
    let mut evidence = Evidence::new(&part, &values);
    let (low, high) = bounds(d);
    let mut best = (f64::INFINITY, starts[0].clone());
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

/// Positions of the observations that a fit looks at: half of them the best, the others evenly from the rest.
fn choose(y: &[f64]) -> Vec<usize> {
    if y.len() <= MOST {
        return (0..y.len()).collect();
    }
    let mut order: Vec<usize> = (0..y.len()).collect();
    order.sort_by(|a, b| y[*a].total_cmp(&y[*b]).then(a.cmp(b)));
    let rest = order.split_off(MOST / 2);
    order.extend((0..MOST / 2).map(|k| rest[k * rest.len() / (MOST / 2)]));
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rng::Stream, samplers::gp::kernel::Metric};

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let mut stream = Stream::new(1, 2, 3, "fit");
        let metrics = [Metric::Number, Metric::Choice, Metric::Number];
        let points: Vec<Vec<f64>> =
            (0..23).map(|_| vec![stream.unit(), stream.below(3) as f64, stream.unit()]).collect();
        let y: Vec<f64> = points.iter().map(|p| libm::sin(7.0 * p[0]) + p[1] - p[2] + 0.1 * stream.unit()).collect();
        let cloud = Cloud::new(&metrics, &points);
        let mut evidence = Evidence::new(&cloud, &y);
        for logs in [[0.0, 0.5, -1.0, 0.3, -4.0], [3.0, -3.0, 1.0, -1.0, -9.0], [-2.0, 2.0, 4.0, 1.0, -1.0]] {
            let (mut gradient, mut unused) = ([0.0; 5], [0.0; 5]);
            evidence.loss(&logs, &mut gradient);
            for i in 0..5 {
                let mut side = |h: f64| {
                    let mut moved = logs;
                    moved[i] += h;
                    evidence.loss(&moved, &mut unused)
                };
                let slope = (side(1e-5) - side(-1e-5)) / 2e-5;
                assert!((slope - gradient[i]).abs() < 1e-5 * (1.0 + slope.abs()), "{i}: {slope} {}", gradient[i]);
            }
        }
    }

    #[test]
    fn a_fit_finds_which_parameter_matters_and_how_much_noise_there_is() {
        let mut stream = Stream::new(4, 2, 3, "fit");
        let points: Vec<Vec<f64>> = (0..80).map(|_| vec![stream.unit(), stream.unit()]).collect();
        let values = |noise: f64, stream: &mut Stream| -> Vec<f64> {
            points.iter().map(|p| libm::sin(6.0 * p[0]) + noise * crate::math::ppf(stream.unit())).collect()
        };
        let cloud = Cloud::new(&[Metric::Number; 2], &points);
        let (exact, noisy) = (values(0.0, &mut stream), values(0.3, &mut stream));
        let (exact, noisy) = (fit(&cloud, &exact, None), fit(&cloud, &noisy, None));
        assert!(exact.rho[0] > 5.0 * exact.rho[1], "{exact:?}");
        assert!(exact.noise < 1e-3 && (0.03..0.2).contains(&noisy.noise), "{exact:?} {noisy:?}");
    }
}
