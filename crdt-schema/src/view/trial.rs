//! One trial as its facts make it. The law: every derived field is a pure function of the *set* of facts.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use crate::{
    AttemptNo, Lamport, NodeId,
    facts::{MetricChunk, TrialFact},
    stamp::WallMs,
    study::RunSpec,
    trial::{Claim, End, MAX_MACHINE_RETRIES, Outcome, Place, Point, Reason, TrialEdit, TrialSpec, TrialState, Values},
};

/// One execution of a trial by one holder.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptView {
    /// From 1 up.
    pub attempt: AttemptNo,
    /// The holder.
    pub node: NodeId,
    /// The lease; none yet when a result or a curve arrived first.
    pub claim: Option<Claim>,
    /// What the holder (or who gave it up) recorded as its end.
    pub end: Option<End>,
    /// What the script itself told, if that came before or after `end`.
    pub told: Option<End>,
    /// The curve, by step.
    pub curve: Vec<Point>,
}

impl AttemptView {
    /// The end that counts: a told result stands where the attempt was given up by no fault of its own.
    pub fn effective_end(&self) -> Option<&End> {
        match (&self.end, &self.told) {
            (Some(end), Some(told)) if end.reason.is_machines_fault() || end.reason == Reason::Superseded => Some(told),
            (end, _) => end.as_ref(),
        }
    }

    /// Held and not over.
    pub fn is_running(&self) -> bool {
        self.claim.is_some() && self.end.is_none()
    }

    /// The last reported step; 0: none.
    pub fn last_step(&self) -> u64 {
        self.curve.last().map_or(0, |p| p.step).max(self.end.as_ref().map_or(0, |e| e.last_step))
    }

    /// The point at `step`, if reported.
    pub fn point(&self, step: u64) -> Option<&Point> {
        self.curve.binary_search_by_key(&step, |p| p.step).ok().map(|i| &self.curve[i])
    }

    fn insert(&mut self, point: &Point) {
        // One holder writes each (attempt, step) once; the first in step order wins should a document say otherwise.
        if let Err(i) = self.curve.binary_search_by_key(&point.step, |p| p.step) {
            self.curve.insert(i, point.clone());
        }
    }
}

/// How failures of the script are retried; part of the study's definition.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts that count.
    pub max_attempts: u32,
    /// Failures of the script are tried again.
    pub retry_failed: bool,
}

impl RetryPolicy {
    /// That of a study's `run`; ask-and-tell studies never retry a told failure.
    pub fn of(run: Option<&RunSpec>) -> Self {
        run.map_or(Self { max_attempts: 1, retry_failed: false }, |r| Self {
            max_attempts: r.max_attempts,
            retry_failed: r.retry_failed,
        })
    }
}

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialView {
    /// Where it is written.
    pub place: Place,
    /// What it is.
    pub spec: TrialSpec,
    /// Position in the study's canonical order.
    pub number: u64,
    /// By (attempt, holder).
    pub attempts: Vec<AttemptView>,
    /// Derived.
    pub state: TrialState,
    /// Index into `attempts` of the counted result.
    pub counted: Option<usize>,
    /// Free text.
    pub note: String,
    /// Free attributes, edits applied.
    pub user_attrs: IndexMap<String, Value>,
    edits: BTreeMap<(Lamport, NodeId, String), TrialEdit>,
}

impl TrialView {
    /// A trial just proposed.
    pub fn new(place: Place, spec: TrialSpec) -> Self {
        let user_attrs = spec.user_attrs.clone();
        Self {
            place,
            spec,
            number: 0,
            attempts: Vec::new(),
            state: TrialState::Waiting,
            counted: None,
            note: String::new(),
            user_attrs,
            edits: BTreeMap::new(),
        }
    }

    /// What people type.
    pub fn label(&self) -> String {
        format!("{}-{}", self.spec.node_name, self.spec.counter)
    }

    /// The attempt with this number and holder.
    pub fn attempt(&self, attempt: AttemptNo, node: &NodeId) -> Option<&AttemptView> {
        self.attempts.iter().find(|a| a.attempt == attempt && a.node == *node)
    }

