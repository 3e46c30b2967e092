//! `metaopt explain TRIAL`

use crate::{
    context::{Context, trial_path, unknown_trial},
    failure::Failure,
    render::fields,
};

/// Where a trial's parameters came from, and whether they come out the same again
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Label or ID
    #[arg(value_name = "TRIAL")]
    pub trial: String,
}

/// Shows all that the daemon knows of it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let body = context.client()?.get(&trial_path(&args.trial, "/explain"));
    let body = body.map_err(|failure| unknown_trial(failure, &args.trial))?;
    if context.out.json {
        return context.out.body(&body);
    }
    context.out.print(&fields::lines(&body, context.out.style))
}
