//! A disk in memory that keeps its promises and no more: what is written may be read at once, but only a sync makes it
//! last. It fills up, breaks down, refuses a sync, is slow, or loses power at a given operation.
//!
//! The law of a power cut: of every 512-byte sector any one of the versions since the last sync survives, whichever
//! sectors' neighbours did, and the file has any of the lengths it had. The law of a failed sync, as on Linux: of every
//! sector the old or the new version is on disk, what is read is the new one, and no later sync writes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use redb::StorageBackend;

use crate::store::Opener;

const SECTOR: usize = 512;

/// What goes wrong, and when: at the operation (write, resizing or sync) of this number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The power goes before the operation: it and all after it fail.
    Cut(u64),
    /// This operation and the next few are refused for want of room, if they write or grow.
    Full(u64),
    /// The first sync from this operation on fails.
    Sync(u64),
}

/// Clones, and everything opened through it, share one disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rng: ChaCha8Rng,
    /// One for each file that was begun; a file moved aside keeps its own.
    files: Vec<Image>,
    operations: u64,
    fault: Option<Fault>,
    fired: u64,
    filled: bool,
    broken: bool,
    slow: Duration,
}

#[derive(Clone, Debug, Default)]
struct Image {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Versions of sectors since the last sync, oldest first.
    pending: BTreeMap<usize, Vec<[u8; SECTOR]>>,
    lengths: Vec<usize>,
}

impl Image {
    fn sector(bytes: &[u8], index: usize) -> [u8; SECTOR] {
        let mut out = [0; SECTOR];
        let from = (index * SECTOR).min(bytes.len());
        let part = &bytes[from..(from + SECTOR).min(bytes.len())];
        out[..part.len()].copy_from_slice(part);
        out
    }

    fn write(&mut self, offset: usize, data: &[u8]) {
        // As a file does: redb writes past an end that it could not move, after a failure.
        if offset + data.len() > self.seen.len() {
            self.set_len(offset + data.len());
        }
        self.seen[offset..offset + data.len()].copy_from_slice(data);
        for index in offset / SECTOR..=(offset + data.len() - 1) / SECTOR {
            let version = Self::sector(&self.seen, index);
            self.pending.entry(index).or_default().push(version);
        }
    }

    fn set_len(&mut self, length: usize) {
        let before = self.seen.len();
        self.seen.resize(length, 0);
        self.lengths.push(length);
        self.pending.retain(|index, _| index * SECTOR < length);
        // What grows is zero, also where longer ago there was something.
        for index in before / SECTOR..length.div_ceil(SECTOR) {
            self.pending.entry(index).or_default().push(Self::sector(&self.seen, index));
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        let pending: BTreeSet<usize> = self.pending.keys().copied().collect();
        for index in pending {
            self.put(index, &Self::sector(&self.seen, index));
        }
        self.pending.clear();
        self.lengths.clear();
    }

    fn put(&mut self, index: usize, sector: &[u8; SECTOR]) {
        let from = index * SECTOR;
        let to = (from + SECTOR).min(self.durable.len());
        if from < to {
            self.durable[from..to].copy_from_slice(&sector[..to - from]);
        }
    }

    /// Any of what could be on disk now is.
    fn settle(&mut self, rng: &mut ChaCha8Rng) {
        let mut lengths = vec![self.durable.len()];
        lengths.append(&mut self.lengths);
        self.durable.resize(lengths[pick(rng, lengths.len())], 0);
        for (index, versions) in std::mem::take(&mut self.pending) {
            if let Some(last) = pick(rng, versions.len() + 1).checked_sub(1) {
                self.put(index, &versions[last]);
            }
        }
    }
}

/// Below `n`, which is above 0.
pub fn pick(rng: &mut ChaCha8Rng, n: usize) -> usize {
    (rng.next_u64() % n as u64) as usize
}

impl Disk {
    pub fn new() -> Self {
        Self::seeded(0)
    }

    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: ChaCha8Rng::seed_from_u64(seed),
            files: Vec::new(),
            operations: 0,
            fault: None,
            fired: 0,
            filled: false,
            broken: false,
            slow: Duration::ZERO,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on files don't grow.
    pub fn fill(&self) {
        self.lock().filled = true;
    }

