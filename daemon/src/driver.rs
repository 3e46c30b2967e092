//! Drives the node: one thread owns its decisions and the store, so that whatever is answered is on disk first.
//!
//! A batch is whatever came while the last commit was under way; nothing waits for a timer. Readers take a short read
//! lock and never block on the disk.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use metaopt_core::{Effect, Node, Now, Refusal, Saved, commands::Event, launch::AttemptEvent};
use metaopt_schema::{AttemptKey, DocId, StudyId, docs::RawChange, facts::SlotSpec};
use tokio::sync::oneshot;

use crate::{
    events::EventHub,
    exec::Executor,
    store::{Store, StoreError},
};

/// How often leases and slots are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Most messages handled before a commit.
const BATCH: usize = 1024;
/// Pause between attempts to reach a failing disk.
const DISK_REST: Duration = Duration::from_secs(1);
/// Documents put to rest at one tick: saving one takes about 10 ms.
const REST_AT_ONCE: usize = 4;
/// Pause before a snapshot is tried again that could not be stored; the changes stay till then.
const SNAPSHOT_REST: Duration = Duration::from_secs(60);
/// Longer than this between two rounds, and clients could not be heard: their leases are extended.
const AWAY: Duration = Duration::from_secs(1);

/// Why a call was not carried out, or not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The node refused; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk is full or failing.
    #[error("{0}")]
    Storage(String),
    /// A document refused what was to be written: a bug. Other writes of the same batch are stored.
    #[error("{0}")]
    Lost(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

type Deliver = Box<dyn FnOnce(Result<(), CallError>) + Send>;
type Call = Box<dyn FnOnce(&mut Node, Now) -> Deliver + Send>;

enum Message {
    Call(Call, oneshot::Sender<CallError>),
    Attempt(AttemptKey, AttemptEvent),
    Probed(StudyId, Result<(), String>),
    Slots(Vec<(SlotSpec, Option<String>)>),
    Adopted(Vec<AttemptKey>),
    Room(Option<String>),
    StopAll,
    Quit,
}

/// The handle that the rest of the daemon has on the node.
#[derive(Clone)]
pub struct Shell {
    node: Arc<RwLock<Node>>,
    sender: Sender<Message>,
    clock: Clock,
    events: EventHub,
}

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock {
    /// Reads both.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // From 1 up, so that 0 is before everything.
        Now { mono_ms: self.0.elapsed().as_millis() as u64 + 1, wall_ms: wall.as_millis() as u64 }
    }
}

impl Shell {
    /// Starts the thread. `executor` is what runs attempts; none: effects are dropped (tests without processes).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        node: Node,
        store: Store,
        executor: Option<Arc<Executor>>,
        clock: Clock,
        events: EventHub,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let shell = Self { node: Arc::new(RwLock::new(node)), sender, clock, events };
        let runtime = tokio::runtime::Handle::current();
        let driver = Driver {
            shell: shell.clone(),
            receiver,
            store,
            executor,
            runtime,
            unsaved: Vec::new(),
            unsaved_meta: Vec::new(),
            held: Vec::new(),
            held_events: Vec::new(),
            trouble: None,
            lost: false,
            room: None,
            said: None,
            heard: Instant::now(),
            no_snapshot_until: None,
        };
        let thread = std::thread::Builder::new().name("node".into()).spawn(move || driver.run())?;
        Ok((shell, thread))
    }

    /// Runs `f` on the node; answers once what it wrote is on disk.
    ///
    /// # Errors
    /// The node's refusal, a failing disk, or the daemon's end.
    pub async fn call<T, F>(&self, f: F) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Node, Now) -> Result<T, Refusal> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let (refuse, refused) = oneshot::channel();
        let call: Call = Box::new(move |node, now| {
            let result = f(node, now);
            Box::new(move |stored| {
                // A refusal wrote nothing, so that it needs no disk.
                let result = match (result, stored) {
                    (Err(refusal), _) => Err(CallError::Refused(refusal)),
                    (Ok(_), Err(error)) => Err(error),
                    (Ok(value), Ok(())) => Ok(value),
                };
                let _ = answer.send(result); // the asker may have gone away
            })
        });
        self.sender.send(Message::Call(call, refuse)).map_err(|_| CallError::Stopping)?;
        tokio::select! {
            biased;
            Ok(error) = refused => Err(error),
            result = answered => result.unwrap_or(Err(CallError::Stopping)),
        }
    }

    /// Looks at the node for a moment.
    pub fn read<T>(&self, f: impl FnOnce(&Node, Now) -> T) -> T {
        f(&self.node.read().unwrap_or_else(PoisonError::into_inner), self.clock.now())
    }

    /// Changes that people follow.
    pub fn events(&self) -> &EventHub {
        &self.events
    }

    /// An attempt's process said something.
    pub fn attempt(&self, key: AttemptKey, event: AttemptEvent) {
        let _ = self.sender.send(Message::Attempt(key, event));
    }

    /// What slots there are now.
    pub fn slots(&self, inventory: Vec<(SlotSpec, Option<String>)>) {
        let _ = self.sender.send(Message::Slots(inventory));
    }

    /// Processes of an earlier daemon were looked for, and these found.
    pub fn adopted(&self, found: Vec<AttemptKey>) {
        let _ = self.sender.send(Message::Adopted(found));
    }

    /// Why there is no room for anything new; none: there is.
    pub fn room(&self, why: Option<String>) {
        let _ = self.sender.send(Message::Room(why));
    }

    /// Ends all jobs.
    pub fn stop_all(&self) {
        let _ = self.sender.send(Message::StopAll);
    }

    /// Ends the thread after what was sent before.
    pub fn quit(&self) {
        let _ = self.sender.send(Message::Quit);
    }
}

