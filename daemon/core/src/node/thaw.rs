//! Frozen trials: what it takes to go on with one here, and whether a free slot is for one of them or for a new trial.
//!
//! Owns: what the study's rule is asked when a slot is free, and whether a study that may begin nothing more is over. Must not:
//! claim: that is done as with trials that wait, by turns.

use std::collections::{BTreeMap, BTreeSet};

use metaopt_engine::{Free, Next, hash64};
use metaopt_schema::{
    NodeId, StudyId, TrialId,
    study::LostCheckpoint,
    trial::{End, Outcome},
    view::{StudyView, TrialView},
};

use super::{
    Node, Runtime,
    ask::Taken,
    contend::TURNS,
    foresee::step_of,
    propose::{Draft, Dry, budget_left},
};
use crate::{Now, commands::IdleReason};

/// A rule that found nothing worth a slot is asked again after this long, or when something has changed (milliseconds).
const ASK_AGAIN_MS: u64 = 1_000;
/// Ended attempts looked at for how long a start takes.
const LOOKED_AT: usize = 20;
/// What it takes to fetch a checkpoint from another node, in steps, where nothing better is known.
const FETCH: f64 = 1.0;

/// What a runtime keeps of a study's frozen trials.
#[derive(Debug, Default)]
pub(super) struct Frost {
    /// Some attempt ended and left a checkpoint.
    saved: bool,
    /// Some attempt was frozen and left none.
    bare: bool,
    /// When the rule last found nothing worth a slot; none: something has changed since.
    idle_since: Option<u64>,
    /// Whether no frozen trial is worth going on with when nothing new may begin; none: not asked since something changed.
    over: Option<bool>,
    /// What a start takes beyond its first step, in steps; none: not known yet.
    start: Option<f64>,
    /// Whether that is as of now.
    start_known: bool,
}

impl Frost {
    /// A trial has changed.
    pub(super) fn notice(&mut self, trial: &TrialView) {
        (self.idle_since, self.over, self.start_known) = (None, None, false);
        for end in trial.attempts.iter().filter_map(|attempt| attempt.end.as_ref()) {
            self.saved |= end.checkpoint_step > 0;
            // (Before its first step there is nothing to save.)
            self.bare |= end.outcome == Outcome::Paused && end.checkpoint_step == 0 && end.last_step > 0;
        }
    }

    /// Whether scripts of this study can be frozen, as far as is known.
    pub(super) fn freezes(&self, study: &StudyView) -> bool {
        // What runs to a rung in one go is not kept from anything: going on is another run.
        self.saved || !self.bare || study.space.fidelity().is_some()
    }
}

/// What a free slot is for.
pub(super) enum Choice {
    /// A frozen trial.
    Thaw(Taken),
    /// A new one.
    Begin(Draft),
}

impl Node {
    /// What a free slot is for: a frozen trial, if the study's rule wants one, or a new one, if it may begin. Err: neither, for now.
    pub(super) fn thaw_or_begin(
        &mut self,
        now: Now,
        id: &StudyId,
        may_begin: Result<(), IdleReason>,
    ) -> Result<Choice, IdleReason> {
        let frozen = self.world.study(id).is_some_and(|study| study.frozen().next().is_some());
        let pauses = self.studies.get(id).is_some_and(|runtime| runtime.rule.pauses());
        if !frozen || !pauses {
            may_begin?;
            return self.draft(now, id).map(Choice::Begin).map_err(|dry| self.why_dry(id, dry));
        }
        self.sync_history(id);
        let idle = self.studies.get(id).and_then(|runtime| runtime.frost.idle_since);
        if idle.is_some_and(|since| since + ASK_AGAIN_MS > now.mono_ms) {
            return Err(self.why_idle_with_frozen(id, may_begin.err()));
        }
        let draft = match may_begin {
            Ok(()) => self.draft(now, id).map_err(|dry| self.why_dry(id, dry)),
            Err(why) => Err(why),
        };
        let start = self.start_in_steps(id);
        let here = self.frozen_here(now, id, start);
        let Some(runtime) = self.studies.get_mut(id) else { return Err(IdleReason::Wait) };
        let restore = |key: u64| here.get(&key).map(|(_, steps)| *steps);
        let new = draft.as_ref().ok().map(Draft::params);
        let next = runtime.rule.next(&runtime.history, &Free { new, restore: &restore, start });
        match (next, draft) {
            (Next::New, Ok(draft)) => Ok(Choice::Begin(draft)),
            (Next::Thaw(key), _) if let Some((taken, _)) = here.get(&key) => Ok(Choice::Thaw(taken.clone())),
            (_, draft) => {
                runtime.frost.idle_since = Some(now.mono_ms);
                Err(self.why_idle_with_frozen(id, draft.err()))
            }
        }
    }

