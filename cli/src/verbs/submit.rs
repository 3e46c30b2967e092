//! `metaopt submit …`, and 2017's shorthand without the word: creates a study, and follows it where asked.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::ValueHint;
use serde_json::{Map, Value, json};

use super::{best, follow};
use crate::{
    cli::seconds,
    client::{Client, http::refusal},
    cluster::{and, members, no_such},
    context::{Context, study_path},
    failure::{FAILED, Failure},
    json::{list, some, text, trials_in},
    render::{strip::strip, value},
    submit::{body, dry_run, files, interpreter::Surroundings},
};

/// Create a study that runs a command
///
/// Mark what may vary in the command: --lr~'loguniform(1e-5, 1)'. These options stand before the script or before `--`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    override_usage = "metaopt submit [OPTIONS] SCRIPT [--flag~'prior(…)']…\n       metaopt submit [OPTIONS] -- PROGRAM [ARGS]…"
)]
pub struct Args {
    /// What the study is called [default: the script's name]
    #[arg(short, long, help_heading = "Study")]
    pub name: Option<String>,
    /// A study in YAML or JSON; options given here win over it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Study")]
    pub config: Option<PathBuf>,
    /// Parameters in JSON or YAML (- for standard input), beside those marked
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Study")]
    pub space: Option<PathBuf>,
    /// A text file whose markers are filled in for each trial
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Study")]
    pub template: Vec<String>,
    /// Words for people
    #[arg(long, value_name = "TEXT", help_heading = "Study")]
    pub note: Option<String>,

    /// A metric to make small [default: loss]
    #[arg(long, value_name = "METRIC", help_heading = "Search")]
    pub minimize: Vec<String>,
    /// A metric to make large
    #[arg(long, value_name = "METRIC", help_heading = "Search")]
    pub maximize: Vec<String>,
    /// How configurations are proposed: auto, gp, tpe, cmaes, bore, evolution, nsga2, sobol, random, grid
    #[arg(long, value_name = "NAME[:k=v,…]", help_heading = "Search")]
    pub sampler: Option<String>,
    /// Makes the proposals of one machine reproducible
    #[arg(long, value_name = "N", help_heading = "Search")]
    pub seed: Option<u64>,
    /// When trials are ended early: none, median, percentile, patience
    #[arg(long, value_name = "RULE[:k=v,…]", help_heading = "Search")]
    pub early_stopping: Option<String>,

    /// Start from the results of this study, as far as they fit
    #[arg(long, value_name = "STUDY", help_heading = "Search")]
    pub from: Option<String>,

    /// Trials in all [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Budget")]
    pub max_trials: Option<u64>,
    /// Trials at once, over all machines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Budget")]
    pub max_parallel: Option<u64>,
    /// Start nothing new after this time (30m, 12h)
    #[arg(long, value_name = "TIME", value_parser = seconds, help_heading = "Budget")]
    pub max_time: Option<f64>,
    /// Never above --max-trials, even while machines can't see one another
    #[arg(long, help_heading = "Budget")]
    pub strict: bool,
    /// Larger goes first
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Budget")]
    pub priority: Option<i64>,

    /// GPUs per trial; a share below 1, or 0 for none
    #[arg(long, value_name = "N", help_heading = "Each trial")]
    pub gpus: Option<f64>,
    /// CPU slots per trial
    #[arg(long, value_name = "N", help_heading = "Each trial")]
    pub cpus: Option<u64>,
    /// Time that one attempt may take (30s, 5m, 2h)
    #[arg(long, value_name = "TIME", value_parser = seconds, help_heading = "Each trial")]
    pub timeout: Option<f64>,
    /// Attempts per trial, failures of machines not counted [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Each trial")]
    pub max_attempts: Option<u64>,
    /// Try again after failures of the script too
    #[arg(long, help_heading = "Each trial")]
    pub retry_failed: bool,
    /// What becomes of a trial whose checkpoint only boxes have that can't be reached [default: restart]
    #[arg(long, value_name = "WHAT", value_parser = ["restart", "wait"], help_heading = "Each trial")]
    pub lost_checkpoint: Option<String>,
    /// A variable of its environment; for passwords and keys use --secret
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Each trial")]
    pub env: Vec<String>,
    /// A secret that it is given, by name (metaopt secret set NAME)
    #[arg(long, value_name = "NAME", help_heading = "Each trial")]
    pub secret: Vec<String>,
    /// A command to run once per machine before the first trial there
    #[arg(long, value_name = "CMD", help_heading = "Each trial")]
    pub setup: Option<String>,

    /// Run in this directory itself rather than in copies of it (shared file systems)
    #[arg(long, help_heading = "Where")]
    pub in_place: bool,
    /// A path that isn't submitted but must be there (big data)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, help_heading = "Where")]
    pub link: Vec<String>,
    /// Only on this machine; repeat for several
    #[arg(long, value_name = "NODE", help_heading = "Where")]
    pub node: Vec<String>,
    /// Only on the machine you are at
    #[arg(long, help_heading = "Where")]
    pub here: bool,
    /// Only on machines with this label
    #[arg(long, value_name = "KEY=VALUE", visible_alias = "label", help_heading = "Where")]
    pub requires: Vec<String>,

