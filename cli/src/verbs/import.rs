//! `metaopt import STUDY FILE`

use std::{fs::File, path::PathBuf};

use crate::{
    context::{Context, study_path},
    failure::{Doing, Failure},
    json::count,
};

/// Add trials from JSON lines; the same file twice changes nothing
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Name or ID
    #[arg(value_name = "STUDY")]
    pub study: String,
    /// A file of one JSON object a line (`params`, `state`, `values`), or - for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
}

/// Sends the file as it is.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let path = study_path(&args.study, "/import?format=jsonl");
    let client = context.client()?;
    // A refusal while the file is being sent can't always be heard.
    client.get(&study_path(&args.study, "")).map_err(|failure| context.with_nearest(failure, &args.study))?;
    let answer = if args.file.as_os_str() == "-" {
        client.send("POST", &path, "application/x-ndjson", std::io::stdin())
    } else {
        let reading = || format!("cannot read {}", args.file.display());
        let file = File::open(&args.file).doing(reading)?;
        if file.metadata().doing(reading)?.is_dir() {
            return Err(Failure::failed(format!("{}: it is a directory", reading())));
        }
        client.send("POST", &path, "application/x-ndjson", file)
    };
    let answer = answer.map_err(|failure| context.with_nearest(failure, &args.study))?;
    if context.out.json {
        return context.out.body(&answer);
    }
    let mut said = format!("imported {} trials into {}", count(&answer, "added"), args.study);
    for (key, words) in [("skipped", "known already"), ("unfinished", "without a result left out")] {
        if count(&answer, key) > 0 {
            said.push_str(&format!(", {} {words}", count(&answer, key)));
        }
    }
    context.out.say(said);
    Ok(())
}
