//! Lists a directory and packs it into the canonical archive.
//!
//! Owns: the walk, the canonical form, the size limit. Must not: keep any state.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use ignore::WalkBuilder;

use super::{DEFAULT_MAX_BYTES, SnapshotError, exclude, human};
use crate::platform::files;

/// How a directory is packed.
#[derive(Clone, Debug)]
pub struct PackOptions {
    /// Largest sum of file sizes (bytes).
    pub max_bytes: u64,
    /// Where the archive is written; none: the system's directory for temporary files.
    pub temp_dir: Option<PathBuf>,
    /// Contents that stand in for those of files, by relative path (a template whose markers became placeholders).
    pub overlay: BTreeMap<PathBuf, Vec<u8>>,
    /// zstd's level.
    pub level: i32,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_MAX_BYTES, temp_dir: None, overlay: BTreeMap::new(), level: 3 }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Bytes.
        size: u64,
        /// May be executed.
        executable: bool,
    },
    /// A relative link that stays inside.
    Symlink(PathBuf),
}

/// One entry of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the packed directory.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// Something that is in the directory but not in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Relative to the packed directory; a directory stands for all in it.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// What a snapshot of a directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the archive's order.
    pub entries: Vec<Entry>,
    /// In order of path.
    pub left_out: Vec<LeftOut>,
    /// Sum of file sizes.
    pub bytes: u64,
}

impl Listing {
    /// Its files and their sizes.
    pub fn files(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            Kind::File { size, .. } => Some((entry.path.as_path(), size)),
            _ => None,
        })
    }
}

/// A packed directory.
#[derive(Debug)]
pub struct Packed {
    /// Its name, `b3:…`.
    pub hash: String,
    /// The zstd-compressed archive; gone when this is dropped.
    pub body: tempfile::NamedTempFile,
    /// Size of the compressed archive (bytes).
    pub compressed: u64,
    /// What it holds.
    pub listing: Listing,
}

/// What a snapshot of `dir` would hold; fails where [`pack`] would, except for the size.
pub fn list(dir: &Path, options: &PackOptions) -> Result<Listing, SnapshotError> {
    let root = fs::canonicalize(dir).map_err(SnapshotError::io(dir))?;
    if !root.is_dir() {
        return Err(SnapshotError::NotADirectory(dir.to_owned()));
    }
    if exclude::is_data_dir(&root) {
        return Err(SnapshotError::Refused {
            entry: root.display().to_string(),
            why: "is a data directory of metaopt, which holds tokens; submit from your script's directory".to_owned(),
        });
    }
    let left_out: Arc<Mutex<Vec<LeftOut>>> = Arc::default();
    let mut seen = BTreeSet::new();
    let mut listing = Listing::default();
    for entry in walk(&root, Arc::clone(&left_out)) {
        let entry = entry.map_err(|error| walk_error(&root, &error))?;
        let Ok(path) = entry.path().strip_prefix(&root) else { continue };
        if path.as_os_str().is_empty() {
            continue;
        }
        seen.insert(path.to_owned());
        let kind = match classify(entry.path(), path)? {
            Ok(kind) => kind,
            Err(why) => {
                note(&left_out, path, &why);
                continue;
            }
        };
        listing.entries.push(Entry { path: path.to_owned(), kind });
    }
    for entry in &mut listing.entries {
        if let (Kind::File { size, .. }, Some(content)) = (&mut entry.kind, options.overlay.get(&entry.path)) {
            *size = content.len() as u64;
        }
    }
    listing.entries.sort_by_key(|entry| archive_name(&entry.path));
    listing.bytes = listing.files().map(|(_, size)| size).sum();
    listing.left_out = std::mem::take(&mut *left_out.lock().unwrap_or_else(PoisonError::into_inner));
    note_ignored(&root, &seen, &mut listing)?;
    listing.left_out.sort();
    if let Some(stray) = options.overlay.keys().find(|path| !listing.files().any(|(file, _)| file == path.as_path())) {
        return Err(SnapshotError::Refused {
            entry: stray.display().to_string(),
            why: "is a template but no file of the snapshot; check its path and the ignore files".to_owned(),
        });
    }
    Ok(listing)
}

