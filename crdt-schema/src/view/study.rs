//! One study as its facts make it.

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;
use serde_json::Value;

use super::trial::{RetryPolicy, TrialView};
use crate::{
    Lamport, NodeId, StudyId, TrialId,
    facts::{MetricChunk, StudyFact, TrialFact},
    space::Space,
    study::{Budget, StudyEdit, StudyRecord, StudyState},
    trial::{Place, TrialState},
};

/// A fact that came before the trial it is about.
#[derive(Clone, Debug)]
enum Early {
    Trial(TrialFact),
    Metric(MetricChunk),
}

/// One study. Trials stand in canonical order: by (stamp, ID) of their proposal.
#[derive(Clone, Debug)]
pub struct StudyView {
    /// Its identity.
    pub id: StudyId,
    /// As created.
    pub record: StudyRecord,
    /// The name people see: the label, with `-2` where an older study has it.
    pub name: String,
    /// Effective space.
    pub space: Space,
    /// Effective budget.
    pub budget: Budget,
    /// Free text.
    pub note: String,
    /// Free attributes.
    pub user_attrs: IndexMap<String, Value>,
    /// What people asked for; `Complete` only where a finite space was exhausted.
    pub wanted: StudyState,
    /// Deleted for ever.
    pub deleted: bool,
    /// Why edits of the space could not all be merged, if so.
    pub space_conflict: Option<String>,
    trials: Vec<TrialView>,
    index: HashMap<TrialId, usize>,
    counts: [u64; 8],
    imported: u64,
    edits: BTreeMap<(Lamport, u8, NodeId, String), StudyEdit>,
    early: BTreeMap<TrialId, Vec<Early>>,
}

impl StudyView {
    /// A study just defined.
    pub fn new(record: StudyRecord) -> Self {
        let mut study = Self {
            id: record.id.clone(),
            name: record.def.name.clone(),
            space: Space::default(),
            budget: Budget::default(),
            note: String::new(),
            user_attrs: IndexMap::new(),
            wanted: StudyState::Running,
            deleted: false,
            space_conflict: None,
            trials: Vec::new(),
            index: HashMap::new(),
            counts: [0; 8],
            imported: 0,
            edits: BTreeMap::new(),
            early: BTreeMap::new(),
            record,
        };
        study.derive();
        study
    }

    /// In canonical order.
    pub fn trials(&self) -> &[TrialView] {
        &self.trials
    }

    /// By ID.
    pub fn trial(&self, id: &TrialId) -> Option<&TrialView> {
        self.index.get(id).map(|&i| &self.trials[i])
    }

    /// How many are in `state`.
    pub fn count(&self, state: TrialState) -> u64 {
        self.counts[state as usize]
    }

    /// Trials that came with imports; they don't use up the budget.
    pub fn imported(&self) -> u64 {
        self.imported
    }

    /// Trials that may still get a result by themselves.
    pub fn open(&self) -> u64 {
        self.count(TrialState::Waiting) + self.count(TrialState::Running)
    }

    /// The label before any edit of it was disambiguated.
    pub fn label(&self) -> &str {
        let renamed =
            self.edits.values().rev().find_map(|e| if let StudyEdit::Name(n) = e { Some(n.as_str()) } else { None });
        renamed.unwrap_or(&self.record.def.name)
    }

    /// How failures are retried.
    pub fn policy(&self) -> RetryPolicy {
        RetryPolicy::of(self.record.def.run.as_ref())
    }

    /// The cost (smaller is better) of each objective for a complete trial; none where a value is missing.
    pub fn costs(&self, trial: &TrialView) -> Option<Vec<f64>> {
        let values = trial.values();
        self.record.def.objectives.iter().map(|o| values.get(&o.metric).map(|v| o.direction.cost(*v))).collect()
    }

    /// Sum of constraint violations of a trial's values (0: feasible); a missing metric counts as feasible.
    pub fn violation(&self, trial: &TrialView) -> f64 {
        if self.record.def.constraints.is_empty() {
            return 0.0;
        }
        let values = trial.values();
        let over = |c: &crate::study::Constraint| {
            let v = *values.get(&c.metric)?;
            Some(c.at_most.map_or(0.0, |m| (v - m).max(0.0)) + c.at_least.map_or(0.0, |m| (m - v).max(0.0)))
        };
        self.record.def.constraints.iter().filter_map(over).sum()
    }

    /// The best feasible complete trial of a single-objective study; ties go to the earlier one.
    pub fn best(&self) -> Option<&TrialView> {
        if self.record.def.objectives.len() != 1 {
            return None;
        }
        let mut best: Option<(f64, &TrialView)> = None;
        for trial in self.trials.iter().filter(|t| t.state == TrialState::Complete) {
            let Some(cost) = self.costs(trial).map(|c| c[0]) else { continue };
            if best.is_none_or(|(b, _)| cost < b) && self.violation(trial) <= 0.0 {
                best = Some((cost, trial));
            }
        }
        best.map(|(_, trial)| trial)
    }

