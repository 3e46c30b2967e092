//! What all Unixes share.

use std::io;

use rustix::process::{Pid, kill_process_group};

use super::Signal;

pub(super) fn raw(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    }
}

pub(super) fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// Signals every member of a process group; `false` when it has none (left).
pub fn signal_group(leader: u32, signal: Signal) -> bool {
    // group 1 and our own are never meant
    leader > 1 && pid(leader).is_some_and(|leader| kill_process_group(leader, raw(signal)).is_ok())
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// From here on every file this process makes is its user's alone; answers the mask there was before, for jobs.
pub fn keep_files_private() -> Option<u32> {
    Some(rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077)).bits() as u32)
}

/// Tells a supervisor that it has been asked to stop its attempt.
pub struct StopSignal {
    term: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    // held so that a vanished terminal doesn't end the supervisor
    _hangup: tokio::signal::unix::Signal,
}

impl StopSignal {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns at the next request.
    pub async fn recv(&mut self) {
        tokio::select! {
            _ = self.term.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}
