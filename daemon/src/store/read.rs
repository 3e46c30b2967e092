//! Reading what is stored, from any thread.
//!
//! Owns: the shared handle of the open database. Must not: write, or look into changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use metaopt_core::{Shelf, StoredDoc};
use metaopt_schema::{DocId, docs::RawChange};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable};

use super::{
    StoreError,
    format::{CHANGES, DIGESTS, META, SNAPSHOTS},
};

/// Largest digest that is read (bytes, inflated); a segment's takes about one MiB.
const MOST_DIGEST: u64 = 256 << 20;

/// A handle for reading; clones share the database, also after it was opened again.
#[derive(Clone)]
pub struct Reader {
    pub(super) path: PathBuf,
    /// `None` after a failed reopening.
    database: Arc<RwLock<Option<Database>>>,
}

impl Reader {
    pub(super) fn new(path: PathBuf, database: Database) -> Self {
        Self { path, database: Arc::new(RwLock::new(Some(database))) }
    }

    /// The IDs of all documents, in order.
    pub fn ids(&self) -> Result<Vec<DocId>, StoreError> {
        self.read(|transaction| {
            let mut ids = BTreeSet::new();
            for row in transaction.open_table(SNAPSHOTS)?.iter()? {
                ids.insert(parse(row?.0.value())?);
            }
            ids.extend(tails(transaction)?.into_keys());
            Ok(ids.into_iter().collect())
        })
    }

    /// One document; `None` when nothing of it is stored.
    pub fn doc(&self, id: &DocId) -> Result<Option<StoredDoc>, StoreError> {
        let name = id.to_string();
        self.read(|transaction| {
            let snapshot = transaction.open_table(SNAPSHOTS)?.get(name.as_str())?.map(|bytes| bytes.value().to_vec());
            let mut changes = Vec::new();
            let end = after(&name);
            for row in transaction.open_table(CHANGES)?.range(start(&name)..start(&end))? {
                let (key, bytes) = row?;
                let (_, actor, seq) = key.value();
                changes.push(RawChange { actor: actor.into(), seq, bytes: bytes.value().into() });
            }
            let packed = transaction.open_table(DIGESTS)?.get(name.as_str())?.map(|bytes| bytes.value().to_vec());
            let stored = snapshot.is_some() || !changes.is_empty();
            // Only a cache: one that can't be read is no reason to refuse the document.
            let digest = packed.filter(|_| changes.is_empty()).and_then(|packed| inflate(&packed));
            Ok(stored.then(|| StoredDoc { id: id.clone(), snapshot, digest, changes }))
        })
    }

    /// One of the daemon's own values.
    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| Ok(transaction.open_table(META)?.get(key)?.map(|value| value.value().to_vec())))
    }

    /// Changes, and their bytes, since each document's snapshot.
    pub(super) fn tails(&self) -> Result<BTreeMap<DocId, (u64, u64)>, StoreError> {
        self.read(tails)
    }

    pub(super) fn open(&self, database: Database) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
    }

    /// Before another opening: the file admits one.
    pub(super) fn close(&self) {
        let old = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        // One whose inner checks failed may fail them again as it goes.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
    }

    /// Runs `work` on the open database. A check within redb that fails on damaged pages is a corrupt database, not the
    /// end of the thread.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let guard: RwLockReadGuard<'_, Option<Database>> = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = guard.as_ref().ok_or_else(|| StoreError::Closed { path: self.path.clone() })?;
        let outcome = catch_unwind(AssertUnwindSafe(|| work(database)))
            .unwrap_or_else(|_| Err(redb::Error::Corrupted("using it failed an inner check of redb".into())));
        outcome.map_err(|error| StoreError::redb(&self.path, error))
    }

    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        self.with(|database| work(&database.begin_read()?))
    }
}

impl Shelf for Reader {
    fn fetch(&self, id: &DocId) -> Result<Option<StoredDoc>, String> {
        self.doc(id).map_err(|error| error.to_string())
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).finish_non_exhaustive()
    }
}

fn tails(transaction: &ReadTransaction) -> Result<BTreeMap<DocId, (u64, u64)>, redb::Error> {
    let mut tails: BTreeMap<DocId, (u64, u64)> = BTreeMap::new();
    let mut last: Option<(String, DocId)> = None;
    for row in transaction.open_table(CHANGES)?.iter()? {
        let (key, bytes) = row?;
        let name = key.value().0;
        let id = match &last {
            Some((text, id)) if text == name => id.clone(),
            _ => parse(name)?,
        };
        let tail = tails.entry(id.clone()).or_default();
        *tail = (tail.0 + 1, tail.1 + bytes.value().len() as u64);
        last = Some((name.to_owned(), id));
    }
    Ok(tails)
}

/// A digest as it is stored.
pub(super) fn deflate(digest: &[u8], path: &Path) -> Result<Vec<u8>, StoreError> {
    // Level 1: a third of the size at hundreds of megabytes a second.
    zstd::bulk::compress(digest, 1).map_err(|error| StoreError::io(path, error))
}

fn inflate(packed: &[u8]) -> Option<Vec<u8>> {
    let mut digest = Vec::new();
    zstd::stream::read::Decoder::new(packed).ok()?.take(MOST_DIGEST).read_to_end(&mut digest).ok()?;
    Some(digest)
}

/// The first key of the document `name`.
pub(super) fn start(name: &str) -> (&str, &[u8], u64) {
    (name, &[], 0)
}

/// The name right after `name` in the tables' order.
pub(super) fn after(name: &str) -> String {
    format!("{name}\0")
}

fn parse(name: &str) -> Result<DocId, redb::Error> {
    name.parse().map_err(|error| redb::Error::Corrupted(format!("{error}")))
}
