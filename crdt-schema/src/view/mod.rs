//! The read view: plain structs folded from facts, the same on every node that has the same facts.
//!
//! Law (tested): folding a set of facts in any order, with any duplicates, gives the same view.

pub mod cluster;
pub mod pool;
pub mod study;
pub mod trace;
pub mod trial;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use cluster::{ClusterView, NodeView};
pub use pool::{Pool, Row};
pub use study::{StudyView, Trials};
pub use trace::Trace;
pub use trial::{AttemptView, RetryPolicy, TrialView};

use crate::{
    NodeId, StudyId, TrialId,
    facts::{Fact, MetricChunk, StudyFact, TrialFact},
};

/// Everything a node knows.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Members and the index of studies.
    pub cluster: ClusterView,
    studies: BTreeMap<StudyId, StudyView>,
    homes: HashMap<TrialId, StudyId>,
    /// Nodes that proposed a trial: a label names one of them, and a counter.
    proposers: BTreeSet<NodeId>,
    early: BTreeMap<StudyId, Vec<Fact>>,
}

/// What a fact changed, for those who keep caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Nothing that is shown.
    Nothing,
    /// A node.
    Cluster,
    /// A study's own fields.
    Study(StudyId),
    /// A trial.
    Trial(StudyId, TrialId),
}

impl World {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Studies that aren't deleted, by ID.
    pub fn studies(&self) -> impl Iterator<Item = &StudyView> {
        self.studies.values().filter(|s| !s.deleted)
    }

    /// By ID; also a deleted one.
    pub fn study(&self, id: &StudyId) -> Option<&StudyView> {
        self.studies.get(id)
    }

    /// By the name that is shown.
    pub fn study_named(&self, name: &str) -> Option<&StudyView> {
        self.studies().find(|s| s.name == name)
    }

    /// By trial ID.
    pub fn trial(&self, id: &TrialId) -> Option<(&StudyView, &TrialView)> {
        let study = self.studies.get(self.homes.get(id)?).filter(|s| !s.deleted)?;
        Some((study, study.trial(id)?))
    }

    /// Trials with this label: `NAME-COUNTER`, where several nodes may bear or have borne the name.
    pub fn labelled(&self, label: &str) -> Vec<(&StudyView, &TrialView)> {
        let Some((name, counter)) = label.rsplit_once('-').and_then(|(name, n)| Some((name, n.parse().ok()?))) else {
            return Vec::new();
        };
        let found = self.proposers.iter().filter_map(|node| self.trial(&TrialId::mint(node, counter)));
        found.filter(|(_, trial)| *trial.spec.node_name == *name && trial.label() == label).collect()
    }

    /// Folds many facts, in whatever order they are: about as fast as they can be read.
    pub fn fold_all(&mut self, mut facts: Vec<Fact>) {
        // Trials in canonical order, and before what is said of them: then nothing is moved or kept for later.
        facts.sort_by_cached_key(|fact| match fact {
            Fact::Cluster(_) | Fact::Study(_, StudyFact::Defined(_)) => (0, None),
            Fact::Study(..) => (1, None),
            Fact::Trial(_, place, TrialFact::Proposed(spec)) => (2, Some((spec.at.clone(), place.id.clone()))),
            Fact::Trial(..) => (3, None),
            Fact::Metric(..) => (4, None),
        });
        for fact in &facts {
            self.fold(fact);
        }
    }

    /// Lets the points of ended attempts' curves go, except those of trials that `keep` names: the caller knows that
    /// they are on disk. Gives the trials whose points went.
    pub fn cool(&mut self, study: &StudyId, keep: &dyn Fn(&TrialId) -> bool) -> Vec<TrialId> {
        self.studies.get_mut(study).map(|s| s.cool(keep)).unwrap_or_default()
    }

    /// Reads the points of what `node` executed of a trial back into memory: `chunks` must hold all of them.
    pub fn warm(&mut self, trial: &TrialId, node: &NodeId, chunks: &[&MetricChunk]) {
        let study = self.homes.get(trial).and_then(|home| self.studies.get_mut(home));
        if let Some(study) = study {
            study.warm(trial, node, chunks);
        }
    }

