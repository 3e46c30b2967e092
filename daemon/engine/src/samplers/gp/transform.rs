//! Values as models see them: outliers pulled in by rank, then mean 0 and variance 1.

use crate::math::{ppf, sortable};

/// Positions of `values` by value (NaN last), and the values so sorted.
fn sorted(values: &[f64]) -> (Vec<usize>, Vec<f64>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|i| (sortable(values[*i]), *i));
    let line = order.iter().map(|i| values[*i]).collect();
    (order, line)
}

/// Costs without NaN (infinite ones become the worst or best finite one), as values of mean 0 and variance 1 in the same order.
pub fn costs(given: &[f64], mode: u64) -> Vec<f64> {
    let finite = || given.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    // Near the ends of doubles differences would overflow; a power of two is exact.
    let unit = if high.abs().max(low.abs()) > 1e300 { 2f64.powi(-12) } else { 1.0 };
    let mut values: Vec<f64> = given.iter().map(|v| if low <= high { v.clamp(low, high) * unit } else { 0.0 }).collect();
    if mode & 1 == 1 {
        half_rank(&mut values);
    }
    standardise(&mut values);
    if mode & 2 == 2 {
        yeo_johnson(&mut values);
    }
    if mode & 4 == 4 {
        log_warp(&mut values);
    }
    values
}

/// Every value worse than the median becomes a normal quantile of its rank (Vizier's warper: arXiv 2408.11527, §3).
fn half_rank(values: &mut [f64]) {
    let (order, line) = sorted(values);
    let n = line.len();
    if n < 3 {
        return;
    }
    let median = if n % 2 == 1 { line[n / 2] } else { 0.5 * line[n / 2 - 1] + 0.5 * line[n / 2] };
    let good: Vec<f64> = line.iter().copied().filter(|v| *v <= median).collect();
    let widest = median - line[0];
    if !(widest > 0.0) {
        return;
    }
    // In units of the widest, so that squares neither overflow nor vanish.
    let spread = widest
        * (good.iter().map(|v| ((median - v) / widest) * ((median - v) / widest)).sum::<f64>() / good.len() as f64).sqrt();
    let mut distinct: Vec<f64> = line.iter().copied().filter(|v| *v > median).collect();
    distinct.dedup();
    let m = distinct.len() as f64 + if line.contains(&median) { 0.5 } else { 0.0 };
    for i in order {
        if values[i] > median {
            let rank = distinct.len() - distinct.partition_point(|v| *v < values[i]);
            let q = 0.5 * (rank as f64 - 0.5) / m;
            values[i] = median - spread * ppf(q);
        }
    }
}

/// Mean 0 and variance 1; all 0 where all are equal.
fn standardise(values: &mut [f64]) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| v / n).sum::<f64>();
    let widest = values.iter().fold(0.0, |m: f64, v| m.max((v - mean).abs()));
    let variance = values.iter().map(|v| ((v - mean) / widest) * ((v - mean) / widest)).sum::<f64>() / n;
    let sd = widest * variance.sqrt();
    let flat = !(widest > 0.0 && sd > 1e-12 * mean.abs());
    values.iter_mut().for_each(|v| *v = if flat { 0.0 } else { (*v - mean) / sd });
}

/// Logarithm of the distance above the best.
fn log_warp(values: &mut [f64]) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let (_, line) = sorted(values);
    let q = line[line.len() / 4] - low;
    values.iter_mut().for_each(|v| *v = libm::log(*v - low + 0.3 * q.max(1e-3)));
    standardise(values);
}

fn yj(v: f64, l: f64) -> f64 {
    if v >= 0.0 {
        if l.abs() < 1e-9 { libm::log1p(v) } else { (libm::pow(1.0 + v, l) - 1.0) / l }
    } else {
        let m = 2.0 - l;
        if m.abs() < 1e-9 { -libm::log1p(-v) } else { -(libm::pow(1.0 - v, m) - 1.0) / m }
    }
}

/// Yeo and Johnson's power transform of the likeliest power.
fn yeo_johnson(values: &mut [f64]) {
    let n = values.len() as f64;
    let jac: f64 = values.iter().map(|v| if *v >= 0.0 { libm::log1p(*v) } else { -libm::log1p(-v) }).sum();
    let loss = |l: f64| {
        let t: Vec<f64> = values.iter().map(|v| yj(*v, l)).collect();
        let m = t.iter().sum::<f64>() / n;
        let var = t.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / n;
        0.5 * n * libm::log(var.max(1e-300)) - (l - 1.0) * jac
    };
    let mut best = (loss(1.0), 1.0);
    for i in -20..=20 {
        let l = 1.0 + f64::from(i) * 0.1;
        let v = loss(l);
        if v < best.0 {
            best = (v, l);
        }
    }
    values.iter_mut().for_each(|v| *v = yj(*v, best.1));
    standardise(values);
}

/// A constraint's values (NaN: unknown, left out by the caller) with their sign kept and outliers pulled in (the bilog of Eriksson
/// and Poloczek 2021, arXiv 2002.08526), standardised; and what 0 became.
pub fn constraint(given: &[f64]) -> (Vec<f64>, f64) {
    let (_, sizes) = sorted(&given.iter().map(|v| v.abs().min(f64::MAX)).collect::<Vec<_>>());
    let unit = sizes.iter().copied().filter(|v| *v > 0.0).collect::<Vec<_>>();
    let unit = unit.get(unit.len() / 2).copied().unwrap_or(1.0);
    let bent = |v: f64| libm::copysign(libm::log1p((v.abs().min(f64::MAX) / unit).min(f64::MAX)), v);
    let values: Vec<f64> = given.iter().map(|v| bent(*v)).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
    // All alike: no more than their sign is known.
    let sd = if sd > 1e-9 { sd } else { mean.abs().max(1.0) };
    (values.iter().map(|v| (v - mean) / sd).collect(), -mean / sd)
}
