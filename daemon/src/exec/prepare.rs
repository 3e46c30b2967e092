//! Unpacks a snapshot and runs its `setup`, once per snapshot, setup and node, whatever the number of trials.
//!
//! Owns: `DATA/prepared`. Must not: change what a running trial uses.
//!
//! A prepared tree is made where it stays: virtual environments hold absolute paths. So it is complete only once
//! `ready.json` lies beside it; a tree without is thrown away and made anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use metaopt_schema::study::{RunSpec, Workdir};
use process_wrap::tokio::CommandWrap;
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, sync::OnceCell};

use super::{
    Inner, environment,
    log_file::{DEFAULT_LIMIT, LogFile},
    output::{Output, Stream},
    record::{self, READY, VERSION},
    redact::Redactor,
};
use crate::{
    platform::{Process, Signal, signal_group},
    snapshot,
};

/// A failure is told to every attempt that comes within this time instead of being tried again for each.
const STALE: Duration = Duration::from_secs(10);

/// A directory from which trials get their copies.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The tree itself; for `in_place` the submitting directory.
    pub tree: PathBuf,
    /// Names at its top that came with the snapshot; what else is there `setup` has made.
    pub own: BTreeSet<String>,
}

/// Why there is none.
#[derive(Clone, Debug)]
pub(super) enum PrepareError {
    /// The setup command failed or took too long.
    Setup(String),
    /// Anything else.
    Other(String),
}

impl PrepareError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self::Other(format!("{path}: {error}"))
    }
}

#[derive(Default)]
struct Slot {
    cell: OnceCell<Arc<Prepared>>,
    failed: Mutex<Option<(Instant, PrepareError)>>,
}

/// What is prepared or being prepared, by key.
#[derive(Default)]
pub(super) struct Preparing(Mutex<BTreeMap<String, Arc<Slot>>>);

/// `ready.json`
#[derive(Serialize, Deserialize)]
struct Ready {
    version: u32,
    own: BTreeSet<String>,
}

/// `setup.json`: the setup's process, for a daemon that finds it still at work for a dead one.
#[derive(Serialize, Deserialize)]
struct Setup {
    version: u32,
    process: Process,
}

/// The directory's name beneath `DATA/prepared`: the same for everything that can be shared.
pub(super) fn key(run: &RunSpec) -> Result<String, String> {
    let mut key = match run.workdir {
        Workdir::InPlace => {
            let path = run.path.as_deref().ok_or("in_place needs `path`, the directory to run in")?;
            format!("in-place-{}", &blake3::hash(path.as_bytes()).to_hex()[..16])
        }
        Workdir::Snapshot => match &run.snapshot {
            Some(hash) => snapshot::digits(hash).map_err(|error| error.to_string())?.to_owned(),
            None => "empty".to_owned(),
        },
    };
    if let Some(setup) = &run.setup {
        let mut hasher = blake3::Hasher::new();
        hasher.update(setup.as_bytes());
        // it sees the study's environment, so another environment may make another tree
        for (name, value) in &run.env {
            hasher.update(format!("\0{name}={value}").as_bytes());
        }
        key.push_str(&format!("-{}", &hasher.finalize().to_hex()[..16]));
    }
    Ok(key)
}

/// The tree of a run if it is complete already.
pub(super) fn existing(inner: &Inner, run: &RunSpec) -> Option<PathBuf> {
    let place = inner.layout.prepared().join(key(run).ok()?);
    place.join(READY).is_file().then(|| place.join("tree"))
}

