//! The study's JSON, out of the command line and the config file; the command line wins.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{
    config, describe, files,
    files::Templates,
    interpreter::Surroundings,
    spec::{named, pairs},
};
use crate::{
    failure::Failure,
    markers::{self, order},
    verbs::submit::Args,
};

/// Trials of a study unless something else is said.
const DEFAULT_TRIALS: u64 = 100;

/// A study that is ready to be created, but for its snapshot.
#[derive(Debug)]
pub struct Draft {
    /// The body of `POST /studies`; `run.snapshot` is still missing.
    pub body: Map<String, Value>,
    /// The name was chosen, not typed: when it is taken, the next one will do.
    pub name_is_default: bool,
    /// The directory goes along.
    pub with_snapshot: bool,
    /// The script, as a path from the current directory.
    pub script: Option<std::path::PathBuf>,
    /// Template files.
    pub templates: Templates,
    /// Things understood that change nothing.
    pub notes: Vec<String>,
}

/// Reads everything and checks what can be checked here. `here` answers this node's name, where `--here` asks for it.
pub fn draft(
    args: &Args,
    around: &Surroundings,
    here: impl FnOnce() -> Result<String, Failure>,
) -> Result<Draft, Failure> {
    let mut body = match &args.config {
        Some(path) => config::study(path)?,
        None => Map::new(),
    };
    let mut run = match body.remove("run") {
        Some(Value::Object(run)) => run,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(Failure::usage("`run` in the config must hold fields such as `command:`")),
    };
    let typed = if args.command.is_empty() { configured(&run)? } else { args.command.clone() };

    let expanded = markers::expand(&typed)?;
    let mut template_paths = texts(&run, "templates");
    template_paths.extend(args.template.iter().cloned());
    let templates = files::templates(&template_paths, &around.cwd)?;
    let mut notes = expanded.notes;
    notes.extend(templates.notes.iter().cloned());

    let mut space = match body.remove("space") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => config::params(&value, "the config")?,
    };
    if let Some(path) = &args.space {
        space.extend(config::space(path)?);
    }
    space.extend(expanded.params);
    space.extend(templates.params.iter().cloned());

    let command = if expanded.command.is_empty() { Vec::new() } else { around.resolve(&expanded.command)? };
    if space.is_empty() {
        if command.is_empty() {
            return Err(Failure::usage("there is nothing to run and nothing to search")
                .hint("metaopt submit -n NAME -- python train.py --lr~'loguniform(1e-5, 1)'"));
        }
        if !describe::may_describe(around, &command) {
            return Err(Failure::usage("there is nothing to search: the command holds no marker")
                .hint("mark what may vary, as in --lr~'loguniform(1e-5, 1)', or give --space FILE"));
        }
        space = describe::describe(&command, &around.cwd, describe::PATIENCE)?;
    }
    body.insert("space".into(), json!(order::parents_first(space)?));

    let typed_name = args.name.clone().or_else(|| body.get("name").and_then(Value::as_str).map(str::to_owned));
    let name = typed_name.clone().unwrap_or_else(|| around.default_name(&command));
    body.insert("name".into(), name.into());
    search(args, &mut body)?;

    let mut script = None;
    let mut with_snapshot = false;
    if command.is_empty() {
        only_with_command(args)?;
    } else {
        script = around.script(&command);
        with_snapshot = execution(args, &mut run, &command, around, here)? && !run.contains_key("snapshot");
        run.insert("templates".into(), json!(templates.paths));
        if !with_snapshot && !templates.paths.is_empty() {
            return Err(Failure::usage("--template needs a snapshot: in place it would overwrite your file")
                .hint("leave --in-place out"));
        }
        if let (Some(path), true) = (&script, with_snapshot)
            && files::inside(path, &around.cwd).is_none()
        {
            return Err(Failure::usage(format!(
                "{} is outside the current directory, which is what is submitted",
                path.display()
            ))
            .hint("cd to the project's top folder, or use --in-place"));
        }
        body.insert("run".into(), Value::Object(run));
    }
    Ok(Draft { body, name_is_default: typed_name.is_none(), with_snapshot, script, templates, notes })
}

/// `run.command` of a config file.
fn configured(run: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    match run.get("command") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            Ok(items.iter().map(crate::render::value::exact).collect())
        }
        Some(_) => Err(Failure::usage("`run.command` in the config must be a list of arguments")
            .hint("as in command: [python, train.py, \"--lr~loguniform(1e-5, 1)\"]")),
    }
}

