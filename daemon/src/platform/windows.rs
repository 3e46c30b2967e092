//! Windows, through PowerShell and `taskkill`: the attempt's job object (process-wrap) does the killing of the group.
//! Untested.

use std::{io, process::Command, time::Duration};

use super::{Process, Signal};

fn powershell(script: &str) -> Option<String> {
    let output =
        Command::new("powershell").args(["-NoProfile", "-NonInteractive", "-Command", script]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Differs between boots of the machine.
pub fn boot_id() -> String {
    static ID: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    ID.get_or_init(|| powershell("(Get-CimInstance Win32_OperatingSystem).LastBootUpTime.Ticks").unwrap_or_default())
        .clone()
}

/// Ticks; none for a process that is gone.
pub fn start_time(pid: u32) -> Option<u64> {
    powershell(&format!("(Get-Process -Id {pid} -ErrorAction Stop).StartTime.Ticks"))?.parse().ok()
}

pub fn parent_and_session(pid: u32) -> Option<(u32, u32)> {
    let parent = powershell(&format!("(Get-CimInstance Win32_Process -Filter 'ProcessId={pid}').ParentProcessId"))?;
    Some((parent.parse().ok()?, 0))
}

/// A supervisor watches its `stop.json`, so a request to end needs no signal.
pub fn signal_process(process: &Process, signal: Signal) -> bool {
    signal == Signal::Term || signal_group(process.pid, Signal::Kill)
}

/// Ends a process and its descendants; there is no polite request to a group.
pub fn signal_group(leader: u32, signal: Signal) -> bool {
    signal == Signal::Kill
        && Command::new("taskkill")
            .args(["/T", "/F", "/PID", &leader.to_string()])
            .output()
            .is_ok_and(|output| output.status.success())
}

pub fn with_environment(_entry: &str) -> Vec<Process> {
    Vec::new()
}

/// There is no root; administrators aren't asked.
pub fn is_root() -> bool {
    false
}

/// Waits for the end of a process by looking every half second.
pub struct Exited(Process);

impl Exited {
    /// Starts watching.
    pub fn watch(process: &Process) -> io::Result<Self> {
        Ok(Self(process.clone()))
    }

    /// Returns when it is over.
    pub async fn wait(&self) {
        while self.0.is_alive() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Looks for requests to stop: `stop.json` is read again at each tick.
pub struct StopSignal(tokio::time::Interval);

impl StopSignal {
    /// Starts ticking.
    pub fn listen() -> io::Result<Self> {
        Ok(Self(tokio::time::interval(Duration::from_millis(200))))
    }

    /// Returns at the next tick.
    pub async fn recv(&mut self) {
        self.0.tick().await;
    }
}

/// Not known here.
pub fn protect() {}

/// The data directory's own access list has to do.
pub fn keep_files_private() -> Option<u32> {
    None
}

/// Not known here.
pub fn hide(_dir: &std::path::Path, _keep: &[std::path::PathBuf]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The daemon starts supervisors without a console already.
pub fn prepare_supervisor() {}

/// The job object knows them.
pub fn descendants() -> Vec<u32> {
    Vec::new()
}

/// Nothing to collect.
pub fn reap_strays(_main: u32) {}

/// The job object ends them.
pub fn kill_strays() {}

/// Not known here.
pub fn oom_kills() -> Option<u64> {
    None
}
