//! Runs attempts: prepares their working directory, starts a supervisor process for each, watches and stops them,
//! and finds them again after the daemon was away.
//!
//! Owns: everything beneath `DATA/attempts`, `DATA/prepared`, `DATA/trials` and `DATA/logs`.
//! Must not: decide what runs where or what an end means; it reports [`AttemptEvent`]s and the node decides.

mod adopt;
mod checkpoint;
pub mod enclose;
mod environment;
mod launch;
mod log_file;
pub mod logs;
mod output;
pub mod outputs;
mod prepare;
mod probe;
pub(crate) mod record;
pub(crate) mod redact;
pub(crate) mod results;
pub mod supervisor;
mod tree;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use metaopt_core::launch::{AttemptEvent, Launch, StopWhy};
use metaopt_schema::{AttemptKey, NodeId, TrialId, study::RunSpec};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    blobs::Fetcher,
    exec::enclose::Enclosure,
    gpu::Ledger,
    platform::{Process, Signal},
    secrets::Secrets,
    snapshot::{SnapshotError, SnapshotStore},
};
pub use checkpoint::Packed;
use record::{Layout, StopRecord, VERSION};

/// The parts of this program that run jobs: `supervise ATTEMPT_DIR` and `enclose …`; none for other arguments.
pub fn stage(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Option<std::process::ExitCode> {
    match arguments.next()?.to_str()? {
        "supervise" => Some(supervisor::main(Path::new(&arguments.next()?))),
        "enclose" => Some(enclose::main(arguments)),
        _ => None,
    }
}

/// Mints the token that one attempt's process gets; good for its trial only.
pub type MintToken = Arc<dyn Fn(&AttemptKey) -> String + Send + Sync>;

/// What an executor needs to know of its daemon.
#[derive(Clone)]
pub struct ExecConfig {
    /// The daemon's data directory.
    pub data_dir: PathBuf,
    /// `METAOPT_URL` of the processes; the daemon updates it when its port is known.
    pub api_url: watch::Receiver<String>,
    /// Time between SIGTERM and SIGKILL before a pause (other stops use the launch's own grace).
    pub pause_grace: Duration,
    /// Run jobs although the daemon is root.
    pub allow_root: bool,
    /// Mints `METAOPT_TOKEN`.
    pub token: MintToken,
    /// The program that is started as `EXE supervise ATTEMPT_DIR`; normally `metaoptd` itself.
    pub supervisor_exe: PathBuf,
    /// Longest run of a `setup` command.
    pub setup_timeout: Duration,
    /// This node's secrets.
    pub secrets: Arc<Secrets>,
}

/// Runs attempts as processes. Dropping it lets go of them: they run on under their supervisors.
pub struct Executor {
    inner: Arc<Inner>,
}

struct Inner {
    config: ExecConfig,
    layout: Layout,
    snapshots: Arc<SnapshotStore>,
    checkpoints: Arc<SnapshotStore>,
    /// Brings what isn't here; none until the links are up.
    fetcher: OnceLock<Arc<Fetcher>>,
    events: mpsc::Sender<(AttemptKey, AttemptEvent)>,
    attempts: Mutex<BTreeMap<AttemptKey, Entry>>,
    preparing: prepare::Preparing,
    packing: checkpoint::Packing,
    gpu_ledger: PathBuf,
    log_limit: u64,
    enclosure: Enclosure,
    cancel: CancellationToken,
}

/// An attempt whose end was not told yet.
struct Entry {
    /// Why it is asked to stop; a launch that is still being prepared watches this.
    stop: watch::Sender<Option<StopWhy>>,
    grace_s: f64,
    /// Known once it was started.
    supervisor: Option<Process>,
    /// The node is done with it already: clean up as soon as it is over.
    finish: bool,
}

impl Executor {
    /// Creates its directories; starts nothing. Call [`Executor::adopt`] once afterwards, inside a tokio runtime.
    pub fn new(config: ExecConfig, events: mpsc::Sender<(AttemptKey, AttemptEvent)>) -> io::Result<Self> {
        // supervisors and scripts run elsewhere: a relative path would mean another place to them
        let layout = Layout::new(&std::path::absolute(&config.data_dir)?);
        for dir in [layout.attempts(), layout.prepared(), layout.trials(), layout.logs()] {
            fs::create_dir_all(dir)?;
        }
        let snapshots = Arc::new(SnapshotStore::open(&layout.snapshots()).map_err(io::Error::other)?);
        let checkpoints = SnapshotStore::open(&layout.checkpoint_archives()).map_err(io::Error::other)?;
        let checkpoints = Arc::new(checkpoints);
        let inner = Inner {
            config,
            layout,
            snapshots,
            checkpoints,
            fetcher: OnceLock::new(),
            events,
            attempts: Mutex::default(),
            preparing: prepare::Preparing::default(),
            packing: checkpoint::Packing::default(),
            gpu_ledger: Ledger::default_dir(),
            log_limit: log_file::DEFAULT_LIMIT,
            enclosure: Enclosure::default(),
            cancel: CancellationToken::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Another directory for the ledger of GPU shares than the machine's own: for tests. Before the first launch.
    #[must_use]
    pub fn with_gpu_ledger(mut self, dir: &Path) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            dir.clone_into(&mut inner.gpu_ledger);
        }
        self
    }

    /// Another limit for a log's head and, again, its tail (bytes). Before the first launch.
    #[must_use]
    pub fn with_log_limit(mut self, bytes: u64) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.log_limit = bytes;
        }
        self
    }

    /// Hides the data directory from jobs, and gives them this file mode mask; without this call they see it, and
    /// have the daemon's mask. Before the first launch.
    #[must_use]
    pub fn with_enclosure(mut self, hide: bool, umask: Option<u32>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            let hide = hide.then(|| inner.layout.data().to_owned());
            inner.enclosure = Enclosure { hide, umask, ..Enclosure::default() };
        }
        self
    }

    /// The snapshots of this node.
    pub fn snapshots(&self) -> &Arc<SnapshotStore> {
        &self.inner.snapshots
    }

    /// Checkpoints of this node's trials and others', as archives.
    pub fn checkpoints(&self) -> &Arc<SnapshotStore> {
        &self.inner.checkpoints
    }

    /// Has a trial's checkpoint of this name in the store, if this node has it; answers within seconds, done or not.
    ///
    /// # Errors
    /// The name is none.
    pub async fn checkpoint(&self, trial: &TrialId, hash: &str) -> Result<Packed, SnapshotError> {
        checkpoint::packed(&self.inner, trial, hash).await
    }

    /// Nothing is packed while this is held.
    #[cfg(test)]
    pub(crate) async fn hold_packing(&self) -> tokio::sync::OwnedSemaphorePermit {
        self.inner.packing.hold().await
    }

    /// What brings snapshots and checkpoints from other nodes; said once.
    pub fn fetch_by(&self, fetcher: Arc<Fetcher>) {
        let _ = self.inner.fetcher.set(fetcher);
    }

    /// Begins to bring the snapshot that a run lacks here; none: nothing is lacking, or nobody could bring it. When it
    /// ends, the run is to be probed again. `by`: the node on which it was submitted.
    pub fn bring(&self, run: &RunSpec, by: Option<NodeId>) -> Option<impl Future<Output = ()> + Send + 'static> {
        let fetcher = self.inner.fetcher.get()?.clone();
        let want = probe::lacking(&self.inner, run, by).filter(|want| fetcher.progress(&want.hash).is_none())?;
        Some(async move {
            if let Err(error) = fetcher.fetch(want, probe::PATIENCE).await {
                tracing::info!(%error, "a study's snapshot is not here yet");
            }
        })
    }

    /// Whether this node can run it at all; the text names what is missing and what to do. Spends no attempt; does
    /// file system look-ups only, so it may be called often.
    pub fn probe(&self, run: &RunSpec) -> Result<(), String> {
        probe::probe(&self.inner, run)
    }

    /// Prepares and starts an attempt in a task of its own; what becomes of it is told by events. Needs a runtime.
    pub fn launch(&self, launch: Launch) {
        let key = launch.key.clone();
        let Some(stop) = self.inner.enter(&launch, None) else {
            tracing::warn!(trial = %key.trial, attempt = key.attempt, "launched twice; the first launch goes on");
            return;
        };
        let inner = Arc::clone(&self.inner);
        tokio::spawn(self.inner.cancel.clone().run_until_cancelled_owned(launch::run(inner, launch, stop)));
    }

    /// Asks an attempt to end: SIGTERM to its group, SIGKILL after the grace. Repeating it may only hasten the end.
    pub fn stop(&self, key: &AttemptKey, why: StopWhy) {
        self.inner.stop(key, why);
    }

    /// Finds the attempts of an earlier daemon in `DATA/attempts`; their `Started`, `Exited` or `Vanished` follows as
    /// an event. Returns every attempt found, so that the node can compare with what it believes.
    pub fn adopt(&self) -> Vec<Launch> {
        adopt::adopt(&self.inner)
    }

    /// The node has recorded the attempt's end durably: its private copy goes, its log stays in `DATA/logs`. Of an
    /// attempt that still runs (its result came before its process's end) this happens when it is over.
    pub fn finish(&self, key: &AttemptKey) {
        if let Some(entry) = self.inner.lock().get_mut(key) {
            entry.finish = true;
            return;
        }
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        tokio::task::spawn_blocking(move || inner.clean(&key));
    }

    /// Nothing is known of the attempt but what its files say (the database was lost): they go to `DATA/unknown`, for
    /// people to look at, once it is over.
    pub fn set_aside(&self, key: &AttemptKey) {
        let inner = &self.inner;
        let (from, to) = (inner.layout.attempt(key), inner.layout.unknown(key));
        let moved = fs::create_dir_all(inner.layout.unknown_all()).and_then(|()| fs::rename(&from.0, &to));
        match moved {
            Ok(()) => tracing::error!(
                trial = %key.trial, kept = %to.display(),
                "an attempt ended that no document knows; its log, parameters and result are kept"
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, path = %from.0.display(), "could not set an unknown attempt aside"),
        }
    }

    /// Attempts that were launched or adopted and whose end was not yet told.
    pub fn running(&self) -> Vec<AttemptKey> {
        self.inner.lock().keys().cloned().collect()
    }

    /// Takes an environment (a name beneath `DATA/prepared`) out of use by `rename`, unless it is in use; true: done.
    ///
    /// # Errors
    /// Of `rename`, or when it can't be told whether it is in use.
    pub fn retire_environment(&self, name: &str, rename: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
        prepare::retire(&self.inner, name, rename)
    }

    /// The supervisors' process ids, for telling our GPU processes from others'.
    pub fn supervisor_pids(&self) -> Vec<u32> {
        self.inner.lock().values().filter_map(|entry| entry.supervisor.as_ref()).map(|process| process.pid).collect()
    }

    /// `--stop-jobs`: stops every attempt and waits until all are over.
    pub async fn stop_all(&self) {
        let mut longest: f64 = 0.0;
        for key in self.running() {
            self.stop(&key, StopWhy::Preempted);
        }
        for entry in self.inner.lock().values() {
            longest = longest.max(entry.grace_s);
        }
        // A process that the kernel can't kill must not keep the daemon for ever.
        let until = Instant::now() + Duration::try_from_secs_f64(longest).unwrap_or_default() + Duration::from_secs(30);
        while !self.inner.lock().is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The name beneath `DATA/prepared` of the environment that a run uses; none where it uses none there.
pub fn environment_key(run: &RunSpec) -> Option<String> {
    prepare::key(run).ok()
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.inner.cancel.cancel();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, Entry>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an attempt; `None` when it is there already.
    fn enter(&self, launch: &Launch, supervisor: Option<Process>) -> Option<watch::Receiver<Option<StopWhy>>> {
        let mut attempts = self.lock();
        if attempts.contains_key(&launch.key) {
            return None;
        }
        let (stop, receiver) = watch::channel(None);
        attempts.insert(launch.key.clone(), Entry { stop, grace_s: launch.grace_s, supervisor, finish: false });
        Some(receiver)
    }

    fn stop(&self, key: &AttemptKey, why: StopWhy) {
        let attempts = self.lock();
        let Some(entry) = attempts.get(key) else { return };
        entry.stop.send_replace(Some(why));
        self.signal(key, entry, why);
    }

    /// Tells the supervisor, if there is one yet.
    fn signal(&self, key: &AttemptKey, entry: &Entry, why: StopWhy) {
        let Some(supervisor) = &entry.supervisor else { return };
        let grace_s = if why == StopWhy::Paused { self.config.pause_grace.as_secs_f64() } else { entry.grace_s };
        let request = StopRecord { version: VERSION, why, grace_s };
        if let Err(error) = record::write(&self.layout.attempt(key).stop(), &request, false) {
            // it ends all the same, as preempted
            tracing::warn!(trial = %key.trial, %error, "could not write down why the attempt is stopped");
        }
        supervisor.signal(Signal::Term);
    }

    /// The supervisor runs: a stop asked for meanwhile reaches it now.
    fn supervised(&self, key: &AttemptKey, supervisor: Process) {
        let mut attempts = self.lock();
        let Some(entry) = attempts.get_mut(key) else { return };
        entry.supervisor = Some(supervisor);
        let asked = *entry.stop.borrow();
        if let Some(why) = asked {
            self.signal(key, entry, why);
        }
    }

    /// The attempt is over: forgets it and tells.
    async fn tell_end(&self, key: &AttemptKey, event: AttemptEvent) {
        let finish = self.lock().remove(key).is_some_and(|entry| entry.finish);
        self.tell(key, event).await;
        if finish {
            self.clean(key);
        }
    }

    async fn tell(&self, key: &AttemptKey, event: AttemptEvent) {
        // fails only when the daemon is stopping
        let _ = self.events.send((key.clone(), event)).await;
    }

    /// Keeps the log, removes the rest.
    fn clean(&self, key: &AttemptKey) {
        let dir = self.layout.attempt(key);
        let (log, tail) = self.layout.kept_log(key);
        for (from, to) in [(dir.log_tail(), tail), (dir.log(), log)] {
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %from.display(), "could not keep the log");
                }
                _ => (),
            }
        }
        // Renamed first: what a crash leaves half removed is not mistaken for an attempt.
        let done = self.layout.done(key);
        let removed = fs::rename(&dir.0, &done).and_then(|()| fs::remove_dir_all(&done));
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %dir.0.display(), "could not remove a finished attempt's files");
            }
            _ => (),
        }
    }
}
