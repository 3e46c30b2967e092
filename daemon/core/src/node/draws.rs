//! What a trial was drawn from: noted when it is drawn, and found again to draw once more.
//!
//! Owns: the inputs of a draw. Must not: draw for the study.
//!
//! A draw depends on what its node knew of the study's trials. Of its own facts those stamped before the trial: its
//! clock never goes back. Of others' facts those in the changes that it had taken in (see [`metaopt_schema::seen`]). The
//! few own facts whose stamp doesn't say when they were written (edits, and ends that happened while the daemon was away) are
//! put into their document before the next draw, and named as others' are.

use std::collections::{BTreeMap, BTreeSet};

use metaopt_engine::{Ask, History, Member, RecordState, Stop, Suggestion, hash64};
use metaopt_schema::{
    DocId, NodeId, Stamp, StudyId,
    docs::{Actor, Doc, RawChange, Vector},
    facts::{Fact, SEGMENT, StudyFact, TrialFact},
    seen::{Ledger, Packed, Run, Sight, is_base},
    trial::Proposer,
    view::{StudyView, TrialView, World},
};

use super::{
    Node,
    propose::{left_of, params, record},
    residence::Replica,
};

/// What was drawn from since this run began.
#[derive(Debug, Default)]
pub(super) struct Draws {
    /// None before the first draw of this run, and after this node learnt what it had forgotten.
    ledger: Option<Ledger>,
    /// Runs of which changes came since the last draw.
    news: BTreeMap<Run, u64>,
    /// Documents into which this node wrote what its stamps don't place.
    unplaced: BTreeSet<DocId>,
}

/// Why a draw can't be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// This version can't run the study's sampler.
    Sampler,
    /// An older metaopt drew it, which did not note what it knew.
    Unnoted,
    /// A newer metaopt drew it.
    Newer,
    /// This node hasn't got all that the trial's node knew.
    Missing,
    /// A document can't be read.
    Unreadable,
}

/// A draw with all it depended on.
pub(super) struct Redrawn {
    /// What comes out now.
    pub(super) result: Result<Suggestion, Stop>,
    /// Beside the trials.
    pub(super) sight: Sight,
    /// The metaopt that drew.
    pub(super) version: String,
    /// Trials without and with a result.
    pub(super) pending: usize,
    /// See `pending`.
    pub(super) ended: usize,
    /// Trials that the budget still allowed.
    pub(super) budget_left: Option<u64>,
    /// Trials known now that were not known then, although they were proposed before.
    pub(super) unseen: usize,
}

impl Draws {
    /// A change of another node was taken in.
    pub(super) fn came(&mut self, doc: &DocId, actor: &[u8], count: u64) {
        if self.ledger.is_some()
            && let Some(run) = run_of(doc, actor)
        {
            let known = self.news.entry(run).or_insert(0);
            *known = (*known).max(count);
        }
    }

    /// This node wrote what its stamps don't place.
    pub(super) fn wrote_unplaced(&mut self, doc: DocId) {
        self.unplaced.insert(doc);
    }

    /// This node's own trials came back from others: all that is known is noted anew.
    pub(super) fn begin_anew(&mut self) {
        self.ledger = None;
    }
}

fn run_of(doc: &DocId, actor: &[u8]) -> Option<Run> {
    let DocId::Trials { node, segment, .. } = doc else { return None };
    let (_, boot) = actor.split_last_chunk::<8>()?;
    Some(Run { home: node.clone(), segment: *segment, writer: Actor::node_of(actor)?, boot: u64::from_be_bytes(*boot) })
}

/// Members as a sampler is shown them, and the proposing node's place among them.
pub(super) fn members_of(sight: &Sight, me: &NodeId) -> (Vec<Member>, usize) {
    let members =
        sight.members.iter().map(|(node, weight)| Member { id: hash64(node.as_str()), weight: f64::from(*weight) });
    match sight.members.iter().position(|(node, _)| node == me) {
        Some(place) => (members.collect(), place),
        None => (vec![Member { id: hash64(me.as_str()), weight: 1.0 }], 0),
    }
}

impl Node {
    /// Whether a fact that this node writes now says so by its stamp.
    pub(super) fn is_placed(&self, fact: &TrialFact) -> bool {
        stamp_of(fact).is_some_and(|at| at.node == self.config.id && at.ms >= self.booted_ms)
    }

    /// Before a draw: what stamps don't place stands in documents.
    pub(super) fn place_facts(&mut self, id: &StudyId) {
        let Some(runtime) = self.studies.get(id) else { return };
        if runtime.draws.ledger.is_some() && runtime.draws.unplaced.is_empty() {
            return;
        }
        self.write_pending();
        let actor = self.actor.bytes();
        let Some(runtime) = self.studies.get_mut(id) else { return };
        for doc in std::mem::take(&mut runtime.draws.unplaced) {
            let count = self.index.vector(&doc).and_then(|vector| vector.get(actor)).copied();
            if let (Some(count), Some(run)) = (count, run_of(&doc, actor)) {
                runtime.draws.news.insert(run, count);
            }
        }
    }