    /// The running attempt that leads: the one with more steps, ties by the lower number.
    pub fn running(&self) -> Option<&AttemptView> {
        self.attempts
            .iter()
            .filter(|a| a.is_running())
            .min_by_key(|a| (std::cmp::Reverse(a.last_step()), a.attempt, a.node.clone()))
    }

    /// The latest attempt.
    pub fn latest(&self) -> Option<&AttemptView> {
        self.attempts.last()
    }

    /// The attempt people should see: counted, else running, else latest.
    pub fn shown(&self) -> Option<&AttemptView> {
        self.counted.map(|i| &self.attempts[i]).or_else(|| self.running()).or_else(|| self.latest())
    }

    /// The number of the next attempt; numbers never go back.
    pub fn next_attempt(&self) -> AttemptNo {
        self.attempts.last().map_or(1, |a| a.attempt + 1)
    }

    /// Final values of the counted attempt; for a pruned or paused trial those last reported.
    pub fn values(&self) -> Values {
        if let Some(i) = self.counted {
            return self.attempts[i].effective_end().map(|e| e.values.clone()).unwrap_or_default();
        }
        if !matches!(self.state, TrialState::Pruned | TrialState::Paused) {
            return Values::new();
        }
        let mut values = Values::new();
        for point in self.shown().into_iter().flat_map(|a| &a.curve) {
            values.extend(point.values.iter().filter_map(|(k, v)| Some((k.clone(), (*v)?))));
        }
        values
    }

    /// Why its shown attempt ended; none while it is open.
    pub fn end(&self) -> Option<&End> {
        if matches!(self.state, TrialState::Running) {
            return None;
        }
        self.shown().and_then(AttemptView::effective_end)
    }

    /// The last step of the shown attempt, or of the one before while a new one has none.
    pub fn last_step(&self) -> u64 {
        self.shown().map_or(0, |a| a.last_step().max(a.claim.as_ref().map_or(0, |c| c.resume_step)))
    }

    /// The step from which the next attempt may resume: that of the latest committed checkpoint.
    pub fn checkpoint_step(&self) -> u64 {
        self.attempts
            .iter()
            .rev()
            .find_map(|a| a.end.as_ref().filter(|e| e.checkpoint_step > 0))
            .map_or(0, |e| e.checkpoint_step)
    }

    /// When the first attempt was claimed.
    pub fn started_at(&self) -> Option<WallMs> {
        self.attempts.iter().filter_map(|a| a.claim.as_ref()).map(|c| c.at.ms).min()
    }

    /// When it reached a terminal state.
    pub fn finished_at(&self) -> Option<WallMs> {
        if !self.state.is_terminal() {
            return None;
        }
        self.end().map(|e| e.at.ms)
    }

    /// All known points of its curve, later attempts over earlier ones, by step.
    pub fn curve(&self) -> Vec<&Point> {
        let mut steps: BTreeMap<u64, &Point> = BTreeMap::new();
        for attempt in &self.attempts {
            steps.extend(attempt.curve.iter().map(|p| (p.step, p)));
        }
        if let Some(i) = self.counted {
            steps.extend(self.attempts[i].curve.iter().map(|p| (p.step, p)));
        }
        steps.into_values().collect()
    }

    /// Last edit that pauses or resumes it.
    fn freeze_edit(&self) -> Option<&TrialEdit> {
        self.edits.values().rev().find(|e| matches!(e, TrialEdit::Pause { .. } | TrialEdit::Resume { .. }))
    }

    /// A person asked to end it, after the last retry.
    pub fn cancel_wanted(&self) -> bool {
        self.edits.values().rev().find(|e| matches!(e, TrialEdit::Cancel | TrialEdit::Retry { .. }))
            == Some(&TrialEdit::Cancel)
    }

    /// A person asked to freeze it, and nobody thawed it since.
    pub fn pause_wanted(&self) -> bool {
        matches!(self.freeze_edit(), Some(TrialEdit::Pause { .. }))
    }

    pub(super) fn fold(&mut self, fact: &TrialFact, policy: RetryPolicy) {
        match fact {
            TrialFact::Proposed(_) => {}
            TrialFact::Claimed { attempt, node, claim } => self.at(*attempt, node).claim = Some(claim.clone()),
            TrialFact::Ended { attempt, node, end } => self.at(*attempt, node).end = Some(end.clone()),
            TrialFact::Told { attempt, node, end } => self.at(*attempt, node).told = Some(end.clone()),
            TrialFact::Edited { lamport, by, edit } => self.edit(*lamport, by, edit),
        }
        self.derive(policy);
    }

