//! `metaopt demo-trial`: what the demo's trials run; hidden from help.

use std::time::Duration;

use serde_json::json;

use super::within::Trial;
use crate::{
    context::Context,
    demo::train::{Params, train},
    failure::Failure,
    json::text,
};

/// One training of the demo
#[derive(Clone, Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// Length of a step
    #[arg(long)]
    pub lr: f64,
    /// How much of the last step goes into the next
    #[arg(long)]
    pub momentum: f64,
    /// Hidden units
    #[arg(long)]
    pub hidden: usize,
    /// Epochs
    #[arg(long, default_value_t = 20)]
    pub epochs: usize,
    /// Milliseconds to rest after each epoch, so that it can be watched
    #[arg(long, default_value_t = 60)]
    pub rest: u64,
}

/// Trains, reports every epoch, leaves when it is told to.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let trial = Trial::find(None).ok();
    let params =
        Params { lr: args.lr, momentum: args.momentum, hidden: args.hidden.clamp(1, 256), epochs: args.epochs };
    let mut told = false;
    let loss = train(params, |epoch, loss| {
        std::thread::sleep(Duration::from_millis(args.rest));
        let body = json!({"step": epoch, "values": {"loss": loss}});
        let answer = trial.as_ref().and_then(|trial| trial.deliver(context, "reports", body).ok().flatten());
        told = answer.is_some_and(|answer| text(&answer, "action") != "continue");
        !told
    });
    if told {
        return Ok(());
    }
    // A training that diverged is a bad result, not a failure.
    context.out.line(format!("metaopt: loss={}", if loss.is_finite() { loss } else { 1e3 }))
}
