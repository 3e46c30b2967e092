//! The few things that differ between operating systems: identifying and signalling processes, private files.
//!
//! Owns: every `cfg(unix)`/`cfg(windows)` of process handling. Must not: know of attempts or studies.

pub mod files;
