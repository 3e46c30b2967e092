//! Matérn-5/2 with one relevance a parameter: squared distance for numbers, Hamming distance for choices.
//!
//! `r² = Σ ρ_j δ_j`, `k = s² (1 + √5 r + 5r²/3) e^(−√5 r)` (Rasmussen and Williams 2006, §4.2). The derivative by r² is
//! `−(5/6) s² (1 + √5 r) e^(−√5 r)`, without a pole at 0.

/// How coordinates of one parameter compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// By their squared difference.
    Number,
    /// 0 where they are equal, else 1.
    Choice,
}

impl Metric {
    /// δ of two coordinates.
    pub fn distance(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Number => (a - b) * (a - b),
            Self::Choice => f64::from(a != b),
        }
    }
}

/// e^x for x ≤ 0, to the last place or two, without branches or tables, so that loops over it are vectorised. (Below −700 it
/// stays at e^−700.)
#[inline]
pub fn exp_down(x: f64) -> f64 {
    /// Adding this rounds to a whole number, which the sum's low bits then hold.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x > -700.0 { x } else { -700.0 };
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let k = shifted - SHIFT;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    // The Taylor series: with |r| ≤ ½ ln 2 the thirteenth power's term is below 2^−52.
    let mut p = 1.0 / 479_001_600.0;
    for c in [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = p * r + c;
    }
    p * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

/// Covariances (of unit variance) and their derivatives by r², from squared distances.
pub fn matern(r2: &[f64], k: &mut [f64], slope: &mut [f64]) {
    let sqrt5 = 5f64.sqrt();
    let n = r2.len();
    let (k, slope) = (&mut k[..n], &mut slope[..n]);
    for i in 0..n {
        let a = sqrt5 * r2[i].sqrt();
        let e = exp_down(-a);
        k[i] = (1.0 + a + a * a / 3.0) * e;
        slope[i] = (-5.0 / 6.0) * (1.0 + a) * e;
    }
}

/// Points by coordinate, so that loops run over points.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// How coordinates compare.
    pub metrics: Vec<Metric>,
    /// One list of coordinates a parameter.
    pub columns: Vec<Vec<f64>>,
    /// How many points.
    pub n: usize,
}

impl Cloud {
    /// A cloud of `points`.
    pub fn new(metrics: &[Metric], points: &[Vec<f64>]) -> Self {
        let columns = (0..metrics.len()).map(|j| points.iter().map(|p| p[j]).collect()).collect();
        Self { metrics: metrics.to_vec(), columns, n: points.len() }
    }

    /// Adds one point.
    pub fn push(&mut self, point: &[f64]) {
        self.columns.iter_mut().zip(point).for_each(|(column, x)| column.push(*x));
        self.n += 1;
    }

    /// r² from `point` to each of the first `out.len()` points.
    pub fn squared(&self, rho: &[f64], point: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (j, column) in self.columns.iter().enumerate() {
            let (rho, x) = (rho[j], point[j]);
            match self.metrics[j] {
                Metric::Number => {
                    for (r2, c) in out.iter_mut().zip(column) {
                        let far = x - c;
                        *r2 += rho * (far * far);
                    }
                }
                Metric::Choice => {
                    for (r2, c) in out.iter_mut().zip(column) {
                        *r2 += if *c == x { 0.0 } else { rho };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_agrees_with_an_independent_one() {
        for i in 0..200_000 {
            let x = -f64::from(i) * 0.0033;
            let exact = libm::exp(x);
            assert!((exp_down(x) - exact).abs() <= 4.0 * f64::EPSILON * exact, "{x}");
        }
        assert_eq!(exp_down(0.0), 1.0);
        assert_eq!(exp_down(-1e9), exp_down(-700.0));
    }

    #[test]
    fn the_slope_is_the_derivative_and_the_variance_is_one() {
        let mut out = [[0.0; 3]; 2];
        for r2 in [1e-3, 0.1, 1.0, 7.0, 60.0] {
            let h = 1e-6 * r2;
            let [k, slope] = &mut out;
            matern(&[r2, r2 - h, r2 + h], k, slope);
            assert!(((k[2] - k[1]) / (2.0 * h) / slope[0] - 1.0).abs() < 1e-5);
        }
        let [k, slope] = &mut out;
        matern(&[0.0; 3], k, slope);
        assert_eq!((k[0], slope[0]), (1.0, -5.0 / 6.0));
    }
}