struct Driver {
    shell: Shell,
    receiver: Receiver<Message>,
    store: Store,
    executor: Option<Arc<Executor>>,
    runtime: tokio::runtime::Handle,
    unsaved: Vec<(DocId, RawChange)>,
    unsaved_meta: Vec<(String, Vec<u8>)>,
    /// Not to be done before what is unsaved is stored.
    held: Vec<Effect>,
    /// Not to be told before.
    held_events: Vec<Event>,
    trouble: Option<(String, Instant)>,
    /// The database was found corrupt and is not yet filled again from memory.
    lost: bool,
    /// Why there is no room, as the watcher last said.
    room: Option<String>,
    /// Why the node holds, as it was last told.
    said: Option<String>,
    heard: Instant,
    no_snapshot_until: Option<Instant>,
}

impl Driver {
    fn run(mut self) {
        let mut next_tick = Instant::now();
        loop {
            let first = match self.receiver.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut batch: Vec<Message> = first.into_iter().collect();
            while batch.len() < BATCH
                && let Ok(message) = self.receiver.try_recv()
            {
                batch.push(message);
            }
            let tick = Instant::now() >= next_tick;
            if tick {
                next_tick = Instant::now() + TICK;
            }
            if self.round(batch, tick) {
                return;
            }
        }
    }

