//! How much each parameter matters, by PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255): a parameter matters where the
//! best trials' values are distributed unlike everybody's.
//!
//! A conditional parameter is judged among the trials in which it was active, and counts in proportion to their share.

use metaopt_schema::space::Space;

use crate::{codec::Axis, history::History, math::cdf};

/// Trials needed before anything can be said.
const MIN_TRIALS: usize = 10;
/// Share of trials that count as the best, and their least number.
const TOP: (f64, usize) = (0.1, 5);
/// Bins of a numeric parameter.
const BINS: usize = 50;

/// Importances by parameter, largest first, adding up to 1; empty while there are too few finished trials (10). With
/// several objectives "best" is by non-dominated rank.
pub fn importance(space: &Space, history: &History) -> Vec<(String, f64)> {
    let codec = history.codec();
    let mut scores: Vec<(String, f64)> = Vec::new();
    let total = history.finished();
    if total < MIN_TRIALS || codec.space() != space {
        return scores;
    }
    let top = |n: usize| (libm::ceil(TOP.0 * n as f64) as usize).max(TOP.1);
    let everyone = history.split(top, usize::MAX >> 1, false, 0);
    for (i, param) in space.params.iter().enumerate() {
        let axis = codec.axes()[i];
        if param.domain.is_fidelity() {
            continue;
        }
        let group = codec.groups().iter().position(|group| group.contains(&i)).unwrap_or(0);
        let own = (group > 0).then(|| history.split(top, usize::MAX >> 1, false, group));
        let split = own.as_ref().unwrap_or(&everyone);
        let best: Vec<f64> = split.good.iter().map(|s| s.config.u[i]).collect();
        let all: Vec<f64> = split.good.iter().chain(&split.bad).map(|s| s.config.u[i]).collect();
        let score = if axis == Axis::Fixed || all.len() < MIN_TRIALS {
            0.0
        } else {
            divergence(&density(axis, &best), &density(axis, &all)) * all.len().min(total) as f64 / total as f64
        };
        scores.push((param.name.clone(), score));
    }
    let sum: f64 = scores.iter().map(|(_, score)| score).sum();
    if sum > 0.0 {
        scores.iter_mut().for_each(|(_, score)| *score /= sum);
    } else {
        let even = 1.0 / scores.len().max(1) as f64;
        scores.iter_mut().for_each(|(_, score)| *score = even);
    }
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    scores
}

/// Pearson's divergence of `p` from `q`.
fn divergence(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q) * (p - q) / q).sum()
}

/// Probabilities of an axis's bins: kernels at `values`, and the uniform prior as one more.
fn density(axis: Axis, values: &[f64]) -> Vec<f64> {
    let weight = 1.0 / (values.len() + 1) as f64;
    if let Axis::Choice { cells } = axis {
        let mut bins = vec![weight / cells as f64; cells as usize];
        values.iter().for_each(|v| bins[*v as usize] += weight);
        return bins;
    }
    let bins_n = if let Axis::Grid { cells, .. } = axis { (cells as usize).min(BINS) } else { BINS };
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = libm::sqrt(values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n);
    // Scott's rule, no narrower than half a bin.
    let sigma = (1.06 * deviation * libm::pow(n, -0.2)).max(0.5 / bins_n as f64);
    // Values are moved to the middle of their bin first, so that the cost doesn't grow with bins times trials.
    let mut counts = vec![0.0; bins_n];
    values.iter().for_each(|v| counts[((v * bins_n as f64) as usize).min(bins_n - 1)] += weight);
    let mut bins = vec![weight / bins_n as f64; bins_n];
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        let middle = (at as f64 + 0.5) / bins_n as f64;
        let below: Vec<f64> = (0..=bins_n).map(|b| cdf((b as f64 / bins_n as f64 - middle) / sigma)).collect();
        for (b, bin) in bins.iter_mut().enumerate() {
            *bin += count * (below[b + 1] - below[b]) / (below[bins_n] - below[0]);
        }
    }
    bins
}
