//! From the view to the engine's history, and from its suggestion to a trial.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use metaopt_engine::{Ask, Record, RecordState, Stop, Suggestion, hash64};
use metaopt_schema::{
    NodeId, Stamp, StudyId,
    mutations::{Mutation, breaks},
    seen::Sight,
    space::Params,
    study::Objective,
    trial::{End, Outcome, Place, Point, Proposer, TrialState},
    view::{AttemptView, StudyView, TrialView},
};

use super::{Node, Runtime, draws::members_of, foresee::step_of, peers::ASKED_AT_ONCE};
use crate::Now;

/// How long after its first draw a node takes all others to be drawing, too: longer than it takes to hear that they are (milliseconds).
const UNHEARD_MS: u64 = 3_000;

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

/// A configuration that could be tried, and what it was drawn from.
pub(super) struct Draft {
    suggestion: Suggestion,
    sight: Sight,
    seed: u64,
    slot: u64,
    draw: u64,
    saw: u64,
}

impl Draft {
    /// The configuration.
    pub(super) fn params(&self) -> &Params {
        &self.suggestion.params
    }
}

impl Node {
    /// Brings a study's history up to date with its view.
    pub(super) fn sync_history(&mut self, id: &StudyId) {
        let Some(runtime) = self.studies.get_mut(id) else { return };
        for trial in std::mem::take(&mut runtime.dirty) {
            let (Some(study), Some(runtime)) = (self.world.study(id), self.studies.get(id)) else { return };
            let Some(view) = study.trial(&trial) else { continue };
            let mut record = record(study, view);
            if !view.is_warm() {
                self.remember(study, view, runtime, &mut record);
            }
            let Some(runtime) = self.studies.get_mut(id) else { return };
            if runtime.rule.reads_curves() {
                runtime.noted.insert(record.key, lengths(view));
            }
            runtime.history.upsert(record, || params(study, view));
            runtime.frost.notice(view);
        }
    }

    /// Completes the curve of a trial some of whose points rest: by what was noted of them before, or, for rules that compare whole
    /// curves, by their documents where more has come since.
    fn remember(&self, study: &StudyView, trial: &TrialView, runtime: &Runtime, record: &mut Record) {
        let Some(objective) = study.record.def.objectives.first() else { return };
        let noted = runtime.noted.get(&record.key).map_or(&[][..], Vec::as_slice);
        let is_noted = |(i, a): (usize, &AttemptView)| a.curve.is_warm() || noted.get(i) == Some(&a.curve.len());
        // Of several attempts, the counted one's points go over those of all.
        let reordered = trial.attempts.len() > 1 && trial.counted.is_some();
        let enough = trial.attempts.iter().enumerate().all(is_noted) && !reordered;
        let mut points: BTreeMap<u64, f64> = BTreeMap::new();
        if runtime.rule.reads_curves() && !enough {
            let Ok(whole) = self.curve(study, trial) else { return };
            let value = |point: &Point| Some((point.step, point.values.get(&objective.metric)?.unwrap_or(f64::NAN)));
            points.extend(whole.iter().filter_map(value).map(|(step, value)| (step, objective.direction.cost(value))));
        } else {
            let known = runtime.history.get(record.key);
            points.extend(known.into_iter().flat_map(|known| &known.curve).copied());
            points.extend(record.curve.iter().copied());
        }
        let stopped = matches!(record.state, RecordState::Pruned | RecordState::Paused);
        (record.curve, record.last_step) = match trial.end().filter(|_| stopped) {
            Some(end) => stop(points.into_iter().collect(), objective, end),
            None => (points.into_iter().collect(), record.last_step),
        };
    }

    /// Draws the configuration that this node's next new trial would have. Drawing it again gives the same, as long as nothing has
    /// changed.
    pub(super) fn draft(&mut self, now: Now, id: &StudyId) -> Result<Draft, Dry> {
        self.sync_history(id);
        self.place_facts(id);
        let Some(sight) = self.sight(now, id) else { return Err(Dry::Wait) };
        let (members, me) = members_of(&sight, &self.config.id);
        let (Some(study), Some(runtime)) = (self.world.study(id), self.studies.get_mut(id)) else {
            return Err(Dry::Wait);
        };
        let budget_left = budget_left(study);
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
        Ok(Draft { suggestion, sight, seed, slot, draw, saw: study.trials().len() as u64 })
    }

    /// Records a draft, just drawn, as a trial.
    pub(super) fn propose(&mut self, now: Now, id: &StudyId, draft: Draft) -> Place {
        let Draft { suggestion, sight, seed, slot, draw, saw } = draft;
        if let Some(runtime) = self.studies.get_mut(id) {
            runtime.draw = draw + 1;
            runtime.began.get_or_insert(now.mono_ms);
        }
        let seen = self.note_draw(id, &sight);
        let (name, fit) = (suggestion.sampler.into(), suggestion.fit.into());
        let by = Proposer::Sampler { name, seed, slot, draw, saw, seen, fit };
        self.propose_spec(now, id, suggestion.params, by, IndexMap::new(), None)
    }

