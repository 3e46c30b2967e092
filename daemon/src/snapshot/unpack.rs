//! Unpacks an archive that anyone may have made: beneath its root only, bounded, and only if it is what it says.
//!
//! Owns: the checks on entries. Must not: leave anything behind when it fails.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Component, Path, PathBuf},
};

use super::{SnapshotError, digits, human, pack::link_stays_inside};
use crate::platform::files;

/// What an archive may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Unpacked (bytes).
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
    /// Unpacked bytes for each packed one, past the first 64 MiB.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 8 * 1024 * 1024 * 1024, entries: 500_000, ratio: 1000 }
    }
}

/// An archive smaller than this when unpacked may be as dense as it likes (a file of zeros is no attack).
const DENSE: u64 = 64 * 1024 * 1024;

/// Longest path or link target (bytes): half of what Linux takes, since it lies beneath another path. Without a limit
/// an archive's name could be as long as its memory.
const LONGEST: u64 = 2048;

/// Unpacks `reader` to the directory `dest`, which must not exist: it appears whole and verified, or not at all.
pub fn unpack(reader: impl Read, expected: &str, dest: &Path, limits: Limits) -> Result<(), SnapshotError> {
    digits(expected)?;
    let parent = dest.parent().unwrap_or_else(|| Path::new("."));
    let temp = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(parent).map_err(SnapshotError::io(parent))?;
    let root = temp.path().join("tree");
    fs::create_dir(&root).map_err(SnapshotError::io(&root))?;
    walk(reader, expected, limits, Some(&root))?;
    fs::rename(&root, dest).map_err(SnapshotError::io(dest))
}

/// Checks an archive without unpacking it; answers the paths of its files.
pub fn verify(reader: impl Read, expected: &str, limits: Limits) -> Result<BTreeSet<PathBuf>, SnapshotError> {
    digits(expected)?;
    walk(reader, expected, limits, None)
}

fn walk(
    reader: impl Read,
    expected: &str,
    limits: Limits,
    root: Option<&Path>,
) -> Result<BTreeSet<PathBuf>, SnapshotError> {
    let malformed = |error: io::Error| SnapshotError::Malformed(error.to_string());
    let packed = Counting { inner: reader, count: std::rc::Rc::default() };
    let packed_bytes = std::rc::Rc::clone(&packed.count);
    let mut decoder = zstd::Decoder::new(BufReader::new(packed)).map_err(malformed)?;
    // 128 MiB of window is what zstd itself allows by default; an archive of ours needs far less
    decoder.window_log_max(27).map_err(malformed)?;
    let over: std::rc::Rc<std::cell::RefCell<Option<String>>> = std::rc::Rc::default();
    let bounded = Bounded {
        inner: decoder,
        hasher: blake3::Hasher::new(),
        count: 0,
        packed: packed_bytes,
        limits,
        over: std::rc::Rc::clone(&over),
    };
    // What the tar reader calls a read error may be our own limit.
    let read_error = |error: io::Error| match over.borrow_mut().take() {
        Some(message) => SnapshotError::TooMuch(message),
        None => SnapshotError::Malformed(error.to_string()),
    };
    let mut archive = tar::Archive::new(bounded);
    let mut place = Place { root, dirs: BTreeSet::from([PathBuf::new()]), files: BTreeSet::new() };
    let (mut count, mut long) = (0, Long::default());
    // Raw: the reader would take a name of gigabytes into memory before we saw it.
    for entry in archive.entries().map_err(&read_error)?.raw(true) {
        let mut entry = entry.map_err(&read_error)?;
        count += 1;
        if count > limits.entries {
            return Err(SnapshotError::TooMuch(format!("it has more than {} entries", limits.entries)));
        }
        if !long.take(&mut entry, &read_error)? {
            place.put(&mut entry, std::mem::take(&mut long), &read_error)?;
        }
    }
    if long != Long::default() {
        return Err(SnapshotError::Malformed("a long name belongs to no entry".to_owned()));
    }
    let mut bounded = archive.into_inner();
    // what follows the archive's end is part of what is hashed
    io::copy(&mut bounded, &mut io::sink()).map_err(&read_error)?;
    let found = format!("b3:{}", bounded.hasher.finalize().to_hex());
    if found != expected {
        return Err(SnapshotError::WrongHash { expected: expected.to_owned(), found });
    }
    Ok(place.files)
}

/// A name or link target too long for its header (GNU's extension), which stands before the entry it belongs to.
#[derive(Default, PartialEq)]
struct Long {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Long {
    /// Whether the entry was such a name.
    fn take<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        read_error: &dyn Fn(io::Error) -> SnapshotError,
    ) -> Result<bool, SnapshotError> {
        let place = match entry.header().entry_type() {
            tar::EntryType::GNULongName => &mut self.name,
            tar::EntryType::GNULongLink => &mut self.link,
            _ => return Ok(false),
        };
        if entry.size() > LONGEST || place.is_some() {
            let why = format!("has a name of more than {LONGEST} bytes, or two names");
            return Err(SnapshotError::Refused { entry: "an entry".to_owned(), why });
        }
        let mut text = Vec::new();
        entry.read_to_end(&mut text).map_err(read_error)?;
        while text.last() == Some(&0) {
            text.pop();
        }
        *place = Some(text);
        Ok(true)
    }
}

