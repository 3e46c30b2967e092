//! Non-dominated ranking of several objectives (Deb et al. 2002), all minimised.

use std::cmp::Ordering;

use crate::math::sortable;

/// Whether `a` is nowhere worse than `b` and somewhere better.
pub fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Most positions of one front that are chosen by the volume they add; the others follow by crowding distance.
const BY_VOLUME: usize = 64;
/// Most objectives for which volumes are computed: their cost grows quickly.
const MAX_OBJECTIVES: usize = 4;
/// How far behind the worst of a front the point lies that volumes are measured from, in units of the front's range.
const BEHIND: f64 = 0.1;

/// Positions of `costs` (without NaN), best first: by front, within a front first those that together cover the most volume
/// ([`by_volume`]), then by crowding distance. Fronts after the first `want` positions stay as given.
pub fn order(costs: &[&[f64]], want: usize) -> Vec<usize> {
    peeled(costs, want, |front, room| by_volume(front, costs, room))
}

/// As [`order`], but within a front by crowding distance alone (lonely ones first), which costs next to nothing.
pub fn crowded(costs: &[&[f64]], want: usize) -> Vec<usize> {
    peeled(costs, want, |front, _| by_crowding(front, costs))
}

fn peeled(costs: &[&[f64]], want: usize, within: impl Fn(Vec<usize>, usize) -> Vec<usize>) -> Vec<usize> {
    // In lexicographic order nothing is dominated by what follows, so a point of the first front is dominated by none of
    // those before it that are in that front.
    let mut left: Vec<usize> = (0..costs.len()).collect();
    left.sort_by_cached_key(|i| (costs[*i].iter().map(|c| sortable(*c)).collect::<Vec<_>>(), *i));
    let mut ordered: Vec<usize> = Vec::with_capacity(costs.len());
    while !left.is_empty() && ordered.len() < want {
        let (mut front, mut behind): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for i in left {
            // With two objectives the last of the front has its smallest second cost.
            let rivals = if costs[i].len() == 2 { front.len().saturating_sub(1) } else { 0 };
            let dominated = front[rivals..].iter().rev().any(|j: &usize| dominates(costs[*j], costs[i]));
            if dominated { &mut behind } else { &mut front }.push(i);
        }
        ordered.extend(within(front, want - ordered.len()));
        left = behind;
    }
    left.sort_unstable();
    ordered.extend(left);
    ordered
}

/// A front's positions: as many as `want` (64 at most) chosen one after the other, each the one that adds the most to the
/// volume that those before it dominate (greedy hypervolume subset selection, Guerreiro et al. 2016), then the others.
fn by_volume(front: Vec<usize>, costs: &[&[f64]], want: usize) -> Vec<usize> {
    let crowded = by_crowding(front, costs);
    let objectives = costs.first().map_or(0, |c| c.len());
    let sound = crowded.iter().all(|i| costs[*i].iter().all(|c| c.is_finite()));
    if crowded.len() < 3 || !sound || objectives > MAX_OBJECTIVES {
        return crowded;
    }
    let span = |o: usize| {
        let column = crowded.iter().map(|i| costs[*i][o]);
        column.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), c| (low.min(c), high.max(c)))
    };
    let spans: Vec<(f64, f64)> = (0..objectives).map(span).collect();
    // How much better than the point behind the front, per objective.
    let gain = |i: usize| -> Vec<f64> {
        let one = |(c, (low, high)): (&f64, &(f64, f64))| {
            // (Halves, so that the difference of huge numbers is finite.)
            let share = (high / 2.0 - c / 2.0) / (high / 2.0 - low / 2.0);
            BEHIND + if share.is_nan() { 0.0 } else { share }
        };
        costs[i].iter().zip(&spans).map(one).collect()
    };
    let mut left: Vec<(f64, Vec<f64>, usize)> = crowded.iter().map(|i| (f64::INFINITY, gain(*i), *i)).collect();
    let mut chosen: Vec<(Vec<f64>, usize)> = Vec::new();
    while !left.is_empty() && chosen.len() < want.min(BY_VOLUME) {
        // What a point adds never grows as others are chosen, so what it added before bounds it.
        let mut best: Option<(f64, usize)> = None;
        for (at, (bound, gain, _)) in left.iter_mut().enumerate() {
            if best.is_none_or(|(most, _)| *bound > most) {
                *bound = added(gain, chosen.iter().map(|(gain, _)| gain));
                if best.is_none_or(|(most, _)| *bound > most) {
                    best = Some((*bound, at));
                }
            }
        }
        let Some((_, at)) = best else { break };
        let (_, gain, i) = left.remove(at);
        chosen.push((gain, i));
    }
    chosen.into_iter().map(|(_, i)| i).chain(left.into_iter().map(|(_, _, i)| i)).collect()
}

