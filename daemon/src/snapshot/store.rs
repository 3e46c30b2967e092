//! The archives that this node holds, by content: `DATA/snapshots/<64 digits>.tar.zst`, and the same for checkpoints.
//!
//! Owns: that directory. Must not: keep an archive that isn't what its name says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::{Limits, SnapshotError, digits, unpack, verify};

/// The paths of a snapshot's files and links.
type Files = Arc<BTreeSet<PathBuf>>;

/// The compressed form of an archive. Two nodes may hold the same archive in different forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// BLAKE3 of the compressed bytes, hexadecimal.
    pub digest: String,
    /// How many they are.
    pub size: u64,
}

/// A node's snapshots.
#[derive(Debug)]
pub struct SnapshotStore {
    dir: PathBuf,
    limits: Limits,
    files: Mutex<BTreeMap<String, Files>>,
    forms: Mutex<BTreeMap<String, (SystemTime, Form)>>,
}

impl SnapshotStore {
    /// Opens or creates `dir`.
    pub fn open(dir: &Path) -> Result<Self, SnapshotError> {
        fs::create_dir_all(dir).map_err(SnapshotError::io(dir))?;
        Ok(Self { dir: dir.to_owned(), limits: Limits::default(), files: Mutex::default(), forms: Mutex::default() })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
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
        let Ok(path) = self.path(hash) else { return false };
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        let touch = || {
            let file = File::options().append(true).open(path)?;
            let before = file.metadata()?.modified()?;
            file.set_modified(SystemTime::now())?;
            // Its bytes are the same as before: they need not be read again.
            match forms.get_mut(hash) {
                Some((at, _)) if *at == before => *at = file.metadata()?.modified()?,
                _ => {}
            }
            io::Result::Ok(())
        };
        touch().is_ok()
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
        // gone with `temp`, unless it was moved
        self.adopt(hash, temp.path())
    }

    /// The same for a file of this directory that isn't a temporary one: it is moved into place, or left where it is.
    pub fn adopt(&self, hash: &str, from: &Path) -> Result<bool, SnapshotError> {
        let path = self.path(hash)?;
        let fail = || SnapshotError::io(from);
        let file = File::open(from).map_err(fail())?;
        let files = verify(&file, hash, self.limits)?;
        file.sync_all().map_err(fail())?;
        let fresh = !path.is_file();
        fs::rename(from, &path).map_err(SnapshotError::io(&path))?;
        crate::platform::files::sync_parent(&path).map_err(SnapshotError::io(&path))?;
        self.remember(hash, files);
        Ok(fresh)
    }

    /// The form in which it is here; `None` where it isn't. Reads the archive once, then remembers. Blocking.
    pub fn form(&self, hash: &str) -> Result<Option<Form>, SnapshotError> {
        let path = self.path(hash)?;
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SnapshotError::io(path)(error)),
        };
        let meta = file.metadata().map_err(SnapshotError::io(&path))?;
        if let Some(form) = self.known(hash, &meta) {
            return Ok(Some(form));
        }
        let mut hasher = blake3::Hasher::new();
        let size = io::copy(&mut file, &mut hasher).map_err(SnapshotError::io(&path))?;
        let form = Form { digest: hasher.finalize().to_hex().to_string(), size };
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        // Of the file that was read: somebody may have reserved it meanwhile, which sets its time.
        let at = file.metadata().and_then(|meta| meta.modified()).map_err(SnapshotError::io(&path))?;
        forms.retain(|hash, _| self.has(hash));
        forms.insert(hash.to_owned(), (at, form.clone()));
        Ok(Some(form))
    }

    /// Whether it is here and [`SnapshotStore::form`] answers without reading it.
    pub fn is_known(&self, hash: &str) -> bool {
        let meta = self.path(hash).ok().and_then(|path| fs::metadata(path).ok());
        meta.is_some_and(|meta| self.known(hash, &meta).is_some())
    }

    fn known(&self, hash: &str, meta: &fs::Metadata) -> Option<Form> {
        let forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, form) = forms.get(hash)?;
        (meta.modified().is_ok_and(|modified| modified == *at) && form.size == meta.len()).then(|| form.clone())
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_that_is_used_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(dir.path()).unwrap();
        let hash = format!("b3:{}", "1".repeat(64));
        assert!(!store.reserve(&hash) && !store.is_known(&hash));
        fs::write(store.path(&hash).unwrap(), "archive").unwrap();
        assert!(store.reserve(&hash) && !store.is_known(&hash));
        let form = store.form(&hash).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(store.reserve(&hash) && store.is_known(&hash));
        assert_eq!(store.form(&hash).unwrap(), form);
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(store.path(&hash).unwrap(), "another").unwrap();
        assert!(store.reserve(&hash) && !store.is_known(&hash));
        assert_ne!(store.form(&hash).unwrap(), form);
    }
}
