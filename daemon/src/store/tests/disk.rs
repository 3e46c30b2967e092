//! A disk that fills up or breaks down on command.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

use redb::{StorageBackend, backends::FileBackend};

use crate::store::Opener;

const WELL: u8 = 0;
const FULL: u8 = 1;
const BROKEN: u8 = 2;

/// The switches; clones and everything opened through it share them.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    state: Arc<AtomicU8>,
    refused: Arc<AtomicUsize>,
}

impl Disk {
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on files don't grow.
    pub fn fill(&self) {
        self.state.store(FULL, Ordering::SeqCst);
    }

    /// From now on nothing is read or written.
    pub fn break_down(&self) {
        self.state.store(BROKEN, Ordering::SeqCst);
    }

    pub fn free(&self) {
        self.state.store(WELL, Ordering::SeqCst);
    }

    /// How often it has refused.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    pub fn opener(&self) -> Opener {
        let disk = self.clone();
        Arc::new(move |builder, path: &Path| {
            let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
            builder.create_with_backend(Backend { inner: FileBackend::new(file)?, disk: disk.clone() })
        })
    }

    fn check(&self, growing: bool) -> io::Result<()> {
        let error = match self.state.load(Ordering::SeqCst) {
            BROKEN => io::Error::other("the disk broke down"),
            FULL if growing => io::ErrorKind::StorageFull.into(),
            _ => return Ok(()),
        };
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(error)
    }
}

#[derive(Debug)]
struct Backend {
    inner: FileBackend,
    disk: Disk,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.disk.check(false)?;
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.check(false)?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.check(len > self.inner.len()?)?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.check(false)?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.check(false)?;
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
