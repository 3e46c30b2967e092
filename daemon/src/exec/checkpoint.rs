//! Checkpoints as archives: named when an attempt ends, packed when another node asks, unpacked where a later one begins.
//!
//! Owns: `DATA/checkpoints`, and a trial's checkpoint directory before its script starts and after it ended. Must not:
//! touch it while the script runs, or make an attempt wait for ever for what nobody can give.
//!
//! A checkpoint is packed on demand only: most trials go on where they were, and theirs would be there twice.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metaopt_core::launch::{ExitReport, Launch};
use metaopt_schema::{AttemptKey, TrialId};
use tokio::sync::{Semaphore, watch};

use super::{Inner, results};
use crate::{
    blobs::{CHECKPOINT_LIMIT, Kind, Want},
    snapshot::{SnapshotError, human, name_whole, pack_whole, size_whole},
};

/// How long nothing of a checkpoint may come before its trial begins anew.
const PATIENCE: Duration = Duration::from_secs(60);
/// A directory that turned out not to be what was asked for isn't packed again within this time.
const AGAIN: Duration = Duration::from_secs(600);

/// The same where packing failed: the disk may have room again.
const FAILED_AGAIN: Duration = Duration::from_secs(60);
/// How long somebody who asks is kept waiting before being told that it is being packed.
const SHORTLY: Duration = Duration::from_secs(5);
/// Checkpoints packed at once: a node's disk is for its trials.
const AT_ONCE: usize = 2;

/// What this node has of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// It is in the store, and its form is known.
    Here,
    /// Soon: it is being packed, or read.
    Packing,
    /// Nothing of that name.
    Not,
    /// It could not be packed; the log says why.
    Failed,
}

/// What is being packed, and what was packed in vain.
pub(super) struct Packing {
    jobs: Mutex<BTreeMap<String, Job>>,
    turns: Arc<Semaphore>,
}

enum Job {
    /// Until the other end is dropped.
    UnderWay(watch::Receiver<()>),
    /// The directory held something else, or could not be packed.
    Vain(Packed, Instant),
}

impl Packing {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) async fn hold(&self) -> tokio::sync::OwnedSemaphorePermit {
        Arc::clone(&self.turns).acquire_many_owned(AT_ONCE as u32).await.expect("never closed")
    }
}

