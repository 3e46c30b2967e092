//! Hybrid logical clocks (Kulkarni et al. 2014): they order what is shown and folded; no lease decision depends on them.

use serde::{Deserialize, Serialize};

use crate::NodeId;

/// Milliseconds since 1970 (UTC), as the shell read them from a wall clock.
pub type WallMs = u64;

/// A Lamport counter: larger than every counter its writer had seen.
pub type Lamport = u64;

/// When something was recorded: wall time, a counter within the millisecond, and the writer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Milliseconds since 1970.
    pub ms: WallMs,
    /// Distinguishes stamps of one millisecond.
    pub n: u32,
    /// Who stamped.
    pub node: NodeId,
}

/// Stamps further ahead of our wall clock than this are refused (milliseconds).
pub const MAX_AHEAD_MS: u64 = 5 * 60 * 1000;

/// Mints stamps that never go back, whatever the wall clock does.
#[derive(Clone, Debug)]
pub struct Clock {
    node: NodeId,
    last: (WallMs, u32),
}

impl Clock {
    /// A clock that has seen nothing yet.
    pub fn new(node: NodeId) -> Self {
        Self { node, last: (0, 0) }
    }

    /// The next stamp, later than all before and all seen.
    pub fn tick(&mut self, wall: WallMs) -> Stamp {
        self.last = if wall > self.last.0 { (wall, 0) } else { (self.last.0, self.last.1.saturating_add(1)) };
        Stamp { ms: self.last.0, n: self.last.1, node: self.node.clone() }
    }

    /// Learns of a stamp from a document; `false` (and nothing learnt) when it is too far ahead of `wall`.
    pub fn see(&mut self, stamp: &Stamp, wall: WallMs) -> bool {
        if stamp.ms > wall.saturating_add(MAX_AHEAD_MS) {
            return false;
        }
        self.last = self.last.max((stamp.ms, stamp.n));
        true
    }
}