    /// Why there is nothing now: what runs may still make the rule want a frozen trial.
    fn why_idle_with_frozen(&self, id: &StudyId, why: Option<IdleReason>) -> IdleReason {
        let open = self.world.study(id).is_some_and(|study| study.open() > 0);
        why.filter(|_| !open).unwrap_or(IdleReason::Wait)
    }

    fn why_dry(&mut self, id: &StudyId, dry: Dry) -> IdleReason {
        match dry {
            Dry::Exhausted => self.dried_up(id),
            Dry::Wait => IdleReason::Wait,
        }
    }

    /// Frozen trials whose turn it is here, by key, and the steps' worth of time that it takes to go on with each.
    fn frozen_here(&mut self, now: Now, id: &StudyId, start: f64) -> BTreeMap<u64, (Taken, f64)> {
        let mut here = BTreeMap::new();
        let Some(study) = self.world.study(id) else { return here };
        let run = study.record.def.run.as_ref();
        let able = self.able(now, id, run);
        for trial in study.frozen() {
            let since = *self.turns.waiting.entry(trial.place.id.clone()).or_insert(now.mono_ms);
            let rank = if able.len() < 2 { Some(0) } else { self.rank(&able, trial, run.is_none()) };
            let due = |rank: &u64| since + (*rank).min(TURNS) * self.config.timing.turn_ms <= now.mono_ms;
            let Some(rank) = rank.filter(due) else { continue };
            if run.is_some() && self.misses_checkpoint(now, study, trial) {
                continue;
            }
            let settle = run.is_some() && able.len() > 1;
            let taken = Taken { place: trial.place.clone(), rank: rank as u32, settle };
            here.insert(hash64(trial.place.id.as_str()), (taken, start + self.lost_steps(now, study, trial)));
        }
        here
    }

    /// What a start takes beyond its first step, in steps; looked at anew once a trial has changed. 0 where nobody asks: the rule
    /// freezes nothing, or clients start what they run.
    pub(super) fn start_in_steps(&mut self, id: &StudyId) -> f64 {
        let runs = self.world.study(id).is_some_and(|study| study.record.def.run.is_some());
        if !runs || !self.studies.get(id).is_some_and(|runtime| runtime.rule.pauses()) {
            return 0.0;
        }
        let known = |runtime: &Runtime| runtime.frost.start.filter(|_| runtime.frost.start_known);
        if let Some(start) = self.studies.get(id).and_then(known) {
            return start;
        }
        let seen = self.world.study(id).and_then(start_in_steps);
        let Some(runtime) = self.studies.get_mut(id) else { return 0.0 };
        // Points of what has ended rest soon, so that it is looked for at each report until it is known.
        runtime.frost.start = seen.or(runtime.frost.start);
        runtime.frost.start_known = runtime.frost.start.is_some();
        runtime.frost.start.unwrap_or(0.0)
    }

    /// Steps that must be done again, and what it takes to fetch the checkpoint.
    fn lost_steps(&self, now: Now, study: &StudyView, trial: &TrialView) -> f64 {
        if study.record.def.run.is_none() {
            return 0.0; // clients keep what they need themselves
        }
        match trial.checkpoint() {
            Some((node, end)) if self.reaches(now, node) => {
                let fetch = if *node == self.config.id { 0.0 } else { FETCH };
                fetch + trial.last_step().saturating_sub(end.checkpoint_step) as f64
            }
            _ => trial.last_step() as f64,
        }
    }

    /// Whether what a node has can be had: it is this one, or alive.
    fn reaches(&self, now: Now, node: &NodeId) -> bool {
        *node == self.config.id || self.alive(now).any(|alive| alive.id == *node)
    }

    /// Whether a trial must wait for a node that has its checkpoint.
    pub(super) fn misses_checkpoint(&self, now: Now, study: &StudyView, trial: &TrialView) -> bool {
        let waits = study.record.def.run.as_ref().is_some_and(|run| run.lost_checkpoint == LostCheckpoint::Wait);
        waits && trial.checkpoint().is_some_and(|(node, _)| !self.reaches(now, node))
    }

