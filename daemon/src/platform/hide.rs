//! Linux: a directory that this process, and what it becomes, can no longer look into.
//!
//! Owns: the mount namespace. Must not: be called with more than one thread, or in a process that goes on as before.
//!
//! Root makes a mount namespace alone. Anybody else makes a user namespace too, in which the own ids stand for
//! themselves; once the job's program has taken over it has no capability there, and none over any process outside.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, open},
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount},
    process::{getegid, geteuid},
    thread::UnshareFlags,
};

/// Puts an empty directory that nobody can write to in the place of `dir`. What `keep` names beneath it stays, at the
/// same paths; each must exist. The working directory must be entered anew: the old one leads round the back.
///
/// # Errors
/// What the system refused, and which step it was.
pub fn hide(dir: &Path, keep: &[PathBuf]) -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        unshare(UnshareFlags::NEWNS).map_err(step("no mount namespace"))?;
    } else {
        unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(step("no user namespace"))?;
        let map = |file: &str, text: String| fs::write(format!("/proc/self/{file}"), text).map_err(step(file));
        // without this the kernel doesn't let an ordinary user map a group
        map("setgroups", "deny".to_owned())?;
        map("uid_map", format!("{0} {0} 1", user.as_raw()))?;
        map("gid_map", format!("{0} {0} 1", group.as_raw()))?;
    }
    // Nothing of ours gets out, while what the machine mounts later (automounted homes and data) still comes in.
    let downstream = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", downstream).map_err(step("the mounts can't be made private"))?;
    let kept = keep.iter().map(|path| Kept::open(path)).collect::<io::Result<Vec<_>>>()?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", dir, "tmpfs", flags, c"mode=0700,size=1m").map_err(step("no tmpfs"))?;
    for one in &kept {
        one.restore()?;
    }
    mount_remount(dir, flags | MountFlags::RDONLY, c"mode=0700,size=1m").map_err(step("the tmpfs can't be sealed"))
}

// Deprecated because a thread with a file table of its own could break what other threads believe of descriptors. The
// flags here touch no file table and this process has one thread; what replaces it is an unsafe function, which this
// workspace does without.
#[allow(deprecated)]
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

fn step<E: Into<io::Error>>(what: &str) -> impl FnOnce(E) -> io::Error {
    move |error| {
        let error: io::Error = error.into();
        io::Error::new(error.kind(), format!("{what}: {error}"))
    }
}

/// Something that is seen again after its surroundings have vanished.
struct Kept<'a> {
    path: &'a Path,
    fd: OwnedFd,
    is_dir: bool,
}

impl<'a> Kept<'a> {
    fn open(path: &'a Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = open(path, flags, Mode::empty()).map_err(step(&path.display().to_string()))?;
        let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        if kind.is_symlink() {
            // it could lead anywhere by the time it is mounted
            return Err(io::Error::other(format!("{} is a link", path.display())));
        }
        Ok(Self { path, fd, is_dir: kind.is_dir() })
    }

    fn restore(&self) -> io::Result<()> {
        let fail = |error: io::Error| step::<io::Error>(&self.path.display().to_string())(error);
        if self.is_dir {
            fs::create_dir_all(self.path).map_err(fail)?;
        } else {
            fs::create_dir_all(self.path.parent().unwrap_or(self.path)).map_err(fail)?;
            // one that is there already lies in a directory that was restored before
            fs::OpenOptions::new().append(true).create(true).open(self.path).map_err(fail)?;
        }
        mount_bind_recursive(format!("/proc/self/fd/{}", self.fd.as_raw_fd()), self.path)
            .map_err(|error| fail(error.into()))
    }
}
