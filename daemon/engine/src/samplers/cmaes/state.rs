//! The search distribution and what a generation does to it (Hansen 2016, arXiv 1604.00772).
//!
//! The covariance's Cholesky factor stands for its square root (Krause, Arbonès, Igel 2016): no eigenvalues are needed.
//! A generation's members come from anywhere, so their steps are shortened to a plausible length (Hansen 2011,
//! "Injecting external solutions into CMA-ES", arXiv 1110.4181).

use super::{
    layout::Sample,
    margin,
    matrix::{Square, norm},
};
use crate::codec::Axis;

/// The widest standard deviation of a dimension: a uniform distribution's.
const WIDEST: f64 = 0.288_675_134_594_812_9;
/// Largest growth of the step size in one generation (its logarithm).
const GROWTH: f64 = 1.0;

/// A normal distribution over the dimensions and a table over each choice, with their memory.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Restarts so far.
    pub run: u32,
    /// Members of a generation.
    pub lambda: usize,
    /// The middle.
    pub mean: Vec<f64>,
    /// The step size.
    pub sigma: f64,
    /// The covariance's shape, its lower triangle.
    shape: Square,
    /// Its Cholesky factor.
    pub root: Square,
    /// Factors that keep discrete dimensions moving.
    pub stretch: Vec<f64>,
    /// Probability of each value of each choice.
    pub tables: Vec<Vec<f64>>,
    path_sigma: Vec<f64>,
    path_shape: Vec<f64>,
    /// Generations of this run.
    pub generation: u32,
    /// Generations since this run's best improved, and in a row without any difference.
    stale: u32,
    flat: u32,
}

/// What follows from the dimensions and the size of a generation.
struct Rates {
    weights: Vec<f64>,
    mu_eff: f64,
    sigma: f64,
    damping: f64,
    path: f64,
    rank_one: f64,
    rank_mu: f64,
}

/// Members of a generation by dimensions (choices count as such).
pub fn default_lambda(dimensions: usize) -> usize {
    4 + libm::floor(3.0 * libm::log(dimensions.max(1) as f64)) as usize
}

impl Rates {
    fn new(dimensions: usize, lambda: usize) -> Self {
        let n = dimensions.max(1) as f64;
        let raw: Vec<f64> =
            (1..=lambda).map(|i| libm::log((lambda as f64 + 1.0) / 2.0) - libm::log(i as f64)).collect();
        let sums = |keep: fn(&f64) -> bool| {
            let kept = raw.iter().filter(|w| keep(w));
            let (sum, squares) = kept.fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
            (f64::abs(sum), sum * sum / squares)
        };
        let ((positive, mu_eff), (negative, mu_eff_minus)) = (sums(|w| *w > 0.0), sums(|w| *w < 0.0));
        let sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        let rank_one = 2.0 / ((n + 1.3) * (n + 1.3) + mu_eff);
        let rank_mu =
            (2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((n + 2.0) * (n + 2.0) + mu_eff)).min(1.0 - rank_one);
        let share = (1.0 + rank_one / rank_mu)
            .min(1.0 + 2.0 * mu_eff_minus / (mu_eff + 2.0))
            .min((1.0 - rank_one - rank_mu) / (n * rank_mu));
        let weight = |w: &f64| if *w > 0.0 { w / positive } else { share * w / negative };
        Self {
            weights: raw.iter().map(weight).collect(),
            mu_eff,
            sigma,
            damping: 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + sigma,
            path: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            rank_one,
            rank_mu,
        }
    }
}

impl State {
    /// A distribution around `mean`; `scales` are the dimensions' standard deviations over `sigma`.
    pub fn new(mean: Vec<f64>, sigma: f64, scales: &[f64], tables: Vec<Vec<f64>>, lambda: usize, run: u32) -> Self {
        let n = mean.len();
        let squares: Vec<f64> = scales.iter().map(|s| s * s).collect();
        Self {
            run,
            lambda,
            mean,
            sigma,
            shape: Square::diagonal(&squares),
            root: Square::diagonal(scales),
            stretch: vec![1.0; n],
            tables,
            path_sigma: vec![0.0; n],
            path_shape: vec![0.0; n],
            generation: 0,
            stale: 0,
            flat: 0,
        }
    }

