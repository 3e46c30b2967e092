//! What a point is worth: the logarithm of expected improvement times the probability that constraints hold.
//!
//! LogEI after Ament et al. 2023 (arXiv 2310.20708). Over imagined futures of pending points the improvements are averaged, as
//! in Snoek et al. 2012, §3.2.

use super::process::{Process, Room};
use crate::math::HALF_LN_TAU;

/// √(π/2).
const HALF_PI_ROOT: f64 = 1.253_314_137_315_500_3;

/// Mills' ratio Φ(z)/φ(z), for z ≤ 0 without loss of precision.
fn mills(z: f64) -> f64 {
    let x = -z * std::f64::consts::FRAC_1_SQRT_2;
    if x < 18.0 {
        return HALF_PI_ROOT * libm::exp(x * x) * libm::erfc(x);
    }
    (1.0 - excess(z)) / -z
}

/// 1 + z·Mills' ratio for z far below 0, by its asymptotic series 1/z² − 3/z⁴ + 15/z⁶ − …
fn excess(z: f64) -> f64 {
    let u = 1.0 / (z * z);
    u * (1.0 - u * (3.0 - u * (15.0 - u * (105.0 - u * (945.0 - u * 10_395.0)))))
}

/// ln (φ(z) + zΦ(z)), and Φ and φ over that sum.
pub fn ln_improvement(z: f64) -> (f64, f64, f64) {
    if z > -1.0 {
        let density = libm::exp(-0.5 * z * z - HALF_LN_TAU);
        let below = crate::math::cdf(z);
        let sum = density + z * below;
        return (libm::log(sum), below / sum, density / sum);
    }
    let ratio = mills(z);
    let sum = if z > -25.0 { 1.0 + z * ratio } else { excess(z) };
    (-0.5 * z * z - HALF_LN_TAU + libm::log(sum), ratio / sum, 1.0 / sum)
}

/// ln Φ(z), and its derivative.
pub fn ln_probability(z: f64) -> (f64, f64) {
    if z > -1.0 {
        let below = crate::math::cdf(z);
        return (libm::log(below), libm::exp(-0.5 * z * z - HALF_LN_TAU) / below);
    }
    let ratio = mills(z);
    (-0.5 * z * z - HALF_LN_TAU + libm::log(ratio), 1.0 / ratio)
}

/// What the objective counts for.
#[derive(Clone, Debug)]
pub enum Aim {
    /// Expected improvement on a bar, one for each imagined future.
    Improve(Vec<f64>),
    /// The lower confidence bound at so many standard deviations.
    Bound(f64),
}

/// What is maximised.
#[derive(Clone, Debug, Default)]
pub struct Worth {
    /// The objective and how it counts; none: constraints alone.
    pub objective: Option<(Process, Aim)>,
    /// Constraints and the largest value at which each holds.
    pub constraints: Vec<(Process, f64)>,
}

impl Worth {
    /// Its models, the objective's first.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let constraints = self.constraints.iter().map(|(process, _)| process);
        self.objective.iter().map(|(process, _)| process).chain(constraints)
    }

    /// How many models it has.
    pub fn count(&self) -> usize {
        self.processes().count()
    }

    /// Points of its largest model.
    pub fn size(&self) -> usize {
        self.processes().map(Process::size).max().unwrap_or(0)
    }

    /// The worth of `point`; `gradient`: also its derivatives by coordinates that are numbers.
    pub fn at(&self, point: &[f64], room: &mut Room, mut gradient: Option<&mut [f64]>) -> f64 {
        if let Some(gradient) = &mut gradient {
            gradient.fill(0.0);
        }
        let mut worth = 0.0;
        if let Some((process, aim)) = &self.objective {
            process.predict(point, room);
            let (value, by_mean, by_variance) = aim.value(&room.means, room.variance);
            worth += value;
            if let Some(gradient) = &mut gradient {
                process.gradient(point, room, &by_mean, by_variance, gradient);
            }
        }
        for (process, limit) in &self.constraints {
            process.predict(point, room);
            let sd = room.variance.sqrt();
            let z = (limit - room.means[0]) / sd;
            let (value, slope) = ln_probability(z);
            worth += value;
            if let Some(gradient) = &mut gradient {
                process.gradient(point, room, &[-slope / sd], -slope * z / (2.0 * room.variance), gradient);
            }
        }
        worth
    }
}

