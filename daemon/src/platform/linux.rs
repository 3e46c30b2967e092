//! Linux: `/proc` and pidfds.

use std::{fs, io, os::fd::OwnedFd, sync::OnceLock};

use rustix::process::{PidfdFlags, WaitOptions, kill_process, pidfd_open, pidfd_send_signal, waitpid};
use tokio::io::unix::AsyncFd;

use super::{
    Process, Signal,
    unix::{pid, raw},
};

/// Differs between boots of the machine.
pub fn boot_id() -> String {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
    })
    .clone()
}

/// Fields of `/proc/PID/stat` from the state on: the name before them may hold spaces and parentheses.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text[text.rfind(')')? + 1..].split_ascii_whitespace().map(str::to_owned).collect())
}

/// Clock ticks since boot; none for a process that is gone or a zombie.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = stat(pid)?;
    match stat.first()?.as_str() {
        "Z" | "X" | "x" => None,
        _ => stat.get(19)?.parse().ok(),
    }
}

pub fn parent_and_session(pid: u32) -> Option<(u32, u32)> {
    let stat = stat(pid)?;
    Some((stat.get(1)?.parse().ok()?, stat.get(3)?.parse().ok()?))
}

pub fn signal_process(process: &Process, signal: Signal) -> bool {
    let Some(number) = pid(process.pid) else { return false };
    match pidfd_open(number, PidfdFlags::empty()) {
        // the descriptor is now bound to one process: look again whether it is the one meant
        Ok(fd) => process.is_alive() && pidfd_send_signal(fd, raw(signal)).is_ok(),
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => kill_process(number, raw(signal)).is_ok(),
        Err(_) => false,
    }
}

pub fn with_environment(entry: &str) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|dir| dir.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|one| one == entry.as_bytes()))
        })
        .filter_map(Process::of)
        .collect()
}

// Deprecated because a type may answer `as_raw_fd` with a descriptor it doesn't own. `OwnedFd` owns its own, so that
// doesn't concern us, and what replaces it is an unsafe function, which this workspace does without.
#[allow(deprecated)]
fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, tokio::io::Interest::READABLE)
}

/// Waits for the end of a process, one's own child or not. A child is *not* reaped, so its group keeps its name.
pub enum Exited {
    /// The kernel tells.
    Descriptor(AsyncFd<OwnedFd>),
    /// An old kernel: looked at ten times a second.
    Polled(Process),
    /// It was gone already.
    Gone,
}

impl Exited {
    /// Starts watching; needs a tokio runtime.
    pub fn watch(process: &Process) -> io::Result<Self> {
        let Some(number) = pid(process.pid) else { return Ok(Self::Gone) };
        match pidfd_open(number, PidfdFlags::NONBLOCK) {
            Ok(_) if !process.is_alive() => Ok(Self::Gone),
            Ok(fd) => register(fd).map(Self::Descriptor),
            Err(rustix::io::Errno::SRCH) => Ok(Self::Gone),
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => Ok(Self::Polled(process.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns when it is over.
    pub async fn wait(&self) {
        match self {
            Self::Descriptor(fd) => {
                let _ = fd.readable().await;
            }
            Self::Polled(process) => {
                while process.is_alive() {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
            Self::Gone => (),
        }
    }
}

/// Keeps other processes of the same user out of this one's memory, environment and open files: a job is one of them.
/// It also leaves no core dump, which would hold the token.
pub fn protect() {
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "jobs may be able to look into this process");
    }
}

/// Cuts the supervisor loose from the daemon's session, and makes orphans of its child come to it.
pub fn prepare_supervisor() {
    // Fails only for a group leader, which we are not when the daemon starts us; a person may be trying it by hand.
    let _ = rustix::process::setsid();
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Direct children of this process.
pub fn descendants() -> Vec<u32> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// Collects ended orphans that came to this process; never `main`, which tokio waits for.
pub fn reap_strays(main: u32) {
    for child in descendants().into_iter().filter(|child| *child != main) {
        if let Some(child) = pid(child) {
            let _ = waitpid(Some(child), WaitOptions::NOHANG);
        }
    }
}

/// Kills what is left of the attempt outside its process group. `main` must have been reaped.
pub fn kill_strays() {
    // Each round kills one generation; their children come to us and are next.
    for _ in 0..200 {
        let children = descendants();
        if children.is_empty() {
            return;
        }
        for child in children.into_iter().filter_map(pid) {
            let _ = kill_process(child, raw(Signal::Kill));
            let _ = waitpid(Some(child), WaitOptions::NOHANG);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// How often the kernel has killed for memory within our control group (where there is none: on the machine).
pub fn oom_kills() -> Option<u64> {
    let counter = |text: String| {
        text.lines().find_map(|line| line.strip_prefix("oom_kill ").and_then(|number| number.trim().parse().ok()))
    };
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let in_group = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            fs::read_to_string(format!("/sys/fs/cgroup/{path}/memory.events")).ok().and_then(counter)
        } else if controllers.split(',').any(|one| one == "memory") {
            fs::read_to_string(format!("/sys/fs/cgroup/memory/{path}/memory.oom_control")).ok().and_then(counter)
        } else {
            None
        }
    });
    in_group.or_else(|| fs::read_to_string("/proc/vmstat").ok().and_then(counter))
}
