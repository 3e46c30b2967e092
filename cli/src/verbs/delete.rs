//! `metaopt delete STUDY…`: for ever, so it asks first.

use crate::{
    ask,
    context::{Context, study_path},
    failure::{FAILED, Failure},
    json::{count, finished, text, trials_in},
    render::strip::strip,
};

/// Remove studies and their trials for good
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Names or IDs
    #[arg(value_name = "STUDY", required = true)]
    pub studies: Vec<String>,
    /// Don't ask
    #[arg(long, short)]
    pub yes: bool,
}

/// Deletes each, after a yes.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    // All are looked up before the first is deleted, so that a slip in the last name deletes nothing.
    let studies = args.studies.iter().map(|name| context.study(name)).collect::<Result<Vec<_>, _>>()?;
    for study in &studies {
        let name = text(study, "name");
        let trials =
            finished(study) + trials_in(study, "running") + trials_in(study, "waiting") + trials_in(study, "paused");
        let question = format!("Delete study {} and its {trials} trials for good?", strip(name));
        if !args.yes && !ask::yes(&question, &format!("deleting study `{name}`"))? {
            context.out.say(format!("kept study {name}"));
            return Err(Failure::silent(FAILED));
        }
        context.client()?.call("DELETE", &study_path(text(study, "id"), ""), None)?;
        if !context.out.json {
            let running = match count(study.get("counts").unwrap_or_default(), "running") {
                0 => String::new(),
                n => format!(", ended {n} running"),
            };
            context.out.say(format!("deleted study {name} and its {trials} trials{running}"));
        }
    }
    Ok(())
}
