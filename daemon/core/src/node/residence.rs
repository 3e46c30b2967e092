//! Which documents and curves are in memory: those written to lately. All others rest, and are woken when needed.
//!
//! Owns: replicas and their rest, reading a resting curve. Must not: touch a disk; what rests outside of memory is
//! fetched through a [`Shelf`].
//!
//! A replica takes several times the memory of the view of it. So one that nobody writes to is packed into the bytes it
//! is stored as (about 100 a trial); and where the curves' bytes would grow too many, they are left to the disk alone.

use std::collections::BTreeSet;

use metaopt_schema::{
    AttemptKey, DocId, StudyId, TrialId,
    docs::{Actor, Doc, DocError, Facts, RawChange, Vector, digest},
    facts::{Fact, METRIC_SEGMENT, MetricChunk},
    trial::Point,
    view::{StudyView, TrialView},
};

use super::Node;
use crate::{Now, Refusal, effects::Effect};

/// A replica that nobody wrote to for this long may rest (milliseconds).
pub const REST_AFTER_MS: u64 = 30_000;
/// With more replicas than this in memory, those written least lately rest sooner.
const MOST_LIVE: usize = 128;

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDoc {
    /// Which.
    pub id: DocId,
    /// Its last snapshot.
    pub snapshot: Option<Vec<u8>>,
    /// What the snapshot says (see [`digest`]), where it was stored along.
    pub digest: Option<Vec<u8>>,
    /// The changes since, by actor and number.
    pub changes: Vec<RawChange>,
}

/// Where documents rest outside of memory.
pub trait Shelf: Send + Sync {
    /// A document as it is stored; none where nothing of it is.
    ///
    /// # Errors
    /// Why it can't be read, for people.
    fn fetch(&self, id: &DocId) -> Result<Option<StoredDoc>, String>;
}

/// A document that was read: what it says, and what stands for it in memory.
#[derive(Debug)]
pub struct ReadDoc {
    id: DocId,
    facts: Facts,
    vector: Vector,
    replica: Replica,
}

#[derive(Debug)]
pub(super) enum Replica {
    /// In memory, and when it was last written to (monotonic milliseconds).
    Live(Box<Doc>, u64),
    /// As the bytes it is saved as.
    Packed(Vec<u8>),
    /// On the shelf only.
    Shelved,
}

/// A document in the form in which it is stored.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The whole document.
    pub bytes: Vec<u8>,
    /// What it covers.
    pub vector: Vector,
    /// What it says.
    pub digest: Vec<u8>,
}

impl Saved {
    /// A document as it is to be stored; none where it could not be loaded again, so that its changes must stay.
    pub fn of(doc: &Doc) -> Option<Self> {
        Some(Self { bytes: doc.save_verified().ok()?, vector: doc.vector(), digest: doc.digest() })
    }
}

/// Reads a stored document; by its digest where that says all. Slow for large ones without, so call it on any thread.
///
/// # Errors
/// When it can't be read; it is named.
pub fn read_doc(actor: &Actor, stored: StoredDoc) -> Result<ReadDoc, DocError> {
    let StoredDoc { id, snapshot, digest, changes } = stored;
    if let (Some(bytes), Some(digest), true) = (&snapshot, &digest, changes.is_empty())
        && let Ok((facts, vector)) = digest::read(&id, digest)
    {
        return Ok(ReadDoc { id, facts, vector, replica: Replica::Packed(bytes.clone()) });
    }
    let doc = Doc::load(id.clone(), actor, snapshot.as_deref(), &changes)?;
    Ok(ReadDoc { id, facts: doc.facts(), vector: doc.vector(), replica: Replica::Live(Box::new(doc), 0) })
}

impl ReadDoc {
    pub(super) fn is_curves(&self) -> bool {
        matches!(self.id, DocId::Metrics { .. })
    }
}

