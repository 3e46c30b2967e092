//! The tree of commands and the page that `metaopt --help` shows.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::verbs;

/// The overview, by what people are after. Written by hand: clap knows no groups of subcommands.
const HELP: &str = "\
metaopt finds good hyperparameters: it runs your script with many, on every machine you give it.

Usage: metaopt [OPTIONS] SCRIPT [--flag~'prior(…)']…      search now, and show progress
       metaopt COMMAND [OPTIONS] …

Search:
  submit       Create a study that runs a command
  enqueue      Try given parameters next
  fork         Start a new study from an old one's trials
  pause, resume, cancel
               Hold, continue or end a study or a trial
  retry        Run an ended trial again
  archive, delete
               Put a study away, or remove it for good

Look:
  status       All studies, or one in detail (--watch follows it)
  open         The dashboard, in a browser
  best         The best trial (--as-args: as arguments)
  trials       The trials of a study
  show         One trial
  logs         What a trial printed (-f follows it)
  explain      Where a trial's parameters came from
  pull         Fetch a trial's output files
  export, import
               All trials as CSV, JSON lines or Parquet, and back

Machines:
  up           Start the daemon of this machine; up HOST…: bring others in over ssh
  invite, join, leave
               Let a machine in with a code; become a member; go for good
  nodes        The machines and their slots
  node         Drain, resume, give up or remove one
  secret       Passwords and keys for trials, kept on this machine
  doctor       Look for what is wrong here
  gc           Remove old logs, checkpoints, outputs, … (--dry-run: only say what)

Inside a trial:
  report       Give a point of the training curve; prints continue, stop or pause
  complete     Give the trial's result

Other:
  demo         Watch a cluster on this machine: three nodes, a search, a power cut
  completions  Completions for your shell

Priors: uniform(a,b) loguniform(a,b) randint(a,b) lograndint(a,b) quniform(a,b,step) normal(mean,dev)
        choices([…]) ordinal([…]) bool() fidelity(low,high)
        as in:  metaopt --max-trials 50 train.py --lr~'loguniform(1e-5, 1)' --layers~'randint(1, 12)'

Options:
      --json             Print what the daemon answered, as JSON
      --data-dir DIR     The daemon's data directory [env: METAOPT_DATA_DIR]
  -h, --help             Print help; `metaopt COMMAND --help` tells more
  -V, --version          Print the version
";

/// Everything that can be asked of `metaopt`.
#[derive(Debug, Parser)]
#[command(name = "metaopt", version, override_help = HELP, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// Options that stand anywhere.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Print what the daemon answered, as JSON
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// The daemon's data directory [env: METAOPT_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", display_order = 901, value_hint = clap::ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each verb's own Args says what it does")]
pub enum Verb {
    Submit(Box<verbs::submit::Args>),
    #[command(visible_alias = "list")]
    Status(verbs::status::Args),
    Trials(verbs::trials::Args),
    Show(verbs::show::Args),
    Best(verbs::best::Args),
    #[command(visible_alias = "log")]
    Logs(verbs::logs::Args),
    Explain(verbs::explain::Args),
    Pull(verbs::pull::Args),
    Pause(verbs::pause::Args),
    Resume(verbs::resume::Args),
    Cancel(verbs::cancel::Args),
    Retry(verbs::retry::Args),
    Enqueue(verbs::enqueue::Args),
    Fork(verbs::fork::Args),
    Archive(verbs::archive::Args),
    Delete(verbs::delete::Args),
    Export(verbs::export::Args),
    Import(verbs::import::Args),
    Report(verbs::report::Args),
    Complete(verbs::complete::Args),
    Up(verbs::up::Args),
    Invite(verbs::invite::Args),
    Join(verbs::join::Args),
    Leave(verbs::leave::Args),
    Nodes(verbs::nodes::Args),
    Node(verbs::node::Args),
    Open(verbs::open::Args),
    Secret(verbs::secret::Args),
    Doctor(verbs::doctor::Args),
    Gc(verbs::gc::Args),
    Completions(verbs::completions::Args),
    Demo(verbs::demo::Args),
    #[command(name = "demo-trial", hide = true)]
    DemoTrial(verbs::demo_trial::Args),
}

/// File formats of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values, one trial a line
    Csv,
    /// One JSON object a line, which `metaopt import` reads
    Jsonl,
    /// Apache Parquet
    Parquet,
}

impl Format {
    /// The word in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// A duration as typed: `30s`, `5m`, `2h`, `1d`, `500ms`, or plain seconds.
pub fn seconds(text: &str) -> Result<f64, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err("write a number and s, m, h or d, as in 30s, 5m or 2h".into()),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number * factor),
        Ok(_) => Err("must be above 0".into()),
        Err(_) => Err("write a number and s, m, h or d, as in 30s, 5m or 2h".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_overview_names_every_verb() {
        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            let named = HELP
                .lines()
                .any(|line| line.starts_with("  ") && line.trim_start().split([' ', ',']).any(|word| word == name));
            assert!(named, "`{name}` is missing in the overview");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(seconds("30s"), Ok(30.0));
        assert_eq!(seconds("5m"), Ok(300.0));
        assert_eq!(seconds("1.5h"), Ok(5400.0));
        assert_eq!(seconds("90"), Ok(90.0));
        assert!(seconds("5 fortnights").is_err() && seconds("0s").is_err() && seconds("s").is_err());
    }
}
