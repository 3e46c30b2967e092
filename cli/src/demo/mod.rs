//! A cluster on one machine, for people who want to see it before they believe it.
//!
//! Owns: the boxes of the demo, its training, its timeline. Must not: touch the daemon, data or studies of its user.

pub mod boxes;
pub mod timeline;
pub mod train;