impl Node {
    /// Learns a stored document.
    pub(super) fn take(&mut self, read: ReadDoc) {
        let ReadDoc { id, facts, vector, replica } = read;
        self.index.put(&id, &vector);
        self.skipped += facts.unknown as u64;
        self.damaged.extend(facts.problems.iter().map(ToString::to_string));
        let curves = if let DocId::Metrics { study, .. } = &id { Some(study.clone()) } else { None };
        for fact in &facts.facts {
            self.learn(fact, self.booted_ms);
            if let Fact::Metric(study, chunk) = fact
                && let Some(runtime) = self.studies.get_mut(study)
            {
                runtime.dirty.insert(chunk.trial.clone());
            }
        }
        self.world.fold_all(facts.facts);
        let replica = self.within_limits(&id, replica);
        self.docs.insert(id, replica);
        if let Some(study) = curves {
            self.rest_curves_of(&study);
        }
    }

    /// Packed curves beyond their share of memory are left to the shelf.
    pub(super) fn within_limits(&mut self, id: &DocId, replica: Replica) -> Replica {
        match replica {
            Replica::Packed(bytes) if matches!(id, DocId::Metrics { .. }) => {
                if self.packed_curves + bytes.len() > self.config.curve_bytes {
                    return Replica::Shelved;
                }
                self.packed_curves += bytes.len();
                Replica::Packed(bytes)
            }
            other => other,
        }
    }

    /// Brings a document's replica into memory, a new one where there is none.
    pub(super) fn wake(&mut self, id: &DocId) -> Result<&mut Doc, DocError> {
        let ticked = self.ticked;
        if !matches!(self.docs.get(id), Some(Replica::Live(..))) {
            let doc = match self.docs.get(id) {
                None => Doc::new(id.clone(), &self.actor),
                Some(Replica::Packed(bytes)) => Doc::load(id.clone(), &self.actor, Some(bytes), &[])?,
                Some(_) => self.unshelved(id)?,
            };
            // A peer's digest may have said more than its document: what is lacking is asked for again.
            let vector = doc.vector();
            if self.docs.contains_key(id) && self.index.vector(id) != Some(&vector) {
                self.troubles.push(format!("{id} has not what was said of it: what it lacks is fetched again"));
                self.index.forget(id);
                self.index.put(id, &vector);
            }
            if let Some(Replica::Packed(bytes)) = self.docs.insert(id.clone(), Replica::Live(Box::new(doc), ticked))
                && matches!(id, DocId::Metrics { .. })
            {
                self.packed_curves -= bytes.len();
            }
        }
        match self.docs.get_mut(id) {
            Some(Replica::Live(doc, written)) => {
                *written = ticked;
                Ok(doc)
            }
            _ => Err(DocError::Damaged { doc: id.clone(), detail: "it was just woken and is gone".into() }),
        }
    }

    fn fetched(&self, id: &DocId) -> Result<StoredDoc, DocError> {
        let damaged = |detail: String| DocError::Damaged { doc: id.clone(), detail };
        self.shelf.fetch(id).map_err(damaged)?.ok_or_else(|| damaged("nothing of it is stored".into()))
    }

    fn unshelved(&self, id: &DocId) -> Result<Doc, DocError> {
        let stored = self.fetched(id)?;
        Doc::load(id.clone(), &self.actor, stored.snapshot.as_deref(), &stored.changes)
    }

    /// What a document says.
    pub(super) fn facts_of(&self, id: &DocId) -> Result<Vec<Fact>, DocError> {
        let facts = match self.docs.get(id) {
            None => Facts::default(),
            Some(Replica::Live(doc, _)) => doc.facts(),
            Some(Replica::Packed(bytes)) => Doc::load(id.clone(), &self.actor, Some(bytes), &[])?.facts(),
            Some(Replica::Shelved) => read_doc(&self.actor, self.fetched(id)?)?.facts,
        };
        Ok(facts.facts)
    }

