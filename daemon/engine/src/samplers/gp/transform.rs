//! Values as models see them: bent towards a normal distribution, mean 0 and variance 1.

/// Costs without NaN (infinite ones become the worst or best finite one) as values of mean 0 and variance 1 in the same order; `bend`:
/// made about as normal as a power can.
pub fn costs(given: &[f64], bend: bool) -> Vec<f64> {
    let finite = || given.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    // Near the ends of doubles differences would overflow; a power of two is exact.
    let unit = if high.abs().max(low.abs()) > 1e300 { 2f64.powi(-12) } else { 1.0 };
    let mut values: Vec<f64> =
        given.iter().map(|v| if low <= high { v.clamp(low, high) * unit } else { 0.0 }).collect();
    standardise(&mut values);
    if bend {
        yeo_johnson(&mut values);
    }
    values
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

/// The power transform of Yeo and Johnson (2000), which bends both sides of 0.
fn bent(v: f64, power: f64) -> f64 {
    let side = |size: f64, power: f64| {
        if power.abs() < 1e-9 { libm::log1p(size) } else { libm::expm1(power * libm::log1p(size)) / power }
    };
    if v >= 0.0 { side(v, power) } else { -side(-v, 2.0 - power) }
}

/// Bends values by the likeliest power between −1 and 3.
fn yeo_johnson(values: &mut [f64]) {
    let n = values.len() as f64;
    let jacobian: f64 = values.iter().map(|v| libm::copysign(libm::log1p(v.abs()), *v)).sum();
    let loss = |power: f64| {
        let moved: Vec<f64> = values.iter().map(|v| bent(*v, power)).collect();
        let mean = moved.iter().sum::<f64>() / n;
        let variance = moved.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        0.5 * n * libm::log(variance.max(1e-300)) - (power - 1.0) * jacobian
    };
    let mut best = (loss(1.0), 1.0);
    for step in -20..=20 {
        let power = 1.0 + f64::from(step) * 0.1;
        let value = loss(power);
        if value < best.0 {
            best = (value, power);
        }
    }
    values.iter_mut().for_each(|v| *v = bent(*v, best.1));
    standardise(values);
}

/// A constraint's values (NaN: unknown, left out by the caller) with their sign kept and outliers pulled in (the bilog of Eriksson
/// and Poloczek 2021, arXiv 2002.08526), standardised; and what 0 became.
pub fn constraint(given: &[f64]) -> (Vec<f64>, f64) {
    let mut sizes: Vec<f64> = given.iter().map(|v| v.abs().min(f64::MAX)).filter(|v| *v > 0.0).collect();
    sizes.sort_by(f64::total_cmp);
    let unit = sizes.get(sizes.len() / 2).copied().unwrap_or(1.0);
    let log = |v: f64| libm::copysign(libm::log1p((v.abs().min(f64::MAX) / unit).min(f64::MAX)), v);
    let values: Vec<f64> = given.iter().map(|v| log(*v)).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
    // All alike: no more than their sign is known.
    let sd = if sd > 1e-9 { sd } else { mean.abs().max(1.0) };
    (values.iter().map(|v| (v - mean) / sd).collect(), -mean / sd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transformed_costs_keep_their_order_and_are_standardised() {
        let given: Vec<f64> = (0..40).map(|i| libm::exp(f64::from(i * 17 % 40) * 0.3) - 9.0).collect();
        let values = costs(&given, true);
        for i in 0..40 {
            for j in 0..40 {
                assert_eq!(given[i] < given[j], values[i] < values[j]);
            }
        }
        let mean = values.iter().sum::<f64>() / 40.0;
        let skew = |v: &[f64]| v.iter().map(|v| v * v * v).sum::<f64>() / 40.0;
        assert!(mean.abs() < 1e-12);
        assert!(skew(&values).abs() < 0.5 * skew(&costs(&given, false)));
    }

    #[test]
    fn powers_of_two_change_no_bit() {
        let given = [0.3, 7.0, -2.0, 11.5, 0.1];
        assert_eq!(costs(&given, true), costs(&given.map(|v| v * 64.0), true));
    }

    #[test]
    fn extreme_values_stay_finite() {
        for given in [
            &[f64::MAX, -f64::MAX, 0.0][..],
            &[f64::INFINITY, 1.0, f64::NEG_INFINITY],
            &[f64::INFINITY; 3],
            &[1e300, 1e-300],
            &[5.0; 4],
            &[7.0],
        ] {
            assert!(costs(given, true).iter().all(|v| v.is_finite()), "{given:?}");
            let (values, limit) = constraint(given);
            assert!(limit.is_finite() && values.iter().all(|v| v.is_finite()), "{given:?}");
        }
    }

    #[test]
    fn constraints_keep_what_holds() {
        let given = [-3.0, 1e9, 0.5, -0.1, 0.0];
        let (values, limit) = constraint(&given);
        given.iter().zip(&values).for_each(|(g, v)| assert_eq!(*g <= 0.0, *v <= limit + 1e-12));
    }
}
