//! Who holds which share of which GPU, over all daemons of one user on one machine: a small file per GPU under an
//! advisory lock. Another user's processes are strangers anyway and show as such.
//!
//! Owns: those files. Must not: give more than the whole of a GPU.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::platform::Process;

const VERSION: u32 = 1;

/// The file grows by this many bytes.
const BLOCK: u64 = 4096;

/// Sums of shares such as ten tenths may exceed 1 by this much.
const ROUNDING: f64 = 1e-9;

/// Why a share could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Others hold too much of it.
    #[error("GPU {uuid} has {free} left and {wanted} was asked for: {holders} hold the rest")]
    Taken {
        /// The GPU.
        uuid: String,
        /// What is left.
        free: f64,
        /// What was asked for.
        wanted: f64,
        /// Who holds the rest.
        holders: String,
    },
    /// Not above 0 and at most 1.
    #[error("{0} is no share of a GPU; give more than 0 and at most 1")]
    BadShare(f64),
    /// The disk, or somebody else's directory in our place.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A share of one GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Names the holder; acquiring again under the same name replaces the share, whichever process does it.
    pub owner: String,
    /// Above 0, at most 1.
    pub share: f64,
    /// The share ends with this process.
    pub process: Process,
}

#[derive(Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    shares: Vec<Share>,
}

/// The ledger of one directory.
#[derive(Clone, Debug)]
pub struct Ledger {
    dir: PathBuf,
}

impl Ledger {
    /// Where all daemons of this user on this machine look. `/tmp` rather than `TMPDIR`, which differs between
    /// logins, and rather than `/run/user`, which goes when the last login ends. Its files are read every few
    /// seconds, so that cleaners of old files leave them alone.
    pub fn default_dir() -> PathBuf {
        #[cfg(unix)]
        {
            PathBuf::from(format!("/tmp/metaopt-gpu-{}", rustix::process::geteuid().as_raw()))
        }
        #[cfg(not(unix))]
        {
            std::env::temp_dir().join("metaopt-gpu")
        }
    }

    /// Opens or creates it; refuses a directory that isn't this user's own.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        let fail = |source| LedgerError::Io { path: dir.to_owned(), source };
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(dir) {
            Ok(()) => (),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            Err(error) => return Err(fail(error)),
        }
        let meta = fs::symlink_metadata(dir).map_err(fail)?;
        let mut good = meta.is_dir();
        #[cfg(unix)]
        {
            good &= std::os::unix::fs::MetadataExt::uid(&meta) == rustix::process::geteuid().as_raw();
        }
        if good {
            Ok(Self { dir: dir.to_owned() })
        } else {
            Err(fail(io::Error::new(io::ErrorKind::PermissionDenied, "not a directory of this user's own; remove it")))
        }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes a share, or replaces the one held under the same name.
    pub fn acquire(&self, uuid: &str, share: Share) -> Result<(), LedgerError> {
        if !(share.share > 0.0 && share.share <= 1.0) {
            return Err(LedgerError::BadShare(share.share));
        }
        self.change(uuid, |shares| {
            shares.retain(|held| held.owner != share.owner);
            let taken: f64 = shares.iter().map(|held| held.share).sum();
            if taken + share.share > 1.0 + ROUNDING {
                let holders = shares.iter().map(|held| held.owner.as_str()).collect::<Vec<_>>().join(", ");
                let free = (1.0 - taken).max(0.0);
                return Err(LedgerError::Taken { uuid: uuid.to_owned(), free, wanted: share.share, holders });
            }
            shares.push(share);
            Ok(())
        })
    }

    /// Gives a share back; nothing happens when there is none.
    pub fn release(&self, uuid: &str, owner: &str) -> Result<(), LedgerError> {
        self.change(uuid, |shares| {
            shares.retain(|held| held.owner != owner);
            Ok(())
        })
    }

    /// Who holds what of a GPU now; the dead are left out.
    pub fn shares(&self, uuid: &str) -> Result<Vec<Share>, LedgerError> {
        let path = self.path(uuid);
        if !path.exists() {
            return Ok(Vec::new());
        }
        self.change(uuid, |shares| Ok(shares.clone()))
    }

    fn path(&self, uuid: &str) -> PathBuf {
        let name: String = uuid.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        self.dir.join(format!("{name}.json"))
    }

