//! `metaopt gc`

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    context::Context,
    failure::{FAILED, Failure},
    json::{count, list, some, text},
    render::{
        table::{Cell, Table},
        value,
    },
};

/// Remove what is old, too much, or of deleted studies: logs, checkpoints, outputs, snapshots, environments
///
/// The daemon does the same every hour. What belongs to a running, waiting or paused trial, and everything of a study's best
/// trial (or Pareto front) stays. Limits stand in `metaopt.toml` of the data directory.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Remove nothing; print what would be removed
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

/// Collects. In a pipe: kind, count, bytes, oldest, held, removed, bytes freed. Exit code 1 when something could not go.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let body = json!({"dry_run": args.dry_run}).to_string();
    // However long it takes.
    let answer = context.client()?.send("POST", "/gc", "application/json", body)?;
    let failed = list(&answer, "failed");
    if context.out.json {
        context.out.body(&answer)?;
    } else {
        context.out.table(&table(&answer, context.out.terminal))?;
        for note in list(&answer, "notes") {
            context.out.say(format!("note: {}", value::short(note)));
        }
        for failure in failed {
            context.out.say(format!("could not remove {}: {}", text(failure, "path"), text(failure, "detail")));
        }
        let verb = if args.dry_run { "would free" } else { "freed" };
        let (things, freed) = (count(&answer, "removed"), value::bytes(count(&answer, "freed_bytes")));
        context.out.say(format!("{verb} {freed} in {things} {}", if things == 1 { "thing" } else { "things" }));
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::silent(FAILED)) }
}

fn table(answer: &Value, terminal: bool) -> Table {
    // Scripts get bytes and times as they are.
    let size = |row: &Value, key: &str| match terminal {
        true => value::bytes(count(row, key)),
        false => count(row, key).to_string(),
    };
    let freed = if answer["dry_run"] == true { "would free" } else { "freed" };
    let mut table = Table::new(["kind", "count", "size", "oldest", "held", "gone", freed, "kept for", "quota"]);
    for row in list(answer, "kinds") {
        let oldest = match some(row, "oldest") {
            Some(time) if terminal => value::ago(time).map_or_else(String::new, |ago| format!("{ago} ago")),
            Some(time) => value::short(time),
            None => String::new(),
        };
        let age = row["keep_s"].as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
        let quota = row["quota_bytes"].as_u64();
        table.row(vec![
            Cell::from(text(row, "kind")),
            Cell::from(count(row, "count").to_string()).right(),
            Cell::from(size(row, "bytes")).right(),
            Cell::from(oldest).right(),
            Cell::from(count(row, "held").to_string()).right(),
            Cell::from(count(row, "removed").to_string()).right(),
            Cell::from(size(row, "freed_bytes")).right(),
            Cell::from(age.map_or_else(|| "ever".to_owned(), kept)).right(),
            Cell::from(quota.map_or_else(|| "none".to_owned(), value::bytes)).right(),
        ]);
    }
    table
}

/// `30d`, else as other durations.
fn kept(age: Duration) -> String {
    const DAY: u64 = 86_400;
    match age.as_secs() {
        s if s >= DAY && s.is_multiple_of(DAY) => format!("{}d", s / DAY),
        _ => value::duration(age),
    }
}
