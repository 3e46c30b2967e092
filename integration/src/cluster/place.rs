//! A network namespace: one box's network, or the bridge's.

use std::{
    fs::{self, File},
    os::fd::AsFd,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// A name of `ip netns`. Clones mean the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    name: String,
}

impl Place {
    /// Makes it, with its loopback up.
    ///
    /// # Errors
    /// In words: what `ip` said.
    pub(super) fn make(name: &str) -> Result<Self, String> {
        run("ip", &["netns", "add", name])?;
        let place = Self { name: name.to_owned() };
        place.ip(&["link", "set", "lo", "up"])?;
        Ok(place)
    }

    /// One that exists.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// As `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ip -n NAME ARGS`
    ///
    /// # Errors
    /// In words: what `ip` said.
    pub fn ip(&self, args: &[&str]) -> Result<String, String> {
        run("ip", &[&["-n", &self.name], args].concat())
    }

    fn file(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Runs `f` on a thread that is in this namespace; processes that it starts are there too.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.file()).unwrap_or_else(|e| panic!("{}: {e}", self.file().display()));
        let thread = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns, as root");
                    f()
                })
                .join()
        });
        thread.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The processes whose network this is: those that the test started there, and theirs.
    pub fn processes(&self) -> Vec<i32> {
        let Ok(own) = fs::metadata(self.file()) else { return Vec::new() };
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let here = pids.filter(|pid| {
            fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|meta| (meta.dev(), meta.ino()) == (own.dev(), own.ino()))
        });
        here.filter(|pid| *pid != std::process::id() as i32).collect()
    }

    /// Ends all of them and removes the namespace.
    pub(super) fn remove(&self) {
        for _ in 0..100 {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            for pid in left.into_iter().filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = run("ip", &["netns", "del", &self.name]);
    }
}

/// Runs a program to its end.
///
/// # Errors
/// In words: it isn't there, or what it said.
pub(super) fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
