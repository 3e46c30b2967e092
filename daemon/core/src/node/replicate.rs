//! What goes to other nodes and what comes from them: every change at once, and what was missed by comparing.
//!
//! Owns: pushing, pulling, taking in what comes. Must not: open links, decide what facts mean.
//!
//! Each change goes as it is to all linked peers once it is on disk; whoever gets one passes it on to peers that the
//! sender has no link to. What was missed is found by sums (see `index.rs`), which every heartbeat carries: a node whose
//! sum differs asks for the vectors that differ, then for what it lacks, a few documents at a time.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use metaopt_schema::{
    DocId, NodeId, StudyId, TrialId,
    docs::{Doc, RawChange, Vector, digest},
    facts::{ClusterFact, Fact, StudyFact, TrialFact},
    study::StudyEdit,
    view::Touched,
};

use super::{Node, Saved, residence::Replica};
use crate::{
    Now,
    commands::Event,
    effects::Parcel,
    wire::{self, Frame, encode},
};

/// How long sums must differ before they are compared: what is on its way comes by itself (milliseconds).
const DIFFER_MS: u64 = 1_500;
/// Between two comparisons (milliseconds).
const REST_MS: u64 = 1_000;
/// A peer that brings nothing for this long is asked no more for now (milliseconds).
const PATIENCE_MS: u64 = 10_000;
/// The same for one that says that it can't store, or is only just starting (milliseconds).
const PATIENCE_WITH_RESTING_MS: u64 = 2_000;
/// Documents in one question.
const DOCS_AT_ONCE: usize = 16;
/// Questions under way.
const ASKED_AT_ONCE: usize = 3;
/// Bytes sent for one request, about: a document is begun only below it.
const BYTES_AT_ONCE: usize = 2 << 20;
/// Vectors in one frame.
const VECTORS_AT_ONCE: usize = 20_000;

/// What this node is asking one peer for; one at a time.
#[derive(Debug)]
pub(super) struct Pull {
    peer: NodeId,
    since: u64,
    /// The peer said that it can't store, and has brought nothing since.
    in_vain: bool,
    /// What the peer has and is still missing here.
    missing: BTreeMap<DocId, Vector>,
    /// All that was asked for came.
    whole: bool,
    /// Questions under way, oldest first: the peer answers in their order.
    asked: VecDeque<Vec<DocId>>,
}

/// Pulling.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    now: Option<Pull>,
    next: u64,
}

impl Node {
    pub(super) fn replicate(&mut self, now: Now, peer: &NodeId, frame: Frame) {
        match frame {
            Frame::Changes(changes) => {
                self.pull_moves(now, peer, changes.iter().map(|(doc, _)| doc));
                self.take_changes(now, Some(peer), changes);
            }
            Frame::Whole(doc, snapshot, digest) => {
                self.pull_moves(now, peer, std::iter::once(&doc));
                self.take_whole(now, doc, &snapshot, &digest);
            }
            Frame::Compare(sums) => self.answer_compare(peer, &sums),
            Frame::Have { vectors, more } => self.compare(now, peer, vectors, more),
            Frame::Want(wanted) => self.answer_want(peer, wanted),
            Frame::Sent => self.want_more(now, peer),
            // Between the shells, or of a later metaopt.
            _ => {}
        }
    }

    /// Asks a peer for what is missing, where its sum has differed for a while.
    pub(super) fn pull_if_due(&mut self, now: Now, peer: &NodeId) {
        if let Some(pull) = &mut self.pulls.now {
            // What was asked of a peer that couldn't store is lost, also where it can now.
            let beat = self.peers.all.get(&pull.peer).and_then(|p| p.beat.as_ref());
            pull.in_vain |= beat.is_some_and(|beat| beat.rests);
            if pull.since + (if pull.in_vain { PATIENCE_WITH_RESTING_MS } else { PATIENCE_MS }) > now.mono_ms {
                return;
            }
            self.pulls.now = None;
        }
        let differs = self.peers.all.get(peer).filter(|p| p.linked).and_then(|p| p.differs);
        if differs
            .is_some_and(|since| since == 0 || (since + DIFFER_MS <= now.mono_ms && self.pulls.next <= now.mono_ms))
        {
            let sums = Frame::Compare(self.index.sums());
            self.post(vec![peer.clone()], &sums, true);
            self.pulls.now = Some(Pull {
                peer: peer.clone(),
                since: now.mono_ms,
                in_vain: false,
                missing: BTreeMap::new(),
                whole: true,
                asked: VecDeque::new(),
            });
            if let Some(entry) = self.peers.all.get_mut(peer) {
                entry.differs = Some(now.mono_ms);
            }
        }
    }

