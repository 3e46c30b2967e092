//! `metaopt resume STUDY|TRIAL…`

use super::target::{Targets, act};
use crate::{context::Context, failure::Failure};

/// Continue a study or a trial that was paused
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Which.
    #[command(flatten)]
    pub targets: Targets,
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    act(context, &args.targets, "resume", "resumed")
}