    /// Drops the trials and curves of deleted studies, here and from the store. What was deleted earlier has none left,
    /// unless the disk or the daemon failed before they were gone.
    pub(super) fn forget_deleted(&mut self) {
        let gone = |id: &&DocId| {
            let study = id.study().and_then(|study| self.world.study(study));
            !matches!(id, DocId::Study(_)) && study.is_some_and(|study| study.deleted)
        };
        let docs: Vec<DocId> = self.docs.keys().filter(gone).cloned().collect();
        for doc in &docs {
            self.forget_doc(doc);
        }
        if !docs.is_empty() {
            self.effect(Effect::Forget(docs));
        }
    }

    /// Drops what stands for a document.
    pub(super) fn forget_doc(&mut self, id: &DocId) {
        self.index.forget(id);
        self.forget_doc_memory(id);
    }

    pub(super) fn forget_doc_memory(&mut self, id: &DocId) {
        if let (Some(Replica::Packed(bytes)), DocId::Metrics { .. }) = (self.docs.remove(id), id) {
            self.packed_curves -= bytes.len();
        }
    }

    /// Documents that may rest now, at most `most`, those written least lately first. Each is to be saved, stored, and
    /// then put to rest: what rests must be on disk.
    pub fn idle_docs(&self, now: Now, most: usize) -> Vec<DocId> {
        let mut live: Vec<(u64, &DocId)> = Vec::new();
        for (id, replica) in &self.docs {
            if let Replica::Live(_, written) = replica
                && *id != DocId::Cluster
            {
                live.push((*written, id));
            }
        }
        live.sort();
        let too_many = live.len().saturating_sub(MOST_LIVE);
        let idle = |(i, (written, _)): &(usize, (u64, &DocId))| {
            // Not what was written since the last tick: it may not be stored yet.
            *written < self.ticked && (*i < too_many || written + REST_AFTER_MS <= now.mono_ms)
        };
        live.into_iter().enumerate().filter(idle).take(most).map(|(_, (_, id))| id.clone()).collect()
    }

    /// A document's replica; none where it rests, and so is stored already.
    pub fn replica(&self, id: &DocId) -> Option<&Doc> {
        if let Some(Replica::Live(doc, _)) = self.docs.get(id) { Some(doc) } else { None }
    }

    /// Puts a document to rest that was saved as `saved` and stored; ignored where it was written to meanwhile.
    pub fn rest(&mut self, id: &DocId, saved: Saved) {
        if let Some(Replica::Live(doc, _)) = self.docs.get(id)
            && doc.vector() == saved.vector
        {
            let replica = self.within_limits(id, Replica::Packed(saved.bytes));
            self.docs.insert(id.clone(), replica);
        }
    }

    /// All documents whole, as far as they are in memory; those on the shelf only are named instead.
    pub(super) fn all_docs(&self) -> (Vec<(DocId, Vec<u8>)>, Vec<DocId>) {
        let (mut whole, mut shelved) = (Vec::new(), Vec::new());
        for (id, replica) in &self.docs {
            match replica {
                Replica::Live(doc, _) => whole.push((id.clone(), doc.save())),
                Replica::Packed(bytes) => whole.push((id.clone(), bytes.clone())),
                Replica::Shelved => shelved.push(id.clone()),
            }
        }
        (whole, shelved)
    }

    /// Lets the points of ended attempts go: their documents have them.
    pub(super) fn rest_curves(&mut self) {
        let warm: Vec<StudyId> = self.world.studies().filter(|s| s.has_warm()).map(|s| s.id.clone()).collect();
        for id in warm {
            self.rest_curves_of(&id);
        }
    }

    fn rest_curves_of(&mut self, id: &StudyId) {
        // Rules compare whole curves: what they need of them is noted before they go.
        if self.studies.get(id).is_some_and(|r| r.rule.reads_curves()) {
            self.sync_history(id);
        }
        let undrained: BTreeSet<&TrialId> = self.points.keys().map(|(_, key, _)| &key.trial).collect();
        self.world.cool(id, &|trial| undrained.contains(trial));
    }