    /// Under the lock: reads, drops shares of processes that are gone, edits, writes what differs.
    fn change<T>(
        &self,
        uuid: &str,
        edit: impl FnOnce(&mut Vec<Share>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let path = self.path(uuid);
        let fail = |source| LedgerError::Io { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(fail)?;
        file.lock().map_err(fail)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(fail)?;
        // A torn write (the machine went down) leaves no live holder behind: starting empty is right.
        let stored: Stored = serde_json::from_str(&text).unwrap_or_default();
        let mut shares = stored.shares.clone();
        shares.retain(|held| held.process.is_alive());
        let out = edit(&mut shares)?;
        if shares != stored.shares {
            write(&mut file, shares).map_err(fail)?;
        }
        Ok(out)
    }
}

/// Room first, then the text, padded with blanks to whole blocks: a disk that is full refuses before anything of the
/// old is gone, since without the file others' shares would be given out again.
fn write(file: &mut File, shares: Vec<Share>) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(&Stored { version: VERSION, shares })?;
    let before = file.seek(SeekFrom::End(0))?;
    let length = (bytes.len() as u64).max(before).next_multiple_of(BLOCK);
    bytes.resize(usize::try_from(length).unwrap_or(bytes.len()), b' ');
    io::copy(&mut io::repeat(b' ').take(length - before), file)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn share(owner: &str, share: f64) -> Share {
        Share { owner: owner.into(), share, process: Process::current().unwrap() }
    }

    #[test]
    fn shares_of_one_gpu_never_exceed_it() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        for number in 0..10 {
            ledger.acquire("GPU-1", share(&format!("t{number}"), 0.1)).unwrap();
        }
        let error = Ledger::open(dir.path()).unwrap().acquire("GPU-1", share("late", 0.1)).unwrap_err();
        assert!(error.to_string().contains("t0, t1"), "{error}");
        ledger.acquire("GPU-2", share("late", 1.0)).unwrap();
        ledger.release("GPU-1", "t3").unwrap();
        ledger.acquire("GPU-1", share("late", 0.1)).unwrap();
        assert!(matches!(ledger.acquire("GPU-3", share("x", 0.0)), Err(LedgerError::BadShare(_))));
        assert!(matches!(ledger.acquire("GPU-3", share("x", f64::NAN)), Err(LedgerError::BadShare(_))));
    }

    #[test]
    fn a_holder_s_name_is_handed_from_process_to_process() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.acquire("GPU-1", share("attempt", 1.0)).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        ledger.acquire("GPU-1", Share { owner: "attempt".into(), share: 1.0, process }).unwrap();
        assert!(ledger.acquire("GPU-1", share("other", 0.5)).is_err());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(ledger.shares("GPU-1").unwrap(), [], "the dead hold nothing");
        ledger.acquire("GPU-1", share("other", 0.5)).unwrap();
    }

    #[test]
    fn many_takers_at_once_get_no_more_than_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let won: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8)
                .map(|number| {
                    let dir = dir.path();
                    scope.spawn(move || {
                        let ledger = Ledger::open(dir).unwrap();
                        (0..5).filter(|i| ledger.acquire("G", share(&format!("{number}-{i}"), 0.25)).is_ok()).count()
                    })
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(won, 4);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_makes_nobodys_share_vanish() {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "metaopt-test"]).arg(dir.path()).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: a tmpfs can't be mounted here (needs root); a full disk was not tested");
            return;
        }
        let ledger = Ledger::open(dir.path()).unwrap();
        ledger.acquire("GPU-1", share("first", 0.5)).unwrap();
        let mut filler = File::create(dir.path().join("filler")).unwrap();
        while filler.write_all(&[0; 1024]).is_ok() {}
        // Until there is no room for another name; nothing may be given out twice on the way.
        let mut held = vec!["first".to_owned()];
        let refused = (0..200).find_map(|n| {
            let owner = format!("{n}-{}", "x".repeat(200));
            match ledger.acquire("GPU-1", share(&owner, 0.001)) {
                Ok(()) => held.push(owner),
                Err(error) => return Some(error),
            }
            None
        });
        let there: Vec<String> = ledger.shares("GPU-1").unwrap().into_iter().map(|share| share.owner).collect();
        let too_much = ledger.acquire("GPU-1", share("late", 0.9));
        let unmounted = std::process::Command::new("umount").arg("-l").arg(dir.path()).status().unwrap();
        assert!(unmounted.success());
        assert!(matches!(refused, Some(LedgerError::Io { .. })), "the disk never filled up: {refused:?}");
        assert_eq!(there, held);
        assert!(matches!(too_much, Err(LedgerError::Taken { .. })), "{too_much:?}");
    }

    #[test]
    fn a_file_of_version_1_is_still_read() {
        let stored: Stored = serde_json::from_str(include_str!("golden/shares-v1.json")).unwrap();
        let process = Process { boot_id: "b".into(), pid: 4711, start_time: 98 };
        assert_eq!(stored.shares, [Share { owner: "/d/attempts/n.1-1".into(), share: 0.5, process }]);
    }

    #[test]
    fn a_symlink_in_the_directory_s_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).unwrap();
        assert!(Ledger::open(&dir.path().join("link")).is_err());
    }
}
