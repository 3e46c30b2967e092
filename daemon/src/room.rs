//! Free space on the data directory's disk: below a limit nothing new is started, so that what runs can still be kept.
//!
//! Owns: the limit and its hysteresis. Must not: decide what goes without room; the node does.

use std::{path::PathBuf, time::Duration};

use crate::{driver::Shell, platform::files::free_space};

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The limit where none is given, unless a hundredth of the disk is more.
const LEAST: u64 = 64 << 20;
/// A hundredth of a large disk is more than results need.
const MOST: u64 = 1 << 30;

/// Whether there is room, with some stubbornness: what was too little must become a quarter more than the limit.
#[derive(Debug, Default)]
struct Gauge {
    limit: Option<u64>,
    short: bool,
}

impl Gauge {
    /// The disk as it is; answers whether there is room and the limit that decided.
    fn look(&mut self, free: u64, total: u64) -> (bool, u64) {
        let limit = limit(self.limit, total);
        let enough = if self.short { limit + limit / 4 } else { limit };
        self.short = free < enough;
        (!self.short, limit)
    }
}

/// Bytes that are left alone on a disk of this size: as many as was asked for, else by its size.
pub(crate) fn limit(given: Option<u64>, total: u64) -> u64 {
    given.unwrap_or_else(|| (total / 100).clamp(LEAST, MOST))
}

/// Tells the node whenever room runs out or comes back. Ends with the runtime.
pub(crate) async fn watch(dir: PathBuf, limit: Option<u64>, shell: Shell) {
    let mut gauge = Gauge { limit, short: false };
    let mut said = false;
    loop {
        let path = dir.clone();
        // A disk that hangs must not hold up a worker.
        let Ok(seen) = tokio::task::spawn_blocking(move || free_space(&path)).await else { return };
        if let Some((free, total)) = seen {
            let (room, limit) = gauge.look(free, total);
            if said == room {
                said = !room;
                if room {
                    tracing::info!("there is room on the disk again");
                    shell.room(None);
                } else {
                    let why = format!(
                        "the disk of {} has {} MiB left, less than the {} MiB kept for results: free some space, or \
                         lower --min-free",
                        dir.display(),
                        free >> 20,
                        limit >> 20
                    );
                    tracing::error!("{why}; nothing new is started");
                    shell.room(Some(why));
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn room_that_ran_out_must_come_back_with_something_to_spare() {
        let mut gauge = Gauge { limit: Some(100 * MIB), short: false };
        let seen: Vec<bool> = [150, 100, 99, 100, 124, 125, 100].map(|free| gauge.look(free * MIB, 0).0).to_vec();
        assert_eq!(seen, [true, true, false, false, false, true, true]);
        assert!(Gauge { limit: Some(0), short: false }.look(0, 0).0, "0 switches it off");
    }

    #[test]
    fn the_limit_follows_the_disk_within_bounds() {
        let limit = |total: u64| Gauge::default().look(0, total).1;
        assert_eq!((limit(MIB), limit(20_000 * MIB), limit(10_000_000 * MIB)), (LEAST, 200 * MIB, MOST));
    }
}
