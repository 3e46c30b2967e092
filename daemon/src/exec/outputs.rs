//! The output directory of a trial: what `metaopt pull` fetches and what clients put there.
//!
//! Owns: `DATA/trials/<trial>/output`, seen from outside. Must not: follow a link, or leave the directory.
//!
//! A script may make directories, so names that are listed and read are relative paths with `/` (as one component of
//! a URL they are percent-encoded). What a client puts has one plain component.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use metaopt_schema::{StudyId, TrialId};

use super::record::{self, Layout};
use crate::platform::files;

/// More files than this are not listed.
pub const MOST: usize = 10_000;

/// More entries than this are not looked at.
const LOOKED: usize = 100_000;

/// Directories within directories.
const DEEPEST: usize = 64;

const INCOMING: &str = ".incoming-";

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Artifact {
    /// Relative path, with `/`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified_at: u64,
    /// BLAKE3 of its bytes, hexadecimal, where it was asked for.
    pub blake3: Option<String>,
}

/// The output directories of one data directory.
#[derive(Clone, Debug)]
pub struct Outputs {
    layout: Layout,
    hashes: Arc<Mutex<Hashes>>,
}

/// Hashes of files as they were at a size and time: large ones are not read again for every list.
type Hashes = BTreeMap<(TrialId, String), (u64, u64, String)>;

/// More hashes than this are not kept.
const HASHES: usize = 50_000;

impl Outputs {
    /// Those beneath this data directory.
    pub fn new(data_dir: &Path) -> Self {
        Self { layout: Layout::new(data_dir), hashes: Arc::default() }
    }

    /// A trial's files in order of name; none for a trial that never ran here. Blocking.
    pub fn list(&self, trial: &TrialId) -> io::Result<Vec<Artifact>> {
        let mut walk = Walk { out: Vec::new(), looked: 0 };
        let root = self.layout.output(trial);
        if fs::symlink_metadata(&root).is_ok_and(|meta| meta.is_dir()) {
            walk.collect(&root, "", 0)?;
        }
        walk.out.sort();
        Ok(walk.out)
    }

    /// As [`Outputs::list`], with hashes; a file that can't be read has none. Blocking, for as long as there are files
    /// that were not hashed before.
    pub fn list_hashed(&self, trial: &TrialId) -> io::Result<Vec<Artifact>> {
        let mut files = self.list(trial)?;
        for file in &mut files {
            let key = (trial.clone(), file.name.clone());
            let known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            if let Some((size, at, hash)) = known
                && (size, at) == (file.size, file.modified_at)
            {
                file.blake3 = Some(hash);
                continue;
            }
            let Ok((mut open, _)) = self.open(trial, &file.name) else { continue };
            let mut hasher = blake3::Hasher::new();
            if io::copy(&mut open, &mut hasher).is_ok_and(|read| read == file.size) {
                let hash = hasher.finalize().to_hex().to_string();
                file.blake3 = Some(hash.clone());
                let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
                if hashes.len() >= HASHES {
                    hashes.clear();
                }
                hashes.insert(key, (file.size, file.modified_at, hash));
            }
        }
        Ok(files)
    }