fn walk(root: &Path, left_out: Arc<Mutex<Vec<LeftOut>>>) -> ignore::Walk {
    // Ignore files above the directory count only within the same repository: a `*` in the home directory's own
    // .gitignore must not empty every snapshot.
    let in_repository = root.ancestors().any(|above| above.join(".git").exists());
    let base = root.to_owned();
    WalkBuilder::new(root)
        .hidden(false)
        .ignore(false)
        .parents(in_repository)
        // "required" also bounds the look upwards by the repository
        .require_git(in_repository)
        .add_custom_ignore_filename(".metaoptignore")
        .follow_links(false)
        .filter_entry(move |entry| {
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            match exclude::why(entry.path(), is_dir) {
                Some(why) if entry.depth() > 0 => {
                    if let Ok(path) = entry.path().strip_prefix(&base) {
                        note(&left_out, path, why);
                    }
                    false
                }
                _ => true,
            }
        })
        .build()
}

fn note(left_out: &Mutex<Vec<LeftOut>>, path: &Path, why: &str) {
    left_out
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(LeftOut { path: path.to_owned(), why: why.to_owned() });
}

fn walk_error(root: &Path, error: &ignore::Error) -> SnapshotError {
    let source = error
        .io_error()
        .map_or_else(|| io::Error::other(error.to_string()), |inner| io::Error::new(inner.kind(), error.to_string()));
    SnapshotError::Io { path: root.to_owned(), source }
}

/// What an entry is, or (inner `Err`) why it can't go in.
pub(super) fn classify(full: &Path, path: &Path) -> Result<Result<Kind, String>, SnapshotError> {
    let meta = fs::symlink_metadata(full).map_err(SnapshotError::io(full))?;
    let kind = meta.file_type();
    if kind.is_dir() {
        return Ok(Ok(Kind::Directory));
    }
    if kind.is_file() {
        #[cfg(unix)]
        let executable = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o100 != 0;
        #[cfg(not(unix))]
        let executable = false;
        return Ok(Ok(Kind::File { size: meta.len(), executable }));
    }
    if kind.is_symlink() {
        let target = fs::read_link(full).map_err(SnapshotError::io(full))?;
        return Ok(match link_stays_inside(path, &target) {
            Ok(()) => Ok(Kind::Symlink(target)),
            Err(why) => Err(format!("a link that {why}; name it with --link")),
        });
    }
    Ok(Err("neither a file, a directory nor a link".to_owned()))
}

/// Links may go up only at their start and not above the root. With `..` in the middle a link could climb over
/// another link's target; without, each link leads to where its text says.
pub(super) fn link_stays_inside(path: &Path, target: &Path) -> Result<(), &'static str> {
    let depth = path.components().count().saturating_sub(1);
    let (mut up, mut down) = (0, 0);
    for component in target.components() {
        match component {
            Component::CurDir => (),
            Component::ParentDir if down > 0 => return Err("goes up again within its target"),
            Component::ParentDir => up += 1,
            Component::Normal(_) => down += 1,
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute target"),
        }
    }
    if up > depth {
        return Err("leads out of the directory");
    }
    if up + down == 0 { Err("has no target") } else { Ok(()) }
}

/// What the walk passed over because of ignore files: it doesn't say, so the directories it entered are compared.
fn note_ignored(root: &Path, seen: &BTreeSet<PathBuf>, listing: &mut Listing) -> Result<(), SnapshotError> {
    let known: BTreeSet<PathBuf> = listing.left_out.iter().map(|one| one.path.clone()).collect();
    let entered = listing.entries.iter().filter(|entry| entry.kind == Kind::Directory).map(|entry| entry.path.clone());
    for dir in entered.chain([PathBuf::new()]).collect::<Vec<_>>() {
        let full = root.join(&dir);
        for entry in fs::read_dir(&full).map_err(SnapshotError::io(&full))? {
            let path = dir.join(entry.map_err(SnapshotError::io(&full))?.file_name());
            if !seen.contains(&path) && !known.contains(&path) {
                listing.left_out.push(LeftOut { path, why: "an ignore file says so".to_owned() });
            }
        }
    }
    Ok(())
}