    /// The documents in which points of a trial rest.
    fn curve_docs(study: &StudyView, trial: &TrialView) -> Vec<DocId> {
        let cold = trial.attempts.iter().filter(|a| !a.curve.is_warm()).map(|a| DocId::Metrics {
            study: study.id.clone(),
            node: a.node.clone(),
            segment: (trial.place.seq / METRIC_SEGMENT) as u32,
        });
        let mut docs: Vec<DocId> = cold.collect();
        docs.sort();
        docs.dedup();
        docs
    }

    /// A trial's whole curve, wherever it rests.
    ///
    /// # Errors
    /// Its document can't be read now.
    pub fn curve(&self, study: &StudyView, trial: &TrialView) -> Result<Vec<Point>, Refusal> {
        if trial.is_warm() {
            let mut curve = trial.curve();
            // What is held back of a long curve is newer than all else of it, or between.
            for attempt in trial.attempts.iter() {
                let key = AttemptKey { trial: trial.place.id.clone(), attempt: attempt.attempt };
                for point in self.held_back(&key) {
                    if let Err(place) = curve.binary_search_by_key(&point.step, |p| p.step) {
                        curve.insert(place, point.clone());
                    }
                }
            }
            return Ok(curve);
        }
        Ok(self.curves(study, std::iter::once(trial))?.remove(0))
    }

    /// The whole curves of several trials, each document read once where its trials follow one another.
    ///
    /// # Errors
    /// A document can't be read now.
    pub fn curves<'a>(
        &self,
        study: &StudyView,
        trials: impl Iterator<Item = &'a TrialView>,
    ) -> Result<Vec<Vec<Point>>, Refusal> {
        let mut at_hand: Option<(Vec<DocId>, Vec<Fact>)> = None;
        let mut curves = Vec::new();
        for trial in trials {
            let docs = Self::curve_docs(study, trial);
            if docs.is_empty() {
                curves.push(trial.curve());
                continue;
            }
            if at_hand.as_ref().is_none_or(|(known, _)| *known != docs) {
                let mut facts = Vec::new();
                for doc in &docs {
                    facts.extend(self.facts_of(doc).map_err(|error| unreadable(trial, &error))?);
                }
                at_hand = Some((docs, facts));
            }
            let facts = at_hand.as_ref().map_or(&[][..], |(_, facts)| facts);
            curves.push(trial.warmed(&chunks(facts)).curve());
        }
        Ok(curves)
    }

    /// Brings a trial's resting points back, where something new may be said of them.
    pub(super) fn warm(&mut self, trial: &str) -> Result<(), Refusal> {
        let Ok((study, view)) = self.trial(trial) else { return Ok(()) };
        if view.is_warm() {
            return Ok(());
        }
        let mut read = Vec::new();
        for doc in Self::curve_docs(study, view) {
            let facts = self.facts_of(&doc).map_err(|error| unreadable(view, &error))?;
            read.push((doc, facts));
        }
        let id = view.place.id.clone();
        for (doc, facts) in read {
            if let DocId::Metrics { node, .. } = &doc {
                self.world.warm(&id, node, &chunks(&facts));
            }
        }
        Ok(())
    }
}

fn chunks(facts: &[Fact]) -> Vec<&MetricChunk> {
    facts.iter().filter_map(|fact| if let Fact::Metric(_, chunk) = fact { Some(chunk) } else { None }).collect()
}

fn unreadable(trial: &TrialView, error: &DocError) -> Refusal {
    Refusal::unreadable(format!("the curve of trial {} can't be read now: {error}", trial.label()))
}

/// A shelf with nothing on it: for nodes that keep everything in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoShelf;

impl Shelf for NoShelf {
    fn fetch(&self, _id: &DocId) -> Result<Option<StoredDoc>, String> {
        Ok(None)
    }
}
