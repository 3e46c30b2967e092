//! What people see: colours, tables, numbers, durations. Must not talk to the daemon.

pub mod fields;
pub mod progress;
pub mod spark;
pub mod strip;
pub mod style;
pub mod table;
pub mod value;
