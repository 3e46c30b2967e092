//! One trial as its facts make it. The law: every derived field is a pure function of the *set* of facts.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    pool::{Pool, Row},
    trace::Trace,
};
use crate::{
    AttemptNo, Lamport, NodeId, Stamp, TrialId,
    facts::{MetricChunk, TrialFact},
    mutations::{Mutation, breaks},
    stamp::WallMs,
    study::RunSpec,
    trial::{
        Claim, End, MAX_MACHINE_RETRIES, Outcome, Place, Point, Proposer, Reason, TrialEdit, TrialSpec, TrialState,
        Values,
    },
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
    pub told: Option<Box<End>>,
    /// The curve.
    pub curve: Trace,
    fate: Option<Box<Fate>>,
}

/// What others said of an attempt's holder, and it of itself; few attempts have it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fate {
    /// Of the latest giving up: how often the holder had spoken before, who gave up, and how it ended.
    given_up: Option<(u32, NodeId, End)>,
    /// How often the holder said that it lives.
    kept: u32,
}

impl AttemptView {
    /// The end that counts: a told result stands where the attempt was given up by no fault of its own, and where a client
    /// told another node than the one that lent it the trial.
    pub fn effective_end(&self) -> Option<&End> {
        match (&self.end, &self.told) {
            (Some(end), Some(told)) if end.reason.is_machines_fault() || end.reason == Reason::Superseded => Some(told),
            (None, Some(told)) if self.is_asked() || self.given_up().is_some() => Some(told),
            (None, _) => self.given_up(),
            // A node that found out on its return adds nothing to what the others saw.
            (Some(end), None) if end.reason == Reason::LostNode => self.given_up().or(Some(end)),
            (end, _) => end.as_ref(),
        }
    }

    /// Held and not over.
    pub fn is_running(&self) -> bool {
        self.claim.is_some() && self.effective_end().is_none()
    }

    /// Its holder has not said that it is over, whatever others say.
    pub fn is_open(&self) -> bool {
        self.claim.is_some() && self.end.is_none()
    }

    /// A client holds it, not a process of the node.
    pub fn is_asked(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.asked)
    }

    /// How it ended for the others when they took its holder for dead, unless the holder has said since that it lives.
    pub fn given_up(&self) -> Option<&End> {
        let fate = self.fate.as_deref()?;
        fate.given_up
            .as_ref()
            .filter(|(kept, ..)| *kept >= fate.kept || breaks(Mutation::IgnoreKept))
            .map(|(_, _, end)| end)
    }

    /// How often the holder said that it lives after all.
    pub fn kept(&self) -> u32 {
        self.fate.as_ref().map_or(0, |fate| fate.kept)
    }

    /// What was reported last.
    pub fn last_values(&self) -> Values {
        self.curve.last().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The last reported step; 0: none.
    pub fn last_step(&self) -> u64 {
        self.curve.last_step().max(self.end.as_ref().map_or(0, |e| e.last_step))
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
    pub spec: SpecView,
    /// By (attempt, holder).
    pub attempts: Vec<AttemptView>,
    /// Derived.
    pub state: TrialState,
    /// Index into `attempts` of the counted result.
    pub counted: Option<usize>,
    imported_as: Option<Arc<str>>,
    rare: Option<Box<Rare>>,
}

/// A [`TrialSpec`] in less memory.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecView {
    /// The proposing node's name when it proposed.
    pub node_name: Arc<str>,
    /// The proposing node's counter over all studies.
    pub counter: u64,
    /// When it was proposed.
    pub at: Stamp,
    /// The configuration.
    pub params: Row,
    /// Who chose it.
    pub by: Proposer,
}

/// What few trials have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rare {
    given_attrs: IndexMap<String, Value>,
    note: String,
    user_attrs: IndexMap<String, Value>,
    edits: BTreeMap<(Lamport, NodeId, String), TrialEdit>,
}

/// That of trials that have none of it.
static NOTHING_RARE: LazyLock<Rare> = LazyLock::new(Rare::default);