    /// A draw was made: what is to be written of what it saw.
    pub(super) fn note_draw(&mut self, id: &StudyId, sight: &Sight) -> Packed {
        let Some(runtime) = self.studies.get_mut(id) else { return Packed::default() };
        let news = std::mem::take(&mut runtime.draws.news);
        if let Some(ledger) = &mut runtime.draws.ledger {
            return ledger.note(None, &news, sight);
        }
        let version = &self.config.hardware.version;
        let mut all = BTreeMap::new();
        for (doc, vector) in self.index.trials_of(id) {
            all.extend(vector.iter().filter_map(|(actor, count)| Some((run_of(doc, actor)?, *count))));
        }
        runtime.draws.ledger.get_or_insert_default().note(Some(version), &all, sight)
    }

    /// Draws again what a recorded trial was drawn from.
    pub(super) fn redraw(&self, study: &StudyView, trial: &TrialView) -> Result<Redrawn, Lost> {
        let Proposer::Sampler { seed, slot, draw, saw, .. } = trial.spec.by else { return Err(Lost::Unnoted) };
        let runtime = self.studies.get(&study.id).ok_or(Lost::Sampler)?;
        let (ledger, base) = ledger_of(study, trial)?;
        // Costs and states are judged by the definition, parameters by the space as it was.
        let mut then = StudyView::new(study.record.clone());
        then.space = study.space_of(&ledger.sight.space).ok_or(Lost::Missing)?;
        let mut history = History::new(&then.space, then.record.def.objectives.len());
        let (mut known, mut imported, mut pending) = (0, 0, 0);
        self.each_known(study, trial, &ledger, &base, &mut |view| {
            let mut record = record(&then, view);
            if record.state == RecordState::Pruned && record.curve.is_empty() {
                // Older metaopts did not write a stopped trial's last values into its end.
                record.curve.extend(runtime.history.get(record.key).and_then(|r| r.curve.last().copied()));
            }
            known += 1;
            imported += u64::from(view.imported_as().is_some());
            pending += usize::from(!view.state.is_terminal());
            history.upsert(record, || params(&then, view));
        })?;
        // Every proposal says how many trials its node knew.
        if known != saw {
            return Err(Lost::Missing);
        }
        let (members, me) = members_of(&ledger.sight, &trial.place.node);
        let budget_left = left_of(ledger.sight.max_trials, known - imported);
        let ask = Ask { history: &history, seed, slot, draw, members: &members, me, budget_left };
        let result = runtime.sampler.suggest(&ask);
        let before = study.trials().before(trial.key());
        let (ended, unseen) = (known as usize - pending, before.saturating_sub(known as usize));
        Ok(Redrawn { result, sight: ledger.sight, version: ledger.version, pending, ended, budget_left, unseen })
    }

    /// The trials of a study as they were known to the node that drew `trial`.
    fn each_known(
        &self,
        study: &StudyView,
        trial: &TrialView,
        ledger: &Ledger,
        base: &Stamp,
        take: &mut dyn FnMut(&TrialView),
    ) -> Result<(), Lost> {
        let (drawer, at) = (&trial.place.node, &trial.spec.at);
        let mut vectors: BTreeMap<(&NodeId, u32), Vector> = BTreeMap::new();
        for (run, count) in ledger.runs() {
            vectors.entry((&run.home, run.segment)).or_default().insert(run.actor().bytes().clone(), count);
        }
        let mut by_doc: BTreeMap<(&NodeId, u32), Vec<&TrialView>> = BTreeMap::new();
        for view in study.trials().iter() {
            by_doc.entry((&view.place.node, (view.place.seq / SEGMENT) as u32)).or_default().push(view);
        }
        let unread: BTreeSet<DocId> = self.pending.iter().chain(&self.unwritten).map(Fact::doc).collect();
        if vectors.keys().any(|home| !by_doc.contains_key(home)) {
            return Err(Lost::Missing);
        }
        for (home, mut views) in by_doc {
            views.retain(|view| view.place.node != *drawer || view.spec.at < *at);
            let doc = DocId::Trials { study: study.id.clone(), node: home.0.clone(), segment: home.1 };
            let seen = vectors.remove(&home).unwrap_or_default();
            let here = self.index.vector(&doc).cloned().unwrap_or_default();
            if seen.iter().any(|(actor, count)| here.get(actor).is_none_or(|here| here < count)) {
                return Err(Lost::Missing);
            }
            let foreign = |actor: &[u8]| Actor::node_of(actor).as_ref() != Some(drawer);
            let came_since = here.iter().any(|(actor, count)| foreign(actor) && seen.get(actor) != Some(count));
            if !came_since && !unread.contains(&doc) && views.iter().all(|view| view.was_whole(drawer, at)) {
                views.into_iter().for_each(&mut *take);
                continue;
            }
            if seen.is_empty() && home.0 != drawer && !views.iter().any(|view| touched_by(view, drawer)) {
                continue;
            }
            let mut world = World::new();
            world.fold(&Fact::Study(study.id.clone(), StudyFact::Defined(study.record.clone())));
            world.fold_all(self.known_facts(&doc, &seen, drawer, base, at)?);
            world.study(&study.id).into_iter().flat_map(|study| study.trials().iter()).for_each(&mut *take);
        }
        Ok(())
    }