/// Prepares a run's tree, or waits until it is prepared. Dropping the future stops the waiting only.
pub(super) async fn prepare(inner: Arc<Inner>, run: RunSpec) -> Result<Arc<Prepared>, PrepareError> {
    let key = key(&run).map_err(PrepareError::Other)?;
    if run.workdir == Workdir::InPlace && run.setup.is_none() {
        let tree = PathBuf::from(run.path.unwrap_or_default());
        return Ok(Arc::new(Prepared { tree, own: BTreeSet::new() }));
    }
    let slot = {
        let mut slots = inner.preparing.0.lock().unwrap_or_else(PoisonError::into_inner);
        // somebody may have cleared the disk since
        if slots.get(&key).and_then(|slot| slot.cell.get()).is_some_and(|prepared| !prepared.tree.is_dir()) {
            slots.remove(&key);
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    };
    if let Some(prepared) = slot.cell.get() {
        used(&inner.layout.prepared().join(&key));
        return Ok(Arc::clone(prepared));
    }
    let cancel = inner.cancel.clone();
    let work = async move {
        slot.cell
            .get_or_try_init(|| async {
                let failed = slot.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some((at, error)) = failed
                    && at.elapsed() < STALE
                {
                    return Err(error);
                }
                let outcome = make(&inner, &run, &inner.layout.prepared().join(key)).await;
                if let Err(error) = &outcome {
                    *slot.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), error.clone()));
                }
                outcome.map(Arc::new)
            })
            .await
            .cloned()
    };
    let stopped = || PrepareError::Other("the daemon is stopping".to_owned());
    match tokio::spawn(cancel.run_until_cancelled_owned(work)).await {
        Ok(outcome) => outcome.unwrap_or_else(|| Err(stopped())),
        Err(_) => Err(stopped()),
    }
}

async fn make(inner: &Arc<Inner>, run: &RunSpec, place: &Path) -> Result<Prepared, PrepareError> {
    let in_place = run.workdir == Workdir::InPlace;
    let tree = if in_place { PathBuf::from(run.path.as_deref().unwrap_or_default()) } else { place.join("tree") };
    let ready = place.join(READY);
    match record::read::<Ready>(&ready) {
        Ok(Some(Ready { own, .. })) if tree.is_dir() => {
            used(place);
            return Ok(Prepared { tree, own });
        }
        Ok(_) => (),
        Err(error) => tracing::warn!(%error, "a prepared snapshot's record can't be read; preparing it again"),
    }
    if let (Some(want), Some(fetcher)) = (super::probe::lacking(inner, run, None), inner.fetcher.get()) {
        // Collected since it was looked for.
        let fetched = fetcher.fetch(want, super::probe::PATIENCE).await;
        fetched.map_err(|error| PrepareError::Other(error.to_string()))?;
    }
    end_earlier_setup(place);
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(PrepareError::io(place)(error)),
        _ => (),
    }
    fs::create_dir_all(place).map_err(PrepareError::io(place))?;
    let own = if in_place {
        BTreeSet::new()
    } else {
        let (snapshots, hash, tree) = (Arc::clone(&inner.snapshots), run.snapshot.clone(), tree.clone());
        tokio::task::spawn_blocking(move || {
            match hash {
                Some(hash) => snapshots.unpack(&hash, &tree).map_err(|error| PrepareError::Other(error.to_string()))?,
                None => fs::create_dir(&tree).map_err(PrepareError::io(&tree))?,
            }
            names(&tree).map_err(PrepareError::io(&tree))
        })
        .await
        .map_err(|error| PrepareError::Other(error.to_string()))??
    };
    if let Some(setup) = &run.setup {
        set_up(inner, run, setup, &tree, place).await?;
    }
    record::write(&ready, &Ready { version: VERSION, own: own.clone() }, true).map_err(PrepareError::io(&ready))?;
    Ok(Prepared { tree, own })
}

/// Notes a use by the record's time: environments are collected when they are out of use.
fn used(place: &Path) {
    let touched = fs::File::options()
        .append(true)
        .open(place.join(READY))
        .and_then(|file| file.set_modified(std::time::SystemTime::now()));
    if let Err(error) = touched {
        tracing::warn!(%error, path = %place.display(), "could not note that an environment is in use");
    }
}

/// Takes an environment out of use by `rename`, unless somebody prepares it or an attempt's directory names it; true: done.
///
/// An attempt writes its `launch.json` before it asks for its environment, and asking takes the same lock: whoever comes
/// later finds the tree gone and makes it again.
pub(super) fn retire(inner: &Inner, key: &str, rename: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
    let mut slots = inner.preparing.0.lock().unwrap_or_else(PoisonError::into_inner);
    let busy = slots.get(key).is_some_and(|slot| Arc::strong_count(slot) > 1);
    if busy || in_use(inner, key)? {
        return Ok(false);
    }
    slots.remove(key);
    rename().map(|()| true)
}

