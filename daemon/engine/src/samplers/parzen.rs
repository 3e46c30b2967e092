//! Densities over some of a space's parameters: a mixture of products, one kernel an observation and one of the prior.
//!
//! Numbers: normal kernels cut off at 0 and 1 (discrete ones integrated over their cells). Choices: most of the weight on
//! the observed one. After Watanabe 2023 (arXiv 2304.11127), with bandwidths as in ALGORITHMS §2.

use crate::{
    codec::{Axis, Cell, Codec, Config},
    math::{HALF_LN_TAU, ln_around, ln_cell, sortable, truncated},
    rng::Stream,
};

/// Narrowest kernel, as a share of the range; with few kernels `(1 + K)^-2` is wider.
const NARROWEST: f64 = 0.03;
/// Weight that a choice's kernel spreads over all choices. With less of it a study could stay with the choice of its first
/// good trial for ever (docs/samplers.md has the figures).
const SPREAD: f64 = 0.45;

/// Least width of a cell: of the largest grids some have both edges at the same double. (The width is the same in both densities of a ratio.)
const THINNEST: f64 = f64::EPSILON / 4.0;

/// Kernels this much less likely (in ln) than the prior's are left out of sums: a double would not notice them.
const UNSEEN: f64 = 45.0;

/// One parameter's kernels; the prior's last.
#[derive(Clone, Debug)]
enum Kernels {
    /// Normals cut off at 0 and 1; `cells`: integrated over them.
    Numbers { at: Vec<Number>, cells: bool },
    /// Observed choices; the prior has none. `ln` of the probability of the observed one, of another, and of any under
    /// the prior.
    Choices { at: Vec<u64>, cells: u64, hit: f64, miss: f64, even: f64 },
}

#[derive(Clone, Copy, Debug)]
struct Number {
    mean: f64,
    sigma: f64,
    inverse: f64,
    /// ln of the mass in [0, 1].
    inside: f64,
    /// ln σ + ½ ln 2π + `inside`.
    norm: f64,
}

/// A mixture over the parameters `axes`.
#[derive(Clone, Debug)]
pub struct Parzen<'a> {
    codec: &'a Codec,
    axes: Vec<usize>,
    kernels: Vec<Kernels>,
    weights: Vec<f64>,
    log_weights: Vec<f64>,
}

/// A point prepared for [`Parzen::log_density`]: (coordinate, edges of its cell) by axis.
#[derive(Clone, Debug)]
pub struct Point(Vec<(f64, f64, f64)>);

impl<'a> Parzen<'a> {
    /// Kernels at `seen` with `weights`, and the prior with `prior_weight`.
    pub fn new(codec: &'a Codec, axes: &[usize], seen: &[&Config], weights: &[f64], prior_weight: f64) -> Self {
        let kernels = axes.iter().map(|&i| kernels(codec, i, seen)).collect();
        let mut weights: Vec<f64> = weights.iter().copied().chain([prior_weight]).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
        let log_weights = weights.iter().map(|w| libm::log(*w)).collect();
        Self { codec, axes: axes.to_vec(), kernels, weights, log_weights }
    }

    /// One value for each of the parameters.
    pub fn draw(&self, stream: &mut Stream) -> Vec<Cell> {
        let k = stream.weighted(&self.weights);
        let one = |(kernels, &i): (&Kernels, &usize)| match kernels {
            Kernels::Numbers { at, .. } => {
                let n = at[k];
                self.codec.at(i, truncated(stream.unit(), n.mean, n.sigma))
            }
            Kernels::Choices { at, cells, .. } => {
                let keep = k < at.len() && stream.unit() >= SPREAD;
                Cell::Index(if keep { at[k] } else { stream.below(*cells as usize) as u64 })
            }
        };
        self.kernels.iter().zip(&self.axes).map(one).collect()
    }

    /// Prepares a configuration in which all the parameters are active.
    pub fn point(&self, config: &Config) -> Point {
        let one = |&i: &usize| match (self.codec.axes()[i], config.cells[i]) {
            (axis @ Axis::Grid { .. }, Cell::Index(v)) => {
                let (low, high) = axis.edges(v);
                (config.u[i], low, high)
            }
            _ => (config.u[i], 0.0, 1.0),
        };
        Point(self.axes.iter().map(one).collect())
    }

