//! Starts a daemon anew, where its settings or its version changed; its trials run on meanwhile.

use std::time::{Duration, Instant};

use super::{find::Place, http::Client, start};
use crate::failure::{Doing, Failure};

/// How long a daemon may take to leave.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the place's daemon, and starts one again unless whoever watches over it does so first.
pub fn restart(place: &Place) -> Result<Client, Failure> {
    let path = place.dir()?.join("api.json");
    let pid = place.pid().ok_or_else(|| {
        Failure::failed("the daemon can't be started anew from here")
            .cause(format!("{} names no process", path.display()))
    })?;
    end(pid).doing(|| format!("cannot end the daemon (pid {pid})"))?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        // Its lock is free once it has gone; its port may be another's by then, which is told apart by the token.
        match place.running()? {
            None if !alive(pid) => return start::start(place),
            Some(client) if place.pid().is_some_and(|now| now != pid) => return Ok(client),
            _ => std::thread::sleep(Duration::from_millis(25)),
        }
    }
    Err(Failure::failed(format!("the daemon (pid {pid}) did not end within {} s", PATIENCE.as_secs())))
}

#[cfg(unix)]
fn process(pid: u32) -> std::io::Result<rustix::process::Pid> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.ok_or_else(|| std::io::Error::other("no such process"))
}

#[cfg(unix)]
fn end(pid: u32) -> std::io::Result<()> {
    Ok(rustix::process::kill_process(process(pid)?, rustix::process::Signal::TERM)?)
}

#[cfg(unix)]
fn alive(pid: u32) -> bool {
    process(pid).is_ok_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[cfg(not(unix))]
fn end(_: u32) -> std::io::Result<()> {
    Err(std::io::Error::other("end it by hand, then run this again"))
}

#[cfg(not(unix))]
fn alive(_: u32) -> bool {
    true
}