    /// Show what would happen, and create nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Follow it; Ctrl-C ends the watching only
    #[arg(long, short)]
    pub watch: bool,

    /// The script and its arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<String>,
}

/// How long `submit` waits for a node that can run the study before it says that there is none.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(150);
/// Most reasons, and nodes of each, that are named when none can run it.
const NAMED: usize = 4;

/// Creates the study.
pub fn run(args: Args, context: &Context, shorthand: bool) -> Result<(), Failure> {
    let around = Surroundings::here()?;
    let draft = body::draft(&args, &around, || this_node(context))?;
    for note in &draft.notes {
        context.out.say(format!("note: {note}"));
    }
    for option in misplaced(draft.body.get("run").and_then(|run| run.get("command"))) {
        context.out.say(format!(
            "note: {option} stands after the script, so that the script gets it; metaopt's own options stand before"
        ));
    }
    if draft.with_snapshot {
        files::check_directory(&around.cwd)?;
    }
    if !args.node.is_empty() {
        known(&args.node, context.client()?)?;
    }
    if args.dry_run {
        return dry_run::run(context, &draft, &around);
    }
    let client = context.client()?;
    let mut body = draft.body;
    if draft.with_snapshot {
        files::list(&around.cwd, draft.script.as_deref(), &draft.templates)?;
        let hash = files::send(client, &around.cwd, &draft.templates)?;
        if let Some(run) = body.get_mut("run").and_then(Value::as_object_mut) {
            run.insert("snapshot".into(), hash.into());
        }
    }
    let study = create(client, body, draft.name_is_default)?;
    if let Some(warm) = some(&study, "warm_start") {
        warm_start(warm).into_iter().for_each(|line| context.out.say(line));
    }
    let (name, id) = (text(&study, "name").to_owned(), text(&study, "id").to_owned());
    let follow_it = shorthand || args.watch;
    if !follow_it {
        return told(context, study);
    }
    context.out.say(format!("study {} ({id})", context.out.talk.strong(&name)));
    let study = follow::follow(context, &id)?;
    finish(context, &study)
}

/// What the new study took from another, for people.
fn warm_start(warm: &Value) -> Vec<String> {
    let count = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).unwrap_or(0);
    let left_out = list(warm, "left_out");
    let taken = count(warm, "taken");
    let all = taken + left_out.iter().map(|one| count(one, "trials")).sum::<u64>();
    let mut lines = vec![format!("starts from {taken} of the {all} finished trials of {}", strip(text(warm, "study")))];
    let reasons = left_out.iter().map(|one| format!("left out {}: {}", count(one, "trials"), strip(text(one, "why"))));
    lines.extend(reasons);
    lines
}

/// Arguments of the script that look like options meant for metaopt. Only words a training script would hardly use.
fn misplaced(command: Option<&Value>) -> Vec<&str> {
    const OURS: [&str; 6] =
        ["--max-trials", "--max-parallel", "--minimize", "--maximize", "--early-stopping", "--dry-run"];
    let arguments = command.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    arguments.filter(|arg| OURS.contains(&arg.split('=').next().unwrap_or_default())).collect()
}

fn told(context: &Context, mut study: Value) -> Result<(), Failure> {
    let (name, id) = (text(&study, "name").to_owned(), text(&study, "id").to_owned());
    let has_run = some(&study, "run").is_some();
    if context.out.json {
        if has_run && let Some(study) = study.as_object_mut() {
            study.insert("places".into(), places(context.client()?, &id).into());
        }
        return context.out.body(&study);
    }
    context.out.line(if context.out.terminal {
        format!("{}  {id}", context.out.style.strong(&name))
    } else {
        format!("{name}\t{id}")
    })?;
    if !has_run {
        context
            .out
            .hint(format!("ask and tell: POST /api/v1/studies/{name}/trials/suggest, or metaopt.load_study({name:?})"));
        return Ok(());
    }
    let places = places(context.client()?, &id);
    if !places.is_empty() && !places.iter().any(is_ready) {
        context.out.say(nowhere(&places, list(study.get("run").unwrap_or(&Value::Null), "nodes")));
    }
    context.out.hint(format!("metaopt status {name} --watch follows it"));
    Ok(())
}

/// The nodes and whether each could run the study, once one could, or after a while. Nodes look for links, interpreters
/// and permissions in the moment after the study came, and fetch its snapshot. Empty where the daemon doesn't tell: the
/// study is there all the same.
fn places(client: &Client, id: &str) -> Vec<Value> {
    let until = Instant::now() + FIRST_LOOK;
    loop {
        let Ok(body) = client.get(&study_path(id, "/places")) else { return Vec::new() };
        let places = list(&body, "items");
        if places.iter().any(is_ready) || Instant::now() >= until {
            return places.to_vec();
        }
        thread::sleep(LOOK);
    }
}

fn is_ready(place: &Value) -> bool {
    place.get("ready") == Some(&json!(true)) && place.get("slots").and_then(Value::as_u64).unwrap_or(0) > 0
}

