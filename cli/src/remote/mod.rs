//! Other machines over the user's own ssh: what is there, bringing metaopt, and having it join.
//!
//! Owns: what is run there, all of it POSIX shell that any login shell passes on. Must not: keep a connection, read keys or
//! passwords (ssh asks its user itself), or put a code where other users of either machine could read it.

pub mod bring;
pub mod install;
pub mod probe;
pub mod ssh;

pub use ssh::{Host, Ssh};
