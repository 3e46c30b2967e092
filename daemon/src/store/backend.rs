//! The file beneath redb.
//!
//! Owns: what a failed sync means. Must not: know what the file holds.
//!
//! After a failed sync Linux takes the pages in question for clean: they can still be read, but no later sync writes
//! them. A database opened over such pages looks whole and loses them with the next power cut. So a failed sync is
//! noted, beside the file too (a marker that needs no sync: what it warns of lasts no longer than the system does), and
//! before the file is used again every page is written once more. At that moment the file is what any crash could have
//! left, so that a crash in the middle adds nothing new.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{StorageBackend, backends::FileBackend};

/// What the marker's name adds to the database's.
const MARKER: &str = ".unsynced";
/// Bytes rewritten at once.
const CHUNK: usize = 1 << 20;

/// How the database's file is reached; tests put a failing disk here.
pub type Opener = Arc<dyn Fn(&Path) -> io::Result<Box<dyn StorageBackend>> + Send + Sync>;

/// The real disk.
pub fn on_disk() -> Opener {
    Arc::new(|path| {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(backend))
    })
}

/// A file that remembers that a sync of it failed.
#[derive(Debug)]
pub(super) struct Guarded {
    inner: Box<dyn StorageBackend>,
    marker: PathBuf,
}

impl Guarded {
    /// Opens the file at `path`, made good if a sync of it has failed.
    pub(super) fn open(path: &Path, opener: &Opener) -> io::Result<Self> {
        let guarded = Self { inner: opener(path)?, marker: marker(path) };
        if guarded.marker.exists() {
            tracing::warn!(database = %path.display(), "a sync of the database failed: writing it once more");
            guarded.write_again()?;
            // Only now; if it can't go, the next opening repeats the work in vain.
            let _ = fs::remove_file(&guarded.marker);
        }
        Ok(guarded)
    }

    fn write_again(&self) -> io::Result<()> {
        let length = self.inner.len()?;
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < length {
            let part = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
            self.inner.read(at, &mut buffer[..part])?;
            self.inner.write(at, &buffer[..part])?;
            at += part as u64;
        }
        self.inner.sync_data()
    }
}

fn marker(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(MARKER);
    name.into()
}

impl StorageBackend for Guarded {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data().inspect_err(|_| {
            if let Err(error) = fs::write(&self.marker, []) {
                tracing::warn!(%error, "could not note that a sync failed; it is made good only by this process");
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
