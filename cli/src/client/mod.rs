//! Talks to the daemon: finds it, makes sure that it is ours, starts one where there is none, and calls it.
//!
//! Must not: print data or know what any body means.

pub mod challenge;
pub mod find;
pub mod http;
mod prove;
pub mod restart;
pub mod start;

pub use find::Place;
pub use http::{Client, Reply, misfit, segment};
