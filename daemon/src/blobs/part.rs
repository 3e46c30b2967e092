//! An archive that is half here: `DIR/<64 digits>.part`, and beside it a journal of which chunks have come, and from whom.
//!
//! Owns: both files. Must not: trust them after a restart (a power cut may have taken what was written last), or believe
//! that the whole is what its name says: the store checks that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use metaopt_schema::NodeId;
use serde::{Deserialize, Serialize};

use crate::{platform::files, snapshot::Form};

/// Bytes of a chunk: large enough that a request costs nothing beside it, small enough to be lost.
pub const CHUNK: u64 = 4 << 20;
/// Ends the name of what is half here.
pub const PART: &str = ".part";
/// Ends the name of the journal.
pub const JOURNAL: &str = ".part.log";
/// Version of the journal.
const VERSION: u32 = 1;

/// The journal's first line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    version: u32,
    digest: String,
    size: u64,
    chunk: u64,
}

/// A further line: a chunk that has come.
#[derive(Debug, Serialize, Deserialize)]
struct Came {
    chunk: u32,
    hash: String,
    from: NodeId,
}

/// One of them, open. Its calls are blocking.
#[derive(Debug)]
pub struct Part {
    form: Form,
    path: PathBuf,
    journal: PathBuf,
    file: File,
    log: File,
    came: BTreeMap<u32, NodeId>,
    /// It became an archive, or nothing: what comes late must not be written into it.
    over: bool,
}

fn paths(dir: &Path, digits: &str) -> (PathBuf, PathBuf) {
    (dir.join(format!("{digits}{PART}")), dir.join(format!("{digits}{JOURNAL}")))
}

impl Part {
    /// The form of what is half here, if something is.
    pub fn form(dir: &Path, digits: &str) -> Option<Form> {
        let bytes = files::read_plain(&paths(dir, digits).1, 4096).ok()?;
        let head: Head = serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next()?).ok()?;
        (head.version == VERSION && head.chunk == CHUNK).then_some(Form { digest: head.digest, size: head.size })
    }

    /// Goes on with what is here of this form, chunk by chunk as far as it still is what the journal says; else begins anew.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(dir: &Path, digits: &str, form: &Form) -> io::Result<Self> {
        let (path, journal) = paths(dir, digits);
        if Self::form(dir, digits).as_ref() == Some(form)
            && let Ok(part) = Self::resume(path.clone(), journal.clone(), form)
        {
            return Ok(part);
        }
        for old in [&path, &journal] {
            match fs::remove_file(old) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let file = files::create_private(&path)?;
        file.set_len(form.size)?;
        drop(file);
        let mut log = files::create_private(&journal)?;
        let head = Head { version: VERSION, digest: form.digest.clone(), size: form.size, chunk: CHUNK };
        log.write_all(&line(&head)?)?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self { form: form.clone(), path, journal, file, log, came: BTreeMap::new(), over: false })
    }

    fn resume(path: PathBuf, journal: PathBuf, form: &Form) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let text = fs::read(&journal)?;
        let log = OpenOptions::new().append(true).open(&journal)?;
        let mut part = Self { form: form.clone(), path, journal, file, log, came: BTreeMap::new(), over: false };
        if part.file.metadata()?.len() != form.size {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The last line may be torn.
        let lines = text.split(|byte| *byte == b'\n').skip(1);
        let said: BTreeMap<u32, Came> =
            lines.filter_map(|line| serde_json::from_slice::<Came>(line).ok()).map(|came| (came.chunk, came)).collect();
        for came in said.into_values().filter(|came| came.chunk < chunks(form.size)) {
            if blake3::hash(&part.read(came.chunk)?).to_hex().as_str() == came.hash {
                part.came.insert(came.chunk, came.from);
            }
        }
        if !text.ends_with(b"\n") {
            part.log.write_all(b"\n")?;
        }
        // Somebody goes on with it: a collection leaves it.
        let now = std::time::SystemTime::now();
        part.file.set_modified(now)?;
        part.log.set_modified(now)?;
        Ok(part)
    }

    fn read(&mut self, chunk: u32) -> io::Result<Vec<u8>> {
        let (from, length) = span(self.form.size, chunk);
        self.file.seek(SeekFrom::Start(from))?;
        let mut bytes = vec![0; length as usize];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// What it is to become.
    pub fn of(&self) -> &Form {
        &self.form
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The chunks that haven't come, in order.
    pub fn missing(&self) -> Vec<u32> {
        (0..chunks(self.form.size)).filter(|chunk| !self.came.contains_key(chunk)).collect()
    }

    /// Bytes that have come.
    pub fn have(&self) -> u64 {
        self.came.keys().map(|chunk| span(self.form.size, *chunk).1).sum()
    }

    /// Who gave them.
    pub fn givers(&self) -> BTreeSet<NodeId> {
        self.came.values().cloned().collect()
    }

    /// Takes a chunk in. One that is here already is left as it is.
    ///
    /// # Errors
    /// It isn't as long as it should be; the disk's.
    pub fn put(&mut self, chunk: u32, bytes: &[u8], from: &NodeId) -> io::Result<()> {
        let (at, length) = span(self.form.size, chunk);
        if chunk >= chunks(self.form.size) || bytes.len() as u64 != length {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a chunk of the wrong length"));
        }
        if self.over || self.came.contains_key(&chunk) {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)?;
        let hash = blake3::hash(bytes).to_hex().to_string();
        self.log.write_all(&line(&Came { chunk, hash, from: from.clone() })?)?;
        self.came.insert(chunk, from.clone());
        Ok(())
    }

    /// Whether the bytes are those that its form promises.
    ///
    /// # Errors
    /// The disk's.
    pub fn is_its_form(&mut self) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut self.file, &mut hasher)?;
        Ok(hasher.finalize().to_hex().as_str() == self.form.digest)
    }

    /// Ends it, and removes what is left of it.
    pub fn clear(&mut self) {
        self.over = true;
        for path in [&self.path, &self.journal] {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, path = %path.display(), "could not remove what was fetched in part");
            }
        }
    }
}

