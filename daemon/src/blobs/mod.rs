//! Moves archives between nodes by their content: submitted directories, and the checkpoints of trials.
//!
//! Owns: who is asked, what has come so far, what is said when nobody has it. Must not: keep anything that isn't what its
//! name says, decide what is wanted, or trust a peer with more than its bytes.

mod ask;
mod fetch;
mod part;
mod spread;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Request, Response},
};
use metaopt_schema::{AttemptKey, NodeId, TrialId};
use tokio::sync::{Notify, Semaphore};

pub use ask::{PACKING, escaped, last_heard};
pub use part::{CHUNK, JOURNAL, PART, chunks, span};
pub use spread::{Lacks, Offer};

use crate::{
    driver::Shell,
    exec::Executor,
    http::body::SNAPSHOT_LIMIT,
    peer::{CallError, Later, Peers},
    platform::files::free_space,
    room,
    snapshot::{self, Form, SnapshotError, SnapshotStore, human},
};
use part::Part;

/// Largest compressed checkpoint that is moved: as much as one may unpack to.
pub const CHECKPOINT_LIMIT: u64 = 8 << 30;
/// What members bring in parts is closed when they bring nothing for so long; long before a collection takes its files.
const IDLE: Duration = Duration::from_secs(600);
/// Fetches under way at once: a node's disk and link are for its trials.
const AT_ONCE: usize = 4;

/// Calls to other members. The links are one; tests have their own.
pub trait Elsewhere: Send + Sync + 'static {
    /// Sends a request (a path is enough of its address) to a member. Bodies stream both ways.
    fn call(&self, node: &NodeId, request: Request<Body>) -> Later<Result<Response<Body>, CallError>>;
}

impl Elsewhere for Peers {
    fn call(&self, node: &NodeId, request: Request<Body>) -> Later<Result<Response<Body>, CallError>> {
        let (peers, node) = (self.clone(), node.clone());
        Box::pin(async move { Ok(Peers::call(&peers, &node, request).await?.map(Body::new)) })
    }
}

/// What kind of archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A submitted directory.
    Snapshot,
    /// The checkpoint directory of a trial.
    Checkpoint(TrialId),
}

impl Kind {
    fn word(&self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Checkpoint(_) => "checkpoint",
        }
    }

    /// Largest compressed archive of the kind.
    pub fn limit(&self) -> u64 {
        match self {
            Self::Snapshot => SNAPSHOT_LIMIT,
            Self::Checkpoint(_) => CHECKPOINT_LIMIT,
        }
    }
}

/// Something to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Its name, `b3:…`.
    pub hash: String,
    /// What it is.
    pub kind: Kind,
    /// Who is likeliest to have it, and why (`submitted it`).
    pub near: Option<(NodeId, &'static str)>,
}

/// Why something isn't here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Names nothing.
    #[error("{0}")]
    BadHash(String),
    /// Not in time; the text names it, and the nodes that were asked.
    #[error("{0}")]
    NotHad(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Stopping,
}

/// Brings archives here, and gives them away.
pub struct Fetcher {
    shell: Shell,
    elsewhere: Arc<dyn Elsewhere>,
    snapshots: Arc<SnapshotStore>,
    checkpoints: Arc<SnapshotStore>,
    data: PathBuf,
    min_free: Option<u64>,
    jobs: Mutex<BTreeMap<String, Arc<fetch::Job>>>,
    parts: Mutex<BTreeMap<String, Open>>,
    /// Who served something else under a name, and isn't asked for it again.
    liars: Mutex<BTreeSet<(String, NodeId)>>,
    at_once: Semaphore,
    spread: Mutex<spread::Spread>,
    news: Notify,
}