fn in_use(inner: &Inner, wanted: &str) -> io::Result<bool> {
    for entry in fs::read_dir(inner.layout.attempts())? {
        let launch = record::AttemptDir(entry?.path()).launch();
        if let Ok(Some(record)) = record::read::<record::LaunchRecord>(&launch)
            && key(&record.launch.run).is_ok_and(|key| key == wanted)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn names(dir: &Path) -> io::Result<BTreeSet<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// A daemon that was killed may have left its setup at work in the very place.
fn end_earlier_setup(place: &Path) {
    if let Ok(Some(Setup { process, .. })) = record::read::<Setup>(&place.join("setup.json"))
        && process.is_alive()
    {
        signal_group(process.pid, Signal::Kill);
    }
}

/// Ends the setup's whole group when the daemon stops, or when it takes too long.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        signal_group(self.0, Signal::Kill);
    }
}

async fn set_up(inner: &Inner, run: &RunSpec, setup: &str, tree: &Path, place: &Path) -> Result<(), PrepareError> {
    let mut env = environment::base(environment::ambient(), &run.env);
    let mut secrets = Vec::new();
    for name in &run.secret_env {
        if let Some(value) = inner.config.secrets.get(name) {
            secrets.push(value.clone());
            env.insert(name.clone(), value);
        }
    }
    let log_path = place.join("setup.log");
    let log = LogFile::create(&log_path, &place.join("setup.log.tail"), DEFAULT_LIMIT)
        .map_err(PrepareError::io(&log_path))?;
    let mut output = Output::new(log, Redactor::new(&secrets));
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    #[cfg(unix)]
    let (program, arguments) = {
        let enclosure = inner.enclosure.clone().keeping([tree]);
        let script = [flag.to_owned(), setup.to_owned()];
        (inner.config.supervisor_exe.clone(), enclosure.arguments(tree, false, Path::new(shell), &script))
    };
    #[cfg(not(unix))]
    let (program, arguments) = (shell, [flag, setup]);
    let mut command = CommandWrap::with_new(program, |command| {
        command.args(arguments).current_dir(tree).env_clear().envs(&env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    #[cfg(unix)]
    command.wrap(process_wrap::tokio::ProcessGroup::leader());
    #[cfg(windows)]
    command.wrap(process_wrap::tokio::JobObject);
    let mut child = command.spawn().map_err(|error| {
        PrepareError::Setup(format!("`{setup}` could not be started in {}: {error}", tree.display()))
    })?;
    let group = Group(child.id().unwrap_or_default());
    if let Some(process) = Process::of(group.0) {
        let record = Setup { version: VERSION, process };
        record::write(&place.join("setup.json"), &record, false).map_err(PrepareError::io(place))?;
    }
    let (mut out, mut err) = (child.stdout().take(), child.stderr().take());
    let limit = inner.config.setup_timeout;
    let both = async {
        let (mut a, mut b) = (vec![0; 8192], vec![0; 8192]);
        // until both have ended: what setup leaves in the background may hold them open, the time limit ends that
        while out.is_some() || err.is_some() {
            tokio::select! {
                read = read(&mut out, &mut a) => output.push(Stream::Out, &a[..read]),
                read = read(&mut err, &mut b) => output.push(Stream::Err, &b[..read]),
            }
        }
        child.wait().await
    };
    let outcome = tokio::time::timeout(limit, both).await;
    output.finish();
    let tail = output.tail();
    let because = |what: String| {
        let said = if tail.trim().is_empty() { "it printed nothing".to_owned() } else { tail.trim_end().to_owned() };
        PrepareError::Setup(format!("the setup command `{setup}` {what}: {said}"))
    };
    match outcome {
        // what it left running is not wanted: Group ends it
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(because(format!("failed ({status})"))),
        Ok(Err(error)) => Err(because(format!("could not be waited for ({error})"))),
        Err(_) => Err(because(format!("took longer than {} s", limit.as_secs_f64()))),
    }
}

async fn read<R: tokio::io::AsyncRead + Unpin>(from: &mut Option<R>, buffer: &mut [u8]) -> usize {
    let read = match from {
        Some(reader) => reader.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    };
    if read == 0 {
        *from = None;
    }
    read
}
