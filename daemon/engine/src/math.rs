//! Normal distributions, the same on every machine (`libm`, fixed order of operations).

/// Standard normal distribution function.
pub fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Probability of `[a, b]` under the standard normal, exact in both tails.
pub fn mass(a: f64, b: f64) -> f64 {
    if a > 0.0 { cdf(-a) - cdf(-b) } else { cdf(b) - cdf(a) }
}

/// Inverse of [`cdf`]: Acklam's rational approximation and one Halley step.
pub fn ppf(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e+01,
        2.209460984245205e+02,
        -2.759285104469687e+02,
        1.38357751867269e+02,
        -3.066479806614716e+01,
        2.506628277459239e+00,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e+01,
        1.615858368580409e+02,
        -1.556989798598866e+02,
        6.680131188771972e+01,
        -1.328068155288572e+01,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-03,
        -3.223964580411365e-01,
        -2.400758277161838e+00,
        -2.549732539343734e+00,
        4.374664141464968e+00,
        2.938163982698783e+00,
    ];
    const D: [f64; 4] = [7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00];
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let tail = |p: f64| {
        let q = libm::sqrt(-2.0 * libm::log(p));
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    };
    let x = if p < 0.02425 {
        tail(p)
    } else if p > 1.0 - 0.02425 {
        -tail(1.0 - p)
    } else {
        let (q, r) = (p - 0.5, (p - 0.5) * (p - 0.5));
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    };
    let error = cdf(x) - p;
    let step = error * libm::sqrt(2.0 * std::f64::consts::PI) * libm::exp(x * x / 2.0);
    let better = x - step / (1.0 + x * step / 2.0);
    if better.is_finite() { better } else { x }
}

/// The `q` quantile of a normal distribution cut off at 0 and 1 (`mu` within them).
pub fn truncated(q: f64, mu: f64, sigma: f64) -> f64 {
    let (low, high) = (cdf(-mu / sigma), cdf((1.0 - mu) / sigma));
    (mu + sigma * ppf(low + q * (high - low))).clamp(0.0, 1.0)
}

/// Bits of `value` as a number that sorts like it (NaN last, both zeros alike).
pub fn sortable(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = (if value == 0.0 { 0.0 } else { value }).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ContinuousCDF, Normal};

    use super::*;

    #[test]
    fn quantiles_agree_with_an_independent_implementation() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        for i in 1..2000 {
            let p = f64::from(i) / 2000.0;
            assert!((ppf(p) - normal.inverse_cdf(p)).abs() < 1e-7, "{p}");
            assert!((cdf(ppf(p)) - p).abs() < 1e-14, "{p}");
        }
        for p in [1e-12, 1e-6, 1.0 - 1e-9] {
            assert!((cdf(ppf(p)) / p - 1.0).abs() < 1e-9, "{p}");
        }
    }

    #[test]
    fn sortable_bits_sort_like_numbers() {
        let values = [f64::NEG_INFINITY, -2.0, -1e-300, 0.0, 1e-300, 3.0, f64::INFINITY, f64::NAN];
        assert!(values.windows(2).all(|w| sortable(w[0]) < sortable(w[1])));
        assert_eq!(sortable(-0.0), sortable(0.0));
    }

    #[test]
    fn masses_keep_their_precision_in_the_tails() {
        assert!((mass(8.0, 9.0) / mass(-9.0, -8.0) - 1.0).abs() < 1e-12);
        assert!(mass(8.0, 9.0) > 0.0);
    }
}