/// That no node can run it, and why: those that the study is for first, then this one.
fn nowhere(places: &[Value], only: &[Value]) -> String {
    let why = |place: &Value| match some(place, "why").map(value::short) {
        Some(why) => why,
        None if place.get("snapshot") == Some(&json!(false)) => "does not have its files yet".to_owned(),
        None => "runs no trials".to_owned(),
    };
    let elsewhere = places.iter().skip(1).any(|place| place.get("known") == Some(&json!(true)));
    let head = if elsewhere { "no machine can run it now" } else { "only on this machine" };
    if let [own] = places {
        return format!("{head}: {}", why(own));
    }
    let is_meant =
        |place: &Value| ["name", "node"].iter().any(|key| place.get(key).is_some_and(|it| only.contains(it)));
    let (meant, others): (Vec<&Value>, Vec<&Value>) = places.iter().partition(|place| is_meant(place));
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for place in meant.into_iter().chain(others) {
        let (why, name) = (why(place), strip(text(place, "name")));
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => groups.push((why, vec![name])),
        }
    }
    let mut all: Vec<String> =
        groups.iter().take(NAMED).map(|(why, names)| format!("{}: {why}", named(names))).collect();
    let more: usize = groups.iter().skip(NAMED).map(|(_, names)| names.len()).sum();
    if more > 0 {
        all.push(format!("{more} more"));
    }
    format!("{head}: {}", all.join("; "))
}

/// `a, b and c`, or the first of many.
fn named(names: &[String]) -> String {
    match names.len() {
        0..=NAMED => and(names),
        n => and(&[&names[..NAMED], &[format!("{} more", n - NAMED)]].concat()),
    }
}

/// Refuses nodes that aren't there, before a study waits for them.
fn known(wanted: &[String], client: &Client) -> Result<(), Failure> {
    let nodes = client.list("/nodes", usize::MAX)?;
    let is = |node: &Value, wanted: &str| [text(node, "name"), text(node, "id")].contains(&wanted);
    match wanted.iter().find(|wanted| !members(&nodes).any(|node| is(node, wanted))) {
        Some(unknown) => Err(no_such(&nodes, unknown)),
        None => Ok(()),
    }
}

fn finish(context: &Context, study: &Value) -> Result<(), Failure> {
    let name = text(study, "name");
    if trials_in(study, "complete") == 0 {
        let mut failure = Failure::failed(format!("no trial of `{name}` completed"));
        if let Some(last) = follow::last_failure(context.client()?, text(study, "id")) {
            let label = last.split(':').next().unwrap_or_default().to_owned();
            failure = failure.cause(last).hint(format!("metaopt logs {label} shows what it printed"));
        }
        return Err(failure);
    }
    if list(study, "objectives").len() > 1 {
        return best::run(best::Args { study: text(study, "id").to_owned(), as_args: false }, context);
    }
    let Some(trial) = some(study, "best") else {
        return Err(Failure { code: FAILED, ..Failure::failed(format!("no trial of `{name}` is feasible")) }
            .hint(format!("metaopt trials {name} lists them")));
    };
    if context.out.json {
        return context.out.body(trial);
    }
    context.out.print(&best::page(study, trial, context.out.style))
}

/// Posts the study; a default name that is taken gives way to `name-2`, `name-3`, ….
fn create(client: &Client, mut body: Map<String, Value>, name_is_default: bool) -> Result<Value, Failure> {
    let stem = body.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    for n in 2u32.. {
        let reply = client.reply("POST", "/studies", Some(&json!(body)))?;
        match reply.status {
            // Other conflicts say themselves what to do.
            409 if !text(&reply.body, "detail").contains("there is a study") => return Err(refusal(&reply)),
            409 if name_is_default && n < 10_000 => {
                body.insert("name".into(), format!("{stem}-{n}").into());
            }
            409 => {
                return Err(refusal(&reply).hint(format!("choose another name with -n, or `metaopt delete {stem}`")));
            }
            status if status >= 400 => return Err(refusal(&reply)),
            _ => return Ok(reply.body),
        }
    }
    Err(Failure::failed("every name is taken"))
}

/// The name of the node whose daemon this is.
fn this_node(context: &Context) -> Result<String, Failure> {
    let cluster = context.client()?.get("/cluster")?;
    match text(&cluster, "name") {
        "" => Err(Failure::failed("the daemon does not say which node it is").hint("name it with --node")),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{misplaced, warm_start};

    #[test]
    fn what_was_left_out_of_another_study_is_told_with_the_reason() {
        let warm = serde_json::json!({"study": "old", "taken": 7, "left_out": [{"why": "`x` is missing, and has no default", "trials": 2}]});
        assert_eq!(
            warm_start(&warm),
            ["starts from 7 of the 9 finished trials of old", "left out 2: `x` is missing, and has no default"]
        );
    }

    #[test]
    fn options_of_metaopt_behind_the_script_are_noticed() {
        let command = serde_json::json!(["python", "train.py", "--lr", "{lr}", "--max-trials", "5", "--minimize=loss"]);
        assert_eq!(misplaced(Some(&command)), ["--max-trials", "--minimize=loss"]);
        assert!(misplaced(None).is_empty());
    }
}
