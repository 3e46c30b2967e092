//! What models learn from: the study's results as columns of numbers.

use std::collections::BTreeMap;

use super::{frame::Frame, transform};
use crate::{History, Record, RecordState};

/// Results of a study.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Raw points, in the order of results.
    pub points: Vec<Vec<f64>>,
    /// One row a trial, where it has values.
    pub costs: Vec<Option<Vec<f64>>>,
    /// Whether its constraints hold, as far as is known.
    pub feasible: Vec<bool>,
    /// Whether it failed or was told infeasible without a reason.
    pub wrong: Vec<bool>,
    /// By constraint: its values, where they are known. The last one may be made up: −1 where a trial went well, 1 where it failed or was
    /// told infeasible without a reason.
    pub constraints: Vec<Vec<Option<f64>>>,
}

/// Where curves of complete trials ended: by them is judged what was ended or paused before.
struct Ends<'a> {
    complete: Vec<&'a Record>,
    best: Option<f64>,
    median: Option<f64>,
    /// By step: how far costs went from there to the end, in the median.
    ways: BTreeMap<u64, f64>,
}

impl<'a> Ends<'a> {
    fn of(complete: Vec<&'a Record>) -> Self {
        let mut costs: Vec<f64> = complete.iter().map(|r| r.costs[0]).collect();
        costs.sort_by(f64::total_cmp);
        let (best, median) = (costs.first().copied(), costs.get(costs.len() / 2).copied());
        Self { complete, best, median, ways: BTreeMap::new() }
    }

    /// What a trial would have come to had it gone the way of the others from its last step on. No better than the best of
    /// them: it was ended or paused because others are.
    fn expected(&mut self, record: &Record) -> Option<f64> {
        let best = self.best?;
        let Some((step, last)) = record.curve.last().copied() else { return self.median };
        let way = *self.ways.entry(step).or_insert_with(|| way(&self.complete, step));
        if last.is_nan() { Some(f64::INFINITY) } else { Some((last + way).max(best)) }
    }
}

/// See [`Ends::ways`].
fn way(complete: &[&Record], step: u64) -> f64 {
    let one = |r: &&Record| {
        let after = r.curve.partition_point(|(s, _)| *s <= step);
        Some(r.costs[0] - r.curve.get(after.checked_sub(1)?)?.1).filter(|way| way.is_finite())
    };
    let mut ways: Vec<f64> = complete.iter().filter_map(one).collect();
    ways.sort_by(f64::total_cmp);
    ways.get(ways.len() / 2).copied().unwrap_or(0.0)
}

impl Data {
    /// All results of `history`.
    pub fn of(history: &History, frame: &Frame) -> Self {
        let rows: Vec<(&Record, Vec<f64>)> =
            history.results((0, 0)).map(|(_, record, config)| (record, frame.point(config))).collect();
        let objectives = history.objectives();
        let sound = |r: &Record| {
            r.state == RecordState::Complete && r.costs.len() == objectives && !r.costs.iter().any(|c| c.is_nan())
        };
        let mut ends = Ends::of(rows.iter().map(|(r, _)| *r).filter(|r| sound(r)).collect());
        let known = rows.iter().map(|(r, _)| r.constraints.len()).max().unwrap_or(0);
        let mut data = Self { constraints: vec![Vec::new(); known], ..Self::default() };
        let mut reasons: Vec<Option<f64>> = Vec::new();
        let mut unexplained = false;
        for (record, point) in rows {
            let complete = sound(record);
            let costs = match record.state {
                _ if complete => Some(record.costs.clone()),
                RecordState::Pruned | RecordState::Paused if objectives == 1 => {
                    ends.expected(record).map(|end| vec![end])
                }
                _ => None,
            };
            let explained = record.constraints.iter().any(|c| *c > 0.0);
            let broken = record.violation > 0.0 || record.violation.is_nan() || record.state == RecordState::Infeasible;
            let failed = !complete && matches!(record.state, RecordState::Failed | RecordState::Complete);
            let wrong = failed || broken && !explained;
            unexplained |= wrong;
            data.wrong.push(wrong);
            for (k, column) in data.constraints.iter_mut().enumerate() {
                column.push(record.constraints.get(k).copied().filter(|c| !c.is_nan()));
            }
            reasons.push((wrong || costs.is_some()).then_some(if wrong { 1.0 } else { -1.0 }));
            data.feasible.push(!broken && !failed);
            data.costs.push(costs);
            data.points.push(point);
        }
        if unexplained {
            data.constraints.push(reasons);
        }
        data
    }

