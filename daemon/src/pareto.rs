//! The Pareto front of many trials.

use metaopt_schema::TrialId;

/// Those that nothing dominates (smaller is better), in the given order.
pub(crate) fn front(all: Vec<(TrialId, Vec<f64>)>) -> Vec<TrialId> {
    let dominates = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b);
    // In lexicographic order a trial can only be dominated by an earlier one, so that only the front is compared with.
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&all[a].1, &all[b].1);
        a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        if !kept.iter().any(|&k| dominates(&all[k].1, &all[i].1)) {
            kept.push(i);
        }
    }
    kept.sort_unstable();
    kept.into_iter().map(|i| all[i].0.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_agrees_with_comparing_all_pairs() {
        // A fixed pseudo-random set with ties and duplicates.
        let mut x = 12345_u64;
        let mut next = || {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((x >> 33) % 12) as f64
        };
        let all: Vec<(TrialId, Vec<f64>)> =
            (0..300).map(|i| (TrialId::new(format!("n.{i}")), vec![next(), next(), next()])).collect();
        let naive: Vec<TrialId> = all
            .iter()
            .filter(|(_, b)| {
                !all.iter().any(|(_, a)| a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b))
            })
            .map(|(id, _)| id.clone())
            .collect();
        assert!(naive.len() > 3);
        assert_eq!(front(all), naive);
    }
}
