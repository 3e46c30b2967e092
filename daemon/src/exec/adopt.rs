//! Attempts of an earlier daemon, and the end of any attempt.
//!
//! Owns: what the files of an attempt's directory mean when nobody watched. Must not: signal a process that it has
//! not identified by boot and start time, or by the attempt's own path in its environment.

use std::{fs, io, sync::Arc, time::Duration};

use metaopt_core::launch::{AttemptEvent, Launch};
use metaopt_schema::AttemptKey;

use super::{
    Inner,
    record::{self, AttemptDir, DONE, ExitRecord, LaunchRecord, SupervisorRecord},
};
use crate::platform::{self, Exited, Process, Signal, files, signal_group};

/// How long a supervisor that has claimed its attempt may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn adopt(inner: &Arc<Inner>) -> Vec<Launch> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(inner.layout.attempts()) else { return found };
    let mut dirs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    dirs.sort();
    for path in dirs {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DONE)) {
            let _ = fs::remove_dir_all(&path);
            continue;
        }
        let dir = AttemptDir(path);
        let launch = match record::read::<LaunchRecord>(&dir.launch()) {
            Ok(Some(record)) => record.launch,
            // the first file written: without it nothing was started
            Ok(None) => {
                let _ = fs::remove_dir_all(&dir.0);
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "an attempt's directory can't be read; it is left as it is");
                continue;
            }
        };
        let supervisor = read_supervisor(&dir);
        if inner.enter(&launch, supervisor.as_ref().map(|record| record.supervisor.clone())).is_none() {
            continue;
        }
        let (watcher, key) = (Arc::clone(inner), launch.key.clone());
        tokio::spawn(inner.cancel.clone().run_until_cancelled_owned(watch(watcher, key, dir, supervisor)));
        found.push(launch);
    }
    found
}

fn read_supervisor(dir: &AttemptDir) -> Option<SupervisorRecord> {
    record::read(&dir.supervisor()).unwrap_or_else(|error| {
        tracing::warn!(%error, "a supervisor's record can't be read");
        None
    })
}

async fn watch(inner: Arc<Inner>, key: AttemptKey, dir: AttemptDir, supervisor: Option<SupervisorRecord>) {
    let supervisor = match supervisor {
        Some(record) => Some(record),
        None => settle(&inner, &key, &dir).await,
    };
    if let Some(SupervisorRecord { supervisor, .. }) = &supervisor
        && supervisor.is_alive()
    {
        inner.tell(&key, AttemptEvent::Started).await;
        wait(supervisor).await;
    }
    conclude(&inner, &key, &dir).await;
}

/// Nobody has said to supervise it. Either it never began, and now never will; or a supervisor is just starting.
async fn settle(inner: &Inner, key: &AttemptKey, dir: &AttemptDir) -> Option<SupervisorRecord> {
    match files::create_private(&dir.claim()) {
        Ok(_) => return None,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
        Err(error) => tracing::warn!(%error, trial = %key.trial, "could not claim an attempt that never began"),
    }
    let until = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < until && !dir.exit().exists() {
        if let Some(record) = read_supervisor(dir) {
            inner.supervised(key, record.supervisor.clone());
            return Some(record);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

async fn wait(process: &Process) {
    match Exited::watch(process) {
        Ok(exited) => exited.wait().await,
        Err(error) => {
            tracing::warn!(%error, pid = process.pid, "a supervisor can't be watched; looking at it instead");
            while process.is_alive() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The supervisor is gone: tells what it left, and makes sure that nothing of the attempt runs on.
pub(super) async fn conclude(inner: &Arc<Inner>, key: &AttemptKey, dir: &AttemptDir) {
    let told = match record::read::<ExitRecord>(&dir.exit()) {
        Ok(Some(mut record)) => {
            super::checkpoint::name(inner, key, &mut record.report).await;
            event(record)
        }
        Ok(None) => vanished(dir).await,
        Err(error) => {
            tracing::error!(%error, "an exit record can't be read");
            vanished(dir).await
        }
    };
    inner.tell_end(key, told).await;
}

pub(super) fn event(record: ExitRecord) -> AttemptEvent {
    match (record.setup_failed, record.launch_failed) {
        (Some(text), _) => AttemptEvent::SetupFailed(text),
        (None, Some(text)) => AttemptEvent::LaunchFailed(text),
        (None, None) => AttemptEvent::Exited(record.report),
    }
}

async fn vanished(dir: &AttemptDir) -> AttemptEvent {
    let supervisor = read_supervisor(dir);
    // what it was told in confidence, if it never came to read it
    let _ = fs::remove_file(dir.secrets());
    let began = supervisor.is_some();
    let child = supervisor.and_then(|record| record.child);
    let entry = format!("METAOPT_RESULTS_PATH={}", dir.results_file().display());
    let killed = tokio::task::spawn_blocking(move || kill(child, &entry)).await.unwrap_or_default();
    AttemptEvent::Vanished(match (began, killed) {
        (false, _) => "the daemon was stopped before the script was started".to_owned(),
        (true, 0) => "its supervisor vanished without an exit record (was the machine restarted?)".to_owned(),
        (true, _) => "its supervisor was killed; what was left of the script was ended too".to_owned(),
    })
}

/// Ends what a dead supervisor left behind; answers how many processes there were.
fn kill(child: Option<Process>, entry: &str) -> usize {
    let mut killed = 0;
    if let Some(child) = child
        && child.is_alive()
        && signal_group(child.pid, Signal::Kill)
    {
        killed += 1;
    }
    // Members whose leader is gone can't be told by it, but everything of the attempt carries its path. Each round
    // may find children born meanwhile; one just replacing its program shows no environment for a moment, so nothing
    // must be found twice.
    let mut quiet = 0;
    for _ in 0..100 {
        let left = platform::with_environment(entry);
        quiet = if left.is_empty() { quiet + 1 } else { 0 };
        if quiet == 2 {
            break;
        }
        killed += left.iter().filter(|process| process.signal(Signal::Kill)).count();
        std::thread::sleep(Duration::from_millis(5));
    }
    killed
}
