//! Non-dominated ranking of several objectives (Deb et al. 2002), all minimised.

use crate::math::sortable;

/// Whether `a` is nowhere worse than `b` and somewhere better.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Positions of `costs` (without NaN), best first: by front, within a front by crowding distance (lonely ones first),
/// then as given.
pub fn order(costs: &[&[f64]]) -> Vec<usize> {
    // In lexicographic order nothing is dominated by what follows, so each point needs only the fronts so far.
    let mut sorted: Vec<usize> = (0..costs.len()).collect();
    sorted.sort_by_key(|i| (costs[*i].iter().map(|c| sortable(*c)).collect::<Vec<_>>(), *i));
    let mut fronts: Vec<Vec<usize>> = Vec::new();
    for i in sorted {
        let free = fronts.partition_point(|front| front.iter().rev().any(|j| dominates(costs[*j], costs[i])));
        if free == fronts.len() {
            fronts.push(Vec::new());
        }
        fronts[free].push(i);
    }
    fronts.into_iter().flat_map(|front| by_crowding(front, costs)).collect()
}

fn by_crowding(front: Vec<usize>, costs: &[&[f64]]) -> Vec<usize> {
    let mut distance = vec![0.0; front.len()];
    let objectives = costs.first().map_or(0, |c| c.len());
    // (By number: each objective sorts the front anew.)
    (0..objectives).for_each(|objective| {
        let cost = |i: usize| costs[front[i]][objective];
        let mut line: Vec<usize> = (0..front.len()).collect();
        line.sort_by_key(|i| (sortable(cost(*i)), front[*i]));
        let value = |at: usize| cost(line[at]);
        let (first, last) = (0, line.len() - 1);
        let range = value(last) - value(first);
        for at in first..=last {
            let gap = if at == first || at == last { f64::INFINITY } else { (value(at + 1) - value(at - 1)) / range };
            distance[line[at]] += if gap.is_nan() { 0.0 } else { gap };
        }
    });
    let mut places: Vec<usize> = (0..front.len()).collect();
    places.sort_by_key(|i| (!sortable(distance[*i]), front[*i]));
    places.into_iter().map(|i| front[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fronts_come_in_order_and_their_ends_first() {
        let points: Vec<Vec<f64>> =
            vec![vec![2.0, 2.0], vec![0.0, 3.0], vec![3.0, 3.0], vec![3.0, 0.0], vec![1.0, 1.9], vec![0.9, 2.1]];
        let costs: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
        let order = order(&costs);
        assert_eq!(order[..2], [1, 3]);
        assert_eq!(order[4..], [0, 2]);
        assert!(order[2..4].contains(&4) && order[2..4].contains(&5));
    }

    #[test]
    fn infinite_and_equal_costs_are_ranked_without_trouble() {
        let points = [vec![f64::INFINITY, 1.0], vec![f64::NEG_INFINITY, 1.0], vec![0.0, 1.0], vec![0.0, 1.0]];
        let costs: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
        assert_eq!(order(&costs), [1, 2, 3, 0]);
    }
}