/// The volume that `gain` adds to what `others` cover. (Gains: larger is better, measured from the point behind all.)
fn added<'a>(gain: &[f64], others: impl Iterator<Item = &'a Vec<f64>>) -> f64 {
    let shared = others.map(|other| gain.iter().zip(other).map(|(a, b)| a.min(*b)).collect()).collect();
    gain.iter().product::<f64>() - volume(shared)
}

/// The volume of the union of boxes from 0 to each of `gains` (While et al. 2012, WFG).
pub fn volume(mut gains: Vec<Vec<f64>>) -> f64 {
    // Largest first in one objective: then limits by those before leave little, and what is covered goes early.
    gains.sort_by(|a, b| b.iter().zip(a).map(|(b, a)| b.total_cmp(a)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal));
    let mut kept: Vec<Vec<f64>> = Vec::new();
    for gain in gains {
        if !kept.iter().any(|other| other.iter().zip(&gain).all(|(o, g)| o >= g)) {
            kept.push(gain);
        }
    }
    if kept.first().is_some_and(|gain| gain.len() == 2) {
        // Stairs: the first cost falls while the second rises.
        let mut below = 0.0;
        return kept.iter().map(|gain| gain[0] * (gain[1] - std::mem::replace(&mut below, gain[1]))).sum();
    }
    (0..kept.len()).map(|at| added(&kept[at], kept[..at].iter())).sum()
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fronts_come_in_order_and_their_ends_first() {
        let points: Vec<Vec<f64>> =
            vec![vec![2.0, 2.0], vec![0.0, 3.0], vec![3.0, 3.0], vec![3.0, 0.0], vec![1.0, 1.9], vec![0.9, 2.1]];
        let costs: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
        let all = order(&costs, 6);
        assert_eq!(all[4..], [0, 2]);
        assert_eq!(BTreeSet::from_iter(all[..4].to_vec()), BTreeSet::from([1, 3, 4, 5]));
        // Of two that lie close together the second comes last.
        assert!(all[3] == 4 || all[3] == 5, "{all:?}");
        // What comes after the wanted ones doesn't change them.
        assert_eq!(order(&costs, 2)[..4], all[..4]);
    }

    #[test]
    fn infinite_and_equal_costs_are_ranked_without_trouble() {
        let points = [vec![f64::INFINITY, 1.0], vec![f64::NEG_INFINITY, 1.0], vec![0.0, 1.0], vec![0.0, 1.0]];
        let costs: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
        assert_eq!(order(&costs, 4), [1, 2, 3, 0]);
        let huge = [vec![f64::MAX, -f64::MAX], vec![-f64::MAX, f64::MAX], vec![0.0, 0.0]];
        let costs: Vec<&[f64]> = huge.iter().map(Vec::as_slice).collect();
        assert_eq!(order(&costs, 3)[0], 2);
    }

    #[test]
    fn volumes_are_those_of_unions() {
        assert_eq!(volume(vec![vec![2.0, 1.0], vec![1.0, 2.0]]), 3.0);
        assert_eq!(
            volume(vec![vec![1.0, 1.0, 2.0], vec![2.0, 1.0, 1.0], vec![1.0, 2.0, 1.0], vec![0.5, 0.5, 0.5]]),
            4.0
        );
        // By counting cells of a grid on which all corners lie.
        let mut stream = crate::rng::Stream::new(1, 2, 3, "volume");
        for objectives in 2..=4 {
            for _ in 0..20 {
                let gains: Vec<Vec<f64>> =
                    (0..6).map(|_| (0..objectives).map(|_| stream.below(6) as f64).collect()).collect();
                let cells = 6usize.pow(objectives as u32);
                let covered = |cell: usize| {
                    gains.iter().any(|gain| {
                        gain.iter().enumerate().all(|(o, g)| ((cell / 6usize.pow(o as u32)) % 6) as f64 + 0.5 < *g)
                    })
                };
                assert_eq!(volume(gains.clone()), (0..cells).filter(|cell| covered(*cell)).count() as f64, "{gains:?}");
            }
        }
    }

    #[test]
    fn a_front_is_thinned_evenly() {
        // Eight of a hundred on a quarter circle, most of which crowd at one end.
        let points: Vec<Vec<f64>> = (0..100)
            .map(|i| {
                let angle = std::f64::consts::FRAC_PI_2 * (f64::from(i) / 99.0).powi(3);
                vec![1.0 - libm::sin(angle), 1.0 - libm::cos(angle)]
            })
            .collect();
        let costs: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
        let mut firsts: Vec<f64> = order(&costs, 8)[..8].iter().map(|i| points[*i][0]).collect();
        firsts.sort_by(f64::total_cmp);
        assert!(firsts.windows(2).all(|w| w[1] - w[0] < 0.35), "{firsts:?}");
    }
}
