//! `metaopt delete STUDY…`: for ever, so it asks first.

use std::io::{BufRead, IsTerminal, Write};

use crate::{
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
        if !args.yes && !asked(name, trials)? {
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

fn asked(name: &str, trials: u64) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("deleting study `{name}` needs a yes")).hint("add --yes"));
    }
    eprint!("Delete study {} and its {trials} trials for good? [y/N] ", strip(name));
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
