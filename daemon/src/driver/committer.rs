//! The store's thread: makes what the node decided durable, and only then answers, tells and acts.
//!
//! Owns: the store, and what waits for it while the disk fails. Must not: decide anything.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Receiver},
    time::{Duration, Instant},
};

use metaopt_core::{Effect, Parcel, Saved, commands::Event};
use metaopt_schema::{DocId, docs::RawChange};

use super::{Batch, CallError, Deliver, Message, Shell};
use crate::{
    exec::Executor,
    store::{Store, StoreError},
};

/// Pause between attempts to reach a failing disk.
const DISK_REST: Duration = Duration::from_secs(1);
/// Documents put to rest at one tick: saving one takes about 10 ms.
const REST_AT_ONCE: usize = 4;
/// Documents deleted in one round, each with a sync of its own: a large study's take more than others should wait for.
const DELETED_AT_ONCE: usize = 16;
/// Pause before a snapshot is tried again that could not be stored; the changes stay till then.
const SNAPSHOT_REST: Duration = Duration::from_secs(60);
/// Pause before a deletion is tried again that the disk refused.
const DELETION_REST: Duration = Duration::from_secs(5);

/// How the store does, for the node's thread.
#[derive(Clone, Default)]
pub(super) struct Health(Arc<Mutex<(Option<String>, Option<Instant>)>>);

