//! The store: every change of every document, on disk before anybody hears of it.
//!
//! Owns: the redb database of the data directory, and the lock that keeps a second daemon out. Must not: look into
//! changes, or decide what to store.
//!
//! A change is stored under (document, actor, seq); a snapshot of a document takes the place of the changes it covers,
//! in one transaction. What [`Store::commit`] has answered survives any crash.

mod backend;
mod error;
mod format;
mod open;
mod read;
// They look at modes and send signals.
#[cfg(all(test, unix))]
pub(crate) mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use metaopt_core::{Saved, StoredDoc};
use metaopt_schema::{
    DocId,
    docs::{RawChange, Vector},
};
use redb::{Durability, WriteTransaction};

use format::{CHANGES, DIGESTS, FORMAT_KEY, META, SNAPSHOTS};
use open::DirLock;
use read::{after, start};

pub use backend::{Opener, on_disk};
pub use error::StoreError;
pub use open::{DATABASE, LOCK};
pub use read::Reader;

/// Changes after which a document should be snapshotted.
pub const SNAPSHOT_CHANGES: u64 = 2_000;
/// Bytes of changes after which a document should be snapshotted: about what a start reads in a millisecond or two.
pub const SNAPSHOT_BYTES: u64 = 4 << 20;

/// What [`Store::open`] found.
#[derive(Debug)]
pub struct Opened {
    /// The store, ready.
    pub store: Store,
    /// Where the corrupt database that stood there is now. The store is then empty: the node has to learn everything
    /// from its peers, and to say so.
    pub moved_aside: Option<PathBuf>,
}

/// The open database. Its owner is one thread: every method waits for the disk.
pub struct Store {
    reader: Reader,
    opener: Opener,
    /// Changes and bytes since each document's snapshot.
    tails: BTreeMap<DocId, (u64, u64)>,
    // Released last, so that nobody enters before the database is closed.
    _lock: DirLock,
}

impl Store {
    /// Opens the store of the data directory `dir`, which must exist. A second daemon is refused; a corrupt database is
    /// moved aside and a fresh one begun.
    pub fn open(dir: &Path) -> Result<Opened, StoreError> {
        Self::open_on(dir, on_disk())
    }

    /// Like [`Store::open`], on another disk.
    pub fn open_on(dir: &Path, opener: Opener) -> Result<Opened, StoreError> {
        let lock = DirLock::take(dir)?;
        let path = dir.join(DATABASE);
        let found = open::database(&path, &opener)?;
        let mut store = Self { reader: Reader::new(path, found.database), opener, tails: BTreeMap::new(), _lock: lock };
        store.count_tails()?;
        Ok(Opened { store, moved_aside: found.moved_aside })
    }