fn texts(run: &Map<String, Value>, key: &str) -> Vec<String> {
    let items = run.get(key).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What is searched and how: objectives, sampler, rule, budget.
fn search(args: &Args, body: &mut Map<String, Value>) -> Result<(), Failure> {
    let objective = |direction: &'static str| move |metric: &String| json!({"metric": metric, "direction": direction});
    let typed: Vec<Value> = (args.minimize.iter().map(objective("minimize")))
        .chain(args.maximize.iter().map(objective("maximize")))
        .collect();
    if !typed.is_empty() {
        body.insert("objectives".into(), typed.into());
    } else if body.get("objectives").is_none_or(Value::is_null) {
        body.insert("objectives".into(), json!([{"metric": "loss", "direction": "minimize"}]));
    }
    if let Some(sampler) = &args.sampler {
        body.insert("sampler".into(), named("--sampler", "name", sampler)?.into());
    }
    if let Some(seed) = args.seed {
        let sampler = body.entry("sampler").or_insert_with(|| json!({"name": "auto"}));
        if let Some(sampler) = sampler.as_object_mut() {
            sampler.insert("seed".into(), seed.into());
        }
    }
    if let Some(rule) = &args.early_stopping {
        body.insert("early_stopping".into(), named("--early-stopping", "rule", rule)?.into());
    }
    let budget = body.entry("budget").or_insert_with(|| json!({}));
    if budget.is_null() {
        *budget = json!({});
    }
    if let Some(budget) = budget.as_object_mut() {
        set(budget, "max_trials", args.max_trials);
        set(budget, "max_parallel", args.max_parallel);
        set(budget, "timeout_s", args.max_time);
        set(budget, "priority", args.priority);
        set(budget, "strict", args.strict.then_some(true));
        budget.entry("max_trials").or_insert_with(|| DEFAULT_TRIALS.into());
    }
    set(body, "note", args.note.clone());
    set(body, "from", args.from.clone());
    Ok(())
}

fn set<T: Into<Value>>(map: &mut Map<String, Value>, key: &str, value: Option<T>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value.into());
    }
}

/// How and where it runs; answers whether the directory must go along.
fn execution(
    args: &Args,
    run: &mut Map<String, Value>,
    command: &[String],
    around: &Surroundings,
    here: impl FnOnce() -> Result<String, Failure>,
) -> Result<bool, Failure> {
    run.insert("command".into(), json!(command));
    set(run, "setup", args.setup.clone());
    set(run, "gpus", args.gpus);
    set(run, "cpus", args.cpus);
    set(run, "timeout_s", args.timeout);
    set(run, "max_attempts", args.max_attempts);
    set(run, "retry_failed", args.retry_failed.then_some(true));
    set(run, "lost_checkpoint", args.lost_checkpoint.clone());
    if args.in_place {
        run.insert("workdir".into(), "in_place".into());
    }
    let in_place = run.get("workdir").and_then(Value::as_str) == Some("in_place");
    if in_place && !run.contains_key("path") {
        run.insert("path".into(), path_text(&around.cwd)?.into());
    }
    let mut add = |key: &str, more: &[String]| {
        let mut all = texts(run, key);
        all.extend(more.iter().cloned());
        if !all.is_empty() {
            run.insert(key.to_owned(), json!(all));
        }
    };
    let links = args.link.iter().map(|link| absolute(link, &around.cwd)).collect::<Result<Vec<_>, _>>()?;
    add("links", &links);
    add("secret_env", &args.secret);
    let mut nodes = args.node.clone();
    if args.here {
        nodes.push(here()?);
    }
    add("nodes", &nodes);
    for (option, key, list) in [("--env", "env", &args.env), ("--requires", "requires", &args.requires)] {
        let typed = pairs(option, list)?;
        if !typed.is_empty() {
            let all = run.entry(key).or_insert_with(|| json!({}));
            if let Some(all) = all.as_object_mut() {
                all.extend(typed);
            }
        }
    }
    Ok(!in_place)
}

/// A link's path: relative ones stay so when they lie beneath this directory, where the snapshot has a place for them.
fn absolute(link: &str, cwd: &Path) -> Result<String, Failure> {
    match files::inside(Path::new(link), cwd) {
        Some(relative) => path_text(&relative),
        None => path_text(&std::path::absolute(cwd.join(link)).unwrap_or_else(|_| cwd.join(link))),
    }
}

fn path_text(path: &Path) -> Result<String, Failure> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::usage(format!("the path {} is not UTF-8, so JSON can't carry it", path.display())))
}

