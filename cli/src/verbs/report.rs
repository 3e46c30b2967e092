//! `metaopt report --step N loss=0.4`, inside a trial: lets any language report through a shell.

use serde_json::json;

use super::within::{Trial, metrics};
use crate::{context::Context, failure::Failure, json::text};

/// Give a point of the training curve; prints continue, stop or pause
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Completed units of work (epochs), from 1 up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub step: u64,
    /// Metrics
    #[arg(value_name = "METRIC=NUMBER", required = true)]
    pub values: Vec<String>,
    /// Another trial than the one this runs in
    #[arg(long, value_name = "TRIAL")]
    pub trial: Option<String>,
}

/// Reports; while the daemon is away the word is `continue`.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let trial = Trial::find(args.trial.as_deref())?;
    let body = json!({"step": args.step, "values": metrics(&args.values, true)?});
    match trial.deliver(context, "reports", body)? {
        Some(answer) if context.out.json => context.out.body(&answer),
        Some(answer) => context.out.line(text(&answer, "action")),
        None if context.out.json => context.out.body(&json!({"action": "continue"})),
        None => context.out.line("continue"),
    }
}
