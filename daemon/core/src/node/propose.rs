//! From the view to the engine's history, and from its suggestion to a trial.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use metaopt_engine::{Ask, History, Member, Record, RecordState, Stop, hash64};
use metaopt_schema::{
    NodeId, Stamp, StudyId,
    mutations::{Mutation, breaks},
    space::Params,
    trial::{Outcome, Place, Proposer, TrialState},
    view::{AttemptView, StudyView, TrialView},
};

use super::Node;
use crate::Now;

/// How long a node waits for others to propose the rest of a finite space (milliseconds).
const DRY_MS: u64 = 30_000;

/// Why nothing could be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dry {
    /// Nothing left in a finite space.
    Exhausted,
    /// Not now.
    Wait,
}

impl Node {
    /// Brings a study's history up to date with its view.
    pub(super) fn sync_history(&mut self, id: &StudyId) {
        let Some(study) = self.world.study(id) else { return };
        let Some(runtime) = self.studies.get_mut(id) else { return };
        for trial in std::mem::take(&mut runtime.dirty) {
            if let Some(view) = study.trial(&trial) {
                let mut record = record(study, view);
                if !view.is_warm()
                    && let Some(known) = runtime.history.get(record.key)
                {
                    // The points rest; what was noted of them before still holds.
                    let summary = std::mem::replace(&mut record.curve, known.curve.clone());
                    let beyond = record.curve.last().map_or(0, |(step, _)| *step);
                    record.curve.extend(summary.into_iter().filter(|(step, _)| *step > beyond));
                }
                runtime.history.upsert(record, || params(study, view));
            }
        }
    }

    /// Draws one configuration and records it as a trial.
    pub(super) fn propose(&mut self, now: Now, id: &StudyId) -> Result<Place, Dry> {
        self.sync_history(id);
        let budget_left = self.world.study(id).and_then(budget_left);
        let (members, me) = self.proposers(now, id);
        let (Some(study), Some(runtime)) = (self.world.study(id), self.studies.get_mut(id)) else {
            return Err(Dry::Wait);
        };
        let seed = study.record.def.sampler.seed.unwrap_or(0);
        let slot = slot_of(study, &self.config.id);
        let draw = runtime.draw;
        let ask = Ask { history: &runtime.history, seed, slot, draw, members: &members, me, budget_left };
        let suggestion = match runtime.sampler.suggest(&ask) {
            Ok(suggestion) => suggestion,
            Err(Stop::Exhausted) => {
                runtime.exhausted = true;
                return Err(Dry::Exhausted);
            }
            Err(Stop::Wait) => {
                runtime.dry_since.get_or_insert(now.mono_ms);
                return Err(Dry::Wait);
            }
        };
        runtime.dry_since = None;
        runtime.draw += 1;
        let saw = study.trials().len() as u64;
        let by = Proposer::Sampler { name: suggestion.sampler.into(), seed, slot, draw, saw };
        Ok(self.propose_spec(now, id, suggestion.params, by, IndexMap::new(), None))
    }

    /// Who proposes for a study: nodes that agree on them never propose the same configuration of a small space.
    fn proposers(&self, now: Now, id: &StudyId) -> (Vec<Member>, usize) {
        let run = self.world.study(id).and_then(|study| study.record.def.run.as_ref());
        let mut able = self.able(now, id, run);
        // Who has no slot for this study for so long won't propose what is its own.
        let dry = self.studies.get(id).and_then(|runtime| runtime.dry_since);
        if dry.is_some_and(|since| since + DRY_MS <= now.mono_ms) {
            able.retain(|(node, _)| *node == self.config.id || !self.is_full(node) || self.runs(node, id));
        }
        if breaks(Mutation::SkipOwnership) {
            able.retain(|(node, _)| *node == self.config.id);
        }
        let me = match able.iter().position(|(node, _)| *node == self.config.id) {
            Some(me) => me,
            None => {
                able.push((self.config.id.clone(), 1.0));
                able.len() - 1
            }
        };
        let members = able.iter().map(|(node, weight)| Member { id: hash64(node.as_str()), weight: *weight });
        (members.collect(), me)
    }

