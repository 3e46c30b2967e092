//! Hyperparameters in the trials' records: found there, or fitted anew and recorded.
//!
//! A record is (mark, results it was fitted to, θ of each model), or in a trust region, where nothing was fitted, the mark alone. So a suggestion needs no fit of its own most of the time, on whatever
//! node, and still depends on nothing but the history.

use super::{
    fit::{self, Theta},
    kernel::Cloud,
};
use crate::samplers::Ask;

/// Marks what this sampler recorded, and in which form.
const MARK: f32 = 7001.0;
/// Below so many results every suggestion fits anew: it takes little, and each result tells much.
const FEW: usize = 30;
/// Numbers of one record, about. Models that no longer fit in share the last one's: of so many constraints each is a small part.
const NUMBERS: usize = 2048;

/// Hyperparameters of a suggestion's models, asked for one after the other.
#[derive(Clone, Debug)]
pub struct Recorded {
    old: Option<Vec<Theta>>,
    refit: bool,
    n: usize,
    at: usize,
    /// Models that have hyperparameters of their own.
    kept: usize,
    last: Option<Theta>,
    logs: Vec<f32>,
}

impl Recorded {
    /// What the newest record says of `models` models over `d` dimensions, where there are `n` results.
    pub fn new(ask: &Ask, models: usize, d: usize, n: usize) -> Self {
        let kept = (NUMBERS / (d + 2)).max(1);
        let records = ask.history.results((0, 0)).map(|(_, r, _)| r).chain(ask.history.pending().map(|(r, _)| r));
        let newest = records
            .filter_map(|r| Some((read(&r.fit, models.min(kept), d, n)?, r)))
            .max_by_key(|((n, _), r)| (*n, r.order, r.key))
            .map(|(fit, _)| fit);
        // With several objectives each suggestion weighs them otherwise.
        let due =
            |then: usize| n != then && (n < FEW || ask.history.objectives() > 1) || n > then + (then / 20).min(10);
        let refit = newest.as_ref().is_none_or(|(then, _)| due(*then));
        Self { old: newest.map(|(_, thetas)| thetas), refit, n, at: 0, kept, last: None, logs: Vec::new() }
    }

    /// θ of the next model, which is of `values` at `cloud`.
    pub fn next(&mut self, cloud: &Cloud, values: &[f64]) -> Theta {
        let at = self.at;
        self.at += 1;
        if at >= self.kept
            && let Some(last) = &self.last
        {
            return last.clone();
        }
        let theta = self.own(at, cloud, values);
        self.last = Some(theta.clone());
        theta
    }

    fn own(&mut self, at: usize, cloud: &Cloud, values: &[f64]) -> Theta {
        let old = self.old.as_ref().and_then(|thetas| thetas.get(at)).cloned();
        if !self.refit
            && let Some(old) = old
        {
            return old;
        }
        let theta = fit::fit(cloud, values, old);
        // What is recorded is what is used.
        let logs: Vec<f32> = theta.logs().iter().map(|v| *v as f32).collect();
        self.logs.extend(&logs);
        theta_of(&logs)
    }

    /// What to record where nothing was fitted: nothing, or the mark alone, of a trial that moves a trust region (`moves`).
    pub fn record(self, moves: bool) -> Vec<f32> {
        if self.logs.is_empty() {
            return if moves { vec![MARK] } else { Vec::new() };
        }
        [MARK, self.n as f32].into_iter().chain(self.logs).collect()
    }
}

/// Whether this sampler made a trial, as far as its record `fit` says.
pub fn is_marked(fit: &[f32]) -> bool {
    fit.first() == Some(&MARK)
}

fn theta_of(logs: &[f32]) -> Theta {
    Theta::from_logs(&logs.iter().map(|v| f64::from(*v)).collect::<Vec<_>>())
}

/// A record, unless it is another sampler's, of other models, or makes no sense.
fn read(record: &[f32], models: usize, d: usize, n: usize) -> Option<(usize, Vec<Theta>)> {
    let (head, logs) = record.split_at_checked(2)?;
    // Where it was made a few more results may have been known, but not any number of them.
    let sane = head[0] == MARK && head[1] >= 0.0 && head[1] <= 2.0 * n as f32 + 64.0;
    if !sane || logs.len() != models * (d + 2) || logs.iter().any(|v| !v.is_finite()) {
        return None;
    }
    Some((head[1] as usize, logs.chunks(d + 2).map(theta_of).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::gp::kernel::Metric;

    #[test]
    fn models_beyond_a_records_room_share_the_last_ones() {
        let cloud = Cloud::new(&[Metric::Number], &[vec![0.1], vec![0.5], vec![0.8]]);
        let mut recorded = Recorded { old: None, refit: true, n: 3, at: 0, kept: 2, last: None, logs: Vec::new() };
        let mut next = |values: [f64; 3]| recorded.next(&cloud, &values);
        let (first, second, third) = (next([0.0, 1.0, 2.0]), next([1.0, -1.0, 1.0]), next([0.0, 1.0, 2.0]));
        assert!(third == second && third != first);
        let record = recorded.record(false);
        assert_eq!(read(&record, 2, 1, 3), Some((3, vec![first, second])));
    }

    #[test]
    fn malformed_records_are_none() {
        let sound = [MARK, 10.0, 0.0, 0.0, 0.0];
        assert!(read(&sound, 1, 1, 10).is_some());
        for bad in [
            &[][..],
            &[MARK][..],
            &sound[..4],
            &[MARK, f32::NAN, 0.0, 0.0, 0.0],
            &[MARK, 1e9, 0.0, 0.0, 0.0],
            &[MARK, 10.0, f32::INFINITY, 0.0, 0.0],
            &[1.0, 10.0, 0.0, 0.0, 0.0],
        ] {
            assert!(read(bad, 1, 1, 10).is_none(), "{bad:?}");
        }
        // Numbers out of all bounds are forced into them.
        let (_, thetas) = read(&[MARK, 10.0, 1e30, -1e30, 1e30], 1, 1, 10).unwrap();
        assert!(thetas[0].rho[0].is_finite() && thetas[0].scale > 0.0 && thetas[0].noise.is_finite());
    }
}