    /// The standard deviation of dimension `j`.
    pub fn deviation(&self, j: usize) -> f64 {
        self.sigma * self.stretch[j] * self.shape.row(j)[j].sqrt()
    }

    /// The point that the standard normal `z` means.
    pub fn point(&self, z: &[f64]) -> Vec<f64> {
        let steps = self.root.times(z);
        (0..self.mean.len()).map(|j| self.mean[j] + self.sigma * self.stretch[j] * steps[j]).collect()
    }

    /// Steps to a point in units of the step size, as the shape has them; nowhere where it is unknown.
    pub fn step(&self, x: &[f64]) -> Vec<f64> {
        let step = |(j, x): (usize, &f64)| {
            if x.is_nan() { 0.0 } else { (x - self.mean[j]) / (self.sigma * self.stretch[j]) }
        };
        x.iter().enumerate().map(step).collect()
    }

    /// Learns from a generation: its members, best first, each with its class of equals.
    pub fn learn(&mut self, members: &[(&Sample, usize)], axes: &[Axis]) {
        let n = self.mean.len();
        let rates = Rates::new(n, members.len());
        let weights = shared(&rates.weights, members);
        self.generation += 1;
        self.flat = if members.last().is_some_and(|(_, class)| *class == 0) { self.flat + 1 } else { 0 };
        self.learn_choices(members, &weights, rates.mu_eff);
        if n > 0 {
            self.learn_numbers(members, &weights, &rates);
            margin::keep(self, axes);
        }
    }

    /// Notes whether a generation held the best of its run so far.
    pub fn improved(&mut self, yes: bool) {
        self.stale = if yes { 0 } else { self.stale + 1 };
    }

    fn learn_numbers(&mut self, members: &[(&Sample, usize)], weights: &[f64], rates: &Rates) {
        let n = self.mean.len();
        let size = n as f64;
        let longest = size.sqrt() + 2.0 * size / (size + 2.0);
        let mut shift = vec![0.0; n];
        let mut steps = Vec::with_capacity(members.len());
        for ((sample, _), weight) in members.iter().zip(weights) {
            let mut step = self.step(&sample.x);
            let length = norm(&self.root.solve(&step));
            if length > longest {
                step.iter_mut().for_each(|v| *v *= longest / length);
            }
            if *weight > 0.0 {
                shift.iter_mut().zip(&step).for_each(|(sum, v)| *sum += weight * v);
            }
            steps.push((step, length.min(longest)));
        }
        for (mean, (stretch, shift)) in self.mean.iter_mut().zip(self.stretch.iter().zip(&shift)) {
            *mean = (*mean + self.sigma * stretch * shift).clamp(0.0, 1.0);
        }
        let white = self.root.solve(&shift);
        let gain = (rates.sigma * (2.0 - rates.sigma) * rates.mu_eff).sqrt();
        self.path_sigma.iter_mut().zip(&white).for_each(|(p, z)| *p = (1.0 - rates.sigma) * *p + gain * z);
        let expected = size.sqrt() * (1.0 - 1.0 / (4.0 * size) + 1.0 / (21.0 * size * size));
        let length = norm(&self.path_sigma);
        let settled = 1.0 - libm::pow(1.0 - rates.sigma, 2.0 * f64::from(self.generation));
        let steady = length / settled.sqrt() < (1.4 + 2.0 / (size + 1.0)) * expected;
        let gain = if steady { (rates.path * (2.0 - rates.path) * rates.mu_eff).sqrt() } else { 0.0 };
        self.path_shape.iter_mut().zip(&shift).for_each(|(p, y)| *p = (1.0 - rates.path) * *p + gain * y);
        let lost = if steady { 0.0 } else { rates.rank_one * rates.path * (2.0 - rates.path) };
        let sum: f64 = weights.iter().sum();
        self.shape.scale(1.0 + lost - rates.rank_one - rates.rank_mu * sum);
        self.shape.add_outer(rates.rank_one, &self.path_shape);
        for ((step, length), weight) in steps.iter().zip(weights) {
            // What is bad shrinks the shape by as much as a step of the usual length would.
            let factor = if *weight >= 0.0 { *weight } else { weight * size / (length * length + 1e-8) };
            self.shape.add_outer(rates.rank_mu * factor, step);
        }
        self.sigma *= libm::exp((rates.sigma / rates.damping * (length / expected - 1.0)).min(GROWTH));
        self.refactor();
    }

