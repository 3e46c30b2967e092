//! What is left out of very many points, so that what is drawn still says the same.
//!
//! Owns: which positions stay. Must not: know what they are of.

use std::collections::BTreeSet;

/// Positions to keep out of `values`, at most `most` of them: `must` (evenly many where they are too many), the first and
/// last, the smallest and largest of all, and those of each stretch for which there is room. What isn't a number is neither.
pub(super) fn telling(values: &[f64], must: &[usize], most: usize) -> Vec<usize> {
    let n = values.len();
    if n <= most {
        return (0..n).collect();
    }
    let mut keep: BTreeSet<usize> = ends(values, 0..n).into_iter().chain([0, n - 1]).take(most).collect();
    keep.extend(even(must, most - keep.len()));
    let stretches = (most - keep.len()) / 2;
    for i in 0..stretches {
        keep.extend(ends(values, i * n / stretches..(i + 1) * n / stretches));
    }
    // Some of those were kept already: what is left of the room is spread.
    let others: Vec<usize> = (0..n).filter(|i| !keep.contains(i)).collect();
    keep.extend(even(&others, most - keep.len()));
    keep.into_iter().collect()
}

/// Where the smallest and largest of a stretch are.
fn ends(values: &[f64], stretch: std::ops::Range<usize>) -> Vec<usize> {
    let numbers = || stretch.clone().filter(|i| !values[*i].is_nan());
    let by_value = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]);
    numbers().min_by(by_value).into_iter().chain(numbers().max_by(by_value)).collect()
}

/// At most `most` of `all`, evenly spread, the first and last among them.
pub(super) fn even(all: &[usize], most: usize) -> Vec<usize> {
    match (all.len(), most) {
        (n, most) if n <= most => all.to_vec(),
        (_, 0) => Vec::new(),
        (n, 1) => vec![all[n - 1]],
        (n, most) => (0..most).map(|i| all[i * (n - 1) / (most - 1)]).collect(),
    }
}

/// Where a value is better than all before it; `cost` is what is to be small. What isn't a number improves on nothing.
pub(super) fn improvements(costs: impl IntoIterator<Item = Option<f64>>) -> Vec<usize> {
    let mut best = f64::INFINITY;
    let mut better = Vec::new();
    for (i, cost) in costs.into_iter().enumerate() {
        if let Some(cost) = cost.filter(|cost| *cost < best) {
            best = cost;
            better.push(i);
        }
    }
    better
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => -1e3..1e3,
            1 => any::<f64>(),
            1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX]),
        ]
    }

    proptest! {
        #[test]
        fn the_smallest_the_largest_and_every_improvement_are_kept(
            values in prop::collection::vec(any_value(), 0..400),
            most in 0usize..200,
        ) {
            let better = improvements(values.iter().map(|v| Some(*v)));
            let kept = telling(&values, &better, most);
            prop_assert_eq!(kept.len(), most.min(values.len()));
            prop_assert!(kept.windows(2).all(|w| w[0] < w[1]) && kept.iter().all(|i| *i < values.len()));
            let numbers = || values.iter().copied().filter(|v| !v.is_nan());
            let held = |value: Option<f64>| value.is_none_or(|v| kept.iter().any(|i| values[*i].total_cmp(&v).is_eq()));
            if most >= 4 {
                prop_assert!(held(numbers().min_by(f64::total_cmp)) && held(numbers().max_by(f64::total_cmp)));
                prop_assert!(values.is_empty() || (kept[0] == 0 && kept[kept.len() - 1] == values.len() - 1));
            }
            if better.len() + 4 <= most {
                prop_assert!(better.iter().all(|i| kept.contains(i)), "{better:?} in {kept:?}");
            }
        }
    }

    #[test]
    fn a_lone_spike_in_a_hundred_thousand_points_is_kept_in_its_place() {
        let mut values = vec![0.5; 100_000];
        (values[33_333], values[77_777]) = (9.0, -9.0);
        let kept = telling(&values, &[], 100);
        assert!(kept.len() <= 100 && kept.contains(&33_333) && kept.contains(&77_777));
        assert!(kept.windows(2).all(|w| w[1] - w[0] < 5_000), "no stretch is bare: {kept:?}");
    }

    #[test]
    fn improvements_are_those_of_the_best_so_far() {
        let costs = [Some(3.0), None, Some(f64::NAN), Some(3.0), Some(2.0), Some(5.0), Some(f64::NEG_INFINITY)];
        assert_eq!(improvements(costs), [0, 4, 6]);
        assert_eq!(even(&[1, 2, 3], 1), [3]);
        assert_eq!(even(&[1, 2, 3, 4, 5], 3), [1, 3, 5]);
        assert!(even(&[1, 2], 0).is_empty());
    }
}