    /// One batch: handle, make durable, answer. True: it was the last.
    fn round(&mut self, batch: Vec<Message>, tick: bool) -> bool {
        let mut quit = false;
        let mut answers: Vec<Deliver> = Vec::new();
        let output = {
            let now = self.shell.clock.now();
            let mut node = self.shell.node.write().unwrap_or_else(PoisonError::into_inner);
            let silence = std::mem::replace(&mut self.heard, Instant::now()).elapsed();
            if silence > AWAY || self.trouble.is_some() {
                // First, so that a renewal of this batch counts from when it came at the earliest.
                node.away(silence.as_millis() as u64);
            }
            let hold = self.trouble.as_ref().map(|(why, _)| why).or(self.room.as_ref());
            if hold != self.said.as_ref() {
                self.said = hold.cloned();
                node.hold(now, self.said.clone());
            }
            for message in batch {
                match message {
                    Message::Call(call, refuse) => match &self.trouble {
                        // A node that can't store takes nothing new on.
                        Some((why, _)) => drop(refuse.send(CallError::Storage(why.clone()))),
                        None => answers.push(call(&mut node, now)),
                    },
                    Message::Attempt(key, event) => node.attempt(now, &key, event),
                    Message::Probed(study, result) => node.probed(now, &study, result),
                    Message::Slots(inventory) => node.slots(now, inventory),
                    Message::Adopted(found) => node.adopted(now, &found),
                    Message::Room(why) => self.room = why,
                    Message::StopAll => node.stop_all(now),
                    Message::Quit => quit = true,
                }
            }
            if tick && self.trouble.is_none() {
                node.tick(now);
            }
            node.drain()
        };
        let touched: Vec<DocId> = output.changes.iter().map(|(id, _)| id.clone()).collect();
        self.unsaved.extend(output.changes);
        self.unsaved_meta.extend(output.meta);
        self.held.extend(output.effects);
        self.held_events.extend(output.events);
        let mut saved = self.save(quit);
        if let Some(error) = &output.owed {
            tracing::warn!(%error, "a document can't be read now; what was said of it waits in memory");
            saved = saved.and_then(|()| Err(CallError::Storage(error.to_string())));
        }
        for error in &output.refused {
            tracing::error!(%error, "a document refused a fact; what it said is lost");
            saved = saved.and_then(|()| Err(CallError::Lost(error.to_string())));
        }
        for answer in answers {
            answer(saved.clone());
        }
        if self.unsaved.is_empty() && self.unsaved_meta.is_empty() && self.trouble.is_none() {
            self.shell.events.publish(std::mem::take(&mut self.held_events));
            for effect in std::mem::take(&mut self.held) {
                self.carry_out(effect);
            }
            self.snapshots(&touched);
            if tick {
                self.rest();
            }
        }
        quit
    }

    /// Makes everything durable. `last`: there is no later chance, so that a failing disk is not left to rest.
    fn save(&mut self, last: bool) -> Result<(), CallError> {
        if self.unsaved.is_empty() && self.unsaved_meta.is_empty() && self.trouble.is_none() {
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
                    tracing::info!("the store takes changes again");
                }
                self.unsaved.clear();
                self.unsaved_meta.clear();
                Ok(())
            }
            Err(error) => Err(self.troubled(error.to_string())),
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.store.commit(&self.unsaved, &self.unsaved_meta)
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
            tracing::warn!(documents = docs.len(), "the fresh database was filled from memory; nothing was lost");
        }
        Ok(())
    }

    fn troubled(&mut self, why: String) -> CallError {
        if self.trouble.is_none() {
            tracing::error!(%why, unsaved = self.unsaved.len(), "the store fails: nothing new is taken on until it works again");
        }
        self.trouble = Some((why.clone(), Instant::now()));
        CallError::Storage(why)
    }

    fn carry_out(&mut self, effect: Effect) {
        let _guard = self.runtime.enter();
        let Some(executor) = &self.executor else { return };
        match effect {
            Effect::Launch(launch) => executor.launch(*launch),
            Effect::Stop(key, why) => executor.stop(&key, why),
            Effect::Finish(key) => executor.finish(&key),
            Effect::SetAside(key) => executor.set_aside(&key),
            Effect::Probe(study, run) => {
                let (executor, sender) = (executor.clone(), self.shell.sender.clone());
                self.runtime.spawn_blocking(move || {
                    let _ = sender.send(Message::Probed(study, executor.probe(&run)));
                });
            }
            Effect::Forget(docs) => {
                for doc in docs {
                    if let Err(error) = self.store.delete(&doc) {
                        tracing::warn!(%error, %doc, "could not delete a document of a deleted study");
                    }
                }
            }
        }
    }

    fn snapshots(&mut self, touched: &[DocId]) {
        if self.no_snapshot_until.is_some_and(|at| Instant::now() < at) {
            return;
        }
        for id in touched {
            if !self.store.wants_snapshot(id) {
                continue;
            }
            if let Some(saved) = self.shell.read(|node, _| node.save(id))
                && !self.snapshot(id, &saved)
            {
                return;
            }
        }
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
            let Some(saved) = self.shell.read(|node, _| node.save(&id)) else { continue };
            if self.store.tail(&id) > 0 && !self.snapshot(&id, &saved) {
                return;
            }
            self.shell.node.write().unwrap_or_else(PoisonError::into_inner).rest(&id, saved);
        }
    }
}

// They need a disk that a test can break.
#[cfg(all(test, unix))]
mod tests;
