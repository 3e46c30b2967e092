//! `metaopt completions SHELL`

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{cli::Cli, context::Context, failure::Failure};

/// Completions for your shell, on standard output
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which shell
    pub shell: Shell,
}

/// Prints them.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "metaopt", &mut script);
    context.out.write(&script)
}
