//! `metaopt pull TRIAL|STUDY [-o DIR]`

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    client::{Client, segment},
    context::{Context, study_path, trial_path},
    failure::{Doing, Failure, NO_DAEMON, NOT_FOUND},
    json::{list, some, text},
    render::{strip::strip, value},
};

/// Fetch the output files of a trial, or of a study's complete trials
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A trial's label or ID, or a study's name or ID
    #[arg(value_name = "TRIAL|STUDY")]
    pub target: String,
    /// Where to; each trial has a folder in it
    #[arg(long, short, value_name = "DIR", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub output: PathBuf,
}

/// Fetches them.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let one = client.get(&trial_path(&args.target, ""));
    let of_study = one.is_err();
    let trials = match one {
        Ok(trial) => vec![trial],
        Err(failure) if failure.code == NOT_FOUND => {
            let study = context.study(&args.target).map_err(|failure| match failure.code {
                NOT_FOUND => Failure { message: format!("there is no trial or study `{}`", args.target), ..failure },
                _ => failure,
            })?;
            client.list(&study_path(text(&study, "id"), "/trials?state=complete"), usize::MAX)?
        }
        Err(failure) => return Err(failure),
    };
    let mut done = Done::default();
    let mut failed: Vec<(&str, Failure)> = Vec::new();
    for trial in &trials {
        let folder = folder(&trials, trial, &args.target, client);
        match relative(folder).and_then(|name| fetch(client, trial, &args.output.join(name), &mut done, context)) {
            Ok(()) => {}
            // One trial's files may be on a machine that is away; without a daemon, or a reader, nothing more comes.
            Err(failure) if of_study && failure.code != NO_DAEMON && !failure.message.is_empty() => {
                failed.push((folder, failure));
            }
            Err(failure) => return Err(failure),
        }
    }
    if done.files > 0 {
        context.out.say(format!("fetched {}, {}", value::counted(done.files, "file"), value::bytes(done.bytes)));
    } else if failed.is_empty() {
        context.out.say("there are no output files");
        context.out.hint("scripts leave them in $METAOPT_OUTPUT_DIR");
    }
    if failed.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::failed(format!(
        "the files of {} of {} could not all be fetched",
        failed.len(),
        value::counted(trials.len(), "trial")
    ));
    for (folder, why) in failed {
        let whys: Vec<String> = std::iter::once(why.message).chain(why.causes).collect();
        failure = failure.cause(format!("{}: {}", strip(folder), whys.join(": ")));
    }
    Err(failure.hint("run it again for what is lacking; `metaopt nodes` says who is away"))
}

/// What came.
#[derive(Debug, Default)]
struct Done {
    files: usize,
    bytes: u64,
}

/// The folder of a trial: its label, or its ID where another trial bears the same label.
fn folder<'a>(trials: &'a [Value], trial: &'a Value, typed: &str, client: &Client) -> &'a str {
    let (id, label) = (text(trial, "id"), text(trial, "label"));
    // Who types an ID may do so because the label means several.
    let typed_it = typed == id && typed != label;
    let several = trials.iter().filter(|other| text(other, "label") == label).count() > 1
        || typed_it && client.get(&trial_path(label, "")).is_err_and(|failure| failure.status == Some(409));
    if several { id } else { label }
}

/// Fetches a trial's files into `top`.
fn fetch(client: &Client, trial: &Value, top: &Path, done: &mut Done, context: &Context) -> Result<(), Failure> {
    let base = trial_path(text(trial, "id"), "/artifacts");
    let hashed = || client.get(&format!("{base}?hashes=true"));
    let artifacts = hashed()?;
    for item in list(&artifacts, "items") {
        let name = text(item, "name");
        let path = top.join(relative(name)?);
        let from = format!("{base}/{}", segment(name));
        let (draft, size, hash) = download(client, &from, &path)?;
        // A script that still runs may have written it anew since it was listed; the list of now then knows.
        let is = |item: &Value| some(item, "blake3").and_then(Value::as_str).is_none_or(|listed| listed == hash);
        if !is(item) && !list(&hashed()?, "items").iter().any(|item| text(item, "name") == name && is(item)) {
            let failure = Failure::failed(format!("`{name}` did not come as it is kept; it was not written"));
            return Err(failure.hint("fetch it again; while its trial runs, it may change all the time"));
        }
        draft.persist(&path).map_err(|error| error.error).doing(|| format!("cannot write {}", path.display()))?;
        context.out.line(path.display().to_string())?;
        done.files += 1;
        done.bytes += size;
    }
    Ok(())
}

/// Fetches a file beside where it is to lie; answers its size and BLAKE3 hash too.
fn download(client: &Client, from: &str, path: &Path) -> Result<(tempfile::NamedTempFile, u64, String), Failure> {
    let folder = path.parent().unwrap_or(path).to_owned();
    let mut reader = client.stream(from)?;
    std::fs::create_dir_all(&folder).doing(|| format!("cannot create {}", folder.display()))?;
    let mut draft =
        tempfile::NamedTempFile::new_in(&folder).doing(|| format!("cannot write in {}", folder.display()))?;
    let (mut hasher, mut size, mut buffer) = (blake3::Hasher::new(), 0, vec![0; 64 * 1024]);
    loop {
        let read = reader.read(&mut buffer).doing(|| format!("{} broke off", path.display()))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        draft.write_all(&buffer[..read]).doing(|| format!("cannot write {}", path.display()))?;
        size += read as u64;
    }
    draft.flush().doing(|| format!("cannot write {}", path.display()))?;
    Ok((draft, size, hasher.finalize().to_hex().to_string()))
}

/// A name from elsewhere that is to become a file here: plain components only, so that it stays beneath its folder.
fn relative(name: &str) -> Result<PathBuf, Failure> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0', ':']);
    if name.split('/').all(is_plain) {
        return Ok(name.split('/').collect());
    }
    Err(Failure::failed(format!("refusing to write a file called {name:?}")))
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn names_from_elsewhere_stay_in_their_folder() {
        assert!(relative("model.pt").is_ok() && relative("..data").is_ok() && relative("plots/a.png").is_ok());
        for name in ["", ".", "..", "../x", "a/../../b", "/etc/passwd", "a\\b", "a/", "a//b", "C:x"] {
            assert!(relative(name).is_err(), "{name}");
        }
    }
}
