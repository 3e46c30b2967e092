//! Scripts that run in one go, whose space has a fidelity: how far each attempt goes, and what a result short of the whole is.
//!
//! Owns: the step at which an attempt's run ends. Must not: choose who goes on; that is the rule's, as with frozen trials.

use metaopt_schema::{
    StudyId,
    trial::Outcome,
    view::{AttemptView, StudyView, TrialView},
};

use super::Node;

impl Node {
    /// The step at which a trial's next attempt is to end; 0: the space has no fidelity.
    pub(super) fn next_until(&self, id: &StudyId, trial: &TrialView) -> u64 {
        let Some((low, high)) = self.world.study(id).and_then(levels) else { return 0 };
        let done = trial.attempts.iter().filter_map(reached).max().unwrap_or(0);
        let key = metaopt_engine::hash64(trial.place.id.as_str());
        let rungs = self.studies.get(id).map(|runtime| runtime.rule.rungs(&runtime.history, key)).unwrap_or_default();
        rungs.into_iter().find(|rung| *rung > done && *rung >= low).map_or(high, |rung| rung.min(high))
    }
}

/// Smallest and largest value of the space's fidelity.
fn levels(study: &StudyView) -> Option<(u64, u64)> {
    let (low, high, _) = study.space.fidelity()?;
    Some((low.max(1) as u64, high.max(1) as u64))
}

/// How far an attempt got that was to end short of the whole, and did.
fn reached(attempt: &AttemptView) -> Option<u64> {
    let until = attempt.claim.as_ref()?.until;
    let end = attempt.effective_end()?;
    (until > 0 && end.outcome == Outcome::Paused && end.last_step >= until).then_some(until)
}

/// The step of the curve that an attempt's result is, where its run goes to a step in one go.
pub(super) fn until_of(attempt: &AttemptView) -> Option<u64> {
    attempt.claim.as_ref().map(|claim| claim.until).filter(|until| *until > 0)
}

/// The same, where its run was to end short of the whole.
pub(super) fn rung_of(study: &StudyView, attempt: &AttemptView) -> Option<u64> {
    let (_, high) = levels(study)?;
    until_of(attempt).filter(|until| *until < high)
}
