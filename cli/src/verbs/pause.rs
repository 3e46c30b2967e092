//! `metaopt pause STUDY|TRIAL…`

use super::target::{Targets, act};
use crate::{context::Context, failure::Failure};

/// Hold a study or a trial
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which.
    #[command(flatten)]
    pub targets: Targets,
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    act(context, &args.targets, "pause", "paused")
}
