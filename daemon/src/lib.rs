//! The daemon: sockets, disk, child processes, GPUs and clocks around the node of `metaopt-core`.
//!
//! Owns: all I/O. Must not: decide anything about studies or trials.

pub mod config;
pub mod data_dir;
pub mod driver;
pub mod events;
pub mod exec;
pub mod gpu;
pub mod inventory;

pub mod platform;
pub mod secrets;
pub mod snapshot;
pub mod store;
