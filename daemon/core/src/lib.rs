//! The node as a sans-IO state machine: commands and events in, facts and effects out.
//!
//! Owns: leases, attempts, slots, dispatch, retries, budgets, what is asked of samplers and rules.
//! Must not: touch sockets, disks, clocks, processes or thread-local randomness. Time comes in as [`commands::Now`],
//! entropy once at boot; what must be done in the world goes out as [`effects::Effect`]s, to be carried out only after the
//! changes that came out with them are durable.

pub mod commands;
pub mod effects;
pub mod launch;
pub mod node;
pub mod slots;
pub mod wire;

pub use commands::{Now, Refusal, RefusalKind};
pub use effects::{Effect, Output, Parcel};
pub use node::{
    About, Enrolled, Forked, NoShelf, Node, NodeConfig, NodeStatus, ReadDoc, Saved, Shelf, Started, StoredDoc, Timing,
    read_doc,
};