impl TrialView {
    /// A trial just proposed.
    pub(super) fn new(place: &Place, spec: &TrialSpec, pool: &mut Pool) -> Self {
        let rare = (!spec.user_attrs.is_empty()).then(|| {
            Box::new(Rare {
                given_attrs: spec.user_attrs.clone(),
                user_attrs: spec.user_attrs.clone(),
                ..Rare::default()
            })
        });
        let by = match &spec.by {
            Proposer::Sampler { name, seed, slot, draw, saw, seen, fit } => Proposer::Sampler {
                name: pool.text(name),
                seed: *seed,
                slot: *slot,
                draw: *draw,
                saw: *saw,
                seen: seen.clone(),
                fit: fit.clone(),
            },
            other => other.clone(),
        };
        Self {
            place: Place { id: place.id.clone(), node: pool.node(&place.node), seq: place.seq },
            spec: SpecView {
                node_name: pool.text(&spec.node_name),
                counter: spec.counter,
                at: pool.stamp(&spec.at),
                params: pool.row(&spec.params),
                by,
            },
            attempts: Vec::new(),
            state: TrialState::Waiting,
            counted: None,
            imported_as: spec.imported_as.as_deref().map(Into::into),
            rare,
        }
    }

    fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    /// What people type.
    pub fn label(&self) -> String {
        format!("{}-{}", self.spec.node_name, self.spec.counter)
    }

    /// Its place in the canonical order.
    pub fn key(&self) -> (&Stamp, &TrialId) {
        (&self.spec.at, &self.place.id)
    }

    /// The identity with which it was imported.
    pub fn imported_as(&self) -> Option<&str> {
        self.imported_as.as_deref()
    }

    pub(super) fn shared_identity(&self) -> Option<&Arc<str>> {
        self.imported_as.as_ref()
    }

    /// Free text.
    pub fn note(&self) -> &str {
        &self.rare().note
    }

    /// Free attributes, edits applied.
    pub fn user_attrs(&self) -> &IndexMap<String, Value> {
        &self.rare().user_attrs
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
        let next = if breaks(Mutation::ReuseNumbers) { 0 } else { 1 };
        self.attempts.last().map_or(1, |a| a.attempt.saturating_add(next))
    }

    /// Final values of the counted attempt; for a pruned or paused trial those last reported.
    pub fn values(&self) -> Values {
        if let Some(i) = self.counted {
            return self.attempts[i].effective_end().map(|e| e.values.clone()).unwrap_or_default();
        }
        if !matches!(self.state, TrialState::Pruned | TrialState::Paused) {
            return Values::new();
        }
        self.shown().map(AttemptView::last_values).unwrap_or_default()
    }

    /// Why it is no longer open: how the counted attempt ended, else the latest that ended.
    pub fn end(&self) -> Option<&End> {
        if matches!(self.state, TrialState::Running) {
            return None;
        }
        if let Some(i) = self.counted {
            return self.attempts[i].effective_end();
        }
        // Of a later attempt its points may have come, and not yet its claim.
        let mut ends = self.attempts.iter().rev().filter_map(AttemptView::effective_end);
        let latest = ends.next()?;
        if latest.reason != Reason::Superseded {
            return Some(latest);
        }
        ends.find(|end| end.reason != Reason::Superseded).or(Some(latest))
    }

    /// The last step of the shown attempt, or of the one before while a new one has none.
    pub fn last_step(&self) -> u64 {
        self.shown().map_or(0, |a| a.last_step().max(a.claim.as_ref().map_or(0, |c| c.resume_step)))
    }

    /// The step from which the next attempt may resume: that of the latest committed checkpoint.
    pub fn checkpoint_step(&self) -> u64 {
        self.checkpoint().map_or(0, |(_, end)| end.checkpoint_step)
    }

