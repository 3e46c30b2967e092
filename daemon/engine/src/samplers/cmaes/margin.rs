//! A margin for discrete dimensions (Hamano et al. 2022, "CMA-ES with Margin", arXiv 2205.13482): the values beside the
//! mean's own stay drawable, however narrow the distribution gets.
//!
//! The factors are computed anew in each generation and never enter the shape itself.

use super::state::State;
use crate::{
    codec::Axis,
    math::{cdf, ppf},
};

/// The width of the cell of a discrete axis that `u` lies in; none: continuous.
pub fn width(axis: &Axis, u: f64) -> Option<f64> {
    cell(axis, u).map(|(low, high)| high - low)
}

fn cell(axis: &Axis, u: f64) -> Option<(f64, f64)> {
    matches!(axis, Axis::Grid { .. }).then(|| axis.edges(axis.cell_at(u)))
}

/// Moves the mean and stretches the dimensions so that both neighbours of the mean's cell have their probability.
pub fn keep(state: &mut State, axes: &[Axis]) {
    let alpha = 1.0 / (axes.len().max(1) * state.lambda.max(2)) as f64;
    for (j, axis) in axes.iter().enumerate() {
        state.stretch[j] = 1.0;
        let deviation = state.deviation(j);
        let mean = state.mean[j];
        let Some((low, high)) = cell(axis, mean) else { continue };
        match (low <= 0.0, high >= 1.0) {
            (true, true) => {}
            // At an end of the range: the only neighbour.
            (true, false) => {
                let farthest = -ppf(alpha) * deviation;
                state.mean[j] = mean.max(high - farthest);
            }
            (false, true) => {
                let farthest = -ppf(alpha) * deviation;
                state.mean[j] = mean.min(low + farthest);
            }
            (false, false) => {
                let below = cdf((low - mean) / deviation);
                let above = cdf((mean - high) / deviation);
                if below >= alpha / 2.0 && above >= alpha / 2.0 {
                    continue;
                }
                let within = 1.0 - below - above;
                let (below, above) = (below.max(alpha / 2.0), above.max(alpha / 2.0));
                let excess = (1.0 - below - above - within) / (below + above + within - 1.5 * alpha);
                let (below, above) = (below + excess * (below - alpha / 2.0), above + excess * (above - alpha / 2.0));
                let (down, up) = (-ppf(below), -ppf(above));
                let total = down + up;
                if total > 1e-9 {
                    state.mean[j] = (low * up + high * down) / total;
                    state.stretch[j] = (high - low) / total / deviation;
                }
            }
        }
        state.mean[j] = state.mean[j].clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_neighbours_of_the_middle_stay_drawable_and_wide_distributions_stay_as_they_are() {
        let axis = Axis::Grid { cells: 10, log_from: None };
        let alpha = 1.0 / 8.0;
        for sigma in [1e-9, 1e-3, 0.03, 0.2] {
            for at in 0..100 {
                let mean = (f64::from(at) + 0.5) / 100.0;
                let mut state = State::new(vec![mean], sigma, &[1.0], Vec::new(), 8, 0);
                keep(&mut state, &[axis]);
                let (low, high) = cell(&axis, mean).unwrap();
                let (m, deviation) = (state.mean[0], state.deviation(0));
                let (below, above) = (cdf((low - m) / deviation), cdf((m - high) / deviation));
                let reaches = |p: f64, least: f64| p > least * 0.999;
                match (low <= 0.0, high >= 1.0) {
                    (true, _) => assert!(reaches(above, alpha), "{mean}, {sigma}: {above}"),
                    (_, true) => assert!(reaches(below, alpha), "{mean}, {sigma}: {below}"),
                    _ => assert!(reaches(below.min(above), alpha / 2.0), "{mean}, {sigma}: {below}, {above}"),
                }
                if sigma > 0.1 {
                    assert_eq!((m, deviation), (mean, sigma));
                }
                // And its own value stays the likeliest.
                assert!(sigma > 0.1 || 1.0 - below - above > 0.5 || sigma > 0.02, "{mean}, {sigma}");
            }
        }
    }
}
