//! One study as its facts make it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    pool::Pool,
    trial::{RetryPolicy, TrialView},
};
use crate::{
    Lamport, NodeId, Stamp, StudyId, TrialId,
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
    /// In the order in which they were learnt, so that none ever moves.
    trials: Vec<TrialView>,
    /// Their canonical order.
    order: Vec<u32>,
    index: HashMap<TrialId, u32>,
    /// Those that can be claimed.
    waiting: BTreeSet<(Stamp, TrialId)>,
    /// Frozen trials, in the canonical order.
    frozen: BTreeSet<(Stamp, TrialId)>,
    /// Those whose ended attempts have points in memory.
    warm: BTreeSet<u32>,
    /// Those of which somebody holds an attempt.
    held: BTreeSet<u32>,
    shares: BTreeMap<(NodeId, NodeId, u32), u64>,
    /// How many each node proposed, without imports.
    proposed: BTreeMap<NodeId, u64>,
    best: Option<u32>,
    counts: [u64; 8],
    /// Identities of trials that came with imports.
    imported: HashSet<Arc<str>>,
    imports: u64,
    edits: BTreeMap<(Lamport, u8, NodeId, String), StudyEdit>,
    early: BTreeMap<TrialId, Vec<Early>>,
    pool: Pool,
}

/// A study's trials in canonical order.
#[derive(Clone, Copy)]
pub struct Trials<'a>(&'a StudyView);

impl<'a> Trials<'a> {
    /// First to last.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a TrialView> + ExactSizeIterator {
        self.0.order.iter().map(move |&i| &self.0.trials[i as usize])
    }

    /// From position `from` on.
    pub fn from(self, from: usize) -> impl DoubleEndedIterator<Item = &'a TrialView> + ExactSizeIterator {
        self.0.order[from.min(self.0.order.len())..].iter().map(move |&i| &self.0.trials[i as usize])
    }

    /// How many.
    pub fn len(self) -> usize {
        self.0.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.order.is_empty()
    }

    /// How many stand before the place that a stamp and an ID have in the order.
    pub fn before(self, key: (&Stamp, &TrialId)) -> usize {
        self.0.order.partition_point(|&i| self.0.trials[i as usize].key() < key)
    }
}

