//! `metaopt logs [-f] TRIAL`

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read as _},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    context::{Context, trial_path, unknown_trial},
    failure::{Doing, Failure, NO_DAEMON},
    json::{count, list, text},
    render::strip::{Stripper, strip},
};

/// How long the daemon may be away while a log is followed.
const AWAY: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// What a trial printed
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Label or ID
    #[arg(value_name = "TRIAL")]
    pub trial: String,
    /// Follow it until the trial is over, attempt after attempt
    #[arg(long, short)]
    pub follow: bool,
}

/// Prints the log; in a terminal without the escapes in it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if args.follow { follow(&args.trial, context) } else { whole(&args.trial, context) }
}

fn whole(trial: &str, context: &Context) -> Result<(), Failure> {
    let reader = context.client()?.stream(&trial_path(trial, "/logs"));
    let mut reader = BufReader::new(reader.map_err(|failure| log_missing(failure, trial))?);
    let broke = || "the log broke off".to_owned();
    if context.out.terminal {
        // By lines, so that no character is cut in two.
        let (mut stripper, mut line) = (Stripper::default(), Vec::new());
        while reader.read_until(b'\n', &mut line).doing(broke)? > 0 {
            context.out.print(&stripper.strip(&String::from_utf8_lossy(&line)))?;
            line.clear();
        }
        return Ok(());
    }
    let mut buffer = [0; 16 << 10];
    loop {
        match reader.read(&mut buffer).doing(broke)? {
            0 => return Ok(()),
            n => context.out.write(&buffer[..n])?,
        }
    }
}

/// Prints attempt after attempt until the trial is over. What stands in the way is said once, and waited for.
fn follow(trial: &str, context: &Context) -> Result<(), Failure> {
    let mut client = context.client()?.clone();
    let mut shown = context.trial(trial)?;
    let id = text(&shown, "id").to_owned();
    let mut stripper = Stripper::default();
    let (mut read, mut since, mut told) = (Read::default(), Instant::now(), None);
    let Some(mut attempt) = read.next(&shown, 0, false) else {
        // The daemon's words for a trial that was not started yet.
        client.stream(&trial_path(&id, "/logs")).map_err(|failure| log_missing(failure, trial))?;
        return Ok(());
    };
    loop {
        let path = trial_path(&id, &format!("/logs?follow=true&attempt={attempt}"));
        let mut away = None;
        if !read.ended.contains(&attempt) {
            match client.events(&path, read.position(attempt)) {
                Ok(mut events) => {
                    while let Ok(Some(event)) = events.next_event() {
                        (since, told) = (Instant::now(), None);
                        if event.name == "end" {
                            read.ended.insert(attempt);
                            break;
                        }
                        read.positions.insert(attempt, event.id);
                        let line = format!("{}\n", event.data);
                        context.out.print(&if context.out.terminal { stripper.strip(&line) } else { line })?;
                    }
                }
                Err(failure) if failure.code == NO_DAEMON || matches!(failure.status, Some(404 | 503)) => {
                    away = Some(log_missing(failure, trial));
                }
                Err(failure) => return Err(failure),
            }
        }
        match client.get(&trial_path(&id, "")) {
            Ok(now) => (shown, since) = (now, Instant::now()),
            Err(failure) if failure.code == NO_DAEMON && since.elapsed() < AWAY => away = Some(failure),
            Err(failure) => return Err(failure),
        }
        if let Some(next) = read.next(&shown, attempt, away.is_some()) {
            context.out.say(format!("{}; going on with attempt {next}", how_it_ended(&shown, attempt)));
            attempt = next;
            continue;
        }
        let (over, ended) = (is_over(&shown), ended(&shown, attempt).is_some());
        let words = match away {
            Some(failure) if failure.code != NO_DAEMON && over => return Err(failure),
            // Nobody keeps a log of it, and no other attempt comes while this one runs.
            Some(failure) if failure.status == Some(404) && !ended => return Err(failure),
            Some(failure) => Some(format!("metaopt: {}; waiting", failure.message)),
            None if read.ended.contains(&attempt) && over => return Ok(()),
            None if read.ended.contains(&attempt) && ended => {
                Some(format!("{}; waiting for the next", how_it_ended(&shown, attempt)))
            }
            None => None,
        };
        // Once: the words may count seconds.
        if let Some(words) = words.filter(|_| told != Some(attempt)) {
            context.out.say(words);
            told = Some(attempt);
        }
        std::thread::sleep(LOOK);
        if let Ok(Some(found)) = context.place.running() {
            client = found;
        }
    }
}