    /// ln of the density (of the probability, for discrete parameters).
    pub fn log_density(&self, point: &Point) -> f64 {
        let axes = || self.kernels.iter().zip(&point.0);
        // Continuous axes first: they cost next to nothing, and after them few kernels are left that matter.
        let mut terms: Vec<f64> = self.log_weights.clone();
        for (kernels, &(u, ..)) in axes() {
            if let Kernels::Numbers { at, cells: false } = kernels {
                for (term, n) in terms.iter_mut().zip(at) {
                    let z = (u - n.mean) * n.inverse;
                    *term -= 0.5 * z * z + n.norm;
                }
            }
        }
        let discrete = |k: usize| -> f64 { axes().map(|(kernels, place)| kernels.log_probability(k, place)).sum() };
        // The prior's term bounds the sum from below, and what is still to come of the others is never above 0.
        let prior = terms.len() - 1;
        terms[prior] += discrete(prior);
        let bar = terms[prior] - UNSEEN;
        let mut top = terms[prior];
        for (k, term) in terms[..prior].iter_mut().enumerate() {
            if *term > bar {
                *term += discrete(k);
                top = top.max(*term);
            }
        }
        let seen = terms.iter().filter(|term| **term > top - UNSEEN);
        top + libm::log(seen.map(|term| libm::exp(term - top)).sum())
    }
}

impl Kernels {
    /// ln of the probability that kernel `k` gives a discrete axis's cell; 0 for a continuous axis.
    fn log_probability(&self, k: usize, &(u, low, high): &(f64, f64, f64)) -> f64 {
        match self {
            Self::Numbers { cells: false, .. } => 0.0,
            Self::Numbers { at, cells: true } => {
                let n = at[k];
                let width = (high - low).max(THINNEST);
                ln_cell(((low + high) / 2.0 - n.mean) * n.inverse, width * n.inverse) - n.inside
            }
            Self::Choices { at, hit, miss, even, .. } => match at.get(k) {
                Some(choice) if *choice as f64 == u => *hit,
                Some(_) => *miss,
                None => *even,
            },
        }
    }
}

fn kernels(codec: &Codec, i: usize, seen: &[&Config]) -> Kernels {
    let axis = codec.axes()[i];
    if let Axis::Choice { cells } = axis {
        let c = cells as f64;
        let (hit, miss) = (libm::log(1.0 - SPREAD + SPREAD / c), libm::log(SPREAD / c));
        let at = seen.iter().map(|c| c.u[i] as u64).collect();
        return Kernels::Choices { at, cells, hit, miss, even: -libm::log(c) };
    }
    let (mean, wide) = codec.prior(i).unwrap_or((0.5, 1.0));
    let mut means: Vec<f64> = seen.iter().map(|c| c.u[i]).collect();
    // The prior's own mean is no neighbour: it would pull the widths of what lies near the middle.
    let widths = gaps(&means);
    means.push(mean);
    let floor = NARROWEST.max(libm::pow(1.0 + means.len() as f64, -2.0));
    let ln_floor = libm::log(floor);
    let number = |k: usize| {
        let mean = means[k];
        // Narrower than half a cell nothing could be told apart.
        let cell = match (axis, seen.get(k).map(|c| c.cells[i])) {
            (Axis::Grid { .. }, Some(Cell::Index(v))) => {
                let (low, high) = axis.edges(v);
                (high - low) / 2.0
            }
            _ => 0.0,
        };
        let sigma = if k == seen.len() { wide } else { widths[k].max(floor).max(cell).min(1.0) };
        let inside = ln_around(-mean / sigma, (1.0 - mean) / sigma);
        let ln_sigma = if sigma == floor { ln_floor } else { libm::log(sigma) };
        Number { mean, sigma, inverse: 1.0 / sigma, inside, norm: ln_sigma + HALF_LN_TAU + inside }
    };
    Kernels::Numbers { at: (0..means.len()).map(number).collect(), cells: matches!(axis, Axis::Grid { .. }) }
}

/// Each point's larger gap to its sorted neighbours; the outermost points have only their inner one, a single point the
/// range's ends.
fn gaps(points: &[f64]) -> Vec<f64> {
    // Pairs of whole numbers sort in half the time that a comparison by look-up takes.
    let mut order: Vec<(u64, usize)> = points.iter().enumerate().map(|(k, at)| (sortable(*at), k)).collect();
    order.sort_unstable();
    if let [only] = points {
        return vec![only.max(1.0 - only)];
    }
    let mut widths = vec![0.0; points.len()];
    for (place, &(_, k)) in order.iter().enumerate() {
        let below = place.checked_sub(1).map(|p| points[k] - points[order[p].1]);
        let above = order.get(place + 1).map(|&(_, n)| points[n] - points[k]);
        widths[k] = below.unwrap_or(0.0).max(above.unwrap_or(0.0));
    }
    widths
}

#[cfg(test)]
#[path = "parzen_tests.rs"]
mod tests;
