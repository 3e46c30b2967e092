//! A trust region for studies beyond the size of one process over everything: TuRBO-1 (Eriksson et al. 2019, arXiv 1910.01739).
//!
//! The region has no state of its own: it is replayed from the results in their order. What others tried doesn't narrow it (imported
//! trials, other samplers'): they did not look here. Where they find something better, the region is around that from then on.

/// Side of a new region.
const FRESH: f64 = 0.8;
/// Largest side.
const WIDEST: f64 = 1.6;
/// A region that shrinks below this begins anew elsewhere.
const NARROWEST: f64 = 1.0 / 128.0;
/// Gains in a row that double the side.
const GAINS: usize = 3;
/// Least gain that counts, as a share of the distance between the median and the best.
const LEAST: f64 = 1e-3;

/// The region as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trust {
    /// Side of the box, in units of the space's.
    pub side: f64,
    /// The place among the results where it began.
    pub began: usize,
}

impl Default for Trust {
    fn default() -> Self {
        Self { side: FRESH, began: 0 }
    }
}

impl Trust {
    /// Replays `costs` in the order of results (none: no result, or constraints don't hold) with `d` dimensions. Those from place `first`
    /// on that are `own` move the region; the others are what has to be beaten.
    pub fn replay(costs: &[Option<f64>], own: &[bool], first: usize, d: usize) -> Self {
        let mut line: Vec<f64> = costs.iter().filter_map(|c| *c).filter(|c| c.is_finite()).collect();
        line.sort_by(f64::total_cmp);
        let least = line.first().map_or(0.0, |low| LEAST * (line[line.len() / 2] / 2.0 - low / 2.0) * 2.0);
        let mut trust = Self::default();
        let (mut best, mut gains, mut losses) = (f64::INFINITY, 0, 0);
        for (i, (cost, own)) in costs.iter().zip(own).enumerate() {
            let cost = cost.unwrap_or(f64::INFINITY);
            match (best == f64::INFINITY || cost < best - least, *own && i >= first) {
                (true, true) => (gains, losses) = (gains + 1, 0),
                (true, false) => losses = 0,
                (false, true) => (gains, losses) = (0, losses + 1),
                (false, false) => {}
            }
            best = best.min(cost);
            if gains >= GAINS {
                trust.side = (trust.side * 2.0).min(WIDEST);
                gains = 0;
            }
            if losses >= d.max(4) {
                trust.side /= 2.0;
                losses = 0;
            }
            if trust.side < NARROWEST {
                trust = Self { began: i + 1, ..Self::default() };
                (best, gains, losses) = (f64::INFINITY, 0, 0);
            }
        }
        trust
    }

    /// Half the side along each coordinate: longer where the function changes less, the product kept.
    pub fn halves(&self, rho: &[f64]) -> Vec<f64> {
        let logs: Vec<f64> = rho.iter().map(|r| -0.5 * libm::log(*r)).collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        logs.iter().map(|l| 0.5 * self.side * libm::exp((l - mean).clamp(-4.0, 4.0))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_widen_losses_narrow_and_a_spent_region_begins_anew() {
        let falling: Vec<Option<f64>> = (0..20).map(|i| Some(-f64::from(i))).collect();
        let replay = |costs: &[Option<f64>], first: usize| Trust::replay(costs, &vec![true; costs.len()], first, 5);
        assert_eq!(replay(&falling, 0), Trust { side: WIDEST, began: 0 });
        let mut flat = falling[..4].to_vec();
        flat.extend(vec![Some(0.0); 10]);
        let narrowed = replay(&flat, 0);
        assert_eq!((narrowed.side, narrowed.began), (WIDEST / 4.0, 0));
        flat.extend(vec![None; 40]);
        let anew = replay(&flat, 0);
        assert!(anew.began > 30 && anew.began <= flat.len(), "{anew:?}");
        // What came before the first place is only what has to be beaten.
        assert_eq!(replay(&falling, 20), Trust::default());
    }

    #[test]
    fn what_others_tried_neither_narrows_a_region_nor_ends_it() {
        let (best, worse) = (vec![Some(0.0)], vec![Some(1.0); 500]);
        let costs = [best, worse, vec![Some(2.0); 4]].concat();
        let own: Vec<bool> = (0..costs.len()).map(|i| i > 500).collect();
        assert_eq!(Trust::replay(&costs, &own, 0, 5), Trust::default());
        // The fifth loss of its own halves it.
        let (costs, own) = ([costs, vec![Some(2.0)]].concat(), [own, vec![true]].concat());
        assert_eq!(Trust::replay(&costs, &own, 0, 5), Trust { side: FRESH / 2.0, began: 0 });
    }

    #[test]
    fn a_region_is_longer_where_the_function_changes_less() {
        let halves = Trust { side: 0.5, began: 0 }.halves(&[1.0, 100.0]);
        assert!((halves[0] / halves[1] - 10.0).abs() < 1e-9 && (halves[0] * halves[1] - 0.0625).abs() < 1e-9);
    }
}
