//! `metaopt archive STUDY…`

use serde_json::json;

use crate::{
    context::{Context, study_path},
    failure::Failure,
};

/// Put studies away: kept, but no longer listed
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Names or IDs
    #[arg(value_name = "STUDY", required = true)]
    pub studies: Vec<String>,
}

/// Archives each.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    for study in &args.studies {
        let body = context.client()?.post(&study_path(study, "/archive"), &json!({}));
        let body = body.map_err(|failure| context.with_nearest(failure, study))?;
        if context.out.json {
            context.out.body(&body)?;
        } else {
            context.out.say(format!("archived study {study}"));
        }
    }
    Ok(())
}
