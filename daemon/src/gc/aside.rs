//! Takes things out of the way in one step, and removes them afterwards.
//!
//! Owns: the names beginning with [`GONE`], one such place in each directory beneath the data directory, so that a rename
//! never crosses file systems. Must not: follow a link, at no component of a path.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::inventory::GONE;

/// A name for something set aside.
pub fn name(at_ms: u64, n: usize) -> String {
    format!("{GONE}{at_ms}-{n}")
}

/// Moves `path` (beneath `data`, with `/`) to `name` in its topmost directory and answers where it is now; not when it was
/// changed after `seen_ms`.
#[cfg(unix)]
pub fn set_aside(data: &Path, path: &str, name: &str, seen_ms: Option<u64>) -> io::Result<PathBuf> {
    use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, statat};
    let parts: Vec<&str> = path.split('/').collect();
    let [top, between @ .., last] = parts.as_slice() else { return Err(io::ErrorKind::InvalidInput.into()) };
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Each step from the directory before it, so that no link can be slipped in between a look and the move.
    let step = |at: &std::os::fd::OwnedFd, part: &str| {
        openat(at, part, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    };
    let top_fd = step(&fs::File::open(data)?.into(), top)?;
    let mut at = top_fd.try_clone()?;
    for part in between {
        at = step(&at, part)?;
    }
    if let Some(seen_ms) = seen_ms {
        let stat = statat(&at, *last, AtFlags::SYMLINK_NOFOLLOW)?;
        let ms = i128::from(stat.st_mtime) * 1000 + i128::from(stat.st_mtime_nsec) / 1_000_000;
        if ms > i128::from(seen_ms) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
    }
    renameat(&at, *last, &top_fd, name)?;
    Ok(data.join(top).join(name))
}

/// The same where there are no directory handles: a look at each component comes first.
#[cfg(not(unix))]
pub fn set_aside(data: &Path, path: &str, name: &str, seen_ms: Option<u64>) -> io::Result<PathBuf> {
    let parts: Vec<&str> = path.split('/').collect();
    let [top, between @ .., _] = parts.as_slice() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut at = data.join(top);
    for part in std::iter::once(None).chain(between.iter().map(Some)) {
        at.extend(part);
        if !fs::symlink_metadata(&at)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
    }
    let whole = data.join(path);
    if seen_ms
        .is_some_and(|seen| fs::symlink_metadata(&whole).is_ok_and(|meta| super::inventory::modified(&meta) > seen))
    {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let to = data.join(top).join(name);
    fs::rename(whole, &to)?;
    Ok(to)
}

/// Removes what was set aside, whatever it is; links are removed, not followed.
pub fn remove(aside: &Path) -> io::Result<()> {
    if fs::symlink_metadata(aside)?.is_dir() { fs::remove_dir_all(aside) } else { fs::remove_file(aside) }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_removed_and_what_it_leads_to_stays() {
        let (data, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("precious"), "x").unwrap();
        fs::create_dir_all(data.path().join("trials/a/output")).unwrap();
        symlink(outside.path(), data.path().join("trials/a/output/data")).unwrap();
        symlink(outside.path(), data.path().join("trials/a/checkpoint")).unwrap();
        for (n, path) in ["trials/a/output", "trials/a/checkpoint"].into_iter().enumerate() {
            remove(&set_aside(data.path(), path, &name(1, n), None).unwrap()).unwrap();
            assert!(fs::symlink_metadata(data.path().join(path)).is_err(), "{path}");
        }
        assert_eq!(fs::read_to_string(outside.path().join("precious")).unwrap(), "x");
    }

    #[test]
    fn nothing_is_reached_through_a_link() {
        let (data, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(outside.path().join("output")).unwrap();
        fs::create_dir_all(data.path().join("trials")).unwrap();
        symlink(outside.path(), data.path().join("trials/a")).unwrap();
        assert!(set_aside(data.path(), "trials/a/output", &name(1, 0), None).is_err());
        symlink(outside.path(), data.path().join("logs")).unwrap();
        assert!(set_aside(data.path(), "logs/output", &name(1, 0), None).is_err());
        assert!(set_aside(data.path(), "trials/../trials", &name(1, 0), None).is_err(), "nor upwards");
        assert!(outside.path().join("output").is_dir());
    }

    #[test]
    fn what_has_changed_since_it_was_seen_stays() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir_all(data.path().join("logs")).unwrap();
        fs::write(data.path().join("logs/a-1.log"), "x").unwrap();
        let seen = super::super::inventory::modified(&fs::metadata(data.path().join("logs/a-1.log")).unwrap());
        assert!(set_aside(data.path(), "logs/a-1.log", &name(1, 0), Some(seen - 1)).is_err());
        assert!(data.path().join("logs/a-1.log").is_file());
        assert!(set_aside(data.path(), "logs/a-1.log", &name(1, 0), Some(seen)).unwrap().is_file());
    }
}
