//! Pending trials: every model imagines what they will bring.
//!
//! The objective in several futures, drawn from the joint posterior one point after the other (quasi-random normals), so that the
//! acquisition averages over them; constraints at their mean, which leaves their means and takes away their doubt.

use super::acquisition::{Aim, Worth};
use crate::{math::ppf, rng::Stream};

/// Futures that are imagined.
const FUTURES: usize = 16;
/// Pending trials that are, the newest.
pub const MOST: usize = 48;

/// Lets all models know of `pending` points.
pub fn imagine(worth: &mut Worth, pending: &[Vec<f64>], stream: &mut Stream) {
    if pending.is_empty() {
        return;
    }
    let scramble = (stream.unit() * f64::from(u32::MAX)) as u32;
    for (i, point) in pending.iter().enumerate() {
        let normal =
            |k: usize| ppf(f64::from(sobol_burley::sample(k as u32, i as u32 % 256, scramble)) + 1.0 / 33_554_432.0);
        match &mut worth.objective {
            Some((process, Aim::Improve(bars))) => {
                let draws: Vec<f64> = (0..FUTURES).map(normal).collect();
                bars.resize(FUTURES, bars[0]);
                let means = process.imagine(point, &draws);
                bars.iter_mut().zip(means).for_each(|(bar, mean)| *bar = bar.min(mean));
            }
            // At its mean a result changes nothing but the variance (Desautels et al. 2014).
            Some((process, Aim::Bound(_))) => {
                process.imagine(point, &[0.0]);
            }
            None => {}
        }
        for (process, _) in &mut worth.constraints {
            process.imagine(point, &[0.0]);
        }
    }
    worth.objective.iter_mut().for_each(|(process, _)| process.settle());
    worth.constraints.iter_mut().for_each(|(process, _)| process.settle());
}
