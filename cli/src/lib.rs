//! The `metaopt` command: talks to a daemon, turns markers into spaces, shows what happens.
//!
//! Owns: the command line, its exit codes, everything people read there. Must not: know how trials are stored or run.

#![allow(clippy::result_large_err, reason = "a failure ends the command: its size costs nothing")]

pub mod ask;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod context;
pub mod demo;
pub mod failure;
pub mod interrupt;
pub mod json;
pub mod markers;
pub mod nearest;
pub mod output;
pub mod remote;
pub mod render;
pub mod root;
pub mod settings;
pub mod shorthand;
pub mod sse;
pub mod submit;
pub mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::{cli::Cli, context::Context, failure::Failure, render::style::Style};

/// What `metaopt` does.
pub fn main() -> ExitCode {
    let argv: Vec<_> = std::env::args_os().collect();
    match run(argv) {
        Ok(code) => code,
        Err(failure) => {
            eprint!("{}", render::strip::for_terminal(&failure.text(Style::stderr())));
            ExitCode::from(failure.code)
        }
    }
}

fn run(argv: Vec<std::ffi::OsString>) -> Result<ExitCode, Failure> {
    let read = shorthand::read(argv)?;
    let cli = match Cli::try_parse_from(read.argv) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are data and go to standard output; clap's own code for misuse is ours too, 2.
            let _ = error.print();
            return Ok(ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 }));
        }
    };
    let context = Context::new(&cli.global);
    verbs::run(cli.verb, &context, read.shorthand)?;
    Ok(ExitCode::SUCCESS)
}
