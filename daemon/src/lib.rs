//! The daemon: sockets, disk, child processes, GPUs and clocks around the node of `metaopt-core`.
//!
//! Owns: all I/O. Must not: decide anything about studies or trials.

pub mod blobs;
mod boot;
pub mod config;
mod dashboards;
pub mod data_dir;
pub mod driver;
pub mod events;
pub mod exec;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gc;
pub mod gpu;
pub mod http;
pub mod inventory;
mod pareto;
pub mod peer;
pub mod platform;
mod roll;
mod room;
pub mod secrets;
mod serve;
pub mod snapshot;
pub mod store;

use std::process::ExitCode;

use clap::Parser;

/// `metaoptd`.
pub fn main() -> ExitCode {
    // What runs jobs is the same program, so that an upgrade can't leave one without the other.
    if let Some(code) = exec::stage(std::env::args_os().skip(1)) {
        return code;
    }
    platform::protect();
    let options = config::Options::parse();
    match serve::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
