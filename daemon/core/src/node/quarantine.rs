//! A node that fails what succeeds elsewhere: a broken GPU, a missing data set, a driver that doesn't fit.
//!
//! Owns: noticing it of this node, giving its failed trials to others, ending its own work. Must not: blame a configuration
//! for a machine, or a machine for a configuration: only the same trials' results elsewhere decide.

use metaopt_schema::{
    NodeId, StudyId,
    facts::{ClusterFact, Fact, NodeEdit, TrialFact},
    trial::{Outcome, Place, Reason, TrialEdit, TrialState},
    view::{AttemptView, TrialView},
};

use super::Node;
use crate::Now;

/// Failures in a row after which others are asked to try the same.
const STREAK: usize = 3;
/// The same trials that must have succeeded elsewhere.
const PROOFS: usize = 3;
/// Trials looked back at.
const LOOK_BACK: usize = 300;

/// Whether an attempt of a process failed in a way that the machine may be to blame for.
fn failed(attempt: &AttemptView) -> bool {
    let end = attempt.effective_end();
    !attempt.is_asked()
        && end.is_some_and(|end| {
            let script = matches!(
                end.reason,
                Reason::Exit | Reason::MissingMetric | Reason::Timeout | Reason::Oom | Reason::SetupFailed
            );
            end.outcome == Outcome::Fail && script
        })
}

fn succeeded(attempt: &AttemptView) -> bool {
    let end = attempt.effective_end();
    !attempt.is_asked() && end.is_some_and(|end| matches!(end.outcome, Outcome::Complete | Outcome::Pruned))
}

/// Whether a trial failed on `node`.
pub(super) fn failed_on(trial: &TrialView, node: &NodeId) -> bool {
    trial.attempts.iter().any(|attempt| attempt.node == *node && failed(attempt))
}

impl Node {
    /// An attempt failed here. Several in a row, while others of the study succeed elsewhere, are tried there again.
    pub(super) fn doubt_myself(&mut self, now: Now, id: &StudyId) {
        let Some(study) = self.world.study(id) else { return };
        if self.able(now, id, study.record.def.run.as_ref()).len() < 2 {
            return;
        }
        let me = &self.config.id;
        let recent = || study.trials().iter().rev().take(LOOK_BACK);
        let mut mine: Vec<(&TrialView, &AttemptView)> = recent()
            .flat_map(|t| t.attempts.iter().map(move |a| (t, a)))
            .filter(|(_, a)| a.node == *me && (failed(a) || succeeded(a)))
            .collect();
        mine.sort_by_key(|(_, a)| a.effective_end().map(|end| std::cmp::Reverse(end.at.clone())));
        let streak: Vec<_> = mine.into_iter().take_while(|(_, a)| failed(a)).collect();
        if streak.len() < STREAK {
            return;
        }
        let since = streak.iter().filter_map(|(_, a)| a.claim.as_ref()).map(|c| c.at.ms).min().unwrap_or(0);
        let others = recent().flat_map(|t| t.attempts.iter()).filter(|a| {
            a.node != *me && (failed(a) || succeeded(a)) && a.effective_end().is_some_and(|end| end.at.ms >= since)
        });
        let (good, bad) =
            others.fold((0, 0), |(good, bad), a| if failed(a) { (good, bad + 1) } else { (good + 1, bad) });
        if good < STREAK || good < 4 * bad {
            return;
        }
        let again: Vec<(Place, u32)> = streak
            .iter()
            .filter(|(t, _)| t.state == TrialState::Fail && t.attempts.iter().all(|a| a.node == *me))
            .map(|(t, _)| (t.place.clone(), t.latest().map_or(0, |a| a.attempt)))
            .collect();
        for (place, after) in again {
            let lamport = self.next_lamport();
            let fact = TrialFact::Edited { lamport, by: self.config.id.clone(), edit: TrialEdit::Retry { after } };
            self.write(Fact::Trial(id.clone(), place, fact));
        }
        self.doubtful.insert(id.clone());
    }

    /// Whether what failed here has succeeded elsewhere, so often that this node is to blame.
    pub(super) fn judge_myself(&mut self) {
        for id in self.doubtful.clone() {
            let Some(study) = self.world.study(&id).filter(|s| !s.deleted) else {
                self.doubtful.remove(&id);
                continue;
            };
            let me = &self.config.id;
            let (mut elsewhere, mut nowhere) = (0, 0);
            for trial in study.trials().iter().rev().take(LOOK_BACK).filter(|t| failed_on(t, me)) {
                let others = || trial.attempts.iter().filter(|a| a.node != *me);
                match others().any(succeeded) {
                    true => elsewhere += 1,
                    false => nowhere += usize::from(others().any(failed)),
                }
            }
            if elsewhere >= PROOFS && elsewhere >= 4 * nowhere {
                let name = study.name.clone();
                self.doubtful.clear();
                let (lamport, id) = (self.next_lamport(), self.config.id.clone());
                let edit = NodeEdit::Quarantine;
                self.write(Fact::Cluster(ClusterFact::NodeEdit { node: id.clone(), lamport, by: id, edit }));
                self.blame = Some(format!(
                    "{elsewhere} trials of `{name}` failed here and succeeded on other nodes; look at `metaopt logs` of one, then `metaopt node resume {}`",
                    self.config.hardware.name
                ));
                return;
            }
        }
    }
}
