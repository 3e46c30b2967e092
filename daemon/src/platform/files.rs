//! Files that are whole or not there, and readable by their owner only.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Bytes that this user may still write there, and the disk's size; none where that can't be told.
pub fn free_space(dir: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(dir).ok()?;
        Some((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        None
    }
}

/// Replaces `path` as a whole: readers see the old or the new bytes, never a part. Mode 0600; on disk on return.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, true)
}

/// As [`write_private`], but without waiting for the disk: for files that a reboot makes worthless anyway.
pub fn write_private_lazily(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, false)
}

fn write(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let temp = beside(path);
    let outcome = (|| {
        let mut file = create_private(&temp)?;
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        fs::rename(&temp, path)?;
        if sync { sync_parent(path) } else { Ok(()) }
    })();
    if outcome.is_err() {
        let _ = fs::remove_file(&temp);
    }
    outcome
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Creates a file that must not exist yet, mode 0600.
pub fn create_private(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Reads at most so many bytes of a file that somebody else may have put there: no link is followed, no pipe waited for.
pub fn read_plain(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let strange = || io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file");
    #[cfg(unix)]
    let file: File = {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => file.into(),
            Err(rustix::io::Errno::LOOP) => return Err(strange()),
            Err(error) => return Err(error.into()),
        }
    };
    #[cfg(not(unix))]
    let file = match fs::symlink_metadata(path)? {
        meta if meta.is_file() => File::open(path)?,
        _ => return Err(strange()),
    };
    if !file.metadata()?.is_file() {
        return Err(strange());
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a file beneath `root` for reading; not found also where a link would have to be followed, `root` included. The
/// path has plain components only.
pub fn open_beneath(root: &Path, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags, openat};
        // Where a link would have to be followed there is nothing.
        let not_there = |error| match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR | rustix::io::Errno::NXIO => {
                io::Error::from(io::ErrorKind::NotFound)
            }
            other => other.into(),
        };
        // Each step from the directory before it, so that nobody can slip a link in between a look and an open.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(root, flags, Mode::empty()).map_err(not_there)?;
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            if !matches!(part, Component::Normal(_)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let kind = if parts.peek().is_some() { OFlags::DIRECTORY } else { OFlags::NONBLOCK };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
            at = openat(&at, part.as_os_str(), flags, Mode::empty()).map_err(not_there)?;
        }
        Ok(at.into())
    }
    #[cfg(not(unix))]
    {
        let mut at = root.to_owned();
        for part in path.components() {
            if !matches!(part, Component::Normal(_)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            at.push(part);
            if fs::symlink_metadata(&at)?.file_type().is_symlink() {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        File::open(at)
    }
}

/// Takes away everyone else's rights to an existing file.
pub fn restrict(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// Makes a rename in `path`'s directory durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A symbolic link at `link` that says `target`.
pub fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(target, link)
    }
    #[cfg(windows)]
    {
        let full = link.parent().map_or_else(|| target.to_path_buf(), |parent| parent.join(target));
        if full.is_dir() {
            std::os::windows::fs::symlink_dir(target, link)
        } else {
            std::os::windows::fs::symlink_file(target, link)
        }
    }
}

/// Whether the file may be executed: by its mode on Unix, by being a file elsewhere.
pub fn is_executable(path: &Path) -> bool {
    let Ok(meta) = fs::metadata(path) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        meta.is_file() && meta.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    meta.is_file()
}