    /// For whom a study waits, in words, where nothing can start but what must wait for a checkpoint.
    pub(super) fn awaits_checkpoints(&self, study: &StudyView, now: Now) -> Option<String> {
        let runtime = self.studies.get(&study.id)?;
        if has_new(study, runtime) || study.waiting().any(|trial| !self.misses_checkpoint(now, study, trial)) {
            return None;
        }
        let frozen = study.frozen().filter(|_| runtime.rule.pauses());
        let missed: Vec<&TrialView> =
            study.waiting().chain(frozen).filter(|trial| self.misses_checkpoint(now, study, trial)).collect();
        let nodes: BTreeSet<&str> =
            missed.iter().filter_map(|trial| trial.checkpoint()).map(|(node, _)| self.name_of(node)).collect();
        let nodes: Vec<&str> = nodes.into_iter().collect();
        (!missed.is_empty())
            .then(|| format!("waits for checkpoints ({}) on nodes that are away: {}", missed.len(), nodes.join(", ")))
    }

    /// What is to be known of an end by a rule that would rather freeze.
    pub(super) fn about_freezing(&self, id: &StudyId, trial: &TrialId, end: &End) -> Option<String> {
        let (study, runtime) = self.world.study(id).zip(self.studies.get(id))?;
        let before = study.trial(trial).map_or(0, TrialView::checkpoint_step);
        match end.outcome {
            Outcome::Paused if end.checkpoint_step == 0 && before == 0 => {
                Some("it left no checkpoint: to go on it starts from scratch".into())
            }
            Outcome::Paused if end.checkpoint_step == 0 => {
                Some(format!("it left no new checkpoint: it goes on from step {before}"))
            }
            Outcome::Pruned if runtime.rule.pauses() && !runtime.frost.freezes(study) => {
                Some("pruned rather than frozen: the script leaves no checkpoint".into())
            }
            _ => None,
        }
    }

    /// Once nothing new may begin and nothing is open, a study is over when its rule wants none of the frozen trials.
    pub(super) fn weigh_frozen(&mut self, id: &StudyId) {
        let Some(study) = self.world.study(id) else { return };
        let ends = self.studies.get(id).is_some_and(|runtime| !has_new(study, runtime));
        if !ends || study.open() > 0 || study.frozen().next().is_none() {
            return;
        }
        self.sync_history(id);
        let Some(study) = self.world.study(id) else { return };
        let frozen: BTreeSet<u64> = study.frozen().map(|trial| hash64(trial.place.id.as_str())).collect();
        let Some(runtime) = self.studies.get_mut(id) else { return };
        if runtime.frost.over.is_none() {
            let free = Free { new: None, restore: &|key| frozen.contains(&key).then_some(0.0), start: 0.0 };
            let over = !runtime.rule.pauses() || runtime.rule.next(&runtime.history, &free) == Next::Wait;
            runtime.frost.over = Some(over);
        }
    }

    /// Whether frozen trials keep a study from being over.
    pub(super) fn awaits_thaw(&self, study: &StudyView) -> bool {
        let open = |runtime: &Runtime| runtime.rule.pauses() && runtime.frost.over != Some(true);
        study.frozen().next().is_some() && self.studies.get(&study.id).is_some_and(open)
    }
}

/// Whether a study may begin new trials, as far as its budget and its space go.
pub(super) fn has_new(study: &StudyView, runtime: &Runtime) -> bool {
    budget_left(study) != Some(0) && !runtime.exhausted
}

/// How many steps' worth of time a start takes beyond its first step (imports, data, a checkpoint read), by recent attempts whose
/// points are in memory.
fn start_in_steps(study: &StudyView) -> Option<f64> {
    let attempts = study.trials().iter().rev().flat_map(|trial| trial.attempts.iter().rev()).take(10 * LOOKED_AT);
    let mut seen: Vec<f64> = attempts
        .filter_map(|attempt| {
            let claimed = attempt.claim.as_ref().filter(|claim| !claim.asked)?.at.ms;
            let step = step_of(attempt).filter(|step| *step > 0.0)?;
            let began = attempt.curve.points().next()?.at.saturating_sub(claimed) as f64 / 1000.0;
            Some((began / step - 1.0).max(0.0))
        })
        .take(LOOKED_AT)
        .collect();
    seen.sort_by(f64::total_cmp);
    seen.get(seen.len() / 2).copied()
}