    /// Closes the database and opens it again, as is needed after [`StoreError::Full`], [`StoreError::Io`] or
    /// [`StoreError::Closed`]; the lock is kept. All that was acknowledged is there; what failed is to be committed
    /// again (committing a change twice is harmless). A corrupt database is an error here: moving it aside would lose
    /// what the running node relies on.
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        self.reader.close();
        self.reader.open(open::attempt(self.path(), &self.opener)?);
        self.count_tails()
    }

    /// Moves a database that turned out corrupt while the daemon ran aside (the answer says where) and opens a fresh one,
    /// to be filled from memory by [`Store::fill`].
    pub fn begin_again(&mut self, why: &StoreError) -> Result<PathBuf, StoreError> {
        self.reader.close();
        let aside = open::move_aside(self.path(), why)?;
        self.reader.open(open::attempt(self.path(), &self.opener)?);
        self.count_tails()?;
        Ok(aside)
    }

    /// Stores whole documents and the daemon's own values, in one transaction, so that a crash leaves all or nothing.
    pub fn fill(&mut self, docs: &[(DocId, Vec<u8>)], meta: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(SNAPSHOTS)?;
            for (id, bytes) in docs {
                table.insert(id.to_string().as_str(), bytes.as_slice())?;
            }
            let mut table = transaction.open_table(META)?;
            for (key, value) in meta.iter().filter(|(key, _)| key != FORMAT_KEY) {
                table.insert(key.as_str(), value.as_slice())?;
            }
            Ok(true)
        })
    }

    /// Corrupt databases that were moved aside, now or earlier, and still lie in the data directory.
    pub fn moved_aside(&self) -> Vec<PathBuf> {
        open::moved_aside(self.path())
    }

    /// Every document, in the order of their IDs.
    pub fn load(&self) -> Result<Vec<StoredDoc>, StoreError> {
        let ids = self.reader.ids()?;
        ids.iter().filter_map(|id| self.reader.doc(id).transpose()).collect()
    }

    /// One of the daemon's own values.
    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.reader.meta(key)
    }

    /// For reading, from any thread.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Stores changes and the daemon's own values, all or none; on disk when it answers. Storing a change again is
    /// harmless; another change of the same actor and number is refused.
    pub fn commit(&mut self, changes: &[(DocId, RawChange)], meta: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        if changes.is_empty() && meta.is_empty() {
            return Ok(());
        }
        if let Some((id, _)) = changes.iter().find(|(id, _)| id.to_string().parse().ok().as_ref() != Some(id)) {
            return Err(StoreError::BadName { path: self.path().to_owned(), doc: id.clone() });
        }
        let mut contradiction = None;
        let mut fresh = Vec::with_capacity(changes.len());
        self.write(|transaction| {
            let mut table = transaction.open_table(CHANGES)?;
            for (id, change) in changes {
                let name = id.to_string();
                let old = table.insert((name.as_str(), &*change.actor, change.seq), &*change.bytes)?;
                match old.map(|old| old.value() == &*change.bytes) {
                    None => fresh.push((id, change.bytes.len() as u64)),
                    Some(true) => {}
                    Some(false) => {
                        contradiction = Some((id.clone(), change.seq));
                        return Ok(false);
                    }
                }
            }
            let mut table = transaction.open_table(META)?;
            for (key, value) in meta.iter().filter(|(key, _)| key != FORMAT_KEY) {
                table.insert(key.as_str(), value.as_slice())?;
            }
            Ok(true)
        })?;
        if let Some((doc, seq)) = contradiction {
            return Err(StoreError::Contradiction { path: self.path().to_owned(), doc, seq });
        }
        for (id, bytes) in fresh {
            let tail = self.tails.entry(id.clone()).or_default();
            *tail = (tail.0 + 1, tail.1 + bytes);
        }
        Ok(())
    }

    /// Puts a snapshot in the place of the changes that it covers, in one transaction. `covered` is the vector of the
    /// document when it was saved; changes stored since then stay. `digest` is what the snapshot says, for a quick start.
    pub fn snapshot(
        &mut self,
        id: &DocId,
        bytes: &[u8],
        covered: &Vector,
        digest: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let name = id.to_string();
        let digest = digest.map(|digest| read::deflate(digest, self.path())).transpose()?;
        let mut gone = (0, 0);
        self.write(|transaction| {
            // So that a start after a crash need not walk the whole file to find the free pages.
            transaction.set_quick_repair(true);
            transaction.open_table(SNAPSHOTS)?.insert(name.as_str(), bytes)?;
            let mut digests = transaction.open_table(DIGESTS)?;
            match &digest {
                Some(digest) => digests.insert(name.as_str(), digest.as_slice())?,
                None => digests.remove(name.as_str())?,
            };
            let mut table = transaction.open_table(CHANGES)?;
            for (actor, count) in covered {
                let range = (name.as_str(), &**actor, 0)..=(name.as_str(), &**actor, *count);
                table.retain_in(range, |_, bytes| {
                    gone = (gone.0 + 1, gone.1 + bytes.len() as u64);
                    false
                })?;
            }
            Ok(true)
        })?;
        if let Some(tail) = self.tails.get_mut(id) {
            *tail = (tail.0.saturating_sub(gone.0), tail.1.saturating_sub(gone.1));
        }
        Ok(())
    }

    /// Stores whole documents of which nothing is here, as a peer had stored them, in one transaction.
    pub fn take_whole(&mut self, docs: &[(DocId, Saved)]) -> Result<(), StoreError> {
        if docs.is_empty() {
            return Ok(());
        }
        if let Some((id, _)) = docs.iter().find(|(id, _)| id.to_string().parse().ok().as_ref() != Some(id)) {
            return Err(StoreError::BadName { path: self.path().to_owned(), doc: id.clone() });
        }
        let path = self.path().to_owned();
        let packed: Vec<Vec<u8>> =
            docs.iter().map(|(_, saved)| read::deflate(&saved.digest, &path)).collect::<Result<_, _>>()?;
        self.write(|transaction| {
            transaction.set_quick_repair(true);
            let mut snapshots = transaction.open_table(SNAPSHOTS)?;
            let mut digests = transaction.open_table(DIGESTS)?;
            for ((id, saved), packed) in docs.iter().zip(&packed) {
                let name = id.to_string();
                snapshots.insert(name.as_str(), saved.bytes.as_slice())?;
                digests.insert(name.as_str(), packed.as_slice())?;
            }
            Ok(true)
        })
    }

    /// Forgets a document.
    pub fn delete(&mut self, id: &DocId) -> Result<(), StoreError> {
        let name = id.to_string();
        let end = after(&name);
        self.write(|transaction| {
            transaction.open_table(SNAPSHOTS)?.remove(name.as_str())?;
            transaction.open_table(DIGESTS)?.remove(name.as_str())?;
            transaction.open_table(CHANGES)?.retain_in(start(&name)..start(&end), |_, _| false)?;
            Ok(true)
        })?;
        self.tails.remove(id);
        Ok(())
    }

    /// Changes of a document stored since its last snapshot.
    pub fn tail(&self, id: &DocId) -> u64 {
        self.tails.get(id).map_or(0, |(changes, _)| *changes)
    }

    /// Whether so much was stored of a document since its last snapshot that the next is due. Costs nothing.
    pub fn wants_snapshot(&self, id: &DocId) -> bool {
        self.tails.get(id).is_some_and(|&(changes, bytes)| changes >= SNAPSHOT_CHANGES || bytes >= SNAPSHOT_BYTES)
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.reader.path
    }

    fn count_tails(&mut self) -> Result<(), StoreError> {
        self.tails = self.reader.tails()?;
        Ok(())
    }

    /// Runs `work` in a transaction, durable on return; undone where it fails or answers false.
    fn write(&self, work: impl FnOnce(&mut WriteTransaction) -> Result<bool, redb::Error>) -> Result<(), StoreError> {
        self.reader.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            if work(&mut transaction)? {
                transaction.commit()?
            } else {
                transaction.abort()?
            }
            Ok(())
        })
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}