/// A path as the archive spells it, on every platform.
pub(super) fn archive_name(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Packs `dir`.
pub fn pack(dir: &Path, options: &PackOptions) -> Result<Packed, SnapshotError> {
    let listing = list(dir, options)?;
    if listing.bytes > options.max_bytes {
        return Err(SnapshotError::TooLarge {
            dir: dir.to_owned(),
            bytes: listing.bytes,
            limit: options.max_bytes,
            largest: largest(&listing),
        });
    }
    let temp = options.temp_dir.clone().unwrap_or_else(std::env::temp_dir);
    let body =
        tempfile::Builder::new().prefix("metaopt-snapshot-").tempfile_in(&temp).map_err(SnapshotError::io(&temp))?;
    let out = SnapshotError::io(body.path());
    let root = fs::canonicalize(dir).map_err(SnapshotError::io(dir))?;
    let hash = write(&root, &listing, options, BufWriter::new(body.as_file())).map_err(|error| error.told(out))?;
    let compressed = fs::metadata(body.path()).map_err(SnapshotError::io(body.path()))?.len();
    Ok(Packed { hash, body, compressed, listing })
}

pub(super) fn largest(listing: &Listing) -> String {
    let mut files: Vec<_> = listing.files().collect();
    files.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    files
        .iter()
        .take(5)
        .map(|(path, size)| format!("{} ({})", path.display(), human(*size)))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) enum Failure {
    Input(SnapshotError),
    Output(io::Error),
}

impl Failure {
    pub(super) fn told(self, out: impl FnOnce(io::Error) -> SnapshotError) -> SnapshotError {
        match self {
            Self::Input(error) => error,
            Self::Output(error) => out(error),
        }
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        Self::Input(error)
    }
}

/// Writes the canonical archive, compressed, and answers its name. No link is followed beneath `dir`.
pub(super) fn write<W: Write>(dir: &Path, listing: &Listing, options: &PackOptions, out: W) -> Result<String, Failure> {
    let encoder = zstd::Encoder::new(out, options.level).map_err(Failure::Output)?;
    let mut tar = tar::Builder::new(Hashing { inner: encoder, hasher: blake3::Hasher::new() });
    for entry in &listing.entries {
        let full = dir.join(&entry.path);
        let name = archive_name(&entry.path);
        if entry.path.to_str().is_none() {
            let why = "has a name that isn't Unicode; rename it or ignore it".to_owned();
            return Err(SnapshotError::Refused { entry: name, why }.into());
        }
        match &entry.kind {
            Kind::Directory => {
                let mut header = header(tar::EntryType::Directory, 0, 0o755);
                tar.append_data(&mut header, format!("{name}/"), io::empty()).map_err(Failure::Output)?;
            }
            Kind::Symlink(target) => {
                let mut header = header(tar::EntryType::Symlink, 0, 0o777);
                tar.append_link(&mut header, &name, archive_link(target)).map_err(Failure::Output)?;
            }
            Kind::File { size, executable } => {
                let mut header = header(tar::EntryType::Regular, *size, if *executable { 0o755 } else { 0o644 });
                match options.overlay.get(&entry.path) {
                    Some(content) => {
                        tar.append_data(&mut header, &name, content.as_slice()).map_err(Failure::Output)?
                    }
                    None => {
                        let file = files::open_beneath(dir, &entry.path).map_err(SnapshotError::io(&full))?;
                        let mut exact = Exact { file, left: *size, fault: None };
                        let written = tar.append_data(&mut header, &name, &mut exact);
                        match exact.fault {
                            Some(Some(source)) => return Err(SnapshotError::Io { path: full, source }.into()),
                            Some(None) => return Err(SnapshotError::Changed(full).into()),
                            None => written.map_err(Failure::Output)?,
                        }
                    }
                }
            }
        }
    }
    let hashing = tar.into_inner().map_err(Failure::Output)?;
    let hash = hashing.hasher.finalize().to_hex();
    hashing.inner.finish().and_then(|mut out| out.flush()).map_err(Failure::Output)?;
    Ok(format!("b3:{hash}"))
}

fn archive_link(target: &Path) -> String {
    target.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Exactly as many bytes as the listing promised; the fault is the error, or `None` for a changed size.
struct Exact {
    file: File,
    left: u64,
    fault: Option<Option<io::Error>>,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            // one byte more means that it has grown
            if !buffer.is_empty() && self.file.read(&mut [0]).is_ok_and(|read| read > 0) {
                self.fault = Some(None);
                return Err(io::Error::other("grew"));
            }
            return Ok(0);
        }
        match self.file.read(&mut buffer[..most]) {
            Ok(0) => {
                self.fault = Some(None);
                Err(io::Error::other("shrank"))
            }
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) => {
                let kind = error.kind();
                if kind != io::ErrorKind::Interrupted {
                    self.fault = Some(Some(error));
                }
                Err(kind.into())
            }
        }
    }
}
