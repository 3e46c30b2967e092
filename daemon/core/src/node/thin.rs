//! Curves are kept whole up to a thousand points, and beyond that ever more sparsely, so that a script that reports at
//! every batch of an endless training can't fill the disk or the memory of every node.
//!
//! Owns: which points are written. Must not: thin what rules see while a trial runs; they get every report.
//!
//! Beyond the budget a point is written when its step is 0.2 % beyond the last one written: a million steps leave about
//! 4,500 points, evenly spread on a logarithmic axis. The newest point, and the smallest and largest value of the first
//! objective since the budget ran out, are held back and written when the attempt ends; a crash of the daemon loses
//! those that it holds, never one that was written. Until then reads show it too.

use metaopt_schema::{
    AttemptKey, NodeId, StudyId,
    trial::Point,
    view::{AttemptView, StudyView},
};

use super::Node;

/// Points of one attempt that are written whatever their steps.
const BUDGET: u64 = 1_000;
/// Beyond it the next point is written one part in so many of the last step further on.
const SPACING: u64 = 500;

/// What is held back of an attempt.
pub(super) struct Thinned {
    pub(super) study: StudyId,
    holder: NodeId,
    newest: Point,
    /// With the smallest and the largest value.
    extremes: Option<[(f64, Point); 2]>,
}

/// Whether a point at `step` is one that is written.
fn is_written(attempt: &AttemptView, step: u64) -> bool {
    let last = attempt.curve.last_step();
    // Steps that were passed over come from spools, in order: they are few.
    attempt.curve.len() < BUDGET || step < last || step - last >= (last / SPACING).max(1)
}

impl Node {
    /// Writes a point, or holds it back.
    pub(super) fn write_or_hold(&mut self, study: &StudyId, key: &AttemptKey, holder: &NodeId, point: Point) {
        let view = self.world.study(study);
        let attempt = view.and_then(|s| s.trial(&key.trial)).and_then(|t| t.attempt(key.attempt, holder));
        if attempt.is_none_or(|a| is_written(a, point.step)) {
            return self.write_point(study, key, holder, point);
        }
        let value = view.and_then(|s| first_objective(s, &point));
        let held = self.thinned.entry(key.clone()).or_insert_with(|| Thinned {
            study: study.clone(),
            holder: holder.clone(),
            newest: point.clone(),
            extremes: None,
        });
        if let Some(value) = value {
            match &mut held.extremes {
                None => held.extremes = Some([(value, point.clone()), (value, point.clone())]),
                Some([low, _]) if value < low.0 => *low = (value, point.clone()),
                Some([_, high]) if value > high.0 => *high = (value, point.clone()),
                Some(_) => {}
            }
        }
        if point.step >= held.newest.step {
            held.newest = point;
        }
    }

    /// What is held back of an attempt: the newest point, and those with the smallest and largest value.
    pub(super) fn held_back(&self, key: &AttemptKey) -> impl Iterator<Item = &Point> {
        let held = self.thinned.get(key).into_iter();
        held.flat_map(|h| h.extremes.iter().flatten().map(|(_, point)| point).chain([&h.newest]))
    }

    /// Writes what was held back: the attempt ends.
    pub(super) fn write_held(&mut self, key: &AttemptKey) {
        let Some(Thinned { study, holder, newest, extremes }) = self.thinned.remove(key) else { return };
        let extremes = extremes.into_iter().flatten().map(|(_, point)| point);
        for point in extremes.chain([newest]) {
            let attempt = self.world.study(&study).and_then(|s| s.trial(&key.trial)?.attempt(key.attempt, &holder));
            if attempt.is_some_and(|a| a.curve.point(point.step).is_none()) {
                self.write_point(&study, key, &holder, point);
            }
        }
    }
}

fn first_objective(study: &StudyView, point: &Point) -> Option<f64> {
    point.values.get(&study.record.def.objectives.first()?.metric).copied().flatten()
}
