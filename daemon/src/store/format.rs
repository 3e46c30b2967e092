//! The database's tables, its format version and the way from older ones.
//!
//! Owns: table names and types, the version marker, the migration chain. Must not: know documents' contents.

use std::path::Path;

use redb::{Database, ReadableDatabase, TableDefinition, WriteTransaction};

use super::StoreError;

/// (document, actor, seq) → one raw change.
pub(super) const CHANGES: TableDefinition<'_, (&str, &[u8], u64), &[u8]> = TableDefinition::new("changes");
/// Document → `Doc::save`.
pub(super) const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshots");
/// Document → what its snapshot says (see [`metaopt_schema::docs::digest`]), packed by zstd.
pub(super) const DIGESTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("digests");
/// The daemon's own small things, and the format version.
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Where the version stands in [`META`]; 8 bytes, little endian.
pub(super) const FORMAT_KEY: &str = "format";

/// Turns a database of one format into the next, in the transaction that also moves the marker.
pub(super) type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// `STEPS[i]` leads from format `i + 1` to `i + 2`. To change the format: append a step, and commit a golden file of
/// the format before it.
const STEPS: &[Step] = &[add_digests];

/// To format 2: digests beside snapshots.
fn add_digests(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(DIGESTS)?;
    Ok(())
}

/// Makes the tables of a new database; brings an older one up to date; refuses a newer one.
pub(super) fn settle(database: &Database, path: &Path) -> Result<(), StoreError> {
    settle_with(database, path, STEPS)
}

pub(super) fn settle_with(database: &Database, path: &Path, steps: &[Step]) -> Result<(), StoreError> {
    let known = steps.len() as u64 + 1;
    let found = version(database).map_err(|error| StoreError::redb(path, error))?;
    match found {
        Some(found) if found == known => Ok(()),
        Some(found) if found > known => Err(StoreError::Newer { path: path.to_owned(), found, known }),
        Some(0) => Err(StoreError::Corrupt { path: path.to_owned(), detail: "it is marked as format 0".into() }),
        found => bring_up(database, found, steps, known).map_err(|error| StoreError::redb(path, error)),
    }
}

fn version(database: &Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        meta => meta?,
    };
    let version = meta.get(FORMAT_KEY)?.map(|value| value.value().try_into().map(u64::from_le_bytes));
    version.transpose().map_err(|_| redb::Error::Corrupted("the format marker is not 8 bytes".into()))
}

/// One transaction: a crash leaves the old format or the new one.
fn bring_up(database: &Database, found: Option<u64>, steps: &[Step], known: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    match found {
        None => {
            transaction.open_table(CHANGES)?;
            transaction.open_table(SNAPSHOTS)?;
            transaction.open_table(DIGESTS)?;
        }
        Some(found) => {
            tracing::info!(from = found, to = known, "bringing the database to this version's format");
            for step in &steps[found as usize - 1..] {
                step(&transaction)?;
            }
        }
    }
    transaction.open_table(META)?.insert(FORMAT_KEY, known.to_le_bytes().as_slice())?;
    transaction.commit()?;
    Ok(())
}