    /// Positions of trials for the model of the objective, and their values, smaller being better. What went wrong without a reason is as
    /// bad as the worst: the probability that it does again, of a model of yes and no, is too vague to keep a search away by itself.
    pub fn objective(&self, weights: &[f64]) -> (Vec<usize>, Vec<f64>) {
        let (at, values) = self.told(weights);
        let worst = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if at.is_empty() || !self.wrong.contains(&true) {
            return (at, values);
        }
        let mut told = at.into_iter().zip(values).peekable();
        let one = |i: usize| {
            if self.wrong[i] { Some((i, worst)) } else { told.next_if(|(at, _)| *at == i) }
        };
        (0..self.points.len()).filter_map(one).unzip()
    }

    /// Positions of trials that tell the objective, and what they tell. Several objectives are taken as
    /// one: by an augmented Chebyshev distance with `weights` (Knowles 2006), each objective warped by itself.
    fn told(&self, weights: &[f64]) -> (Vec<usize>, Vec<f64>) {
        let at: Vec<usize> = (0..self.points.len()).filter(|i| self.costs[*i].is_some() && !self.wrong[*i]).collect();
        let column = |k: usize| -> Vec<f64> {
            let costs: Vec<f64> = at.iter().filter_map(|i| Some(self.costs[*i].as_ref()?[k])).collect();
            transform::costs(&costs, true)
        };
        if weights.len() < 2 || at.is_empty() {
            let values = if at.is_empty() { Vec::new() } else { column(0) };
            return (at, values);
        }
        let columns: Vec<Vec<f64>> = (0..weights.len()).map(column).collect();
        let lows: Vec<f64> = columns.iter().map(|c| c.iter().copied().fold(f64::INFINITY, f64::min)).collect();
        let one = |i: usize| {
            let parts = || columns.iter().zip(&lows).zip(weights).map(|((c, low), w)| w * (c[i] - low));
            parts().fold(0.0, f64::max) + 0.05 * parts().sum::<f64>()
        };
        let values: Vec<f64> = (0..at.len()).map(one).collect();
        (at, transform::costs(&values, false))
    }

    /// The first objective where a trial has one and its constraints hold.
    pub fn sound_costs(&self) -> Vec<Option<f64>> {
        let one = |(costs, fine): (&Option<Vec<f64>>, &bool)| costs.as_ref().filter(|_| *fine).map(|costs| costs[0]);
        self.costs.iter().zip(&self.feasible).map(one).collect()
    }

    /// The `most` trials nearest to the best of those from place `began` on, and that one's raw point.
    pub fn around(&self, frame: &Frame, began: usize, most: usize) -> (Self, Vec<f64>) {
        let costs = self.sound_costs();
        let key = |i: &usize| (costs[*i].unwrap_or(f64::INFINITY), *i);
        let centre = (began..self.points.len()).min_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
        });
        let seen = |i: usize| {
            let mut seen = Vec::new();
            frame.see(&self.points[i], &mut seen);
            seen
        };
        let best = centre.unwrap_or(0);
        let centre = seen(best);
        let far = |i: usize| -> f64 {
            let parts = seen(i).into_iter().zip(&centre).zip(&frame.metrics).map(|((a, b), m)| m.distance(a, *b));
            parts.sum()
        };
        let mut order: Vec<(f64, usize)> = (0..self.points.len()).map(|i| (far(i), i)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut kept: Vec<usize> = order.into_iter().take(most).map(|(_, i)| i).collect();
        kept.sort_unstable();
        (self.keep(&kept), self.points[best].clone())
    }

    /// The trials at `kept` alone (in order).
    pub fn keep(&self, kept: &[usize]) -> Self {
        fn pick<T: Clone>(list: &[T], kept: &[usize]) -> Vec<T> {
            kept.iter().map(|i| list[*i].clone()).collect()
        }
        Self {
            points: pick(&self.points, kept),
            costs: pick(&self.costs, kept),
            feasible: pick(&self.feasible, kept),
            wrong: pick(&self.wrong, kept),
            constraints: self.constraints.iter().map(|column| pick(column, kept)).collect(),
        }
    }
}