    pub(super) fn fold_metric(&mut self, chunk: &MetricChunk, policy: RetryPolicy) {
        let known = self.attempts.len();
        let attempt = self.at(chunk.attempt, &chunk.node);
        for point in &chunk.points {
            attempt.insert(point);
        }
        if self.attempts.len() != known {
            self.derive(policy);
        }
    }

    fn at(&mut self, attempt: AttemptNo, node: &NodeId) -> &mut AttemptView {
        let i = match self.attempts.binary_search_by(|a| (a.attempt, &a.node).cmp(&(attempt, node))) {
            Ok(i) => i,
            Err(i) => {
                let new =
                    AttemptView { attempt, node: node.clone(), claim: None, end: None, told: None, curve: Vec::new() };
                self.attempts.insert(i, new);
                self.counted = None; // indices moved; derive() sets it again
                i
            }
        };
        &mut self.attempts[i]
    }

    fn edit(&mut self, lamport: Lamport, by: &NodeId, edit: &TrialEdit) {
        self.edits.insert((lamport, by.clone(), format!("{edit:?}")), edit.clone());
        self.note = self
            .edits
            .values()
            .rev()
            .find_map(|e| if let TrialEdit::Note(n) = e { Some(n.clone()) } else { None })
            .unwrap_or_default();
        self.user_attrs = self.spec.user_attrs.clone();
        for edit in self.edits.values() {
            if let TrialEdit::UserAttr(key, value) = edit {
                if value.is_null() {
                    self.user_attrs.shift_remove(key);
                } else {
                    self.user_attrs.insert(key.clone(), value.clone());
                }
            }
        }
    }

    fn derive(&mut self, policy: RetryPolicy) {
        // The counted attempt: complete, lowest (attempt, node, claim).
        self.counted =
            self.attempts.iter().position(|a| a.effective_end().is_some_and(|e| e.outcome == Outcome::Complete));
        self.state = if self.counted.is_some() {
            TrialState::Complete
        } else if self.attempts.iter().any(AttemptView::is_running) {
            TrialState::Running
        } else if self.cancel_wanted() {
            TrialState::Cancelled
        } else {
            self.resting(policy)
        };
    }

    /// The state of a trial that nobody holds and that has no result.
    fn resting(&self, policy: RetryPolicy) -> TrialState {
        let retried = self
            .edits
            .values()
            .filter_map(|e| if let TrialEdit::Retry { after } = e { Some(*after) } else { None })
            .max();
        let ends: Vec<(AttemptNo, &End)> = self
            .attempts
            .iter()
            .filter(|a| a.attempt > retried.unwrap_or(0))
            .filter_map(|a| Some((a.attempt, a.effective_end()?)))
            .filter(|(_, e)| e.reason != Reason::Superseded)
            .collect();
        let frozen = |attempt: AttemptNo| match self.freeze_edit() {
            Some(TrialEdit::Pause { after }) => *after >= attempt,
            _ => false,
        };
        let Some((attempt, end)) = ends.last().copied() else {
            return if frozen(retried.unwrap_or(0)) { TrialState::Paused } else { TrialState::Waiting };
        };
        let waiting = if frozen(attempt) { TrialState::Paused } else { TrialState::Waiting };
        match end.outcome {
            Outcome::Complete => TrialState::Complete,
            Outcome::Pruned => TrialState::Pruned,
            Outcome::Infeasible => TrialState::Infeasible,
            Outcome::Cancelled => TrialState::Cancelled,
            Outcome::Paused => match self.freeze_edit() {
                Some(TrialEdit::Resume { after }) if *after >= attempt => TrialState::Waiting,
                _ => TrialState::Paused,
            },
            Outcome::Fail => {
                let machine = ends.iter().filter(|(_, e)| e.reason.is_machines_fault()).count();
                let own = ends.len() - machine;
                let again = if end.reason.is_machines_fault() {
                    machine <= MAX_MACHINE_RETRIES
                } else {
                    policy.retry_failed && own < policy.max_attempts as usize
                };
                if again { waiting } else { TrialState::Fail }
            }
        }
    }
}
