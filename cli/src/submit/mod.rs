//! Makes a study of what was typed: the space, the command, the files that go along.

pub mod body;
pub mod config;
pub mod describe;
pub mod dry_run;
pub mod files;
pub mod interpreter;
pub mod spec;
