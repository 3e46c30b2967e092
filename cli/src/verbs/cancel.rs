//! `metaopt cancel STUDY|TRIAL…`

use super::target::{Targets, act};
use crate::{context::Context, failure::Failure};

/// End a study or a trial, whatever it is doing
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which.
    #[command(flatten)]
    pub targets: Targets,
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    act(context, &args.targets, "cancel", "cancelled")
}