/// What is half here, and when somebody last wanted it.
struct Open {
    part: Arc<Mutex<Part>>,
    used: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fetcher {
    /// Into the stores of this executor, which fetches by it from now on; of the daemon whose files lie in `data`.
    /// `min_free`: bytes of the disk that are left alone.
    pub fn new(
        shell: Shell,
        elsewhere: impl Elsewhere,
        executor: &Executor,
        data: &Path,
        min_free: Option<u64>,
    ) -> Arc<Self> {
        let fetcher = Arc::new(Self {
            shell,
            elsewhere: Arc::new(elsewhere),
            snapshots: Arc::clone(executor.snapshots()),
            checkpoints: Arc::clone(executor.checkpoints()),
            data: data.to_owned(),
            min_free,
            jobs: Mutex::default(),
            parts: Mutex::default(),
            liars: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            spread: Mutex::default(),
            news: Notify::new(),
        });
        executor.fetch_by(Arc::clone(&fetcher));
        fetcher
    }

    /// Calls to other members.
    pub fn elsewhere(&self) -> &Arc<dyn Elsewhere> {
        &self.elsewhere
    }

    /// Where archives of a kind are kept.
    pub fn store(&self, kind: &Kind) -> &Arc<SnapshotStore> {
        match kind {
            Kind::Snapshot => &self.snapshots,
            Kind::Checkpoint(_) => &self.checkpoints,
        }
    }

    /// Brings it here, if it isn't; answers where it lies. `patience`: how long nothing may come. Who is away is asked
    /// again while somebody waits. All who want the same wait for the same fetch.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(self: &Arc<Self>, want: Want, patience: Duration) -> Result<PathBuf, FetchError> {
        let path = self.store(&want.kind).path(&want.hash).map_err(|error| FetchError::BadHash(error.to_string()))?;
        if self.store(&want.kind).reserve(&want.hash) {
            return Ok(path);
        }
        fetch::wait(self, want, patience).await.map(|()| path)
    }

    /// How a fetch stands, in words; none: it isn't under way.
    pub fn progress(&self, hash: &str) -> Option<String> {
        let job = lock(&self.jobs).get(hash).cloned()?;
        Some(job.words())
    }

    /// What is half here under this name, in this form. Blocking.
    fn part(&self, kind: &Kind, hash: &str, form: &Form) -> io::Result<Arc<Mutex<Part>>> {
        let digits = snapshot::digits(hash).map_err(io::Error::other)?;
        let mut parts = lock(&self.parts);
        close_idle(&mut parts);
        if let Some(open) = parts.get_mut(hash)
            && lock(&open.part).of() == form
        {
            open.used = Instant::now();
            return Ok(Arc::clone(&open.part));
        }
        // What is half here is read first, which may take long.
        drop(parts);
        let part = Arc::new(Mutex::new(Part::open(self.store(kind).dir(), digits, form)?));
        let mut parts = lock(&self.parts);
        parts.insert(hash.to_owned(), Open { part: Arc::clone(&part), used: Instant::now() });
        Ok(part)
    }

    /// Closes what is half here under this name, unless somebody brings it just now. It stays on the disk.
    fn close(&self, hash: &str) {
        let mut parts = lock(&self.parts);
        if parts.get(hash).is_some_and(|open| Arc::strong_count(&open.part) == 1) {
            parts.remove(hash);
        }
    }

    /// How many are open.
    #[cfg(test)]
    pub(crate) fn open_parts(&self) -> usize {
        lock(&self.parts).len()
    }

    /// Checks what has come as a whole, and keeps it if it is what its name says. Blocking.
    fn settle(&self, kind: &Kind, hash: &str) -> Result<(), Unsettled> {
        let mut parts = lock(&self.parts);
        if self.store(kind).has(hash) {
            parts.remove(hash);
            return Ok(());
        }
        let Some(shared) = parts.get(hash).map(|open| Arc::clone(&open.part)) else { return Err(Unsettled::NotWhole) };
        let mut part = lock(&shared);
        if !part.missing().is_empty() {
            return Err(Unsettled::NotWhole);
        }
        // From here on nobody else finds it.
        parts.remove(hash);
        drop(parts);
        let givers = part.givers();
        let is_its_form = part.is_its_form().map_err(|error| Unsettled::Disk(error.to_string()))?;
        let outcome = if is_its_form { self.store(kind).adopt(hash, part.path()).map(drop) } else { Err(wrong(hash)) };
        match outcome {
            Ok(()) => {
                part.clear();
                Ok(())
            }
            Err(SnapshotError::Io { path, source }) => Err(Unsettled::Disk(format!("{}: {source}", path.display()))),
            Err(error) => {
                part.clear();
                Err(Unsettled::Wrong { givers, of_one_form: is_its_form, why: error.to_string() })
            }
        }
    }

    /// Somebody served something else under this name.
    fn blame(&self, hash: &str, node: &NodeId, why: &str) {
        if lock(&self.liars).insert((hash.to_owned(), node.clone())) {
            let name = self.name(node);
            tracing::warn!(%node, %name, %hash, %why, "served wrong bytes: it isn't asked for this again");
        }
    }