    pub(super) fn fold_study(&mut self, fact: &StudyFact) {
        let StudyFact::Edited { lamport, by, edit } = fact else { return };
        // Among edits of one Lamport time, cancel comes after pause comes after resume, whoever wrote them.
        let rank = match edit {
            StudyEdit::State(StudyState::Paused) => 1,
            StudyEdit::State(StudyState::Archived) => 2,
            StudyEdit::State(StudyState::Cancelled) => 3,
            _ => 0,
        };
        let tie = match edit {
            StudyEdit::UserAttr(key, value) => format!("attr {key} {value}"),
            other => format!("{other:?}"),
        };
        self.edits.insert((*lamport, rank, by.clone(), tie), edit.clone());
        self.derive();
    }

    /// Returns the trial's position where the fact could be folded.
    pub(super) fn fold_trial(&mut self, place: &Place, fact: &TrialFact) -> Option<usize> {
        if let TrialFact::Proposed(spec) = fact {
            if self.index.contains_key(&place.id) {
                return None;
            }
            let trial = TrialView::new(place.clone(), spec.clone());
            self.imported += u64::from(spec.imported_as.is_some());
            self.counts[trial.state as usize] += 1;
            let i = self.insert(trial);
            for early in self.early.remove(&place.id).unwrap_or_default() {
                match early {
                    Early::Trial(fact) => self.update(i, |t, p| t.fold(&fact, p)),
                    Early::Metric(chunk) => self.update(i, |t, p| t.fold_metric(&chunk, p)),
                }
            }
            return Some(i);
        }
        match self.index.get(&place.id).copied() {
            Some(i) => {
                self.update(i, |t, p| t.fold(fact, p));
                Some(i)
            }
            None => {
                self.early.entry(place.id.clone()).or_default().push(Early::Trial(fact.clone()));
                None
            }
        }
    }

    pub(super) fn fold_metric(&mut self, chunk: &MetricChunk) -> Option<usize> {
        match self.index.get(&chunk.trial).copied() {
            Some(i) => {
                let policy = self.policy();
                self.trials[i].fold_metric(chunk, policy);
                Some(i)
            }
            None => {
                self.early.entry(chunk.trial.clone()).or_default().push(Early::Metric(chunk.clone()));
                None
            }
        }
    }

    /// Drops all trials; the record and its tombstone stay.
    pub(super) fn clear(&mut self) {
        self.trials.clear();
        self.index.clear();
        self.early.clear();
        self.counts = [0; 8];
        self.imported = 0;
    }

    fn update(&mut self, i: usize, f: impl FnOnce(&mut TrialView, RetryPolicy)) {
        let policy = self.policy();
        let trial = &mut self.trials[i];
        self.counts[trial.state as usize] -= 1;
        f(trial, policy);
        self.counts[trial.state as usize] += 1;
    }

    fn insert(&mut self, trial: TrialView) -> usize {
        let key = |t: &TrialView| (t.spec.at.clone(), t.place.id.clone());
        let i = match self.trials.last() {
            Some(last) if key(last) > key(&trial) => self.trials.partition_point(|t| key(t) < key(&trial)),
            _ => self.trials.len(),
        };
        self.trials.insert(i, trial);
        for (n, trial) in self.trials.iter_mut().enumerate().skip(i) {
            trial.number = n as u64;
            self.index.insert(trial.place.id.clone(), n);
        }
        i
    }

    fn derive(&mut self) {
        let def = &self.record.def;
        self.space = def.space.clone();
        self.budget = def.budget.clone();
        self.note = def.note.clone();
        self.user_attrs = def.user_attrs.clone();
        self.wanted = StudyState::Running;
        self.space_conflict = None;
        let mut cancelled = false;
        for edit in self.edits.values() {
            match edit {
                StudyEdit::State(state) => {
                    self.wanted = *state;
                    cancelled |= *state == StudyState::Cancelled;
                }
                StudyEdit::Budget(budget) => self.budget = budget.clone(),
                StudyEdit::Name(_) => {}
                StudyEdit::Note(note) => self.note.clone_from(note),
                StudyEdit::UserAttr(key, Value::Null) => {
                    self.user_attrs.shift_remove(key);
                }
                StudyEdit::UserAttr(key, value) => {
                    self.user_attrs.insert(key.clone(), value.clone());
                }
                StudyEdit::Space(edit) => {
                    let (space, errors) = self.space.merge(edit);
                    self.space = space;
                    if let Some(e) = errors.first() {
                        self.space_conflict = Some(format!("{}: {}", e.pointer, e.detail));
                    }
                }
                StudyEdit::Deleted => self.deleted = true,
            }
        }
        // A cancel is never undone; putting the study away or back only hides it.
        if cancelled && self.wanted != StudyState::Archived {
            self.wanted = StudyState::Cancelled;
        }
    }
}