/// Bytes of an archive as a path. Names that aren't Unicode never go into a snapshot.
fn path_of(bytes: &[u8]) -> Result<PathBuf, SnapshotError> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.map(PathBuf::from).ok_or_else(|| SnapshotError::Refused {
        entry: String::from_utf8_lossy(bytes).into_owned(),
        why: "has a name that isn't Unicode, or holds a NUL".to_owned(),
    })
}

struct Place<'a> {
    root: Option<&'a Path>,
    // Directories that we made ourselves. Nothing else writes beneath the root, so a path whose parents are all in
    // here can't lead through a link.
    dirs: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Place<'_> {
    fn put<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        long: Long,
        read_error: &dyn Fn(io::Error) -> SnapshotError,
    ) -> Result<(), SnapshotError> {
        let name = path_of(&long.name.unwrap_or_else(|| entry.path_bytes().into_owned()))?;
        let refuse = |why: &str| SnapshotError::Refused { entry: name.display().to_string(), why: why.to_owned() };
        let path = plain(&name).map_err(&refuse)?;
        let mode = entry.header().mode().map_err(read_error)?;
        if mode & 0o7000 != 0 {
            return Err(refuse("has setuid, setgid or sticky bits"));
        }
        if self.files.contains(&path) || (self.dirs.contains(&path) && !entry.header().entry_type().is_dir()) {
            return Err(refuse("is there twice"));
        }
        let parent = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        match entry.header().entry_type() {
            tar::EntryType::Directory => self.make_dirs(&path, &refuse)?,
            tar::EntryType::Regular => {
                self.make_dirs(&parent, &refuse)?;
                match self.root {
                    Some(root) => write_file(&root.join(&path), entry, mode, read_error)?,
                    None => io::copy(entry, &mut io::sink()).map(drop).map_err(read_error)?,
                }
                self.files.insert(path);
            }
            tar::EntryType::Symlink => {
                let target = long.link.or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
                let target = path_of(&target.ok_or_else(|| refuse("is a link without a target"))?)?;
                link_stays_inside(&path, &target).map_err(|why| refuse(&format!("is a link that {why}")))?;
                self.make_dirs(&parent, &refuse)?;
                if let Some(root) = self.root {
                    let link = root.join(&path);
                    files::symlink(&target, &link).map_err(SnapshotError::io(link))?;
                }
                self.files.insert(path);
            }
            other => return Err(refuse(&format!("is of a kind that snapshots don't hold ({other:?})"))),
        }
        Ok(())
    }

    fn make_dirs(&mut self, path: &Path, refuse: &dyn Fn(&str) -> SnapshotError) -> Result<(), SnapshotError> {
        if self.dirs.contains(path) {
            return Ok(());
        }
        if self.files.contains(path) {
            return Err(refuse("lies in a file or behind a link"));
        }
        self.make_dirs(path.parent().unwrap_or_else(|| Path::new("")), refuse)?;
        if let Some(root) = self.root {
            let full = root.join(path);
            fs::create_dir(&full).map_err(SnapshotError::io(full))?;
        }
        self.dirs.insert(path.to_owned());
        Ok(())
    }
}

/// The path if it is made of plain names only.
fn plain(name: &Path) -> Result<PathBuf, &'static str> {
    let mut out = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) if part.len() > 255 => return Err("has a part that is too long for a file's name"),
            Component::Normal(part) => out.push(part),
            Component::CurDir => (),
            Component::ParentDir => return Err("goes up with `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("is an absolute path"),
        }
    }
    if out.as_os_str().is_empty() { Err("has no name") } else { Ok(out) }
}

fn write_file(
    path: &Path,
    from: &mut dyn Read,
    mode: u32,
    read_error: &dyn Fn(io::Error) -> SnapshotError,
) -> Result<(), SnapshotError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if mode & 0o100 == 0 { 0o644 } else { 0o755 });
    #[cfg(not(unix))]
    let _ = mode;
    let mut file: File = options.open(path).map_err(SnapshotError::io(path))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => file.write_all(&buffer[..read]).map_err(SnapshotError::io(path))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(read_error(error)),
        }
    }
}

struct Counting<R> {
    inner: R,
    count: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// Hashes what passes, and stops where it is too much.
struct Bounded<R> {
    inner: R,
    hasher: blake3::Hasher,
    count: u64,
    packed: std::rc::Rc<std::cell::Cell<u64>>,
    limits: Limits,
    over: std::rc::Rc<std::cell::RefCell<Option<String>>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.count += read as u64;
        let over = if self.count > self.limits.bytes {
            Some(format!("it unpacks to more than {}", human(self.limits.bytes)))
        } else if self.count > DENSE && self.count / self.limits.ratio > self.packed.get() {
            Some(format!("it unpacks to more than {} times its size", self.limits.ratio))
        } else {
            None
        };
        match over {
            Some(message) => {
                *self.over.borrow_mut() = Some(message);
                Err(io::Error::other("too much"))
            }
            None => Ok(read),
        }
    }
}