    fn name(&self, node: &NodeId) -> String {
        self.shell.read(|all, _| node_name(all, node))
    }

    /// Whether the node told an attempt to end.
    pub fn is_stopping(&self, key: &AttemptKey) -> bool {
        self.shell.read(|node, _| node.is_stopping(key))
    }

    /// Why there is no room for so many bytes; none: there is.
    pub fn no_room(&self, bytes: u64) -> Option<String> {
        if let Some(why) = self.shell.read(|node, _| node.held().map(str::to_owned)) {
            return Some(why);
        }
        let (free, total) = free_space(&self.data)?;
        let limit = room::limit(self.min_free, total);
        (free < bytes.saturating_add(limit)).then(|| {
            format!(
                "the disk of {} has {} left, too little for {} beside the {} kept for results: free some space, or \
                 lower --min-free",
                self.data.display(),
                human(free),
                human(bytes),
                human(limit)
            )
        })
    }
}

fn close_idle(parts: &mut BTreeMap<String, Open>) {
    parts.retain(|_, open| open.used.elapsed() < IDLE || Arc::strong_count(&open.part) > 1);
}

fn wrong(hash: &str) -> SnapshotError {
    SnapshotError::WrongHash { expected: hash.to_owned(), found: "other bytes than were promised".to_owned() }
}

impl Fetcher {
    /// A member offers a snapshot in this form: what is lacking of it. Blocking.
    ///
    /// # Errors
    /// The disk's.
    pub fn lacks(&self, hash: &str, form: &Form) -> io::Result<Lacks> {
        if self.snapshots.reserve(hash) {
            return Ok(Lacks { have: true, missing: Vec::new() });
        }
        // Two forms at once would undo each other's work: the fetch that is under way goes first.
        let other = lock(&self.parts).get(hash).is_some_and(|open| lock(&open.part).of() != form);
        if other && lock(&self.jobs).contains_key(hash) {
            return Ok(Lacks { have: false, missing: Vec::new() });
        }
        let part = self.part(&Kind::Snapshot, hash, form)?;
        let missing = lock(&part).missing();
        Ok(Lacks { have: false, missing })
    }

    /// A member brings a chunk of it; true: it was the last one, and the snapshot is here. Blocking.
    ///
    /// # Errors
    /// In words: the chunk doesn't fit, the disk failed, or the whole is not what its name says.
    pub fn bring(&self, hash: &str, form: &Form, chunk: u32, bytes: &[u8], from: &NodeId) -> Result<bool, BringError> {
        let disk = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidInput => BringError::Wrong(error.to_string()),
            _ => BringError::Disk(error.to_string()),
        };
        if self.snapshots.has(hash) {
            return Ok(true);
        }
        let part = self.part(&Kind::Snapshot, hash, form).map_err(disk)?;
        lock(&part).put(chunk, bytes, from).map_err(disk)?;
        match self.settle(&Kind::Snapshot, hash) {
            Ok(()) => Ok(true),
            Err(Unsettled::NotWhole) => Ok(false),
            Err(Unsettled::Disk(why)) => Err(BringError::Disk(why)),
            Err(Unsettled::Wrong { givers, why, .. }) => {
                if givers.len() == 1 {
                    givers.iter().for_each(|node| self.blame(hash, node, &why));
                }
                Err(BringError::Wrong(why))
            }
        }
    }
}

/// Why what a member brought was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BringError {
    /// It is not what it should be.
    #[error("{0}")]
    Wrong(String),
    /// The disk took it not.
    #[error("{0}")]
    Disk(String),
}

/// What people call a node.
pub fn node_name(all: &metaopt_core::Node, node: &NodeId) -> String {
    let view = all.world().cluster.nodes.get(node);
    view.map(|n| n.hardware.name.clone()).filter(|name| !name.is_empty()).unwrap_or_else(|| node.to_string())
}

/// Why what has come wasn't kept.
#[derive(Debug)]
enum Unsettled {
    /// Chunks are missing.
    NotWhole,
    /// The disk failed.
    Disk(String),
    /// It isn't what its name says, or what its givers promised.
    Wrong {
        givers: BTreeSet<NodeId>,
        /// All bytes are those that each giver promised, so that each promised something wrong.
        of_one_form: bool,
        why: String,
    },
}