impl Default for Packing {
    fn default() -> Self {
        Self { jobs: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// Names the checkpoint that an attempt left, if another node may want to go on from it. Reads all of it.
pub(super) async fn name(inner: &Inner, key: &AttemptKey, report: &mut ExitReport) {
    // A script that heeds the answer to its report leaves with 0, as one that is done.
    let told = inner.fetcher.get().is_some_and(|fetcher| fetcher.is_stopping(key));
    let done = report.exit_code == Some(0) && report.stopped.is_none() && !told;
    if done || !report.has_checkpoint {
        return;
    }
    let dir = inner.layout.checkpoints(&key.trial);
    match tokio::task::spawn_blocking(move || name_whole(&dir, CHECKPOINT_LIMIT)).await {
        Ok(Ok(hash)) => report.checkpoint = Some(hash),
        Ok(Err(error)) => {
            tracing::warn!(trial = %key.trial, %error, "only this node can go on from its checkpoint");
            let why = match error {
                // (What it advises is for those who submit.)
                SnapshotError::TooLarge { bytes, limit, .. } => {
                    format!("it holds {}, more than {}", human(bytes), human(limit))
                }
                error => error.to_string(),
            };
            let told = format!("only its node can go on from its checkpoint: {why}");
            report.note = Some(report.note.take().map_or(told.clone(), |note| format!("{note}; {told}")));
        }
        Err(error) => tracing::error!(trial = %key.trial, %error, "its checkpoint could not be named"),
    }
}

/// Has a trial's checkpoint of this name in the store, if this node has it. A large one takes minutes: whoever asks is
/// told so after a moment, and comes again.
///
/// # Errors
/// The name is none.
pub(super) async fn packed(inner: &Arc<Inner>, trial: &TrialId, hash: &str) -> Result<Packed, SnapshotError> {
    crate::snapshot::digits(hash)?;
    let here = || inner.checkpoints.reserve(hash) && inner.checkpoints.is_known(hash);
    if here() {
        return Ok(Packed::Here);
    }
    let mut over = match begin(inner, trial, hash) {
        Ok(over) => over,
        Err(what) => return Ok(what),
    };
    // An error says that the other end is gone.
    let _ = tokio::time::timeout(SHORTLY, over.changed()).await;
    if here() {
        return Ok(Packed::Here);
    }
    Ok(match inner.packing.lock().get(hash) {
        Some(Job::UnderWay(_)) => Packed::Packing,
        Some(Job::Vain(what, _)) => *what,
        None => Packed::Not,
    })
}

/// Packs it in the background, once whoever asks; or says why not.
fn begin(inner: &Arc<Inner>, trial: &TrialId, hash: &str) -> Result<watch::Receiver<()>, Packed> {
    let here = inner.checkpoints.has(hash);
    let mut jobs = inner.packing.lock();
    jobs.retain(|_, job| match job {
        Job::UnderWay(_) => true,
        Job::Vain(Packed::Failed, at) => at.elapsed() < FAILED_AGAIN,
        Job::Vain(_, at) => at.elapsed() < AGAIN,
    });
    match jobs.get(hash) {
        Some(Job::UnderWay(over)) => return Ok(over.clone()),
        Some(Job::Vain(what, _)) if !here => return Err(*what),
        _ => {}
    }
    let dir = inner.layout.checkpoints(trial);
    let runs = inner.lock().keys().any(|key| key.trial == *trial);
    if !here && (runs || !results::has_checkpoint(&dir)) {
        return Err(Packed::Not);
    }
    let (sender, over) = watch::channel(());
    jobs.insert(hash.to_owned(), Job::UnderWay(over.clone()));
    drop(jobs);
    let (inner, trial, hash) = (Arc::clone(inner), trial.clone(), hash.to_owned());
    tokio::spawn(async move {
        let turn = Arc::clone(&inner.packing.turns).acquire_owned().await;
        let (packing, name) = (Arc::clone(&inner), hash.clone());
        let done = tokio::task::spawn_blocking(move || pack(&packing, &dir, &name)).await;
        drop(turn);
        let done = done.map_err(|error| error.to_string()).and_then(|done| done);
        let what = match done {
            Ok(true) => None,
            // A later attempt here went on from it.
            Ok(false) => Some(Packed::Not),
            Err(error) => {
                tracing::warn!(%trial, %hash, %error, "its checkpoint could not be packed for another node");
                Some(Packed::Failed)
            }
        };
        let mut jobs = inner.packing.lock();
        match what {
            None => jobs.remove(&hash),
            Some(what) => jobs.insert(hash, Job::Vain(what, Instant::now())),
        };
        drop(jobs);
        drop(sender);
    });
    Ok(over)
}

/// Packs it if it isn't in the store, and reads it, so that its form is known. Whether it is there. Blocking.
fn pack(inner: &Inner, dir: &Path, hash: &str) -> Result<bool, String> {
    let told = |error: SnapshotError| error.to_string();
    let store = &inner.checkpoints;
    if !store.has(hash) {
        let size = size_whole(dir, CHECKPOINT_LIMIT).map_err(told)?;
        if let Some(why) = inner.fetcher.get().and_then(|fetcher| fetcher.no_room(size)) {
            return Err(why);
        }
        let temp = store.temp().map_err(told)?;
        if pack_whole(dir, CHECKPOINT_LIMIT, &temp).map_err(told)? != hash {
            return Ok(false);
        }
        store.keep(hash, temp).map_err(told)?;
    }
    Ok(store.form(hash).map_err(told)?.is_some())
}

/// Brings the checkpoint that an attempt is to go on from, where another node has it.
///
/// # Errors
/// Why it begins anew, in words; then nothing of an earlier attempt is left in its checkpoint directory either.
pub(super) async fn bring(inner: &Arc<Inner>, launch: &Launch) -> Result<(), String> {
    let Some(far) = launch.checkpoint.as_ref().filter(|_| launch.resume_step > 0) else { return Ok(()) };
    let brought = match &far.hash {
        None => Err("the node that has it did not pack it".to_owned()),
        Some(hash) => {
            let kind = Kind::Checkpoint(launch.key.trial.clone());
            let want = Want { hash: hash.clone(), kind, near: Some((far.node.clone(), "made it")) };
            match inner.fetcher.get() {
                _ if inner.checkpoints.reserve(hash) => Ok(()),
                Some(fetcher) => fetcher.fetch(want, PATIENCE).await.map(drop).map_err(|error| error.to_string()),
                None => Err("this daemon has no links to other nodes".to_owned()),
            }
        }
    };
    let step = launch.resume_step;
    let (inner, launch) = (Arc::clone(inner), launch.clone());
    let put = tokio::task::spawn_blocking(move || {
        let dir = inner.layout.checkpoints(&launch.key.trial);
        let fresh = dir.with_file_name(".checkpoint-new");
        discard(&fresh)?;
        let unpacked = brought.and_then(|()| {
            let hash = launch.checkpoint.as_ref().and_then(|far| far.hash.as_deref()).unwrap_or_default();
            inner.checkpoints.unpack(hash, &fresh).map_err(|error| error.to_string())
        });
        if unpacked.is_err() {
            fs::create_dir_all(&fresh).map_err(|error| error.to_string())?;
        }
        replace(&dir, &fresh).map_err(|error| format!("{}: {error}", dir.display()))?;
        unpacked
    });
    let outcome = put.await.map_err(|error| error.to_string()).and_then(|outcome| outcome);
    outcome.map_err(|why| format!("began anew: its checkpoint of step {step} could not be had ({why})"))
}

/// Puts `fresh` in the place of `dir`.
fn replace(dir: &Path, fresh: &Path) -> io::Result<()> {
    let old = dir.with_file_name(".checkpoint-old");
    discard(&old).map_err(io::Error::other)?;
    match fs::rename(dir, &old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(fresh, dir)?;
    discard(&old).map_err(io::Error::other)
}

/// Removes a directory, or whatever a script put in its place.
fn discard(path: &Path) -> Result<(), String> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|error| format!("{}: {error}", path.display()))
}
