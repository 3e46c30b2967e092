//! Packs a directory with all that is in it, as a checkpoint is moved: nothing is left out, or it isn't packed at all.
//!
//! Owns: the walk. Must not: follow a link, or leave out what a script may need.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{
    SnapshotError,
    pack::{self, Entry, Kind, Listing, PackOptions, archive_name, classify, largest},
};

/// More entries than this are no checkpoint.
const MOST: usize = 100_000;
/// Directories within directories.
const DEEPEST: usize = 64;

/// The name that the archive of a directory would have: BLAKE3 of its canonical form. Reads all of it.
///
/// # Errors
/// More than `most` bytes, what an archive can't hold (a link that leads out), or the disk.
pub fn name_whole(dir: &Path, most: u64) -> Result<String, SnapshotError> {
    write(dir, most, io::sink(), dir)
}

/// Packs a directory as a whole into `out`; answers the archive's name.
///
/// # Errors
/// As [`name_whole`].
pub fn pack_whole(dir: &Path, most: u64, out: &tempfile::NamedTempFile) -> Result<String, SnapshotError> {
    write(dir, most, BufWriter::new(out.as_file()), out.path())
}

/// Bytes of a directory's files: what its archive takes at most, but for its heads.
///
/// # Errors
/// As [`name_whole`].
pub fn size_whole(dir: &Path, most: u64) -> Result<u64, SnapshotError> {
    list(dir, most).map(|listing| listing.bytes)
}

fn list(dir: &Path, most: u64) -> Result<Listing, SnapshotError> {
    let mut listing = Listing::default();
    walk(dir, Path::new(""), 0, &mut listing)?;
    listing.entries.sort_by_key(|entry| archive_name(&entry.path));
    listing.bytes = listing.files().map(|(_, size)| size).sum();
    if listing.bytes > most {
        let largest = largest(&listing);
        return Err(SnapshotError::TooLarge { dir: dir.to_owned(), bytes: listing.bytes, limit: most, largest });
    }
    Ok(listing)
}

fn write(dir: &Path, most: u64, out: impl Write, path: &Path) -> Result<String, SnapshotError> {
    let listing = list(dir, most)?;
    // Weights don't shrink; what there is to gain comes with the fastest level.
    let options = PackOptions { level: 1, ..PackOptions::default() };
    pack::write(dir, &listing, &options, out).map_err(|error| error.told(SnapshotError::io(path)))
}

fn walk(root: &Path, at: &Path, depth: usize, listing: &mut Listing) -> Result<(), SnapshotError> {
    let here = root.join(at);
    let io = |error| SnapshotError::Io { path: here.clone(), source: error };
    for entry in fs::read_dir(&here).map_err(io)? {
        let path: PathBuf = at.join(entry.map_err(io)?.file_name());
        let refuse = |why: &str| SnapshotError::Refused { entry: path.display().to_string(), why: why.to_owned() };
        if listing.entries.len() >= MOST {
            return Err(SnapshotError::TooMuch(format!("it has more than {MOST} entries")));
        }
        if depth >= DEEPEST {
            return Err(refuse("lies too deep"));
        }
        let kind = classify(&root.join(&path), &path)?.map_err(|why| refuse(&format!("is {why}")))?;
        let is_dir = kind == Kind::Directory;
        listing.entries.push(Entry { path: path.clone(), kind });
        if is_dir {
            walk(root, &path, depth + 1, listing)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn all_of_a_checkpoint_is_packed_under_the_name_that_was_told_before() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join(".git/deep")).unwrap();
        for name in ["model.key", ".env", ".gitignore", ".git/deep/x", "b.pt"] {
            fs::write(from.join(name), if name == ".gitignore" { "*" } else { name }).unwrap();
        }
        let name = name_whole(&from, 1000).unwrap();
        let out = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
        assert_eq!(pack_whole(&from, 1000, &out).unwrap(), name);
        let to = dir.path().join("to");
        super::super::unpack(File::open(out.path()).unwrap(), &name, &to, super::super::Limits::default()).unwrap();
        assert_eq!(fs::read_to_string(to.join(".git/deep/x")).unwrap(), ".git/deep/x");
        assert_eq!(name_whole(&to, 1000).unwrap(), name, "the same again");
        assert!(matches!(name_whole(&from, 10), Err(SnapshotError::TooLarge { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn what_leads_out_is_not_packed_in_part() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("good"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("bad")).unwrap();
        let error = name_whole(dir.path(), 1000).unwrap_err().to_string();
        assert!(error.contains("`bad` is a link that has an absolute target"), "{error}");
    }
}