    /// The node that has the latest committed checkpoint, and the end of the attempt that left it.
    pub fn checkpoint(&self) -> Option<(&NodeId, &End)> {
        let left = |a: &AttemptView| a.end.as_ref().is_some_and(|end| end.checkpoint_step > 0);
        let attempt = self.attempts.iter().rev().find(|a| left(a))?;
        Some((&attempt.node, attempt.end.as_ref()?))
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

    /// All known points of its curve, later attempts over earlier ones, by step; those of resting curves are not known
    /// here (see [`TrialView::is_warm`]).
    pub fn curve(&self) -> Vec<Point> {
        let counted = self.counted.map(|i| &self.attempts[i]);
        let mut traces = self.attempts.iter().filter(|a| !a.curve.is_empty()).chain(counted).map(|a| &a.curve);
        match (traces.next(), traces.next()) {
            (Some(only), None) => only.points().collect(),
            _ => {
                let all = self.attempts.iter().chain(counted);
                let steps: BTreeMap<u64, Point> = all.flat_map(|a| a.curve.points()).map(|p| (p.step, p)).collect();
                steps.into_values().collect()
            }
        }
    }

    /// Whether all that `node` wrote of it stands here with its stamp, which is before `at`.
    pub fn was_whole(&self, node: &NodeId, at: &Stamp) -> bool {
        let early = |stamp: &Stamp| stamp.node != *node || stamp < at;
        let attempt = |a: &AttemptView| {
            let ends = a.end.iter().chain(a.told.as_deref()).map(|end| &end.at);
            // Of what was said of its holder only the latest stands here.
            a.fate.is_none() && a.claim.iter().map(|claim| &claim.at).chain(ends).all(early)
        };
        let edited = self.rare.as_ref().is_some_and(|rare| !rare.edits.is_empty());
        !edited && early(&self.spec.at) && self.attempts.iter().all(attempt)
    }

    /// Whether all points of all its attempts are in memory.
    pub fn is_warm(&self) -> bool {
        self.attempts.iter().all(|a| a.curve.is_warm())
    }

    /// A copy in which the curves that `chunks` belong to are in memory: `chunks` must be all there are of them.
    #[must_use]
    pub fn warmed(&self, chunks: &[&MetricChunk]) -> Self {
        let mut copy = self.clone();
        copy.attempts.iter_mut().for_each(|a| a.curve.warm());
        let mut pool = Pool::default();
        for chunk in chunks.iter().filter(|c| c.trial == self.place.id) {
            copy.points(chunk, &mut pool);
        }
        copy
    }

    fn points(&mut self, chunk: &MetricChunk, pool: &mut Pool) {
        let attempt = self.at(chunk.attempt, &chunk.node, pool);
        for point in &chunk.points {
            attempt.curve.insert(point, pool);
        }
    }

    /// Last edit that pauses or resumes it.
    fn freeze_edit(&self) -> Option<&TrialEdit> {
        self.rare().edits.values().rev().find(|e| matches!(e, TrialEdit::Pause { .. } | TrialEdit::Resume { .. }))
    }

    /// A person asked to end it, after the last retry.
    pub fn cancel_wanted(&self) -> bool {
        self.rare().edits.values().rev().find(|e| matches!(e, TrialEdit::Cancel | TrialEdit::Retry { .. }))
            == Some(&TrialEdit::Cancel)
    }

    /// A person asked to freeze it, and nobody thawed it since.
    pub fn pause_wanted(&self) -> bool {
        matches!(self.freeze_edit(), Some(TrialEdit::Pause { .. }))
    }

    /// Whether a person thawed it for this attempt.
    pub fn is_resumed(&self, attempt: AttemptNo) -> bool {
        matches!(self.freeze_edit(), Some(TrialEdit::Resume { after }) if *after + 1 == attempt)
    }

    pub(super) fn fold(&mut self, fact: &TrialFact, policy: RetryPolicy, pool: &mut Pool) {
        match fact {
            TrialFact::Proposed(_) => {}
            TrialFact::Claimed { attempt, node, claim } => {
                let at = pool.stamp(&claim.at);
                self.at(*attempt, node, pool).claim = Some(Claim { at, ..claim.clone() });
            }
            TrialFact::Ended { attempt, node, end } => {
                let end = shared(end, pool);
                self.at(*attempt, node, pool).end = Some(end);
            }
            TrialFact::Told { attempt, node, end } => {
                let end = shared(end, pool);
                self.at(*attempt, node, pool).told = Some(Box::new(end));
            }
            TrialFact::GivenUp { attempt, node, kept, by, end } => {
                let end = shared(end, pool);
                let fate = self.at(*attempt, node, pool).fate.get_or_insert_default();
                let new = (*kept, by.clone(), end);
                // The latest; of several the first node's, so that the order of learning doesn't matter.
                let rank = |(kept, by, _): &(u32, NodeId, End)| (std::cmp::Reverse(*kept), by.clone());
                if fate.given_up.as_ref().is_none_or(|old| rank(&new) <= rank(old)) {
                    fate.given_up = Some(new);
                }
            }
            TrialFact::Kept { attempt, node, kept, .. } => {
                let fate = self.at(*attempt, node, pool).fate.get_or_insert_default();
                fate.kept = fate.kept.max(*kept);
            }
            TrialFact::Edited { lamport, by, edit } => self.edit(*lamport, by, edit),
        }
        self.derive(policy);
    }

    pub(super) fn fold_metric(&mut self, chunk: &MetricChunk, policy: RetryPolicy, pool: &mut Pool) {
        let known = self.attempts.len();
        self.points(chunk, pool);
        if self.attempts.len() != known {
            self.derive(policy);
        }
    }

    /// Lets the points of ended attempts go of which all have come; false: there were none to let go.
    pub(super) fn cool(&mut self) -> bool {
        // A holder writes its points in order, so with the last of them all are there.
        let whole = |a: &AttemptView| a.end.as_ref().is_some_and(|end| a.curve.last_step() >= end.last_step);
        let ended = |a: &&mut AttemptView| whole(a) && a.curve.is_warm() && !a.curve.is_empty();
        self.attempts.iter_mut().filter(ended).map(|a| a.curve.cool()).count() > 0
    }

    /// Makes room for the points of what `node` executed.
    pub(super) fn warm(&mut self, node: &NodeId) {
        self.attempts.iter_mut().filter(|a| a.node == *node).for_each(|a| a.curve.warm());
    }

    fn at(&mut self, attempt: AttemptNo, node: &NodeId, pool: &mut Pool) -> &mut AttemptView {
        let i = match self.attempts.binary_search_by(|a| (a.attempt, &a.node).cmp(&(attempt, node))) {
            Ok(i) => i,
            Err(i) => {
                let node = pool.node(node);
                let new = AttemptView {
                    attempt,
                    node,
                    claim: None,
                    end: None,
                    told: None,
                    curve: Trace::default(),
                    fate: None,
                };
                if self.attempts.is_empty() {
                    self.attempts.reserve_exact(1); // most trials have one
                }
                self.attempts.insert(i, new);
                self.counted = None; // indices moved; derive() sets it again
                i
            }
        };
        &mut self.attempts[i]
    }

    fn edit(&mut self, lamport: Lamport, by: &NodeId, edit: &TrialEdit) {
        let rare = self.rare.get_or_insert_default();
        rare.edits.insert((lamport, by.clone(), format!("{edit:?}")), edit.clone());
        let last = rare.edits.values().rev().find_map(|e| if let TrialEdit::Note(n) = e { Some(n) } else { None });
        rare.note = last.cloned().unwrap_or_default();
        rare.user_attrs.clone_from(&rare.given_attrs);
        for edit in rare.edits.values() {
            if let TrialEdit::UserAttr(key, value) = edit {
                if value.is_null() {
                    rare.user_attrs.shift_remove(key);
                } else {
                    rare.user_attrs.insert(key.clone(), value.clone());
                }
            }
        }
    }

    fn derive(&mut self, policy: RetryPolicy) {
        // The counted attempt: complete, lowest (attempt, node, claim).
        self.counted =
            self.attempts.iter().position(|a| a.effective_end().is_some_and(|e| e.outcome == Outcome::Complete));
        if breaks(Mutation::CountTheLater) {
            self.counted =
                self.attempts.iter().rposition(|a| a.effective_end().is_some_and(|e| e.outcome == Outcome::Complete));
        }
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
            .rare()
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

/// An end whose names are shared with others'.
fn shared(end: &End, pool: &mut Pool) -> End {
    End { at: pool.stamp(&end.at), values: pool.named(&end.values), ..end.clone() }
}
