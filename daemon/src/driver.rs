//! Drives the node: one thread owns its decisions, another the store, so that whatever is answered is on disk first.
//!
//! The node's thread handles what comes while the store's thread commits what was handled before; a commit takes all that
//! waits for it, and nothing waits for a timer. Readers take a short read lock and never block on the disk.

mod committer;
mod host;

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use metaopt_core::{About, Node, Now, Output, Parcel, Refusal, launch::AttemptEvent, wire::Frame};
use metaopt_schema::{AttemptKey, NodeId, StudyId, facts::SlotSpec};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use self::committer::{Committer, Health};
use crate::{events::EventHub, exec::Executor, peer::Outbox, store::Store};

/// How often leases and slots are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Most messages handled before a commit.
const BATCH: usize = 1024;
/// A commit that takes longer than this keeps clients waiting: their leases are extended.
const BEHIND: Duration = Duration::from_millis(200);
/// Batches that may wait for the store before the node waits too.
const AHEAD: usize = 16;
/// Between two tries to hand a batch to a store that is far behind.
const WAIT: Duration = Duration::from_millis(5);
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

/// What one round of the node came to.
struct Batch {
    output: Output,
    answers: Vec<Deliver>,
    tick: bool,
    last: bool,
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
    PeerUp(NodeId),
    PeerDown(NodeId),
    // Handled, it makes room for the next.
    Frame(NodeId, Frame, OwnedSemaphorePermit),
    Addresses(Vec<String>),
    Notice(About, String),
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
    outbox: Arc<OnceLock<Arc<dyn Outbox>>>,
    /// Frames that may wait for the node.
    frames: Arc<Semaphore>,
    boot: u64,
    ending: Arc<Ending>,
}

/// How the daemon ends, where not by a signal.
#[derive(Default)]
struct Ending {
    stop: OnceLock<CancellationToken>,
    departed: AtomicBool,
}

/// How long the node is kept from readers and from its next heartbeat at a time, but for what one message takes.
const LONGEST: Duration = Duration::from_millis(50);
/// How long what this node knows may take to reach a peer before it leaves.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long peers are given to hear that this node leaves.
const FAREWELL: Duration = Duration::from_secs(1);

/// What may wait for the node of all peers' frames, in pieces of [`PIECE`] bytes: the rest waits where it is.
const PIECES: usize = 1024;
/// See [`PIECES`]; a frame takes one at least.
const PIECE: usize = 64 << 10;

/// Both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Duration);

impl Default for Clock {
    fn default() -> Self {
        Self(steady())
    }
}

/// A clock that never jumps, and goes on while the machine sleeps: who slept must know it.
fn steady() -> Duration {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        // Elsewhere the monotonic clock counts sleep by itself.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let clock = ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let clock = ClockId::Monotonic;
        let time = clock_gettime(clock);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    #[cfg(not(unix))]
    {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

impl Clock {
    /// Reads both.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // From 1 up, so that 0 is before everything.
        Now { mono_ms: steady().saturating_sub(self.0).as_millis() as u64 + 1, wall_ms: wall.as_millis() as u64 }
    }
}

impl Shell {
    /// Starts the threads; the one answered ends last. `executor` is what runs attempts; none: effects are dropped (tests without processes).
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
        let boot = node.run();
        let shell = Self {
            node: Arc::new(RwLock::new(node)),
            sender,
            clock,
            events,
            outbox: Arc::default(),
            frames: Arc::new(Semaphore::new(PIECES)),
            boot,
            ending: Arc::default(),
        };
        let health = Health::default();
        let (batches, waiting) = sync_channel(AHEAD);
        let committer = Committer::new(shell.clone(), store, executor, health.clone());
        let driver = Driver {
            shell: shell.clone(),
            receiver,
            batches,
            health,
            room: None,
            said: None,
            heard: clock.now().mono_ms,
        };
        let storing = std::thread::Builder::new().name("store".into()).spawn(move || {
            let _guard = EndsTheDaemon;
            committer.run(waiting);
        })?;
        let thread = std::thread::Builder::new().name("node".into()).spawn(move || {
            let _guard = EndsTheDaemon;
            driver.run();
            // Ended by the end of the driver's channel; what it was given is stored by then.
            let _ = storing.join();
        })?;
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

    /// Where frames for peers go from now on; said once.
    pub fn send_by(&self, outbox: Arc<dyn Outbox>) {
        let _ = self.outbox.set(outbox);
    }

    fn post(&self, parcels: Vec<Parcel>) {
        if let Some(outbox) = self.outbox.get() {
            parcels.iter().for_each(|parcel| outbox.send(&parcel.to, &parcel.frame));
        }
    }

    /// What ends the daemon; said once.
    pub fn ends_by(&self, stop: CancellationToken) {
        let _ = self.ending.stop.set(stop);
    }

    /// Takes this node out of its cluster, ends its jobs, and ends the daemon so that it begins anew with another identity.
    ///
    /// # Errors
    /// It is in no cluster with others; a failing disk.
    pub async fn leave(&self, force: bool) -> Result<(), CallError> {
        let waits_until = Instant::now() + LAST_WORDS;
        while !force && Instant::now() < waits_until && self.read(|node, _| node.is_ahead_of_all()) {
            tokio::time::sleep(TICK).await;
        }
        self.call(move |node, now| node.leave(now, force)).await?;
        self.stop_all();
        self.ending.departed.store(true, Ordering::SeqCst);
        let ending = self.ending.clone();
        tokio::spawn(async move {
            tokio::time::sleep(FAREWELL).await;
            if let Some(stop) = ending.stop.get() {
                stop.cancel();
            }
        });
        Ok(())
    }

    /// Whether it left its cluster.
    pub fn has_left(&self) -> bool {
        self.ending.departed.load(Ordering::SeqCst)
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

/// A daemon whose node or store died would answer 503 for ever, and keep others out of its directory: it ends, so that
/// whoever started it starts it again. What it acknowledged is on disk, and its jobs run on.
struct EndsTheDaemon;

impl Drop for EndsTheDaemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("an inner error, see above: the daemon ends; start it again");
            std::process::abort();
        }
    }
}