impl Health {
    /// Why nothing can be stored, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().0.clone()
    }

    /// For how long the commit under way has taken.
    pub(super) fn behind(&self) -> Duration {
        self.lock().1.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, (Option<String>, Option<Instant>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
pub(super) struct Committer {
    shell: Shell,
    store: Store,
    executor: Option<Arc<Executor>>,
    runtime: tokio::runtime::Handle,
    unsaved: Vec<(DocId, RawChange)>,
    /// Whole documents of peers.
    unsaved_wholes: Vec<(DocId, Saved)>,
    unsaved_meta: Vec<(String, Vec<u8>)>,
    /// Not to be done before what is unsaved is stored.
    held: Vec<Effect>,
    /// Not to be told before.
    held_events: Vec<Event>,
    /// Not to be sent before.
    held_parcels: Vec<Parcel>,
    trouble: Option<(String, Instant)>,
    /// What the node's thread sees of it.
    health: Health,
    /// The database was found corrupt and is not yet filled again from memory.
    lost: bool,
    no_snapshot_until: Option<Instant>,
    /// Documents of deleted studies that are still stored.
    forgotten: Vec<DocId>,
    no_deletion_until: Option<Instant>,
}

impl Committer {
    /// Call it within a runtime.
    pub(super) fn new(shell: Shell, store: Store, executor: Option<Arc<Executor>>, health: Health) -> Self {
        Self {
            shell,
            store,
            executor,
            runtime: tokio::runtime::Handle::current(),
            unsaved: Vec::new(),
            unsaved_wholes: Vec::new(),
            unsaved_meta: Vec::new(),
            held: Vec::new(),
            held_events: Vec::new(),
            held_parcels: Vec::new(),
            trouble: None,
            health,
            lost: false,
            no_snapshot_until: None,
            forgotten: Vec::new(),
            no_deletion_until: None,
        }
    }

    pub(super) fn run(mut self, waiting: Receiver<Batch>) {
        while let Ok(first) = waiting.recv() {
            // All that came while the last commit was under way.
            let batches: Vec<Batch> = std::iter::once(first).chain(waiting.try_iter()).collect();
            self.round(batches);
        }
    }

    /// Makes batches durable, then answers.
    fn round(&mut self, batches: Vec<Batch>) {
        let (mut tick, mut last) = (false, false);
        let mut touched: Vec<DocId> = Vec::new();
        let mut answers: Vec<(Vec<Deliver>, Result<(), CallError>)> = Vec::new();
        for batch in batches {
            let output = batch.output;
            touched.extend(output.changes.iter().map(|(id, _)| id.clone()));
            self.unsaved.extend(output.changes);
            self.unsaved_wholes.extend(output.wholes);
            self.held_parcels.extend(output.parcels);
            for trouble in output.troubles {
                tracing::warn!("{trouble}");
            }
            self.unsaved_meta.extend(output.meta);
            self.held.extend(output.effects);
            self.held_events.extend(output.events);
            let mut written = Ok(());
            if let Some(error) = &output.owed {
                tracing::warn!(%error, "a document can't be read now; what was said of it waits in memory");
                written = Err(CallError::Storage(error.to_string()));
            }
            for error in &output.refused {
                tracing::error!(%error, "a document refused a fact; what it said is lost");
                written = written.and_then(|()| Err(CallError::Lost(error.to_string())));
            }
            answers.push((batch.answers, written));
            tick |= batch.tick;
            last |= batch.last;
        }
        self.health.lock().1 = Some(Instant::now());
        let saved = self.save(last);
        self.health.lock().1 = None;
        // Only what is stored is known to others: after a crash, the names of what was lost are given to other things.
        if saved.is_ok() {
            self.shell.post(std::mem::take(&mut self.held_parcels));
        }
        for (answers, written) in answers {
            let outcome = saved.clone().and(written);
            for answer in answers {
                answer(outcome.clone());
            }
        }
        if self.all_saved() && self.trouble.is_none() {
            self.shell.events.publish(std::mem::take(&mut self.held_events));
            for effect in std::mem::take(&mut self.held) {
                self.carry_out(effect);
            }
            self.forget();
            self.snapshots(&mut touched);
            if tick {
                self.rest();
            }
        }
    }

    /// Makes everything durable. `last`: there is no later chance, so that a failing disk is not left to rest.
    fn save(&mut self, last: bool) -> Result<(), CallError> {
        if self.all_saved() && self.trouble.is_none() {
            return Ok(());
        }
        if let Some((why, since)) = &self.trouble
            && since.elapsed() < DISK_REST
            && !last
        {
            return Err(CallError::Storage(why.clone()));
        }
        let outcome = match self.trouble {
            None => self.commit(),
            Some(_) => Err(StoreError::Closed { path: self.store.path().to_owned() }),
        };
        let outcome = match outcome {
            // Also by a snapshot or a deletion that failed, which is no reason to refuse this.
            Err(StoreError::Closed { .. }) => self.recover().and_then(|()| self.commit()),
            outcome => outcome,
        };
        match outcome {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    self.health.lock().0 = None;
                    tracing::info!("the store takes changes again");
                }
                self.unsaved.clear();
                self.unsaved_meta.clear();
                self.unsaved_wholes.clear();
                Ok(())
            }
            Err(error) => Err(self.troubled(error.to_string())),
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.store.commit(&self.unsaved, &self.unsaved_meta)?;
        self.store.take_whole(&self.unsaved_wholes)
    }

    fn all_saved(&self) -> bool {
        self.unsaved.is_empty() && self.unsaved_meta.is_empty() && self.unsaved_wholes.is_empty()
    }

    /// Opens the store again. One that turns out corrupt is moved aside and filled anew with what is in memory, which
    /// is more than any copy of it holds.
    fn recover(&mut self) -> Result<(), StoreError> {
        match self.store.reopen() {
            Err(error) if error.is_corruption() => {
                self.lost = true;
                let aside = self.store.begin_again(&error)?;
                let mut node = self.shell.node.write().unwrap_or_else(PoisonError::into_inner);
                node.notice(format!("the database was corrupt; it is kept as {}", aside.display()));
            }
            outcome => outcome?,
        }
        if self.lost {
            let (docs, meta) = self.shell.node.write().unwrap_or_else(PoisonError::into_inner).everything();
            self.store.fill(&docs, &meta)?;
            self.lost = false;
            tracing::warn!(documents = docs.len(), "the fresh database was filled from memory");
        }
        Ok(())
    }

    fn troubled(&mut self, why: String) -> CallError {
        if self.trouble.is_none() {
            tracing::error!(%why, unsaved = self.unsaved.len(), "the store fails: nothing new is taken on until it works again");
        }
        self.health.lock().0 = Some(why.clone());
        self.trouble = Some((why.clone(), Instant::now()));
        CallError::Storage(why)
    }

    fn carry_out(&mut self, effect: Effect) {
        let _guard = self.runtime.enter();
        match (effect, &self.executor) {
            (Effect::Forget(docs), _) => self.forgotten.extend(docs),
            (Effect::Cut(node), _) => {
                if let Some(outbox) = self.shell.outbox.get() {
                    outbox.cut(&node);
                }
            }
            (_, None) => {}
            (Effect::Launch(launch), Some(executor)) => executor.launch(*launch),
            (Effect::Stop(key, why), Some(executor)) => executor.stop(&key, why),
            (Effect::Finish(key), Some(executor)) => executor.finish(&key),
            (Effect::SetAside(key), Some(executor)) => executor.set_aside(&key),
            (Effect::Probe(study, run), Some(executor)) => {
                let (executor, sender) = (executor.clone(), self.shell.sender.clone());
                let by = self.shell.read(|node, _| node.world().study(&study).map(|s| s.record.node.clone()));
                self.runtime.spawn(async move {
                    let run = Arc::new(*run);
                    let probe = || {
                        let (executor, run) = (executor.clone(), run.clone());
                        tokio::task::spawn_blocking(move || executor.probe(&run))
                    };
                    let coming = executor.bring(&run, by).map(tokio::spawn);
                    let Ok(found) = probe().await else { return };
                    let _ = sender.send(Message::Probed(study.clone(), found));
                    let Some(coming) = coming else { return };
                    let _ = coming.await;
                    if let Ok(found) = probe().await {
                        let _ = sender.send(Message::Probed(study, found));
                    }
                });
            }
        }
    }

    /// Deletes what is forgotten. What the disk refuses is tried again; what is left when the daemon ends, the node finds
    /// at its next start.
    fn forget(&mut self) {
        if self.no_deletion_until.is_some_and(|at| Instant::now() < at) {
            return;
        }
        for doc in self.forgotten.iter().rev().take(DELETED_AT_ONCE).cloned().collect::<Vec<_>>() {
            let deleted = match self.store.delete(&doc) {
                Err(StoreError::Closed { .. }) => match self.recover() {
                    Ok(()) => self.store.delete(&doc),
                    Err(error) => return drop(self.troubled(error.to_string())),
                },
                outcome => outcome,
            };
            if let Err(error) = deleted {
                tracing::warn!(%error, %doc, "could not delete a document of a deleted study; it is tried again");
                self.no_deletion_until = Some(Instant::now() + DELETION_REST);
                return;
            }
            self.forgotten.pop();
        }
    }

    fn snapshots(&mut self, touched: &mut Vec<DocId>) {
        if self.no_snapshot_until.is_some_and(|at| Instant::now() < at) {
            return;
        }
        touched.sort();
        touched.dedup();
        for id in touched.iter() {
            if !self.store.wants_snapshot(id) {
                continue;
            }
            // The copy may be ahead of what is stored: a snapshot may well know more than the log beside it.
            if let Some(saved) = self.copy(id)
                && !self.snapshot(id, &saved)
            {
                return;
            }
        }
    }

    /// A document as it is stored. It is made of a copy, since that takes a while.
    fn copy(&self, id: &DocId) -> Option<Saved> {
        self.shell.read(|node, _| node.replica(id).cloned()).and_then(|doc| Saved::of(&doc))
    }

    /// False: it could not be stored, and none is tried for a while.
    fn snapshot(&mut self, id: &DocId, saved: &Saved) -> bool {
        let stored = self.store.snapshot(id, &saved.bytes, &saved.vector, Some(&saved.digest));
        if let Err(error) = &stored {
            tracing::warn!(%error, doc = %id, "could not store a snapshot; the changes stay");
            self.no_snapshot_until = Some(Instant::now() + SNAPSHOT_REST);
        }
        stored.is_ok()
    }

    /// Puts documents to rest that nobody writes to, as many as nobody notices.
    fn rest(&mut self) {
        if self.no_snapshot_until.is_some_and(|at| Instant::now() < at) {
            return;
        }
        for id in self.shell.read(|node, now| node.idle_docs(now, REST_AT_ONCE)) {
            let Some(saved) = self.copy(&id) else { continue };
            if self.store.tail(&id) > 0 && !self.snapshot(&id, &saved) {
                return;
            }
            self.shell.node.write().unwrap_or_else(PoisonError::into_inner).rest(&id, saved);
        }
    }
}
