//! Checkpoints as archives: named when an attempt ends, packed when another node asks, unpacked where a later one begins.
//!
//! Owns: `DATA/checkpoints`, and a trial's checkpoint directory before its script starts and after it ended. Must not:
//! touch it while the script runs, or make an attempt wait for ever for what nobody can give.
//!
//! A checkpoint is packed on demand only: most trials go on where they were, and theirs would be there twice.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use metaopt_core::launch::{ExitReport, Launch};
use metaopt_schema::{AttemptKey, TrialId};

use super::{Inner, results};
use crate::{
    blobs::{CHECKPOINT_LIMIT, Kind, Want},
    snapshot::{SnapshotError, SnapshotStore, name_whole, pack_whole},
};

/// How long nothing of a checkpoint may come before its trial begins anew.
const PATIENCE: Duration = Duration::from_secs(60);
/// A directory that turned out not to be what was asked for isn't packed again within this time.
const AGAIN: Duration = Duration::from_secs(600);

/// What was packed in vain, and when; held while something is packed, so that it is packed once.
#[derive(Default)]
pub(super) struct Packing(Mutex<Vec<(String, Instant)>>);

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
        Ok(Err(error)) => tracing::warn!(trial = %key.trial, %error, "only this node can go on from its checkpoint"),
        Err(error) => tracing::error!(trial = %key.trial, %error, "its checkpoint could not be named"),
    }
}

/// The store that has a trial's checkpoint of this name, if this node has it. Blocking.
pub(super) fn packed<'a>(
    inner: &'a Inner,
    trial: &TrialId,
    hash: &str,
) -> Result<&'a Arc<SnapshotStore>, SnapshotError> {
    let store = &inner.checkpoints;
    crate::snapshot::digits(hash)?;
    let mut vain = inner.packing.0.lock().unwrap_or_else(PoisonError::into_inner);
    if store.reserve(hash) {
        return Ok(store);
    }
    vain.retain(|(_, at)| at.elapsed() < AGAIN);
    let dir = inner.layout.checkpoints(trial);
    let runs = inner.lock().keys().any(|key| key.trial == *trial);
    if runs || vain.iter().any(|(known, _)| known == hash) || !results::has_checkpoint(&dir) {
        return Ok(store);
    }
    let temp = store.temp()?;
    if pack_whole(&dir, CHECKPOINT_LIMIT, &temp)? == hash {
        store.keep(hash, temp)?;
    } else {
        // A later attempt here went on from it.
        vain.push((hash.to_owned(), Instant::now()));
    }
    Ok(store)
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