impl<'a> IntoIterator for Trials<'a> {
    type Item = &'a TrialView;
    type IntoIter = Box<dyn Iterator<Item = &'a TrialView> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl std::ops::Index<usize> for Trials<'_> {
    type Output = TrialView;

    fn index(&self, position: usize) -> &TrialView {
        &self.0.trials[self.0.order[position] as usize]
    }
}

impl std::fmt::Debug for Trials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
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
            order: Vec::new(),
            index: HashMap::new(),
            waiting: BTreeSet::new(),
            frozen: BTreeSet::new(),
            warm: BTreeSet::new(),
            held: BTreeSet::new(),
            shares: BTreeMap::new(),
            proposed: BTreeMap::new(),
            best: None,
            counts: [0; 8],
            imported: HashSet::new(),
            imports: 0,
            edits: BTreeMap::new(),
            early: BTreeMap::new(),
            pool: Pool::default(),
            record,
        };
        study.derive();
        study
    }

    /// The edits that made the space: Lamport time, writer; in order.
    pub fn space_edits(&self) -> impl Iterator<Item = (Lamport, &NodeId)> {
        let edits = self.edits.iter().filter(|(_, edit)| matches!(edit, StudyEdit::Space(_)));
        edits.map(|((lamport, _, by, _), _)| (*lamport, by))
    }

    /// The space as these edits alone made it; none where one of them isn't known.
    pub fn space_of(&self, edits: &[(Lamport, NodeId)]) -> Option<Space> {
        let known = self.edits.iter().filter_map(|(key, edit)| match edit {
            StudyEdit::Space(space) if edits.contains(&(key.0, key.2.clone())) => Some(space),
            _ => None,
        });
        let known: Vec<&Space> = known.collect();
        let merged = || known.iter().fold(self.record.def.space.clone(), |space, edit| space.merge(edit).0);
        (known.len() == edits.len()).then(merged)
    }

    /// In canonical order.
    pub fn trials(&self) -> Trials<'_> {
        Trials(self)
    }

    /// A trial's position in canonical order; it may rise when others are learnt of.
    pub fn number(&self, trial: &TrialView) -> u64 {
        self.trials().before(trial.key()) as u64
    }

    /// Whether ended attempts have points in memory.
    pub fn has_warm(&self) -> bool {
        !self.warm.is_empty()
    }

    /// The oldest trial that can be claimed.
    pub fn next_waiting(&self) -> Option<&TrialView> {
        self.waiting.first().and_then(|(_, id)| self.trial(id))
    }

    /// Those that can be claimed, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &TrialView> {
        self.waiting.iter().filter_map(|(_, id)| self.trial(id))
    }

    /// Trials that a rule froze and nobody keeps from going on, in the canonical order.
    pub fn frozen(&self) -> impl Iterator<Item = &TrialView> {
        let trials = self.frozen.iter().filter_map(|(_, id)| self.trial(id));
        trials.filter(|trial| !trial.pause_wanted() && !trial.cancel_wanted())
    }

    /// Those of which somebody holds an attempt.
    pub fn held(&self) -> impl Iterator<Item = &TrialView> {
        self.held.iter().map(|&i| &self.trials[i as usize])
    }

    /// What passed hands of a strict budget: from, to, how many trials.
    pub fn shares(&self) -> impl Iterator<Item = (&NodeId, &NodeId, u64)> {
        self.shares.iter().map(|((from, to, _), trials)| (from, to, *trials))
    }

    /// How many trials each node proposed; those that came with imports don't count.
    pub fn proposed(&self) -> impl Iterator<Item = (&NodeId, u64)> {
        self.proposed.iter().map(|(node, count)| (node, *count))
    }

    /// By ID.
    pub fn trial(&self, id: &TrialId) -> Option<&TrialView> {
        self.index.get(id).map(|&i| &self.trials[i as usize])
    }

    /// How many are in `state`.
    pub fn count(&self, state: TrialState) -> u64 {
        self.counts[state as usize]
    }

    /// Trials that came with imports; they don't use up the budget.
    pub fn imported(&self) -> u64 {
        self.imports
    }

    /// Whether an import of a trial with this identity would bring nothing new: it is here, under its ID or imported.
    pub fn knows(&self, identity: &str) -> bool {
        self.imported.contains(identity) || self.index.contains_key(&TrialId::new(identity))
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

    /// Sum of constraint violations of a trial's values: 0 where all hold, NaN where a metric is missing, so that nobody knows.
    pub fn violation(&self, trial: &TrialView) -> f64 {
        self.constraints(trial).into_iter().map(|over| if over <= 0.0 { 0.0 } else { over }).sum()
    }

    /// By how much a trial's values break each constraint, in the metric's unit: 0 or below where it holds, NaN where the
    /// metric is missing.
    pub fn constraints(&self, trial: &TrialView) -> Vec<f64> {
        let values = trial.values();
        let over = |c: &crate::study::Constraint| match values.get(&c.metric) {
            Some(v) => {
                let (most, least) = (c.at_most.map(|m| v - m), c.at_least.map(|m| m - v));
                most.into_iter().chain(least).fold(f64::NEG_INFINITY, f64::max)
            }
            None => f64::NAN,
        };
        self.record.def.constraints.iter().map(over).collect()
    }

    /// The best feasible complete trial of a single-objective study; ties go to the earlier one.
    pub fn best(&self) -> Option<&TrialView> {
        self.best.map(|i| &self.trials[i as usize])
    }

    /// What makes a trial better than another: its cost, then being earlier; none where it can't be best.
    fn merit<'a>(&self, trial: &'a TrialView) -> Option<(f64, (&'a Stamp, &'a TrialId))> {
        let one = self.record.def.objectives.len() == 1 && trial.state == TrialState::Complete;
        let cost = one.then(|| self.costs(trial)).flatten()?[0];
        // Zero added: a negative zero is no better than the other one.
        (!cost.is_nan() && self.violation(trial) <= 0.0).then(|| (cost + 0.0, trial.key()))
    }

    /// Trial `i` has changed, whose merit was `before`.
    fn judge(&mut self, i: u32, before: Option<f64>) {
        let merit = |i: u32| self.merit(&self.trials[i as usize]);
        let better = |a: u32, b: u32| match (merit(a), merit(b)) {
            (Some(a), Some(b)) => a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).is_lt(),
            (a, b) => a.is_some() && b.is_none(),
        };
        let no_worse = |now: f64| before.is_some_and(|before| now.total_cmp(&before).is_le());
        self.best = match self.best {
            Some(best) if best == i && merit(i).is_some_and(|(cost, _)| no_worse(cost)) => Some(best),
            // It may have lost its place to any of them.
            Some(best) if best == i => (0..self.trials.len() as u32)
                .filter(|&i| merit(i).is_some())
                .reduce(|best, i| if better(i, best) { i } else { best }),
            Some(best) => Some(if better(i, best) { i } else { best }),
            None => merit(i).map(|_| i),
        };
    }

    pub(super) fn fold_study(&mut self, fact: &StudyFact) {
        if let StudyFact::Share { from, to, nth, trials } = fact {
            self.shares.insert((from.clone(), to.clone(), *nth), *trials);
        }
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

    /// True: a trial is new.
    pub(super) fn fold_trial(&mut self, place: &Place, fact: &TrialFact) -> bool {
        if let TrialFact::Proposed(spec) = fact {
            if self.index.contains_key(&place.id) {
                return false;
            }
            let trial = TrialView::new(place, spec, &mut self.pool);
            match trial.shared_identity() {
                Some(_) => self.imports += 1,
                None => *self.proposed.entry(trial.place.node.clone()).or_default() += 1,
            }
            self.imported.extend(trial.shared_identity().cloned());
            self.counts[trial.state as usize] += 1;
            let i = self.insert(trial);
            for early in self.early.remove(&place.id).unwrap_or_default() {
                match early {
                    Early::Trial(fact) => self.update(i, |t, p, pool| t.fold(&fact, p, pool)),
                    Early::Metric(chunk) => self.update(i, |t, p, pool| t.fold_metric(&chunk, p, pool)),
                }
            }
            return true;
        }
        match self.index.get(&place.id).copied() {
            Some(i) => self.update(i, |t, p, pool| t.fold(fact, p, pool)),
            None => self.early.entry(place.id.clone()).or_default().push(Early::Trial(fact.clone())),
        }
        false
    }

    pub(super) fn fold_metric(&mut self, chunk: &MetricChunk) {
        match self.index.get(&chunk.trial).copied() {
            Some(i) => self.update(i, |t, p, pool| t.fold_metric(chunk, p, pool)),
            None => self.early.entry(chunk.trial.clone()).or_default().push(Early::Metric(chunk.clone())),
        }
    }

    /// Lets the points of ended attempts go, except those of trials that `keep` names.
    pub(super) fn cool(&mut self, keep: &dyn Fn(&TrialId) -> bool) -> Vec<TrialId> {
        let mut cooled = Vec::new();
        for i in std::mem::take(&mut self.warm) {
            let trial = &mut self.trials[i as usize];
            if keep(&trial.place.id) {
                self.warm.insert(i);
            } else if trial.cool() {
                cooled.push(trial.place.id.clone());
            }
        }
        cooled
    }

    /// Reads the points of what `chunk.node` executed of one trial back into memory: `chunks` must be all there are.
    pub(super) fn warm(&mut self, trial: &TrialId, node: &NodeId, chunks: &[&MetricChunk]) {
        let Some(i) = self.index.get(trial).copied() else { return };
        self.update(i, |t, _, _| t.warm(node));
        for chunk in chunks.iter().filter(|c| c.trial == *trial && c.node == *node) {
            self.update(i, |t, p, pool| t.fold_metric(chunk, p, pool));
        }
    }

    /// Drops all trials; the record and its tombstone stay.
    pub(super) fn clear(&mut self) {
        // Emptied, they would keep their memory: a tombstone stays for ever.
        self.trials = Vec::new();
        self.order = Vec::new();
        self.index = HashMap::new();
        self.waiting = BTreeSet::new();
        self.frozen = BTreeSet::new();
        self.warm = BTreeSet::new();
        self.held = BTreeSet::new();
        self.proposed = BTreeMap::new();
        self.best = None;
        self.early = BTreeMap::new();
        self.counts = [0; 8];
        self.imported = HashSet::new();
        self.imports = 0;
        self.pool = Pool::default();
    }

    fn update(&mut self, i: u32, f: impl FnOnce(&mut TrialView, RetryPolicy, &mut Pool)) {
        let policy = self.policy();
        let before = self.trials[i as usize].state;
        let merit =
            if self.best == Some(i) { self.merit(&self.trials[i as usize]).map(|(cost, _)| cost) } else { None };
        let trial = &mut self.trials[i as usize];
        f(trial, policy, &mut self.pool);
        let after = trial.state;
        self.counts[before as usize] -= 1;
        self.counts[after as usize] += 1;
        if before != after {
            let key = (trial.spec.at.clone(), trial.place.id.clone());
            match before {
                TrialState::Waiting => self.waiting.remove(&key),
                TrialState::Paused => self.frozen.remove(&key),
                _ => false,
            };
            match after {
                TrialState::Waiting => self.waiting.insert(key),
                TrialState::Paused => self.frozen.insert(key),
                _ => false,
            };
        }
        if after != TrialState::Running && trial.attempts.iter().any(|a| !a.curve.is_empty() && a.curve.is_warm()) {
            self.warm.insert(i);
        }
        if trial.attempts.iter().any(super::AttemptView::is_running) {
            self.held.insert(i);
        } else {
            self.held.remove(&i);
        }
        if before == TrialState::Complete || after == TrialState::Complete {
            self.judge(i, merit);
        }
    }

    fn insert(&mut self, trial: TrialView) -> u32 {
        let i = self.trials.len() as u32;
        let at = match self.order.last() {
            Some(&last) if self.trials[last as usize].key() > trial.key() => self.trials().before(trial.key()),
            _ => self.order.len(),
        };
        self.order.insert(at, i);
        self.index.insert(trial.place.id.clone(), i);
        self.waiting.insert((trial.spec.at.clone(), trial.place.id.clone()));
        self.trials.push(trial);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::study::validate::parse_study;

    #[test]
    fn a_deleted_study_keeps_no_memory_for_trials() {
        let space = json!([{"name": "x", "type": "float", "low": 0, "high": 1}]);
        let objectives = json!([{"metric": "loss", "direction": "minimize"}]);
        let def = parse_study(&json!({"name": "s", "space": space, "objectives": objectives})).unwrap();
        let node = NodeId::new("a");
        let at = Stamp { ms: 1, n: 0, node: node.clone() };
        let mut study = StudyView::new(StudyRecord { id: StudyId::new("s"), node, at, def, forked_from: None });
        study.trials.reserve(1_000);
        study.order.reserve(1_000);
        study.index.reserve(1_000);
        study.imported.reserve(1_000);
        study.clear();
        let kept = [study.trials.capacity(), study.order.capacity(), study.index.capacity(), study.imported.capacity()];
        assert_eq!(kept, [0; 4]);
    }
}
