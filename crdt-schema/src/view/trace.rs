//! The training curve of one attempt: a summary that is always there, and the points while somebody needs them.
//!
//! Owns: how points are packed, merged and let go. Must not: decide when they are let go.
//!
//! A million points as maps would take 200 MB and are hardly ever looked at: those of finished attempts rest in their
//! documents, and are read back when asked for. The summary is the same whether the points are in memory or not.

use std::sync::Arc;

use super::pool::Pool;
use crate::{Named, stamp::WallMs, trial::Point};

/// One attempt's curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    last_step: u64,
    /// By metric: the last step at which it was a number, and that number; step 0: it was only ever null.
    last: Named<(u64, f64)>,
    count: u64,
    /// None also while there are none.
    points: Option<Box<Points>>,
    /// They were let go.
    cold: bool,
}

/// By step. A metric that few points have takes no room in the others.
#[derive(Clone, Debug, Default)]
struct Points {
    steps: Vec<(u64, WallMs)>,
    columns: Vec<(Arc<str>, Column)>,
}

/// One metric: the steps that have it, NaN for null (numbers in documents are finite).
type Column = Vec<(u64, f64)>;

impl Trace {
    /// The largest step; 0: none.
    pub fn last_step(&self) -> u64 {
        self.last_step
    }

    /// How many points there are.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Every metric that was reported, with the last number that it was.
    pub fn last(&self) -> impl Iterator<Item = (&str, Option<f64>)> {
        self.last.iter().map(|(name, (step, value))| (name, (*step > 0).then_some(*value)))
    }

    /// The last step at which a metric was a number, and that number.
    pub fn last_of(&self, metric: &str) -> Option<(u64, f64)> {
        self.last.get(metric).copied().filter(|(step, _)| *step > 0)
    }

    /// How many different metrics were reported.
    pub fn metrics(&self) -> usize {
        self.last.len()
    }

    /// Whether a metric was reported, be it as null.
    pub fn has(&self, metric: &str) -> bool {
        self.last.contains_key(metric)
    }

    /// Whether the points are in memory.
    pub fn is_warm(&self) -> bool {
        !self.cold
    }

    /// All points, or none of them while they rest.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        let points = self.points.as_deref();
        (0..points.map_or(0, |p| p.steps.len())).filter_map(move |i| points.map(|p| p.at(i)))
    }

    /// The point at `step`, where there is one in memory.
    pub fn point(&self, step: u64) -> Option<Point> {
        let points = self.points.as_ref()?;
        points.steps.binary_search_by_key(&step, |(step, _)| *step).ok().map(|i| points.at(i))
    }

    /// A metric by step, as far as the points are in memory; NaN where it was reported as null.
    pub fn series(&self, metric: &str) -> impl Iterator<Item = (u64, WallMs, f64)> {
        let found = self.points.as_ref().and_then(|p| Some((p, &p.columns.iter().find(|(n, _)| **n == *metric)?.1)));
        found.into_iter().flat_map(|(points, column)| {
            let mut times = points.steps.iter();
            column.iter().filter_map(move |&(step, value)| {
                let (_, time) = times.find(|(at, _)| *at == step)?;
                Some((step, *time, value))
            })
        })
    }

    /// Adds a point. One holder writes each (attempt, step) once; should a document say otherwise, the first stands
    /// while the points are in memory, and a resting curve counts it again.
    pub(super) fn insert(&mut self, point: &Point, pool: &mut Pool) {
        if !self.cold && !self.points.get_or_insert_default().insert(point, pool) {
            return;
        }
        self.count += 1;
        self.last_step = self.last_step.max(point.step);
        let known = self.last.len();
        for (name, value) in point.values.iter() {
            let new = value.map_or((0, 0.0), |value| (point.step, value));
            match self.last.get(name) {
                Some((step, _)) if *step >= new.0 => {}
                Some(_) => self.last.insert(name, new),
                None => self.last.insert(pool.text(name), new),
            }
        }
        if self.last.len() > known {
            self.last.sort();
        }
    }

    /// Lets the points go: they are on disk.
    pub(super) fn cool(&mut self) {
        (self.points, self.cold) = (None, true);
    }

    /// Makes room for the points, which are to be inserted anew.
    pub(super) fn warm(&mut self) {
        if self.cold {
            *self = Self::default();
        }
    }
}

