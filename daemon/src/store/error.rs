//! What can go wrong with the store, in words that name the path and the way out.
//!
//! Owns: the mapping from redb's errors. Must not: decide what to do about them.

use std::{io, path::PathBuf};

use metaopt_schema::DocId;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon holds the directory.
    #[error("{} is in use by another metaoptd{}: stop it, or give this one its own --data-dir", .path.display(), .pid.map_or_else(String::new, |pid| format!(" (process {pid})")))]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The holder, as far as its lock file tells.
        pid: Option<u32>,
    },
    /// No room; call [`super::Store::reopen`] when there is some again.
    #[error("the disk of {} is full: free some space; nothing stored is lost, and metaoptd goes on by itself", .path.display())]
    Full {
        /// The database.
        path: PathBuf,
        /// As the system said it.
        source: io::Error,
    },
    /// The disk failed; [`super::Store::reopen`] may help.
    #[error("{} could not be read or written", .path.display())]
    Io {
        /// The database, or the file that failed.
        path: PathBuf,
        /// As the system said it.
        source: io::Error,
    },
    /// An earlier failure has closed the database: it has to be reopened.
    #[error("{} is closed since an earlier disk error and has to be opened again", .path.display())]
    Closed {
        /// The database.
        path: PathBuf,
    },
    /// The contents contradict themselves.
    #[error("{} is corrupt: {detail}", .path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// In what way.
        detail: String,
    },
    /// A newer metaopt wrote the database.
    #[error("{} has format {found}, and this metaopt reads formats up to {known}: update metaopt on this node", .path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The document's name, as stored, would be read back as another's.
    #[error("{}: a document cannot be stored under the name `{doc}`: IDs must not be empty or hold a slash", .path.display())]
    BadName {
        /// The database.
        path: PathBuf,
        /// The document.
        doc: DocId,
    },
    /// Another change of the same actor and number is stored: two runs share one actor.
    #[error("{}: document {doc} already holds another change {seq} of this actor", .path.display())]
    Contradiction {
        /// The database.
        path: PathBuf,
        /// The document.
        doc: DocId,
        /// The change's number.
        seq: u64,
    },
}

impl StoreError {
    /// An I/O failure of `path`.
    pub(super) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path, source }
            }
            _ => Self::Io { path, source },
        }
    }

    /// What redb said about the database at `path`.
    pub(super) fn redb(path: impl Into<PathBuf>, error: impl Into<redb::Error>) -> Self {
        let path = path.into();
        match error.into() {
            // redb reads within the file only as far as its own headers claim the file goes.
            redb::Error::Io(source)
                if matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Self::Corrupt { path, detail: source.to_string() }
            }
            redb::Error::Io(source) => Self::io(path, source),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => {
                Self::Closed { path }
            }
            redb::Error::DatabaseAlreadyOpen => Self::InUse { path, pid: None },
            redb::Error::Backend(source) => Self::io(path, io::Error::other(source)),
            other => Self::Corrupt { path, detail: other.to_string() },
        }
    }

    /// Whether the database itself is unusable, so that it should be moved aside.
    pub(crate) fn is_corruption(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }
}
