//! `metaopt complete loss=0.39`, inside a trial.

use serde_json::json;

use super::within::{Trial, metrics};
use crate::{context::Context, failure::Failure};

/// Give the trial's result
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Metrics
    #[arg(value_name = "METRIC=NUMBER", required_unless_present = "state")]
    pub values: Vec<String>,
    /// It has no result: why
    #[arg(long, value_parser = ["fail", "pruned", "infeasible"], conflicts_with = "values")]
    pub state: Option<String>,
    /// More about it, for people
    #[arg(long, value_name = "TEXT", requires = "state")]
    pub detail: Option<String>,
    /// Another trial than the one this runs in
    #[arg(long, value_name = "TRIAL")]
    pub trial: Option<String>,
}

/// Tells it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let trial = Trial::find(args.trial.as_deref())?;
    let body = match &args.state {
        None => json!({"values": metrics(&args.values, false)?}),
        Some(state) => {
            let mut body = json!({"state": state});
            if let Some(detail) = &args.detail {
                body["detail"] = detail.as_str().into();
            }
            body
        }
    };
    match trial.deliver(context, "complete", body)? {
        Some(answer) if context.out.json => context.out.body(&answer),
        _ => Ok(()),
    }
}
