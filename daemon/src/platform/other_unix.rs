//! macOS and the BSDs, through `ps` and `sysctl`: slower than Linux's `/proc`, same contract. Untested.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use rustix::process::kill_process;

use super::{
    Process, Signal,
    unix::{pid, raw},
};

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Differs between boots of the machine.
pub fn boot_id() -> String {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| output("sysctl", &["-n", "kern.boottime"]).unwrap_or_default()).clone()
}

/// A hash of the start time as `ps` prints it (to the second); none for a process that is gone or a zombie.
pub fn start_time(pid: u32) -> Option<u64> {
    let line = output("ps", &["-o", "stat=,lstart=", "-p", &pid.to_string()])?;
    let (state, started) = line.split_once(char::is_whitespace)?;
    if state.starts_with('Z') {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    started.trim().hash(&mut hasher);
    Some(hasher.finish())
}

pub fn parent_and_session(pid: u32) -> Option<(u32, u32)> {
    let parent = output("ps", &["-o", "ppid=", "-p", &pid.to_string()])?.parse().ok()?;
    // `ps` prints sessions as addresses here; the chain of parents has to do
    Some((parent, 0))
}

pub fn signal_process(process: &Process, signal: Signal) -> bool {
    pid(process.pid).is_some_and(|number| kill_process(number, raw(signal)).is_ok())
}

pub fn with_environment(_entry: &str) -> Vec<Process> {
    Vec::new()
}

/// Waits for the end of a process by looking ten times a second.
pub struct Exited(Process);

impl Exited {
    /// Starts watching.
    pub fn watch(process: &Process) -> io::Result<Self> {
        Ok(Self(process.clone()))
    }

    /// Returns when it is over.
    pub async fn wait(&self) {
        while self.0.is_alive() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Not known here.
pub fn protect() {}

/// Not known here.
pub fn hide(_dir: &std::path::Path, _keep: &[std::path::PathBuf]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Cuts the supervisor loose from the daemon's session.
pub fn prepare_supervisor() {
    let _ = rustix::process::setsid();
}

/// Not known here.
pub fn descendants() -> Vec<u32> {
    Vec::new()
}

/// Orphans go to init here.
pub fn reap_strays(_main: u32) {}

/// Orphans go to init here; only the process group is killed.
pub fn kill_strays() {}

/// Not known here.
pub fn oom_kills() -> Option<u64> {
    None
}