/// The node's thread: handles what comes, and hands what is to be stored to the store's thread.
struct Driver {
    shell: Shell,
    receiver: Receiver<Message>,
    batches: SyncSender<Batch>,
    /// How the store does; its thread says it.
    health: Health,
    /// Why there is no room, as the watcher last said.
    room: Option<String>,
    /// Why the node holds, as it was last told.
    said: Option<String>,
    heard: u64,
}

impl Driver {
    fn run(mut self) {
        let mut next_tick = Instant::now();
        let mut messages: VecDeque<Message> = VecDeque::new();
        loop {
            if messages.is_empty() {
                match self.receiver.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                    Ok(message) => messages.push_back(message),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            while messages.len() < BATCH
                && let Ok(message) = self.receiver.try_recv()
            {
                messages.push_back(message);
            }
            let tick = Instant::now() >= next_tick;
            if tick {
                next_tick = Instant::now() + TICK;
            }
            let batch = self.handle(&mut messages, tick);
            let last = batch.last;
            if !self.hand_over(batch) || last {
                return;
            }
        }
    }

    /// Waits where the store is far behind; then nobody is answered anyway, but peers still hear that this node lives.
    fn hand_over(&mut self, mut batch: Batch) -> bool {
        loop {
            batch = match self.batches.try_send(batch) {
                Ok(()) => return true,
                Err(TrySendError::Full(batch)) => batch,
                Err(TrySendError::Disconnected(_)) => return false,
            };
            std::thread::sleep(WAIT);
            let urgent = {
                let mut node = self.shell.node.write().unwrap_or_else(PoisonError::into_inner);
                node.beat(self.shell.clock.now());
                node.urgent()
            };
            self.shell.post(urgent);
        }
    }

    /// Handles what has come, as far as readers and peers can wait; the rest stays for the next time.
    fn handle(&mut self, messages: &mut VecDeque<Message>, tick: bool) -> Batch {
        let began = Instant::now();
        let mut last = false;
        let mut answers: Vec<Deliver> = Vec::new();
        let now = self.shell.clock.now();
        let trouble = self.health.trouble();
        let mut node = self.shell.node.write().unwrap_or_else(PoisonError::into_inner);
        let silence =
            Duration::from_millis(now.mono_ms.saturating_sub(std::mem::replace(&mut self.heard, now.mono_ms)));
        node.forgive_silence(now);
        if silence > AWAY || trouble.is_some() || self.health.behind() > BEHIND {
            // Who waits for an answer can't renew. First, so that a renewal of this batch counts from when it came.
            node.away(silence.as_millis() as u64);
        }
        let hold = trouble.as_ref().or(self.room.as_ref());
        if hold != self.said.as_ref() {
            self.said = hold.cloned();
            node.hold(now, self.said.clone());
        }
        while let Some(message) = messages.pop_front() {
            match message {
                Message::Call(call, refuse) => match &trouble {
                    // A node that can't store takes nothing new on.
                    Some(why) => drop(refuse.send(CallError::Storage(why.clone()))),
                    None => answers.push(call(&mut node, now)),
                },
                Message::Attempt(key, event) => node.attempt(now, &key, event),
                Message::Probed(study, result) => node.probed(now, &study, result),
                Message::Slots(inventory) => node.slots(now, inventory),
                Message::Adopted(found) => node.adopted(now, &found),
                Message::Room(why) => self.room = why,
                Message::PeerUp(peer) => node.peer_up(now, &peer),
                Message::PeerDown(peer) => node.peer_down(now, &peer),
                // A node that can't store takes nothing in: what it misses now, it asks for later.
                Message::Frame(peer, frame, _room) => {
                    // Nor can it answer what would first have to be stored.
                    let asks = matches!(frame, Frame::Heartbeat(_) | Frame::Compare(_));
                    if trouble.is_none() || asks {
                        node.frame(now, &peer, frame);
                    }
                }
                Message::Addresses(addresses) => node.set_addresses(addresses),
                Message::Notice(about, text) => node.notice_about(now, about, text),
                Message::StopAll => node.stop_all(now),
                Message::Quit => last = true,
            }
            if began.elapsed() > LONGEST {
                break;
            }
        }
        if tick {
            node.beat(now);
        }
        if trouble.is_none() {
            if tick {
                node.tick(now);
            }
            node.go_on(now);
        }
        let mut output = node.drain();
        drop(node);
        let (at_once, later): (Vec<Parcel>, Vec<Parcel>) = output.parcels.drain(..).partition(|parcel| parcel.at_once);
        output.parcels = later;
        self.shell.post(at_once);
        Batch { output, answers, tick, last }
    }
}

// They need a disk that a test can break.
#[cfg(all(test, unix))]
mod tests;