    pub(super) fn pull_ended(&mut self, peer: &NodeId) {
        if self.pulls.now.as_ref().is_some_and(|pull| pull.peer == *peer) {
            self.pulls.now = None;
        }
    }

    /// What was asked for comes. What is merely pushed says nothing: the question may be lost.
    fn pull_moves<'a>(&mut self, now: Now, peer: &NodeId, mut docs: impl Iterator<Item = &'a DocId>) {
        if let Some(pull) = self.pulls.now.as_mut().filter(|pull| pull.peer == *peer)
            && docs.any(|doc| pull.missing.contains_key(doc))
        {
            pull.since = now.mono_ms;
            pull.in_vain = false;
        }
    }

    fn answer_compare(&mut self, peer: &NodeId, sums: &[(u8, u64)]) {
        let mut left = self.index.differing(sums).into_iter().peekable();
        loop {
            let mut vectors = BTreeMap::new();
            let mut entries = 0;
            while entries < VECTORS_AT_ONCE
                && let Some((doc, vector)) = left.next()
            {
                entries += vector.len();
                vectors.insert(doc, vector);
            }
            let more = left.peek().is_some();
            self.post(vec![peer.clone()], &Frame::Have { vectors, more }, true);
            if !more {
                return;
            }
        }
    }

    fn compare(&mut self, now: Now, peer: &NodeId, vectors: BTreeMap<DocId, Vector>, more: bool) {
        let lacking: Vec<(DocId, Vector)> =
            vectors.into_iter().filter(|(doc, theirs)| !self.is_dead(doc) && self.index.lacks(doc, theirs)).collect();
        let Some(pull) = self.pulls.now.as_mut().filter(|pull| pull.peer == *peer) else { return };
        pull.since = now.mono_ms;
        pull.missing.extend(lacking);
        if !more {
            self.ask(now);
        }
    }

    /// What a question asked for has come, as far as the peer sends at a time: the next question.
    fn want_more(&mut self, now: Now, peer: &NodeId) {
        let Some(pull) = self.pulls.now.as_mut().filter(|pull| pull.peer == *peer) else { return };
        pull.since = now.mono_ms;
        let batch = pull.asked.pop_front().unwrap_or_default();
        let mut missing = std::mem::take(&mut pull.missing);
        let came = |doc: &DocId, theirs: &Vector| self.is_dead(doc) || !self.index.lacks(doc, theirs);
        let before = missing.len();
        missing.retain(|doc, theirs| !batch.contains(doc) || !came(doc, theirs));
        let moved = missing.len() < before || batch.is_empty();
        if !moved {
            // The peer can't give these now; they come another time, or from another node.
            missing.retain(|doc, _| !batch.contains(doc));
        }
        if let Some(pull) = &mut self.pulls.now {
            pull.whole &= moved;
            pull.missing = missing;
        }
        self.ask(now);
    }

    /// Keeps questions under way, so that the peer reads while this node folds.
    fn ask(&mut self, now: Now) {
        loop {
            let Some(pull) = &self.pulls.now else { return };
            let asked = |doc: &DocId| pull.asked.iter().any(|batch| batch.contains(doc));
            let next: Vec<DocId> = match pull.asked.len() < ASKED_AT_ONCE {
                true => pull.missing.keys().filter(|doc| !asked(doc)).take(DOCS_AT_ONCE).cloned().collect(),
                false => Vec::new(),
            };
            if next.is_empty() {
                if pull.asked.is_empty() {
                    self.pull_done(now);
                }
                return;
            }
            let mine = |doc: &DocId| (doc.clone(), self.index.vector(doc).cloned().unwrap_or_default());
            let (peer, wanted) = (pull.peer.clone(), next.iter().map(mine).collect());
            self.post(vec![peer], &Frame::Want(wanted), true);
            if let Some(pull) = &mut self.pulls.now {
                pull.asked.push_back(next);
            }
        }
    }

    fn pull_done(&mut self, now: Now) {
        if let Some(pull) = self.pulls.now.take()
            && let Some(entry) = self.peers.all.get_mut(&pull.peer)
        {
            entry.differs = None;
            if pull.whole {
                self.caught_up(now, &pull.peer);
            }
        }
        self.pulls.next = now.mono_ms + REST_MS;
    }

    fn answer_want(&mut self, peer: &NodeId, wanted: BTreeMap<DocId, Vector>) {
        let mut sent = 0;
        for (doc, theirs) in wanted {
            if sent >= BYTES_AT_ONCE {
                break;
            }
            let known = self.index.vector(&doc).is_some();
            let whole = if known && theirs.is_empty() { self.whole(&doc) } else { None };
            let frames = match whole {
                Some(frame) => vec![frame],
                // A document that can't be read now comes another time, or from another node.
                None if known => {
                    let changes = self.wake(&doc).map(|doc| doc.changes_after(&theirs)).unwrap_or_default();
                    let changes: Vec<(DocId, RawChange)> = changes.into_iter().map(|c| (doc.clone(), c)).collect();
                    self.framed(&changes)
                }
                None => Vec::new(),
            };
            for frame in frames {
                sent += frame.len();
                // After a crash, what nobody stored must not be known to others: its names are given again.
                self.parcels.push(Parcel { to: vec![peer.clone()], frame, at_once: false });
            }
        }
        self.post(vec![peer.clone()], &Frame::Sent, false);
    }

    /// Changes in frames. One that fits into none would never reach anybody: that is said.
    fn framed(&mut self, changes: &[(DocId, RawChange)]) -> Vec<Arc<[u8]>> {
        let (frames, errors) = wire::changes(changes);
        self.troubles.extend(errors.iter().map(|error| format!("a change can't be sent: {error}")));
        frames
    }

    /// A document as it is stored, where that says all of it; none where it is better sent change by change.
    fn whole(&self, id: &DocId) -> Option<Arc<[u8]>> {
        let (bytes, digest) = match self.docs.get(id)? {
            Replica::Live(doc, _) => (doc.save(), doc.digest()),
            Replica::Packed(_) | Replica::Shelved => {
                let stored = self.shelf.fetch(id).ok()??;
                if !stored.changes.is_empty() {
                    return None;
                }
                (stored.snapshot?, stored.digest?)
            }
        };
        encode(&Frame::Whole(id.clone(), bytes.into(), digest.into())).ok()
    }

    /// Whether nothing is to be kept of a document: its study is deleted.
    fn is_dead(&self, doc: &DocId) -> bool {
        let study = doc.study().and_then(|study| self.world.study(study));
        !matches!(doc, DocId::Study(_)) && study.is_some_and(|study| study.deleted)
    }

    /// Takes in changes from elsewhere, in whatever order and however often they come.
    pub(super) fn take_changes(&mut self, now: Now, from: Option<&NodeId>, changes: Vec<(DocId, RawChange)>) {
        let mut by_doc: BTreeMap<DocId, Vec<RawChange>> = BTreeMap::new();
        for (doc, change) in changes {
            if !self.index.has(&doc, &change) && !self.is_dead(&doc) {
                by_doc.entry(doc).or_default().push(change);
            }
        }
        if !by_doc.is_empty() {
            // What this node has said must stand in the documents first: two may say one thing under one key.
            self.write_pending();
        }
        for (id, changes) in by_doc {
            // One of those before may have deleted its study.
            if self.is_dead(&id) {
                continue;
            }
            let applied = match self.wake(&id) {
                Ok(doc) => doc.apply(&changes),
                // It rests on a disk that can't be read now: they come again.
                Err(error) => {
                    self.troubles.push(error.to_string());
                    continue;
                }
            };
            self.skipped += applied.unknown as u64;
            self.troubles.extend(applied.problems.iter().map(ToString::to_string));
            for change in &applied.accepted {
                self.index.add(&id, &change.actor, change.seq);
            }
            self.note_news(&id, applied.accepted.iter());
            let news = applied.accepted.into_iter().map(|change| (id.clone(), change, from.cloned()));
            self.taken.extend(news);
            let facts = match (applied.refold, self.docs.get(&id)) {
                (true, Some(Replica::Live(doc, _))) => doc.facts().facts,
                _ => applied.facts,
            };
            let anew = applied.refold && facts.iter().any(|fact| self.world.contradicts(fact));
            self.fold_foreign(now, facts);
            if let (true, Some(study)) = (anew, id.study().cloned()) {
                self.refold(now, &study);
            }
        }
    }

    /// Sees a study anew: two wrote one fact differently (a database was put back from a copy), and what was folded first
    /// isn't what stands.
    fn refold(&mut self, now: Now, study: &StudyId) {
        // What this node says itself stands in the documents first.
        self.write_pending();
        let docs: Vec<DocId> = self.docs.keys().filter(|doc| doc.study() == Some(study)).cloned().collect();
        let mut facts = Vec::new();
        for doc in &docs {
            match self.facts_of(doc) {
                Ok(some) => facts.extend(some),
                Err(error) => return self.troubles.push(error.to_string()),
            }
        }
        self.world.refold(study, facts);
        self.renew_models(study);
        self.touched(Touched::Study(study.clone()));
        self.mine_in(study).iter().for_each(|trial| self.reconcile(now, trial));
    }

    /// Takes in a whole document of which nothing is here.
    fn take_whole(&mut self, now: Now, id: DocId, snapshot: &[u8], bytes: &[u8]) {
        if self.index.vector(&id).is_some() || self.is_dead(&id) {
            return;
        }
        let (facts, vector) = match digest::read(&id, bytes) {
            Ok(read) => read,
            // Of a later metaopt: the document itself says the same.
            Err(_) => match Doc::load(id.clone(), &self.actor, Some(snapshot), &[]) {
                Ok(doc) => (doc.facts(), doc.vector()),
                Err(error) => return self.troubles.push(error.to_string()),
            },
        };
        self.skipped += facts.unknown as u64;
        self.troubles.extend(facts.problems.iter().map(ToString::to_string));
        self.index.put(&id, &vector);
        self.note_whole(&id, &vector);
        self.forget_doc_memory(&id);
        let replica = self.within_limits(&id, Replica::Packed(snapshot.to_vec()));
        self.docs.insert(id.clone(), replica);
        self.wholes.push((id.clone(), Saved { bytes: snapshot.to_vec(), vector, digest: bytes.to_vec() }));
        match &id {
            DocId::Trials { study, .. } | DocId::Metrics { study, .. } => self.fold_history(now, study, facts.facts),
            DocId::Cluster | DocId::Study(_) => self.fold_foreign(now, facts.facts),
        }
    }

    /// Folds trials or curves of which nothing was known: as a start does, without a word for each.
    fn fold_history(&mut self, now: Now, study: &StudyId, facts: Vec<Fact>) {
        let mut trials: BTreeSet<TrialId> = BTreeSet::new();
        for fact in &facts {
            self.learn(fact, now.wall_ms);
            match fact {
                Fact::Trial(_, place, _) => drop(trials.insert(place.id.clone())),
                Fact::Metric(_, chunk) => drop(trials.insert(chunk.trial.clone())),
                Fact::Cluster(_) | Fact::Study(..) => {}
            }
        }
        self.world.fold_all(facts);
        self.touched(Touched::Study(study.clone()));
        trials.iter().for_each(|trial| self.reconcile(now, trial));
        if let Some(runtime) = self.studies.get_mut(study) {
            runtime.dirty.extend(trials);
        }
        self.wants_dispatch = true;
    }

    /// Folds what others wrote, and acts on what it changes here.
    fn fold_foreign(&mut self, now: Now, mut facts: Vec<Fact>) {
        // Trials before what is said of them, so that nothing is kept for later.
        facts.sort_by_key(|fact| match fact {
            Fact::Cluster(_) => 0,
            Fact::Study(_, StudyFact::Defined(_)) => 1,
            Fact::Study(..) => 2,
            Fact::Trial(_, _, TrialFact::Proposed(_)) => 3,
            Fact::Trial(..) => 4,
            Fact::Metric(..) => 5,
        });
        let mut trials: BTreeSet<TrialId> = BTreeSet::new();
        let mut nodes = false;
        for fact in facts {
            self.learn(&fact, now.wall_ms);
            let touched = self.world.fold(&fact);
            self.touched(touched);
            match &fact {
                Fact::Cluster(fact) => nodes |= !matches!(fact, ClusterFact::Listed { .. }),
                Fact::Study(id, StudyFact::Defined(_)) => self.study_arrived(now, id),
                Fact::Study(id, StudyFact::Edited { edit, .. }) => self.study_edited(now, id, edit),
                Fact::Study(_, StudyFact::Share { .. }) => {}
                Fact::Trial(_, place, _) => drop(trials.insert(place.id.clone())),
                Fact::Metric(study, chunk) => {
                    let data = chunk
                        .points
                        .last()
                        .map(|p| serde_json::json!({"step": p.step, "values": p.values, "attempt": chunk.attempt}));
                    let (study, trial) = (Some(study.clone()), Some(chunk.trial.clone()));
                    self.events.push(Event { kind: "trial.report", study, trial, data });
                    trials.insert(chunk.trial.clone());
                }
            }
        }
        if nodes {
            self.listen(now);
            self.nodes_changed(now);
        }
        for trial in trials {
            self.reconcile(now, &trial);
        }
        self.wants_dispatch = true;
    }

    fn study_arrived(&mut self, now: Now, id: &StudyId) {
        if !self.studies.contains_key(id) && self.world.study(id).is_some_and(|s| !s.deleted) {
            self.open_study(id);
            self.events.push(Event { kind: "study.created", study: Some(id.clone()), trial: None, data: None });
            self.probe_if_due(id, now);
        }
    }

    fn study_edited(&mut self, now: Now, id: &StudyId, edit: &StudyEdit) {
        match edit {
            StudyEdit::Deleted => self.drop_study(now, id),
            StudyEdit::Space(_) => self.renew_models(id),
            StudyEdit::State(_) => {
                let mine: Vec<TrialId> = self.mine_in(id);
                mine.iter().for_each(|trial| self.reconcile(now, trial));
            }
            _ => {}
        }
    }

    /// To whom a change goes: this node's own to all, another's to those whom its bearer has no link to.
    fn targets(&self, from: Option<&NodeId>) -> Vec<NodeId> {
        let Some(from) = from else { return self.linked() };
        let beat = self.peers.all.get(from).and_then(|peer| peer.beat.as_ref());
        // A set: this is asked of every change that comes.
        let reached = beat.map(|beat| beat.links.iter().collect::<HashSet<_>>());
        let unreached = |id: &NodeId| id != from && reached.as_ref().is_none_or(|links| !links.contains(id));
        self.linked().into_iter().filter(unreached).collect()
    }

    /// Puts changes into frames for those who lack them: to be sent once they are stored.
    pub(super) fn push(&mut self, own: &[(DocId, RawChange)], taken: &[(DocId, RawChange, Option<NodeId>)]) {
        let mut by_target: BTreeMap<Vec<NodeId>, Vec<(DocId, RawChange)>> = BTreeMap::new();
        let all = self.targets(None);
        if !all.is_empty() {
            by_target.entry(all).or_default().extend(own.iter().cloned());
        }
        for (doc, change, from) in taken {
            let to = self.targets(from.as_ref());
            if !to.is_empty() {
                by_target.entry(to).or_default().push((doc.clone(), change.clone()));
            }
        }
        for (to, changes) in by_target {
            let frames = self.framed(&changes);
            self.parcels.extend(frames.into_iter().map(|frame| Parcel { to: to.clone(), frame, at_once: false }));
        }
    }
}