    /// Opens a file for reading and tells its size; not found also where a link would have to be followed. Blocking.
    pub fn open(&self, trial: &TrialId, name: &str) -> io::Result<(File, u64)> {
        let parts = plain(name)?;
        let file = files::open_beneath(&self.layout.output(trial), &parts.iter().collect::<PathBuf>())?;
        let meta = file.metadata()?;
        if meta.is_file() { Ok((file, meta.len())) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// A file to write the body of the artifact `name` to; then [`Outputs::keep`] it. The study is noted beside the
    /// directory. Nothing is made for a name that isn't one.
    pub fn temp(&self, study: &StudyId, trial: &TrialId, name: &str) -> io::Result<tempfile::NamedTempFile> {
        is_one_file(name)?;
        let dir = self.layout.output(trial);
        fs::create_dir_all(&dir)?;
        // A job that can see it could have put a link in its place: what a client sends must not land elsewhere.
        if !fs::symlink_metadata(&dir)?.is_dir() {
            return Err(io::Error::other("the output directory is a link; remove it"));
        }
        record::write_owner(&self.layout, trial, study)?;
        tempfile::Builder::new().prefix(INCOMING).tempfile_in(dir)
    }

    /// Gives a written body its name, replacing an earlier file of that name. Blocking.
    pub fn keep(&self, trial: &TrialId, name: &str, temp: tempfile::NamedTempFile) -> io::Result<()> {
        is_one_file(name)?;
        temp.as_file().sync_all()?;
        temp.persist(self.layout.output(trial).join(name)).map(drop).map_err(|error| error.error)
    }
}

fn bad_name(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("`{}` is no artifact's name: one plain file name is wanted", name.escape_debug()),
    )
}

/// Whether a client may put something under this name.
fn is_one_file(name: &str) -> io::Result<()> {
    let good = plain(name)?.len() == 1 && !name.starts_with(INCOMING) && !name.contains(char::is_control);
    if good { Ok(()) } else { Err(bad_name(name)) }
}

/// The components of a relative path without `.`, `..` and the like.
fn plain(name: &str) -> io::Result<Vec<&str>> {
    let parts: Vec<&str> = name.split('/').collect();
    let good = parts.iter().all(|part| {
        let mut components = Path::new(part).components();
        matches!(components.next(), Some(Component::Normal(one)) if one == *part)
            && components.next().is_none()
            && !part.contains(['\\', '\0'])
            && part.len() <= 255
    });
    if good { Ok(parts) } else { Err(bad_name(name)) }
}

/// Looks for files, but not for ever: a script can make more directories, and deeper ones, than anybody wants to see.
struct Walk {
    out: Vec<Artifact>,
    looked: usize,
}

impl Walk {
    fn collect(&mut self, dir: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            self.looked += 1;
            if self.out.len() >= MOST || self.looked > LOOKED {
                return Ok(());
            }
            // what can't be named over HTTP is not offered
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with(INCOMING) {
                continue;
            }
            // does not follow links, which are neither below
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() && depth < DEEPEST {
                // one that can't be read hides only what is in it
                let _ = self.collect(&entry.path(), &format!("{prefix}{name}/"), depth + 1);
            } else if meta.is_file() {
                let modified = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                let modified_at = modified.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
                self.out.push(Artifact {
                    name: format!("{prefix}{name}"),
                    size: meta.len(),
                    modified_at,
                    blake3: None,
                });
            }
        }
        Ok(())
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn files_are_listed_by_relative_path_and_read_by_it() {
        let dir = tempfile::tempdir().unwrap();
        let (outputs, trial) = (Outputs::new(dir.path()), TrialId::new("n.1"));
        assert_eq!(outputs.list(&trial).unwrap(), []);
        let root = Layout::new(dir.path()).output(&trial);
        fs::create_dir_all(root.join("plots")).unwrap();
        fs::write(root.join("plots/a b.png"), "png").unwrap();
        let mut temp = outputs.temp(&StudyId::new("s"), &trial, "x").unwrap();
        temp.write_all(b"model").unwrap();
        outputs.keep(&trial, "model.pt", temp).unwrap();
        let _half = outputs.temp(&StudyId::new("s"), &trial, "x").unwrap();
        let names: Vec<_> = outputs.list(&trial).unwrap().into_iter().map(|one| (one.name, one.size)).collect();
        assert_eq!(names, [("model.pt".to_owned(), 5), ("plots/a b.png".to_owned(), 3)]);
        let (mut file, size) = outputs.open(&trial, "plots/a b.png").unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), size), ("png", 3));
    }

    #[test]
    fn a_maze_of_directories_is_left_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let (outputs, trial) = (Outputs::new(dir.path()), TrialId::new("n.1"));
        let root = Layout::new(dir.path()).output(&trial);
        fs::create_dir_all(root.join("a/".repeat(300))).unwrap();
        fs::write(root.join("a/".repeat(300)).join("deep"), "").unwrap();
        fs::write(root.join("a/".repeat(20)).join("near"), "").unwrap();
        let names: Vec<_> = outputs.list(&trial).unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["a/".repeat(20) + "near"]);
    }

    #[test]
    fn a_link_in_the_directory_s_own_place_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (outputs, trial) = (Outputs::new(dir.path()), TrialId::new("n.1"));
        let root = Layout::new(dir.path()).output(&trial);
        fs::create_dir_all(root.parent().unwrap()).unwrap();
        fs::write(dir.path().join("token"), "secret").unwrap();
        std::os::unix::fs::symlink(dir.path(), &root).unwrap();
        assert_eq!(outputs.list(&trial).unwrap(), []);
        assert_eq!(outputs.open(&trial, "token").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(
            outputs.temp(&StudyId::new("s"), &trial, "x").is_err(),
            "a client's bytes would land in the data directory"
        );
    }

    #[test]
    fn nothing_outside_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let (outputs, trial) = (Outputs::new(dir.path()), TrialId::new("n.1"));
        let root = Layout::new(dir.path()).output(&trial);
        fs::create_dir_all(&root).unwrap();
        fs::write(dir.path().join("token"), "secret").unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("up")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("token"), root.join("token")).unwrap();
        assert_eq!(outputs.list(&trial).unwrap(), [], "links are not listed");
        for name in ["token", "up/token", "../../../token", "up/../token", "/etc/passwd", "", ".", "a//b", "a\0b"] {
            assert!(outputs.open(&trial, name).is_err(), "{name}");
        }
        for name in ["../x", "a/b", "..", ".incoming-x", "a\\b"] {
            let temp = outputs.temp(&StudyId::new("s"), &trial, "x").unwrap();
            assert_eq!(outputs.keep(&trial, name, temp).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }
}