    /// What `drawer` knew of one document: the changes in `seen`, and its own facts stamped from `base` on and before `at`.
    fn known_facts(
        &self,
        id: &DocId,
        seen: &Vector,
        drawer: &NodeId,
        base: &Stamp,
        at: &Stamp,
    ) -> Result<Vec<Fact>, Lost> {
        let loaded;
        let doc = match self.docs.get(id) {
            Some(Replica::Live(doc, _)) => &**doc,
            Some(Replica::Packed(bytes)) => {
                loaded = Doc::load(id.clone(), &self.actor, Some(bytes), &[]).map_err(|_| Lost::Unreadable)?;
                &loaded
            }
            // Documents of trials are never left to the disk alone.
            Some(Replica::Shelved) => return Err(Lost::Unreadable),
            None => {
                loaded = Doc::new(id.clone(), &self.actor);
                &loaded
            }
        };
        let own = |fact: &Fact| {
            let Fact::Trial(_, _, fact) = fact else { return false };
            stamp_of(fact).is_some_and(|stamp| stamp.node == *drawer && base <= stamp && stamp < at)
        };
        let mut facts = doc.facts_at(seen).ok_or(Lost::Missing)?.facts;
        facts.extend(doc.facts().facts.into_iter().filter(own));
        let unread = self.pending.iter().chain(&self.unwritten).filter(|fact| fact.doc() == *id && own(fact));
        facts.extend(unread.cloned());
        Ok(facts)
    }

    /// Changes of others were taken in.
    pub(super) fn note_news<'a>(&mut self, doc: &DocId, changes: impl Iterator<Item = &'a RawChange>) {
        if let DocId::Trials { study, .. } = doc
            && let Some(runtime) = self.studies.get_mut(study)
        {
            changes.for_each(|change| runtime.draws.came(doc, &change.actor, change.seq));
        }
    }

    /// A whole document of others was taken in.
    pub(super) fn note_whole(&mut self, doc: &DocId, vector: &Vector) {
        if let DocId::Trials { study, .. } = doc
            && let Some(runtime) = self.studies.get_mut(study)
        {
            vector.iter().for_each(|(actor, count)| runtime.draws.came(doc, actor, *count));
        }
    }
}

/// All of a node's draws up to a trial added up, and the stamp of the one where the sum begins.
fn ledger_of(study: &StudyView, trial: &TrialView) -> Result<(Ledger, Stamp), Lost> {
    let of_it = |view: &&TrialView| view.place.node == trial.place.node && view.place.seq <= trial.place.seq;
    let mut draws: Vec<(u64, &Stamp, &Packed)> = Vec::new();
    for view in study.trials().iter().filter(of_it) {
        if let Proposer::Sampler { seen, .. } = &view.spec.by {
            draws.push((view.place.seq, &view.spec.at, seen));
        }
    }
    draws.sort_unstable_by_key(|(seq, ..)| *seq);
    let base = draws.iter().rposition(|(_, _, seen)| is_base(seen)).ok_or(Lost::Unnoted)?;
    let mut ledger = Ledger::default();
    for (_, _, seen) in &draws[base..] {
        ledger.read(seen).ok_or(Lost::Newer)?;
    }
    Ok((ledger, draws[base].1.clone()))
}

/// When, and by whom, a fact was written; edits don't say.
fn stamp_of(fact: &TrialFact) -> Option<&Stamp> {
    match fact {
        TrialFact::Proposed(spec) => Some(&spec.at),
        TrialFact::Claimed { claim, .. } => Some(&claim.at),
        TrialFact::Ended { end, .. } | TrialFact::Told { end, .. } | TrialFact::GivenUp { end, .. } => Some(&end.at),
        TrialFact::Kept { at, .. } => Some(at),
        TrialFact::Edited { .. } => None,
    }
}

/// Whether a node may have written something of a trial.
fn touched_by(view: &TrialView, node: &NodeId) -> bool {
    !view.was_whole(node, &Stamp { ms: 0, n: 0, node: node.clone() })
}