    /// The root of the new shape, after its widest dimension is cut to what the cube holds.
    fn refactor(&mut self) {
        let n = self.mean.len();
        let widest = (0..n).map(|j| self.shape.row(j)[j]).fold(0.0, f64::max);
        self.sigma = self.sigma.min(WIDEST / widest.sqrt());
        match self.shape.cholesky() {
            Some(root) if self.sigma.is_finite() && self.sigma > 0.0 => self.root = root,
            // Rounding has eaten a dimension: begin the shape anew.
            _ => {
                *self = Self {
                    generation: self.generation,
                    stale: self.stale,
                    ..Self::new(self.mean.clone(), 0.1, &vec![1.0; n], self.tables.clone(), self.lambda, self.run)
                };
            }
        }
    }

    fn learn_choices(&mut self, members: &[(&Sample, usize)], weights: &[f64], mu_eff: f64) {
        let floor_share = 1.0 / (self.lambda.max(1) as f64 * (self.tables.len() + self.mean.len()).max(1) as f64);
        for (a, table) in self.tables.iter_mut().enumerate() {
            let count = table.len() as f64;
            let mut seen = vec![0.0; table.len()];
            for ((sample, _), weight) in members.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
                if let Some(cell) = sample.choices[a].and_then(|value| seen.get_mut(value)) {
                    *cell += weight;
                }
            }
            let total: f64 = seen.iter().sum();
            // Where the parameter was inactive nothing is known.
            let rate = total * mu_eff / (mu_eff + 2.0 + count);
            let floor = floor_share / count;
            for (p, share) in table.iter_mut().zip(&seen) {
                let target = if total > 0.0 { share / total } else { *p };
                *p = ((1.0 - rate) * *p + rate * target).max(floor);
            }
            let sum: f64 = table.iter().sum();
            table.iter_mut().for_each(|p| *p /= sum);
        }
    }

    /// Whether this run has nothing more to find.
    pub fn is_spent(&self, axes: &[Axis], tolerance: f64) -> bool {
        let n = self.mean.len();
        if n == 0 {
            return false;
        }
        let patience = 10 + (30.0 * n as f64 / self.lambda as f64) as u32;
        let narrow = |j: usize| {
            let deviation = self.sigma * self.shape.row(j)[j].sqrt();
            deviation < margin::width(&axes[j], self.mean[j]).map_or(tolerance, |width| width / 4.0)
        };
        let diagonal = (0..n).map(|j| self.root.row(j)[j]);
        let (low, high) = diagonal.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), v| (low.min(v), high.max(v)));
        self.flat >= 5 || self.stale > patience || (0..n).all(narrow) || high / low > 1e7
    }
}

/// Equals share the sum of their weights.
fn shared(weights: &[f64], members: &[(&Sample, usize)]) -> Vec<f64> {
    let mut even = Vec::with_capacity(weights.len());
    let mut from = 0;
    while from < members.len() {
        let len = members[from..].iter().take_while(|(_, class)| *class == members[from].1).count();
        let mean = weights[from..from + len].iter().sum::<f64>() / len as f64;
        even.extend(std::iter::repeat_n(mean, len));
        from += len;
    }
    even
}
