//! Getting hold of the database: one daemon per directory, private files, corrupt ones moved aside.
//!
//! Owns: the lock file and the way to a working database. Must not: know what the tables hold.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use redb::{Database, StorageBackend as _};

use super::{
    StoreError,
    backend::{Guarded, Opener},
    format,
};
use crate::platform::files;

/// The database's name in the data directory.
pub const DATABASE: &str = "metaopt.redb";
/// The lock's name in the data directory.
pub const LOCK: &str = "lock";
/// Pages kept in memory, in bytes: documents are in memory anyway, and are read from disk only at a start.
const CACHE: usize = 32 << 20;
/// How long a lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// What a corrupt database's new name adds to the old, before the time in seconds.
const ASIDE: &str = ".corrupt-";

/// Holds the data directory for this process, until dropped or the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock, or tells who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOCK);
        let failed = |error| StoreError::io(&path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        // One that was just killed holds it until its memory is gone.
        let until = Instant::now() + LOCK_PATIENCE;
        let mut taken = file.try_lock();
        while matches!(taken, Err(TryLockError::WouldBlock)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
            taken = file.try_lock();
        }
        match taken {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Best effort: the refusal stands without the number.
                let _ = file.read_to_string(&mut holder);
                return Err(StoreError::InUse { path: dir.to_owned(), pid: holder.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // The number is a courtesy to the next daemon that finds the lock taken; a full disk must not prevent a start.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// A database at hand, and where the corrupt one that stood there is now.
pub(super) struct Found {
    pub(super) database: Database,
    pub(super) moved_aside: Option<PathBuf>,
}

/// Opens the database at `path`, a new one where there is none. One that is corrupt is moved aside.
pub(super) fn database(path: &Path, opener: &Opener) -> Result<Found, StoreError> {
    match attempt(path, opener) {
        Ok(database) => Ok(Found { database, moved_aside: None }),
        Err(error) if error.is_corruption() => {
            let aside = move_aside(path, &error)?;
            Ok(Found { database: attempt(path, opener)?, moved_aside: Some(aside) })
        }
        Err(error) => Err(error),
    }
}

/// Keeps the corrupt database at `path` under another name beside it, which it answers.
pub(super) fn move_aside(path: &Path, why: &StoreError) -> Result<PathBuf, StoreError> {
    let aside = aside(path);
    fs::rename(path, &aside).map_err(|error| StoreError::io(path, error))?;
    tracing::error!(
        database = %path.display(), kept = %aside.display(), error = %why,
        "the database is corrupt: it was moved aside and a fresh one is started"
    );
    Ok(aside)
}

/// Corrupt databases that were moved aside from `path` and still lie there.
pub(super) fn moved_aside(path: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let start = format!("{}{ASIDE}", name.to_string_lossy());
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&start))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Opens the database as it is; makes it where there is none. It is made under another name, since one whose making was
/// cut short can't be told from one that is damaged.
pub(super) fn attempt(path: &Path, opener: &Opener) -> Result<Database, StoreError> {
    let failed = |error| StoreError::io(path, error);
    if !path.try_exists().map_err(failed)? {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        files::create_private(&new).map_err(failed)?;
        open(&new, opener, true)?.close().map_err(|error| StoreError::redb(path, error))?;
        fs::rename(&new, path).and_then(|()| files::sync_parent(path)).map_err(failed)?;
    }
    files::restrict(path).map_err(failed)?;
    open(path, opener, false)
}

fn open(path: &Path, opener: &Opener, new: bool) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    // A plain open trusts the file and may panic later on a flipped bit; every page is read at a start anyway.
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let failed = |error| StoreError::io(path, error);
        let backend = Guarded::open(path, opener).map_err(failed)?;
        // One of ours is never empty: it gets its name when it is whole.
        if !new && backend.len().map_err(failed)? == 0 {
            return Err(StoreError::Corrupt { path: path.to_owned(), detail: "it is empty".into() });
        }
        let database = builder.create_with_backend(backend).map_err(|error| StoreError::redb(path, error))?;
        format::settle(&database, path)?;
        Ok(database)
    }));
    opened.unwrap_or_else(|_| {
        Err(StoreError::Corrupt { path: path.to_owned(), detail: "reading it failed an inner check of redb".into() })
    })
}

/// A name beside `path` that is free.
fn aside(path: &Path) -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let name = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{ASIDE}{seconds}"));
        if n > 0 {
            name.push(format!("-{n}"));
        }
        PathBuf::from(name)
    };
    (0..).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(0))
}