/// Without a command there is nothing that these could be about.
fn only_with_command(args: &Args) -> Result<(), Failure> {
    let given = [
        ("--setup", args.setup.is_some()),
        ("--in-place", args.in_place),
        ("--link", !args.link.is_empty()),
        ("--node", !args.node.is_empty()),
        ("--here", args.here),
        ("--gpus", args.gpus.is_some()),
        ("--cpus", args.cpus.is_some()),
        ("--env", !args.env.is_empty()),
        ("--secret", !args.secret.is_empty()),
        ("--template", !args.template.is_empty()),
        ("--timeout", args.timeout.is_some()),
        ("--requires", !args.requires.is_empty()),
        ("--max-attempts", args.max_attempts.is_some()),
        ("--retry-failed", args.retry_failed),
        ("--lost-checkpoint", args.lost_checkpoint.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(Failure::usage(format!("{option} is about a command, and there is none"))
            .hint("put the command behind `--`; without one the study is for ask and tell")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Wrapped {
        #[command(flatten)]
        args: Args,
    }

    fn draft_of(dir: &Path, line: &[&str]) -> Result<Draft, Failure> {
        let args = Wrapped::try_parse_from(std::iter::once("submit").chain(line.iter().copied())).unwrap().args;
        let around = Surroundings { environment: None, path: Vec::new(), cwd: dir.to_owned() };
        draft(&args, &around, || Ok("me".into()))
    }

    #[test]
    fn the_contracts_example() {
        let dir = tempfile::tempdir().unwrap();
        let draft = draft_of(
            dir.path(),
            &[
                "-n",
                "mnist",
                "--max-trials",
                "30",
                "--gpus",
                "1",
                "--minimize",
                "loss",
                "--early-stopping",
                "asha:max_steps=9",
                "--seed",
                "7",
                "--env",
                "A=b",
                "--timeout",
                "5m",
                "--here",
                "--",
                "python",
                "train.py",
                "--lr~loguniform(1e-5, 1)",
                "--m~uniform(0, 1) if opt == \"sgd\"",
                "--opt~choices([\"sgd\",\"adam\"])",
            ],
        )
        .unwrap();
        assert!(draft.with_snapshot && !draft.name_is_default);
        assert_eq!(
            Value::Object(draft.body),
            json!({"name": "mnist",
                "space": [{"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": true},
                    {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
                    {"name": "m", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}}],
                "objectives": [{"metric": "loss", "direction": "minimize"}],
                "sampler": {"name": "auto", "seed": 7},
                "early_stopping": {"rule": "asha", "max_steps": 9},
                "budget": {"max_trials": 30},
                "run": {"command": ["python", "train.py", "--lr", "{lr}", "--m", "{m}", "--opt", "{opt}"], "gpus": 1.0,
                    "env": {"A": "b"}, "timeout_s": 300.0, "nodes": ["me"], "templates": []}})
        );
    }

    #[test]
    fn a_config_file_gives_what_the_line_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("sweep.yaml");
        std::fs::write(
            &config,
            "name: a\nobjectives: [{metric: acc, direction: maximize}]\nbudget: {max_trials: 5, max_parallel: 2}\nrun:\n  command: [python, t.py, '--lr~uniform(0, 1)']\n  env: {X: '1', A: old}\n",
        )
        .unwrap();
        let draft = draft_of(
            dir.path(),
            &["--config", config.to_str().unwrap(), "-n", "b", "--max-trials", "9", "--env", "A=new"],
        );
        let body = Value::Object(draft.unwrap().body);
        assert_eq!(body["name"], "b");
        assert_eq!(body["budget"], json!({"max_trials": 9, "max_parallel": 2}));
        assert_eq!(body["objectives"][0]["metric"], "acc");
        assert_eq!(body["run"]["command"], json!(["python", "t.py", "--lr", "{lr}"]));
        assert_eq!(body["run"]["env"], json!({"X": "1", "A": "new"}));
    }

    #[test]
    fn a_space_without_a_command_is_for_ask_and_tell() {
        let dir = tempfile::tempdir().unwrap();
        let space = dir.path().join("space.json");
        std::fs::write(&space, r#"[{"name": "x", "type": "float", "low": 0, "high": 1}]"#).unwrap();
        let draft = draft_of(dir.path(), &["-n", "svm", "--space", space.to_str().unwrap()]).unwrap();
        assert!(!draft.with_snapshot && !draft.body.contains_key("run"));
        assert_eq!(draft.body["budget"]["max_trials"], 100);
        let failure =
            draft_of(dir.path(), &["-n", "svm", "--space", space.to_str().unwrap(), "--gpus", "1"]).unwrap_err();
        assert!(failure.message.contains("--gpus is about a command"));
    }

    #[test]
    fn what_cannot_work_is_told_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("c.yaml"), "lr: lr~bool()\n").unwrap();
        for (line, said) in [
            (vec!["--", "python", "train.py"], "nothing to search"),
            (vec!["-n", "x"], "nothing to run and nothing to search"),
            (vec!["--env", "A", "--", "p", "-x~bool()"], "is not KEY=VALUE"),
            (vec!["--template", "gone.yaml", "--", "p", "-x~bool()"], "cannot read the template"),
            (vec!["--in-place", "--template", "c.yaml", "--", "p"], "needs a snapshot"),
            (vec!["--", "p", "--m~bool() if otp == 1", "--opt~choices([1])"], "no parameter `otp`"),
        ] {
            let failure = draft_of(dir.path(), &line).unwrap_err();
            assert!(failure.message.contains(said), "{line:?}: {failure:?}");
            assert_eq!(failure.code, crate::failure::USAGE);
        }
    }
}
