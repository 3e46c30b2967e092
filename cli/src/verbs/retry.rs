//! `metaopt retry TRIAL…`

use serde_json::json;

use crate::{
    context::{Context, trial_path, unknown_trial},
    failure::Failure,
    json::text,
};

/// Run an ended trial again, with the same parameters
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Labels or IDs
    #[arg(value_name = "TRIAL", required = true)]
    pub trials: Vec<String>,
}

/// Offers each trial again.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    for trial in &args.trials {
        let body = context.client()?.post(&trial_path(trial, "/retry"), &json!({}));
        let body = body.map_err(|failure| unknown_trial(failure, trial))?;
        if context.out.json {
            context.out.body(&body)?;
        } else {
            let label = if text(&body, "label").is_empty() { trial } else { text(&body, "label") };
            context.out.say(format!("trial {label} is {}", text(&body, "state")));
        }
    }
    Ok(())
}