    /// Draws again what a recorded trial was drawn from: the history as it stood at the trial's stamp.
    pub(super) fn redraw(&self, study: &StudyView, trial: &TrialView) -> Option<Result<Params, Stop>> {
        let Proposer::Sampler { seed, slot, draw, .. } = trial.spec.by else { return None };
        let runtime = self.studies.get(&study.id)?;
        let mut history = History::new(&study.space, study.record.def.objectives.len());
        let mut own = 0;
        for other in study.trials().iter().filter(|t| t.spec.at < trial.spec.at) {
            history.upsert(record_at(study, other, Some(&trial.spec.at)), || params(study, other));
            own += u64::from(other.imported_as().is_none());
        }
        let me = [Member { id: hash64(trial.place.node.as_str()), weight: 1.0 }];
        let budget_left = study.budget.max_trials.map(|max| max.saturating_sub(own));
        let ask = Ask { history: &history, seed, slot, draw, members: &me, me: 0, budget_left };
        Some(runtime.sampler.suggest(&ask).map(|s| s.params))
    }
}

/// Trials that the budget still allows; none: no end.
pub(super) fn budget_left(study: &StudyView) -> Option<u64> {
    let used = study.trials().len() as u64 - study.imported();
    study.budget.max_trials.map(|max| max.saturating_sub(used))
}

/// The stream a node draws from: the creator's is 0, so that a study on one machine is reproduced by its seed alone.
fn slot_of(study: &StudyView, node: &NodeId) -> u64 {
    if study.record.node == *node { 0 } else { hash64(node.as_str()).max(1) }
}

/// A position that never moves when others are learnt of: milliseconds, then the counter within them.
fn order(stamp: &Stamp) -> u64 {
    (stamp.ms << 20) | u64::from(stamp.n).min((1 << 20) - 1)
}

/// What models see of a trial now.
pub(super) fn record(study: &StudyView, trial: &TrialView) -> Record {
    record_at(study, trial, None)
}

/// What models saw of a trial at a stamp (none: now). Ends at or after it are unknown.
fn record_at(study: &StudyView, trial: &TrialView, cut: Option<&Stamp>) -> Record {
    let def = &study.record.def;
    let end = trial.end().filter(|e| cut.is_none_or(|cut| e.at < *cut));
    let known = cut.is_none() || end.is_some();
    let state = match trial.state {
        _ if !known => RecordState::Pending,
        TrialState::Waiting | TrialState::Running | TrialState::Paused => RecordState::Pending,
        TrialState::Complete => RecordState::Complete,
        TrialState::Pruned => RecordState::Pruned,
        TrialState::Infeasible => RecordState::Infeasible,
        TrialState::Cancelled => RecordState::Ignored,
        TrialState::Fail if end.is_some_and(|e| e.reason.is_machines_fault() || e.outcome != Outcome::Fail) => {
            RecordState::Ignored
        }
        TrialState::Fail => RecordState::Failed,
    };
    let costs = if state == RecordState::Complete { study.costs(trial).unwrap_or_default() } else { Vec::new() };
    let violation = if known { study.violation(trial) } else { 0.0 };
    let constraints = if state == RecordState::Complete { study.constraints(trial) } else { Vec::new() };
    let done = if state == RecordState::Pending { 0 } else { end.map_or(0, |end| order(&end.at)) };
    let curve = def.objectives.first().map_or_else(Vec::new, |objective| {
        let points = series(trial, &objective.metric, cut).into_iter();
        points.map(|(step, value)| (step, objective.direction.cost(value))).collect()
    });
    Record {
        order: order(&trial.spec.at),
        key: hash64(trial.place.id.as_str()),
        state,
        costs,
        violation,
        constraints,
        done,
        last_step: trial.last_step(),
        curve,
        fit: Vec::new(),
    }
}

/// One metric of a trial by step, later attempts over earlier ones and the counted one over all; of resting points the
/// last.
fn series(trial: &TrialView, metric: &str, cut: Option<&Stamp>) -> Vec<(u64, f64)> {
    let of = |attempt: &AttemptView| -> Vec<(u64, f64)> {
        match attempt.curve.is_warm() {
            true => {
                let known = attempt.curve.series(metric).filter(|(_, at, _)| cut.is_none_or(|cut| *at <= cut.ms));
                known.map(|(step, _, value)| (step, value)).collect()
            }
            false => attempt.curve.last_of(metric).into_iter().collect(),
        }
    };
    match trial.attempts.as_slice() {
        [] => Vec::new(),
        [one] => of(one),
        several => {
            let counted = trial.counted.map(|i| &trial.attempts[i]);
            let steps: BTreeMap<u64, f64> = several.iter().chain(counted).flat_map(of).collect();
            steps.into_iter().collect()
        }
    }
}

/// A trial's configuration in the study's space as it is now: trials from before a parameter was added had its default.
pub(super) fn params(study: &StudyView, trial: &TrialView) -> Params {
    let given = trial.spec.params.params();
    if study.space.params.len() == study.record.def.space.params.len() {
        return given;
    }
    study.space.check_params_with_defaults(&given).unwrap_or(given)
}
