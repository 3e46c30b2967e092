//! Minimises a smooth function in a box: projected L-BFGS (Nocedal and Wright 2006, §7.2 and §16.7).

use super::linalg::{axpy, dot};

/// Pairs of steps and changes of the gradient that are kept.
const MEMORY: usize = 8;
/// Halvings of one step.
const HALVINGS: usize = 12;

/// When to stop, and how far a step may go.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most evaluations of the function.
    pub evaluations: usize,
    /// Longest step in any one coordinate.
    pub step: f64,
    /// Ends when an iteration gains less.
    pub gain: f64,
}

/// Minimises `f(x, gradient)` from `x` within `low..=high`; leaves the best point in `x` and answers its value. Where `f` isn't
/// finite at first, `x` stays.
pub fn minimise(
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
    x: &mut [f64],
    low: &[f64],
    high: &[f64],
    limits: Limits,
) -> f64 {
    let n = x.len();
    let clamp = |i: usize, v: f64| v.max(low[i]).min(high[i]);
    (0..n).for_each(|i| x[i] = clamp(i, x[i]));
    let mut gradient = vec![0.0; n];
    let mut value = f(x, &mut gradient);
    let mut used = 1;
    let mut pairs: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    let (mut at, mut slope) = (vec![0.0; n], vec![0.0; n]);
    while used < limits.evaluations && value.is_finite() {
        // Coordinates that the gradient pushes against their bound stay.
        let free: Vec<bool> =
            (0..n).map(|i| !(x[i] <= low[i] && gradient[i] > 0.0 || x[i] >= high[i] && gradient[i] < 0.0)).collect();
        let masked: Vec<f64> = (0..n).map(|i| if free[i] { gradient[i] } else { 0.0 }).collect();
        let mut direction = two_loops(&masked, &pairs);
        (0..n).filter(|i| !free[*i]).for_each(|i| direction[i] = 0.0);
        if dot(&direction, &masked) >= 0.0 {
            pairs.clear();
            direction = masked.iter().map(|g| -g).collect();
        }
        let longest = direction.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
        if longest.is_nan() || longest <= 1e-12 {
            break;
        }
        // The first step's length is a guess; later ones are Newton's.
        let most = if pairs.is_empty() { limits.step / 3.0 } else { limits.step };
        let mut scale = (most / longest).min(1.0);
        let mut gained = None;
        for _ in 0..HALVINGS {
            if used >= limits.evaluations {
                break;
            }
            (0..n).for_each(|i| at[i] = clamp(i, x[i] + scale * direction[i]));
            let expected: f64 = (0..n).map(|i| gradient[i] * (at[i] - x[i])).sum();
            let new = f(&at, &mut slope);
            used += 1;
            if new <= value + 1e-4 * expected {
                gained = Some(value - new);
                value = new;
                break;
            }
            scale *= if new.is_finite() { 0.4 } else { 0.1 };
        }
        let Some(gain) = gained else {
            if pairs.is_empty() {
                break;
            }
            pairs.clear();
            continue;
        };
        let step: Vec<f64> = (0..n).map(|i| at[i] - x[i]).collect();
        let change: Vec<f64> = (0..n).map(|i| slope[i] - gradient[i]).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-10 * dot(&change, &change).max(1e-300) {
            if pairs.len() == MEMORY {
                pairs.remove(0);
            }
            pairs.push((step, change, 1.0 / curvature));
        }
        x.copy_from_slice(&at);
        gradient.copy_from_slice(&slope);
        if gain < limits.gain {
            break;
        }
    }
    value
}

/// The quasi-Newton direction for `gradient`.
fn two_loops(gradient: &[f64], pairs: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (step, change, inverse) in pairs.iter().rev() {
        let alpha = inverse * dot(step, &q);
        axpy(&mut q, -alpha, change);
        alphas.push(alpha);
    }
    if let Some((_, change, inverse)) = pairs.last() {
        let scale = 1.0 / (inverse * dot(change, change));
        q.iter_mut().for_each(|v| *v *= scale);
    }
    for ((step, change, inverse), alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = inverse * dot(change, &q);
        axpy(&mut q, alpha - beta, step);
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rosenbrocks_valley_is_followed_to_its_end_and_bounds_hold() {
        let rosenbrock = |x: &[f64], g: &mut [f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * b * x[0];
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        };
        let limits = Limits { evaluations: 300, step: 1.0, gain: 1e-14 };
        let mut x = [-1.2, 1.0];
        assert!(minimise(rosenbrock, &mut x, &[-2.0; 2], &[2.0; 2], limits) < 1e-8, "{x:?}");
        // With x ≤ ½ the best is at the bound.
        let mut x = [-1.2, 1.0];
        minimise(rosenbrock, &mut x, &[-2.0; 2], &[0.5, 2.0], limits);
        assert!(x[0] == 0.5 && (x[1] - 0.25).abs() < 1e-4, "{x:?}");
    }
}