fn line(what: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(line)
}

/// How many chunks so many bytes are.
pub fn chunks(size: u64) -> u32 {
    u32::try_from(size.div_ceil(CHUNK)).unwrap_or(u32::MAX)
}

/// Where a chunk begins, and its length.
pub fn span(size: u64, chunk: u32) -> (u64, u64) {
    let from = u64::from(chunk) * CHUNK;
    (from, size.saturating_sub(from).min(CHUNK))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn form(bytes: &[u8]) -> Form {
        Form { digest: blake3::hash(bytes).to_hex().to_string(), size: bytes.len() as u64 }
    }

    fn bytes() -> Vec<u8> {
        (0..2 * CHUNK + 1000).map(|i| (i % 251) as u8).collect()
    }

    fn chunk(bytes: &[u8], n: u32) -> &[u8] {
        let (from, length) = span(bytes.len() as u64, n);
        &bytes[from as usize..(from + length) as usize]
    }

    #[test]
    fn chunks_that_came_are_known_after_a_restart_if_they_are_still_what_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let (all, a, b) = (bytes(), NodeId::new("a"), NodeId::new("b"));
        let form = form(&all);
        let mut part = Part::open(dir.path(), "x", &form).unwrap();
        assert_eq!(part.missing(), [0, 1, 2]);
        assert!(part.put(2, chunk(&all, 1), &a).is_err(), "of the wrong length");
        part.put(2, chunk(&all, 2), &a).unwrap();
        part.put(0, chunk(&all, 0), &b).unwrap();
        drop(part);
        // A power cut took the first chunk's bytes and tore the journal's last line.
        let (path, journal) = paths(dir.path(), "x");
        OpenOptions::new().write(true).open(&path).unwrap().write_all(&[9; 100]).unwrap();
        OpenOptions::new().append(true).open(&journal).unwrap().write_all(b"{\"chunk\":1,\"ha").unwrap();
        assert_eq!(Part::form(dir.path(), "x"), Some(form.clone()));
        let mut part = Part::open(dir.path(), "x", &form).unwrap();
        assert_eq!((part.missing(), part.have()), (vec![0, 1], 1000));
        part.put(1, chunk(&all, 1), &b).unwrap();
        part.put(0, chunk(&all, 0), &b).unwrap();
        drop(part);
        let mut part = Part::open(dir.path(), "x", &form).unwrap();
        assert_eq!((part.missing(), part.givers()), (vec![], BTreeSet::from([a, b])));
        assert!(part.is_its_form().unwrap());
        part.clear();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn another_form_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let all = bytes();
        let mut part = Part::open(dir.path(), "x", &form(&all)).unwrap();
        part.put(0, chunk(&all, 0), &NodeId::new("a")).unwrap();
        drop(part);
        let part = Part::open(dir.path(), "x", &form(&all[1..])).unwrap();
        assert_eq!(part.missing(), [0, 1, 2]);
    }
}
