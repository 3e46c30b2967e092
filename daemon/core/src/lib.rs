//! The node as a sans-IO state machine.

pub mod commands;
pub mod launch;
