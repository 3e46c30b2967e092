//! `pause`, `resume` and `cancel` take a study or a trial: finds out which was meant, and does it.

use serde_json::{Value, json};

use crate::{
    context::{Context, study_path, trial_path},
    failure::{Failure, NOT_FOUND},
    json::text,
};

/// Studies or trials.
#[derive(Clone, Debug, clap::Args)]
pub struct Targets {
    /// Names or IDs of studies, labels or IDs of trials
    #[arg(value_name = "STUDY|TRIAL", required = true)]
    pub targets: Vec<String>,
}

/// Posts `action` to each target; `done` is the word for people, such as `paused`.
pub fn act(context: &Context, targets: &Targets, action: &str, done: &str) -> Result<(), Failure> {
    for target in &targets.targets {
        let (kind, body) = post(context, target, action)?;
        if context.out.json {
            context.out.body(&body)?;
            continue;
        }
        let name = ["label", "name"].into_iter().map(|key| text(&body, key)).find(|name| !name.is_empty());
        context.out.say(format!("{done} {kind} {}", name.unwrap_or(target)));
    }
    Ok(())
}

fn post(context: &Context, target: &str, action: &str) -> Result<(&'static str, Value), Failure> {
    let client = context.client()?;
    let empty = json!({});
    match client.post(&study_path(target, &format!("/{action}")), &empty) {
        Err(failure) if failure.code == NOT_FOUND => {
            match client.post(&trial_path(target, &format!("/{action}")), &empty) {
                Ok(body) => Ok(("trial", body)),
                Err(other) if other.code == NOT_FOUND => {
                    let failure = context.with_nearest(other, target);
                    Err(Failure { message: format!("there is no study or trial `{target}`"), ..failure })
                }
                Err(other) => Err(other),
            }
        }
        Ok(body) => Ok(("study", body)),
        Err(failure) => Err(failure),
    }
}