impl Points {
    fn at(&self, i: usize) -> Point {
        let (step, at) = self.steps[i];
        let value = |column: &Column| {
            let found = column.binary_search_by_key(&step, |(step, _)| *step).ok()?;
            Some(Some(column[found].1).filter(|value| !value.is_nan()))
        };
        let values = self.columns.iter().filter_map(|(name, column)| Some((name.clone(), value(column)?)));
        Point { step, values: values.collect(), at }
    }

    /// False: the step is known.
    fn insert(&mut self, point: &Point, pool: &mut Pool) -> bool {
        if !put(&mut self.steps, point.step, point.at) {
            return false;
        }
        // Points name their metrics in the same order, mostly that of the columns.
        let mut next = 0;
        for (name, value) in point.values.iter() {
            let value = value.unwrap_or(f64::NAN);
            let here = self.columns.get(next).is_some_and(|(n, _)| **n == *name);
            let found = if here { Some(next) } else { self.columns.iter().position(|(n, _)| **n == *name) };
            next = found.unwrap_or(self.columns.len()) + 1;
            match found {
                Some(i) => {
                    put(&mut self.columns[i].1, point.step, value);
                }
                None => self.columns.push((pool.text(name), vec![(point.step, value)])),
            }
        }
        true
    }
}

/// Puts what belongs to a step in its place; false where the step is known.
fn put<T>(rows: &mut Vec<(u64, T)>, step: u64, value: T) -> bool {
    match rows.last() {
        Some((last, _)) if *last >= step => match rows.binary_search_by_key(&step, |(step, _)| *step) {
            Ok(_) => return false,
            Err(i) => rows.insert(i, (step, value)),
        },
        _ => rows.push((step, value)),
    }
    true
}

/// Columns stand in the order in which their metrics were first heard of, which says nothing.
impl PartialEq for Points {
    fn eq(&self, other: &Self) -> bool {
        self.steps == other.steps && (0..self.steps.len()).all(|i| self.at(i) == other.at(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: u64, values: &[(&str, Option<f64>)]) -> Point {
        Point { step, values: values.iter().copied().collect(), at: 10 * step }
    }

    fn points() -> Vec<Point> {
        vec![
            point(1, &[("loss", Some(0.9)), ("acc", None)]),
            point(2, &[("acc", Some(0.5))]),
            point(5, &[("loss", Some(0.1)), ("late", None)]),
            point(7, &[("loss", None)]),
        ]
    }

    #[test]
    fn points_read_back_as_they_were_in_whatever_order_they_came() {
        let (mut pool, mut sorted, mut turned) = (Pool::default(), Trace::default(), Trace::default());
        points().iter().for_each(|p| sorted.insert(p, &mut pool));
        points().iter().rev().chain(&points()).for_each(|p| turned.insert(p, &mut pool));
        assert_eq!(sorted.points().collect::<Vec<_>>(), points());
        assert_eq!(sorted, turned);
        assert_eq!((sorted.point(5), sorted.point(6)), (Some(points()[2].clone()), None));
        let losses: Vec<_> = sorted.series("loss").collect();
        assert_eq!(losses[..2], [(1, 10, 0.9), (5, 50, 0.1)]);
        assert!(losses.len() == 3 && losses[2].0 == 7 && losses[2].2.is_nan(), "null is there, as NaN: {losses:?}");
        assert_eq!(sorted.series("never").count(), 0);
    }

    #[test]
    fn the_summary_is_the_same_whether_the_points_are_there_or_not() {
        for cooled in 0..=points().len() {
            let (mut pool, mut warm, mut cold) = (Pool::default(), Trace::default(), Trace::default());
            for (i, p) in points().iter().enumerate() {
                if i == cooled {
                    cold.cool();
                }
                warm.insert(p, &mut pool);
                cold.insert(p, &mut pool);
            }
            cold.cool();
            let summary = |t: &Trace| (t.last_step(), t.len(), t.last.clone());
            assert_eq!(summary(&warm), summary(&cold));
            assert_eq!((cold.points().count(), cold.is_warm(), cold.point(1)), (0, false, None));
            cold.warm();
            points().iter().for_each(|p| cold.insert(p, &mut pool));
            assert_eq!(warm, cold);
        }
        let (mut pool, mut trace) = (Pool::default(), Trace::default());
        points().iter().for_each(|p| trace.insert(p, &mut pool));
        let last: Vec<_> = trace.last().collect();
        assert_eq!(last, [("acc", Some(0.5)), ("late", None), ("loss", Some(0.1))]);
        assert_eq!((trace.last_of("loss"), trace.last_of("late")), (Some((5, 0.1)), None));
    }
}