    /// From now on nothing is read or written.
    pub fn break_down(&self) {
        self.lock().broken = true;
    }

    /// All is well again.
    pub fn free(&self) {
        let mut state = self.lock();
        (state.filled, state.broken, state.fault) = (false, false, None);
    }

    /// From now on every sync takes this long.
    pub fn slow_down(&self, by: Duration) {
        self.lock().slow = by;
    }

    /// One fault to come.
    pub fn plan(&self, fault: Fault) {
        self.lock().fault = Some(fault);
    }

    /// How often something was refused.
    pub fn refused(&self) -> u64 {
        self.lock().fired
    }

    /// Writes, resizings and syncs so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The machine loses its power and comes back: what is left is what the disk could have kept.
    pub fn power_cut(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        (state.filled, state.broken, state.fault) = (false, false, None);
        for image in &mut state.files {
            image.settle(&mut state.rng);
            image.seen.clone_from(&image.durable);
        }
    }

    /// Does something to the disk that is undone afterwards.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        let files = self.lock().files.clone();
        let answer = work();
        self.lock().files = files;
        answer
    }

    /// Flips one bit of the newest file as it lies on the disk.
    pub fn flip(&self, at: impl FnOnce(usize) -> (usize, u8)) {
        let mut state = self.lock();
        let image = state.files.last_mut().unwrap();
        let (byte, bit) = at(image.durable.len());
        image.durable[byte] ^= 1 << bit;
        image.seen.clone_from(&image.durable);
    }

    /// Opens files of this disk. The real file says which image it stands for; an empty one is a new file.
    pub fn opener(&self) -> Opener {
        let disk = self.clone();
        Arc::new(move |path: &Path| {
            let mut state = disk.lock();
            if state.broken {
                state.fired += 1;
                return Err(io::Error::other("the disk broke down"));
            }
            let text = fs::read_to_string(path)?;
            let index = match text.parse() {
                Ok(index) => index,
                Err(_) => {
                    state.files.push(Image::default());
                    fs::write(path, (state.files.len() - 1).to_string())?;
                    state.files.len() - 1
                }
            };
            Ok(Box::new(Backend { disk: disk.clone(), index }))
        })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Look,
    /// Needs no room: shrinking, and writing where something is already.
    Change,
    Grow,
    Sync,
}

impl State {
    /// Whether an operation may go on.
    fn check(&mut self, kind: Kind) -> io::Result<()> {
        let n = self.operations;
        self.operations += u64::from(kind != Kind::Look);
        let error = match self.fault {
            _ if self.broken => io::Error::other("the disk broke down"),
            _ if self.filled && kind == Kind::Grow => io::ErrorKind::StorageFull.into(),
            Some(Fault::Cut(at)) if n >= at => io::Error::other("the power is gone"),
            // A disk that allocates late, or copies what it overwrites, has no room for a write either.
            Some(Fault::Full(at)) if matches!(kind, Kind::Change | Kind::Grow) && (at..at + 5).contains(&n) => {
                io::ErrorKind::StorageFull.into()
            }
            Some(Fault::Sync(at)) if kind == Kind::Sync && n >= at => {
                self.fault = None;
                io::Error::other("the disk could not write some sectors")
            }
            _ => return Ok(()),
        };
        self.fired += 1;
        Err(error)
    }
}

#[derive(Debug)]
struct Backend {
    disk: Disk,
    index: usize,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        state.check(Kind::Look)?;
        Ok(state.files[self.index].seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(Kind::Look)?;
        let from = offset as usize;
        match state.files[self.index].seen.get(from..from + out.len()) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        let grows = len as usize > state.files[self.index].seen.len();
        state.check(if grows { Kind::Grow } else { Kind::Change })?;
        state.files[self.index].set_len(len as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let slow = self.disk.lock().slow;
        std::thread::sleep(slow);
        let mut state = self.disk.lock();
        let state = &mut *state;
        let fails = matches!(state.fault, Some(Fault::Sync(_)));
        let outcome = state.check(Kind::Sync);
        let image = &mut state.files[self.index];
        match &outcome {
            Ok(()) => image.sync(),
            Err(_) if fails => image.settle(&mut state.rng),
            Err(_) => {}
        }
        outcome
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check(Kind::Change)?;
        state.files[self.index].write(offset as usize, data);
        Ok(())
    }
}
