//! The few things that differ between operating systems: identifying and signalling processes, private files.
//!
//! Owns: every `cfg` about operating systems in process handling. Must not: know of attempts or studies.
//! Linux is what the tests run on; the bodies for other systems are written to the same contract but untested.

use serde::{Deserialize, Serialize};

pub mod files;
#[cfg(target_os = "linux")]
mod hide;

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(all(unix, not(target_os = "linux")), path = "other_unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod os;
#[cfg(unix)]
mod unix;

#[cfg(target_os = "linux")]
pub use hide::hide;
#[cfg(not(target_os = "linux"))]
pub use os::hide;
pub use os::{Exited, boot_id, descendants, kill_strays, oom_kills, prepare_supervisor, protect, reap_strays};
#[cfg(windows)]
pub use os::{StopSignal, is_root, keep_files_private, signal_group};
#[cfg(unix)]
pub use unix::{StopSignal, is_root, keep_files_private, signal_group};

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// This program, also after an upgrade has put another in its place.
///
/// # Errors
/// When the system can't say where it is.
pub fn own_program() -> std::io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// What a process group is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A request to end (SIGTERM).
    Term,
    /// The end (SIGKILL).
    Kill,
}

/// A process that can't be mistaken for a later one with the same pid: the boot and its start time tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Which boot of the machine.
    pub boot_id: String,
    /// Process id.
    pub pid: u32,
    /// In units of the operating system; only compared.
    pub start_time: u64,
}

impl Process {
    /// The process that has this pid now; none when there is none (a zombie is none).
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { boot_id: boot_id(), pid, start_time: os::start_time(pid)? })
    }

    /// This process itself.
    pub fn current() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether exactly this process still runs.
    pub fn is_alive(&self) -> bool {
        self.boot_id == boot_id() && os::start_time(self.pid) == Some(self.start_time)
    }

    /// Signals exactly this process (not its group); `false` when it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        self.is_alive() && os::signal_process(self, signal)
    }
}

/// Whether `pid` descends from one of `ancestors`, or belongs to a session that one of them leads.
pub fn descends_from(pid: u32, ancestors: &[u32]) -> bool {
    let mut at = pid;
    // longer chains than this don't occur; a bound guards against pids reused while we walk
    for _ in 0..64 {
        if ancestors.contains(&at) {
            return true;
        }
        match os::parent_and_session(at) {
            Some((_, session)) if ancestors.contains(&session) => return true,
            Some((parent, _)) if parent > 1 => at = parent,
            _ => return false,
        }
    }
    false
}

/// Every process whose environment, as it was started, holds `entry` (`NAME=value`).
pub fn with_environment(entry: &str) -> Vec<Process> {
    os::with_environment(entry)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_and_gone_once_reaped() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        assert!(process.is_alive());
        assert!(descends_from(process.pid, &[std::process::id()]));
        assert!(!descends_from(std::process::id(), &[process.pid]));
        let impostor = Process { start_time: process.start_time + 1, ..process.clone() };
        assert!(!impostor.is_alive());
        assert!(!impostor.signal(Signal::Kill), "a later process with the same pid is not signalled");
        let other_boot = Process { boot_id: "another".into(), ..process.clone() };
        assert!(!other_boot.signal(Signal::Kill));
        assert!(child.try_wait().unwrap().is_none());
        assert!(process.signal(Signal::Kill));
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn processes_are_found_by_their_environment() {
        let entry = format!("METAOPT_RESULTS_PATH=/nowhere/{}", std::process::id());
        let (name, value) = entry.split_once('=').unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").env(name, value).spawn().unwrap();
        // its environment shows a moment after it was started
        let mut found = with_environment(&entry);
        for _ in 0..100 {
            if !found.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            found = with_environment(&entry);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [child.id()]);
        }
    }
}
