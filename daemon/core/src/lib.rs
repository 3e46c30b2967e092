//! The node as a sans-IO state machine.

pub mod launch;