/// What of which attempts was printed.
#[derive(Debug, Default)]
struct Read {
    /// Attempt → its last line's position.
    positions: BTreeMap<u64, String>,
    /// Their logs are at their ends.
    ended: BTreeSet<u64>,
}

impl Read {
    fn position(&self, attempt: u64) -> &str {
        self.positions.get(&attempt).map_or("", String::as_str)
    }

    /// The attempt to go on with in place of `now`: where that is over, one that runs, else a later one; where nothing can be
    /// read of it (`away`), a later one that runs. So it never goes to and fro.
    fn next(&self, trial: &Value, now: u64, away: bool) -> Option<u64> {
        let over = now == 0 || self.ended.contains(&now) || ended(trial, now).is_some();
        let open = |n: &u64| !self.ended.contains(n) && *n != now;
        let runs = numbers(trial).filter(open).filter(|n| ended(trial, *n).is_none() && (over || *n > now)).last();
        let later = numbers(trial).filter(open).filter(|n| over && *n > now).last();
        runs.or(later).filter(|_| over || away)
    }
}

fn numbers(trial: &Value) -> impl Iterator<Item = u64> {
    list(trial, "attempts").iter().map(|attempt| count(attempt, "attempt"))
}

/// Why an attempt is over; none while it runs.
fn ended(trial: &Value, attempt: u64) -> Option<&Value> {
    let found = list(trial, "attempts").iter().find(|one| count(one, "attempt") == attempt)?;
    Some(found).filter(|found| !text(found, "reason").is_empty())
}

/// `attempt 1 was lost with box5`
fn how_it_ended(trial: &Value, attempt: u64) -> String {
    let Some(found) = ended(trial, attempt) else {
        return format!("attempt {attempt} is over or out of reach");
    };
    match text(found, "reason") {
        "lost_node" => format!("attempt {attempt} was lost with {}", strip(text(found, "node"))),
        "paused" => format!("attempt {attempt} was paused"),
        reason => format!("attempt {attempt} ended ({reason})"),
    }
}

/// No further attempt comes.
fn is_over(trial: &Value) -> bool {
    matches!(text(trial, "state"), "complete" | "pruned" | "fail" | "infeasible" | "cancelled")
}

/// A 404 is about the trial or about its log; only the daemon knows which.
fn log_missing(failure: Failure, trial: &str) -> Failure {
    if failure.message.contains("log") { failure } else { unknown_trial(failure, trial) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_goes_on_to_what_runs_and_never_to_and_fro() {
        let trial = |reasons: &[Option<&str>]| {
            let all = reasons.iter().enumerate().map(|(i, reason)| json!({"attempt": i + 1, "reason": reason}));
            json!({"attempts": all.collect::<Vec<_>>()})
        };
        let mut read = Read::default();
        assert_eq!(read.next(&trial(&[]), 0, false), None);
        assert_eq!(read.next(&trial(&[Some("exit"), Some("exit")]), 0, false), Some(2));
        assert_eq!(read.next(&trial(&[None, Some("superseded")]), 0, false), Some(1));
        let both = trial(&[None, None]);
        assert_eq!((read.next(&both, 1, false), read.next(&both, 1, true)), (None, Some(2)));
        assert_eq!(read.next(&both, 2, true), None);
        let first = trial(&[None, Some("superseded")]);
        assert_eq!((read.next(&first, 2, true), read.next(&first, 1, true)), (Some(1), None));
        assert_eq!(read.next(&trial(&[Some("lost_node"), None]), 1, false), Some(2));
        read.ended.insert(1);
        assert_eq!(read.next(&trial(&[None, Some("superseded")]), 2, true), None, "it was printed already");
    }
}
