//! The daemon: sockets, disk, child processes, GPUs and clocks around the node of `metaopt-core`.
//!
//! Owns: all I/O. Must not: decide anything about studies or trials.

pub mod config;
pub mod data_dir;
pub mod driver;
pub mod events;
pub mod exec;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod gpu;
pub mod http;
pub mod inventory;
pub mod platform;
pub mod secrets;
mod serve;
pub mod snapshot;
pub mod store;

use std::process::ExitCode;

use clap::Parser;

/// `metaoptd`.
pub fn main() -> ExitCode {
    // The supervisor of one attempt is the same program, so that an upgrade can't leave one without the other.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "supervise")
        && let Some(dir) = args.next()
    {
        return exec::supervisor::main(std::path::Path::new(&dir));
    }
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