    /// Folds one fact.
    pub fn fold(&mut self, fact: &Fact) -> Touched {
        match fact {
            Fact::Cluster(fact) => {
                self.cluster.fold(fact);
                Touched::Cluster
            }
            Fact::Study(id, StudyFact::Defined(record)) => {
                if self.studies.contains_key(id) {
                    return Touched::Nothing;
                }
                self.studies.insert(id.clone(), StudyView::new(record.clone()));
                for early in self.early.remove(id).unwrap_or_default() {
                    self.fold(&early);
                }
                self.rename();
                Touched::Study(id.clone())
            }
            Fact::Study(id, edit) => match self.studies.get_mut(id) {
                Some(study) => {
                    study.fold_study(edit);
                    if study.deleted {
                        self.forget(id);
                    }
                    self.rename();
                    Touched::Study(id.clone())
                }
                None => self.keep(id, fact),
            },
            Fact::Trial(id, place, body) => match self.studies.get_mut(id) {
                Some(study) if study.deleted => Touched::Nothing,
                Some(study) => {
                    if study.fold_trial(place, body) {
                        self.homes.insert(place.id.clone(), study.id.clone());
                        if !self.proposers.contains(&place.node) {
                            self.proposers.insert(place.node.clone());
                        }
                    }
                    Touched::Trial(id.clone(), place.id.clone())
                }
                None => self.keep(id, fact),
            },
            Fact::Metric(id, chunk) => match self.studies.get_mut(id) {
                Some(study) if study.deleted => Touched::Nothing,
                Some(study) => {
                    study.fold_metric(chunk);
                    Touched::Trial(id.clone(), chunk.trial.clone())
                }
                None => self.keep(id, fact),
            },
        }
    }

    fn keep(&mut self, id: &StudyId, fact: &Fact) -> Touched {
        self.early.entry(id.clone()).or_default().push(fact.clone());
        Touched::Nothing
    }

    /// Whether a fact says otherwise than what was folded first under its key and stays as it was: a study's definition,
    /// a trial's configuration.
    pub fn contradicts(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Study(id, StudyFact::Defined(record)) => self.studies.get(id).is_some_and(|s| s.record != *record),
            Fact::Trial(_, place, TrialFact::Proposed(spec)) => self.trial(&place.id).is_some_and(|(_, trial)| {
                let known = &trial.spec;
                (&known.at, &known.by, known.params.params()) != (&spec.at, &spec.by, spec.params.clone())
            }),
            _ => false,
        }
    }

    /// Folds one study anew from `facts`, which must be all that its documents say: where one key has got two values,
    /// what was folded first may not be what stands.
    pub fn refold(&mut self, id: &StudyId, facts: Vec<Fact>) {
        self.forget(id);
        self.studies.remove(id);
        self.fold_all(facts);
        self.rename();
    }

    /// Drops what a deleted study held; its tombstone stays.
    fn forget(&mut self, id: &StudyId) {
        let Some(study) = self.studies.get_mut(id) else { return };
        for trial in study.trials() {
            self.homes.remove(&trial.place.id);
        }
        study.clear();
    }

    /// Names are labels: where several studies carry one, the later (by stamp, then ID) gets `-2`, `-3`, ….
    fn rename(&mut self) {
        let mut order: Vec<_> =
            self.studies().map(|s| (s.record.at.clone(), s.id.clone(), s.label().to_owned())).collect();
        order.sort();
        let mut taken: HashMap<String, ()> = HashMap::new();
        for (_, id, label) in order {
            let mut name = label.clone();
            let mut n = 2;
            while taken.contains_key(&name) {
                name = format!("{label}-{n}");
                n += 1;
            }
            taken.insert(name.clone(), ());
            if let Some(study) = self.studies.get_mut(&id) {
                study.name = name;
            }
        }
    }
}
