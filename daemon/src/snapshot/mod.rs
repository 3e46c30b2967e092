//! Snapshots: the submitted directory as one content-addressed archive.
//!
//! Owns: which files go in, the canonical form that is hashed, and unpacking beneath a root only.
//! Must not: know of studies or daemons; the command line packs with it too.
//!
//! A snapshot's name is `b3:` and the BLAKE3 hash of its *uncompressed* canonical tar (entries sorted by path, times
//! and owners 0, modes 644 or 755), so that the same files have the same name wherever and however compressed.

mod exclude;
mod pack;
mod store;
mod unpack;
mod whole;

use std::{io, path::PathBuf};

pub use pack::{Entry, Kind, LeftOut, Listing, PackOptions, Packed, list, pack};
pub use store::{Form, SnapshotStore};
pub use unpack::{Limits, unpack, verify};
pub use whole::{name_whole, pack_whole, size_whole};

/// Largest sum of file sizes packed unless asked otherwise (bytes).
pub const DEFAULT_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// What can be wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file or directory.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a directory at all.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// More than allowed.
    #[error(
        "{} holds {} and a snapshot may hold {}; list what trials don't need in .metaoptignore, link big data with --link, or use --in-place. Largest: {largest}",
        dir.display(), human(*bytes), human(*limit)
    )]
    TooLarge {
        /// What was to be packed.
        dir: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
        /// The largest files.
        largest: String,
    },
    /// A file changed while it was packed.
    #[error("{} changed while the snapshot was taken; submit again when nothing writes to it", .0.display())]
    Changed(PathBuf),
    /// Names no snapshot.
    #[error("`{0}` is no snapshot's name: it should be `b3:` and 64 hexadecimal digits")]
    BadHash(String),
    /// Not what it says it is.
    #[error("the snapshot's content is {found}, not {expected}: it was damaged or is another one; send it again")]
    WrongHash {
        /// Its name.
        expected: String,
        /// What it should be called.
        found: String,
    },
    /// It holds what a snapshot must not hold.
    #[error("the snapshot is refused: `{entry}` {why}")]
    Refused {
        /// Which entry.
        entry: String,
        /// Why.
        why: String,
    },
    /// It would unpack to too much.
    #[error("the snapshot is refused: {0}")]
    TooMuch(String),
    /// Not here.
    #[error("snapshot {0} is not on this node")]
    Missing(String),
    /// Not an archive.
    #[error("the snapshot can't be read: {0}")]
    Malformed(String),
}

impl SnapshotError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// The 64 digits of a snapshot's name.
pub fn digits(hash: &str) -> Result<&str, SnapshotError> {
    hash.strip_prefix("b3:")
        .filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
        .ok_or_else(|| SnapshotError::BadHash(hash.to_owned()))
}

/// Bytes for people.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}
