//! The snapshots that this node holds: `DATA/snapshots/<64 digits>.tar.zst`.
//!
//! Owns: that directory. Must not: keep an archive that isn't what its name says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Limits, SnapshotError, digits, unpack, verify};

/// The paths of a snapshot's files and links.
type Files = Arc<BTreeSet<PathBuf>>;

/// A node's snapshots.
#[derive(Debug)]
pub struct SnapshotStore {
    dir: PathBuf,
    limits: Limits,
    files: Mutex<BTreeMap<String, Files>>,
}

impl SnapshotStore {
    /// Opens or creates `dir`.
    pub fn open(dir: &Path) -> Result<Self, SnapshotError> {
        fs::create_dir_all(dir).map_err(SnapshotError::io(dir))?;
        Ok(Self { dir: dir.to_owned(), limits: Limits::default(), files: Mutex::default() })
    }

    /// Where a snapshot's archive lies or would lie.
    pub fn path(&self, hash: &str) -> Result<PathBuf, SnapshotError> {
        Ok(self.dir.join(format!("{}.tar.zst", digits(hash)?)))
    }

    /// Whether it is here.
    pub fn has(&self, hash: &str) -> bool {
        self.path(hash).is_ok_and(|path| path.is_file())
    }

    /// Whether it is here, asked by somebody who is about to use it: its age begins anew, so that it is not collected now.
    pub fn reserve(&self, hash: &str) -> bool {
        let touch = |path: PathBuf| File::options().append(true).open(path)?.set_modified(std::time::SystemTime::now());
        self.path(hash).is_ok_and(|path| touch(path).is_ok())
    }

    /// Takes in a compressed archive and keeps it if it is what `hash` says; `false` when it was here already (then
    /// nothing is read). Blocking.
    pub fn put(&self, hash: &str, mut body: impl Read) -> Result<bool, SnapshotError> {
        if self.path(hash)?.is_file() {
            return Ok(false);
        }
        let mut temp = self.temp()?;
        io::copy(&mut body, temp.as_file_mut()).map_err(SnapshotError::io(temp.path()))?;
        self.keep(hash, temp)
    }

    /// A file beside the archives to write a body to that arrives in pieces; then [`SnapshotStore::keep`] it.
    pub fn temp(&self) -> Result<tempfile::NamedTempFile, SnapshotError> {
        tempfile::Builder::new().prefix(".incoming-").tempfile_in(&self.dir).map_err(SnapshotError::io(&self.dir))
    }

    /// Checks a written body and keeps it if it is what `hash` says; `false` when it was here already. Blocking.
    pub fn keep(&self, hash: &str, temp: tempfile::NamedTempFile) -> Result<bool, SnapshotError> {
        let path = self.path(hash)?;
        let fail = || SnapshotError::io(temp.path().to_owned());
        let files = verify(File::open(temp.path()).map_err(fail())?, hash, self.limits)?;
        temp.as_file().sync_all().map_err(fail())?;
        let fresh = !path.is_file();
        temp.persist(&path).map_err(|error| SnapshotError::Io { path: path.clone(), source: error.error })?;
        crate::platform::files::sync_parent(&path).map_err(SnapshotError::io(&path))?;
        self.remember(hash, files);
        Ok(fresh)
    }

    /// Unpacks it to `dest`, which must not exist. Blocking.
    pub fn unpack(&self, hash: &str, dest: &Path) -> Result<(), SnapshotError> {
        let path = self.path(hash)?;
        unpack(self.read(hash, &path)?, hash, dest, self.limits)
    }

    /// Whether the snapshot holds a file or link of this relative path. Reads the archive once, then remembers.
    pub fn contains(&self, hash: &str, file: &Path) -> Result<bool, SnapshotError> {
        let clean: PathBuf = file.components().filter(|part| *part != std::path::Component::CurDir).collect();
        let known = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned();
        let files = match known {
            Some(files) => files,
            None => {
                let path = self.path(hash)?;
                let files = verify(self.read(hash, &path)?, hash, self.limits)?;
                self.remember(hash, files)
            }
        };
        Ok(files.contains(&clean))
    }

    fn read(&self, hash: &str, path: &Path) -> Result<File, SnapshotError> {
        File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SnapshotError::Missing(hash.to_owned()),
            _ => SnapshotError::Io { path: path.to_owned(), source: error },
        })
    }

    fn remember(&self, hash: &str, files: BTreeSet<PathBuf>) -> Files {
        let files = Arc::new(files);
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(hash.to_owned(), Arc::clone(&files));
        files
    }
}
