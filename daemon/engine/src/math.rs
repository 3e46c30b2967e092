//! Normal distributions, the same on every machine (`libm`, fixed order of operations).

/// Standard normal distribution function.
pub fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Probability of `[a, b]` under the standard normal, exact in both tails.
pub fn mass(a: f64, b: f64) -> f64 {
    if a > 0.0 { cdf(-a) - cdf(-b) } else { cdf(b) - cdf(a) }
}

/// `ln` of the probability of the cell of width `h` around `z` under the standard normal.
///
/// Within narrow cells by the Taylor series about the middle, which needs no exponential: the mass over `h·φ(z)` is
/// `Σ (h/2)^2k · He_2k(z) / (2k + 1)!`. To the fourth term its relative error is below 2e-9 within
/// four standard deviations and 1e-4 anywhere.
pub fn ln_cell(z: f64, h: f64) -> f64 {
    let x = h / 2.0;
    if h > 0.5 || z.abs() * x > 1.5 {
        return libm::log(mass(z - x, z + x).max(1e-300));
    }
    let (u, x) = (z * z, x * x);
    let he2 = u - 1.0;
    let he4 = (u - 6.0) * u + 3.0;
    let he6 = ((u - 15.0) * u + 45.0) * u - 15.0;
    let he8 = (((u - 28.0) * u + 210.0) * u - 420.0) * u + 105.0;
    let s = x * (he2 / 6.0 + x * (he4 / 120.0 + x * (he6 / 5040.0 + x * (he8 / 362_880.0))));
    // ln(1 + s), by its series where that is exact enough: it is for all but the widest cells.
    let ln1p =
        if s.abs() < 0.01 { s * (1.0 - s * (0.5 - s * (1.0 / 3.0 - s * (0.25 - s * 0.2)))) } else { libm::log1p(s) };
    libm::log(h) - 0.5 * u - HALF_LN_TAU + ln1p
}

/// ½ ln 2π.
pub const HALF_LN_TAU: f64 = 0.918_938_533_204_672_7;

/// `ln` of the mass between `a` (0 or below) and `b` (0 or above).
pub fn ln_around(a: f64, b: f64) -> f64 {
    // Beyond 8.3 nothing is left that a double could tell from none.
    let outside = |x: f64| if x > 8.3 { 0.0 } else { cdf(-x) };
    let left_out = outside(-a) + outside(b);
    if left_out == 0.0 { 0.0 } else { libm::log1p(-left_out) }
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
    fn narrow_cells_and_wide_ones_have_the_mass_of_the_distribution() {
        for i in 0..200 {
            let z = f64::from(i) / 10.0 - 10.0;
            for h in [1e-6, 0.01, 0.1, 0.33, 0.49, 0.5, 0.51, 2.0, 9.0] {
                let (got, exact) = (ln_cell(z, h), libm::log(mass(z - h / 2.0, z + h / 2.0)));
                // Tiny differences of large numbers are what the exact formula itself is bad at; and in the tails, where
                // next to no mass is, the series may be less exact.
                let slack = match z.abs() {
                    _ if h < 1e-3 => 1e-4,
                    z if z > 4.0 => 1e-4,
                    _ => 2e-9,
                };
                assert!((got - exact).abs() < slack, "z {z}, h {h}: {got}, {exact}");
            }
        }
        for (a, b) in [(-0.0, 3.0), (-33.0, 40.0), (-1.0, 0.1), (-9.0, 0.0)] {
            assert!((ln_around(a, b) - libm::log(mass(a, b))).abs() < 1e-14);
        }
    }

    #[test]
    fn masses_keep_their_precision_in_the_tails() {
        assert!((mass(8.0, 9.0) / mass(-9.0, -8.0) - 1.0).abs() < 1e-12);
        assert!(mass(8.0, 9.0) > 0.0);
    }
}