    /// What a draw depends on now, beside the trials. Nodes that agree on who proposes never propose the same configuration
    /// of a small space.
    fn sight(&self, now: Now, id: &StudyId) -> Option<Sight> {
        let study = self.world.study(id)?;
        let mut able = self.able(now, id, study.record.def.run.as_ref());
        // Who has no slot for this study for so long won't propose what is its own.
        let runtime = self.studies.get(id);
        let dry = runtime.and_then(|runtime| runtime.dry_since);
        // At its first draws a node can't know whose clients begin at the same moment: it counts all, unless that leaves it
        // nothing.
        let began = runtime.and_then(|runtime| runtime.began).unwrap_or(now.mono_ms);
        if study.record.def.run.is_none() && dry.is_none() && began + UNHEARD_MS > now.mono_ms {
            let others = self.alive(now).filter(|node| !node.draining && !able.iter().any(|(id, _)| *id == node.id));
            let others: Vec<_> = others.map(|node| (node.id.clone(), ASKED_AT_ONCE)).collect();
            able.extend(others);
        }
        if dry.is_some_and(|since| since + DRY_MS <= now.mono_ms) {
            able.retain(|(node, _)| *node == self.config.id || !self.is_full(node) || self.runs(node, id));
        }
        if breaks(Mutation::SkipOwnership) {
            able.retain(|(node, _)| *node == self.config.id);
        }
        if !able.iter().any(|(node, _)| *node == self.config.id) {
            able.push((self.config.id.clone(), 1.0));
        }
        let members = match able.len() {
            1 => Vec::new(),
            _ => able.into_iter().map(|(node, weight)| (node, weight as f32)).collect(),
        };
        let space = study.space_edits().map(|(lamport, by)| (lamport, by.clone())).collect();
        Some(Sight { members, max_trials: study.budget.max_trials, space })
    }
}

/// Trials that the budget still allows; none: no end.
pub(super) fn budget_left(study: &StudyView) -> Option<u64> {
    left_of(study.budget.max_trials, study.trials().len() as u64 - study.imported())
}

/// Trials that a budget still allows after `used`.
pub(super) fn left_of(max_trials: Option<u64>, used: u64) -> Option<u64> {
    max_trials.map(|max| max.saturating_sub(used))
}

/// The stream a node draws from: the creator's is 0, so that a study on one machine is reproduced by its seed alone.
fn slot_of(study: &StudyView, node: &NodeId) -> u64 {
    if study.record.node == *node { 0 } else { hash64(node.as_str()).max(1) }
}

/// A position that never moves when others are learnt of: milliseconds, then the counter within them.
fn order(stamp: &Stamp) -> u64 {
    (stamp.ms << 20) | u64::from(stamp.n).min((1 << 20) - 1)
}

/// What models see of a trial.
pub(super) fn record(study: &StudyView, trial: &TrialView) -> Record {
    let def = &study.record.def;
    let end = trial.end();
    let state = match trial.state {
        TrialState::Paused if !trial.pause_wanted() => RecordState::Paused,
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
    let constraints = if state == RecordState::Complete { study.constraints(trial) } else { Vec::new() };
    let done = if state == RecordState::Pending { 0 } else { end.map_or(0, |end| order(&end.at)) };
    let (curve, last_step) = def.objectives.first().map_or_else(
        || (Vec::new(), trial.last_step()),
        |objective| curve(trial, objective, end.filter(|_| matches!(state, RecordState::Pruned | RecordState::Paused))),
    );
    // What its end says stands in the same document; its points don't.
    let last_step = end.filter(|_| state == RecordState::Complete).map_or(last_step, |end| end.last_step);
    let fit = if let Proposer::Sampler { fit, .. } = &trial.spec.by { fit.values().to_vec() } else { Vec::new() };
    Record {
        order: order(&trial.spec.at),
        key: hash64(trial.place.id.as_str()),
        state,
        costs,
        violation: study.violation(trial),
        constraints,
        done,
        last_step,
        curve,
        step_s: trial.shown().and_then(step_of).unwrap_or(0.0),
        fit,
    }
}

/// How many points each attempt has.
fn lengths(trial: &TrialView) -> Vec<u64> {
    trial.attempts.iter().map(|attempt| attempt.curve.len()).collect()
}

/// A trial's curve as costs, and its last step.
fn curve(trial: &TrialView, objective: &Objective, stopped: Option<&End>) -> (Vec<(u64, f64)>, u64) {
    let points = series(trial, &objective.metric).into_iter();
    let points = points.map(|(step, value)| (step, objective.direction.cost(value))).collect();
    match stopped {
        Some(end) => stop(points, objective, end),
        None => (points, trial.last_step()),
    }
}

/// Of a trial that was stopped, curve and last step end where its end says, whether the points have come or not: samplers go by
/// them, and curves stand in documents of their own.
fn stop(mut points: Vec<(u64, f64)>, objective: &Objective, end: &End) -> (Vec<(u64, f64)>, u64) {
    points.retain(|(step, _)| *step <= end.last_step);
    if let Some(value) = end.values.get(&objective.metric) {
        points.retain(|(step, _)| *step < end.last_step);
        points.push((end.last_step, objective.direction.cost(*value)));
    }
    // Its end knows of numbers alone.
    while points.last().is_some_and(|(_, cost)| cost.is_nan()) {
        points.pop();
    }
    (points, end.last_step)
}

/// One metric of a trial by step, later attempts over earlier ones and the counted one over all; of resting points the
/// last.
fn series(trial: &TrialView, metric: &str) -> Vec<(u64, f64)> {
    let of = |attempt: &AttemptView| -> Vec<(u64, f64)> {
        match attempt.curve.is_warm() {
            true => attempt.curve.series(metric).map(|(step, _, value)| (step, value)).collect(),
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