impl Aim {
    /// The value, and its derivatives by each mean and by the variance.
    fn value(&self, means: &[f64], variance: f64) -> (f64, Vec<f64>, f64) {
        let sd = variance.sqrt();
        match self {
            Self::Bound(width) => (width * sd - means[0], vec![-1.0], width / (2.0 * sd)),
            Self::Improve(bars) => {
                let parts: Vec<(f64, f64, f64)> =
                    means.iter().zip(bars).map(|(mean, bar)| ln_improvement((bar - mean) / sd)).collect();
                let top = parts.iter().fold(f64::NEG_INFINITY, |m, p| m.max(p.0));
                if !top.is_finite() {
                    return (f64::NEG_INFINITY, vec![0.0; means.len()], 0.0);
                }
                let shares: Vec<f64> = parts.iter().map(|p| libm::exp(p.0 - top)).collect();
                let sum: f64 = shares.iter().sum();
                let value = top + libm::log(sum / means.len() as f64) + 0.5 * libm::log(variance);
                let weighted = |i: usize| shares[i] / sum;
                let by_mean = parts.iter().enumerate().map(|(i, p)| -weighted(i) * p.1 / sd).collect();
                let by_sd: f64 = parts.iter().enumerate().map(|(i, p)| weighted(i) * p.2).sum::<f64>() / sd;
                (value, by_mean, by_sd / (2.0 * sd))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rng::Stream,
        samplers::gp::{
            fit::Theta,
            kernel::{Cloud, Metric},
        },
    };

    #[test]
    fn improvement_rises_with_z_on_a_fine_grid_and_agrees_with_its_definition() {
        let mut before = ln_improvement(-200.0).0;
        for i in 1..=2_100_000 {
            let z = f64::from(i) * 1e-4 - 200.0;
            let (value, ..) = ln_improvement(z);
            assert!(value > before, "falls at {z}");
            before = value;
        }
        for z in [-4.0, -2.0, -1.0001, -0.9999, 0.0, 3.0] {
            let plain = libm::exp(-0.5 * z * z - HALF_LN_TAU) + z * crate::math::cdf(z);
            assert!((ln_improvement(z).0 - libm::log(plain)).abs() < 1e-9, "{z}");
        }
        // Known to many digits: ln h(−10) and ln h(−100).
        assert!((ln_improvement(-10.0).0 + 55.552_887_1).abs() < 1e-3);
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for z in [-150.0, -30.0, -24.0, -5.0, -1.1, -0.5, 0.0, 2.0, 6.0] {
            let h = 1e-6;
            let (value, below, density) = ln_improvement(z);
            let slope = (ln_improvement(z + h).0 - ln_improvement(z - h).0) / (2.0 * h);
            assert!((slope / below - 1.0).abs() < 1e-5, "{z}");
            // By σ: h − z h' is φ.
            assert!((1.0 - z * below - density).abs() < 1e-6 * density.max(1.0), "{z} {value}");
            let slope = (ln_probability(z + h).0 - ln_probability(z - h).0) / (2.0 * h);
            assert!((slope - ln_probability(z).1).abs() < 1e-5 * slope.max(1e-3), "{z}");
        }
    }

    #[test]
    fn worth_rises_with_doubt_and_falls_with_the_mean() {
        let aim = Aim::Improve(vec![0.0]);
        for mean in [-1.0, 0.0, 1.0, 5.0, 40.0] {
            for sd in [1e-3, 0.1, 1.0] {
                let at = |mean: f64, sd: f64| aim.value(&[mean], sd * sd).0;
                assert!(at(mean, sd) > at(mean + 0.01, sd), "{mean} {sd}");
                if mean > -1.0 {
                    assert!(at(mean, sd * 1.01) > at(mean, sd), "{mean} {sd}");
                }
            }
        }
    }

    #[test]
    fn the_gradient_of_worth_agrees_with_finite_differences() {
        let mut stream = Stream::new(1, 1, 1, "acquisition");
        let points: Vec<Vec<f64>> = (0..20).map(|_| vec![stream.unit(), stream.unit()]).collect();
        let process = |f: &dyn Fn(&[f64]) -> f64| {
            let y: Vec<f64> = points.iter().map(|p| f(p)).collect();
            let theta = Theta { rho: vec![3.0, 1.0], scale: 1.0, noise: 1e-3 };
            Process::new(theta, Cloud::new(&[Metric::Number; 2], &points), &y)
        };
        let mut objective = process(&|p| libm::sin(6.0 * p[0]) + p[1]);
        objective.imagine(&[0.2, 0.1], &[0.5, -1.0, 0.0]);
        objective.settle();
        let constraints = vec![(process(&|p| p[0] - p[1]), 0.1)];
        for aim in [Aim::Improve(vec![-0.9, -1.1, -1.0]), Aim::Bound(1.7)] {
            let worth = Worth { objective: Some((objective.clone(), aim)), constraints: constraints.clone() };
            let mut room = Room::default();
            for _ in 0..20 {
                let at = [stream.unit(), stream.unit()];
                let mut gradient = [0.0; 2];
                worth.at(&at, &mut room, Some(&mut gradient));
                for j in 0..2 {
                    let mut side = |h: f64| {
                        let mut moved = at;
                        moved[j] += h;
                        worth.at(&moved, &mut room, None)
                    };
                    let slope = (side(1e-6) - side(-1e-6)) / 2e-6;
                    assert!((slope - gradient[j]).abs() < 1e-3 * (1.0 + slope.abs()), "{slope} {}", gradient[j]);
                }
            }
        }
    }
}
