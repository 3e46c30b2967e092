//! `metaopt logs [-f] TRIAL`

use std::{
    io::{BufRead, BufReader, Read},
    time::{Duration, Instant},
};

use crate::{
    context::{Context, trial_path, unknown_trial},
    failure::{Doing, Failure, NO_DAEMON},
    render::strip::Stripper,
};

/// How long the daemon may be away while a log is followed.
const AWAY: Duration = Duration::from_secs(60);

/// What a trial printed
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Label or ID
    #[arg(value_name = "TRIAL")]
    pub trial: String,
    /// Follow it until the trial ends
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

/// Each event is a line, its ID the place to go on from when the daemon was away for a moment.
fn follow(trial: &str, context: &Context) -> Result<(), Failure> {
    let path = trial_path(trial, "/logs?follow=true");
    let mut client = context.client()?.clone();
    let mut stripper = Stripper::default();
    let (mut after, mut since) = (String::new(), Instant::now());
    loop {
        match client.events(&path, &after) {
            Ok(mut events) => {
                while let Ok(Some(event)) = events.next_event() {
                    since = Instant::now();
                    if event.name == "end" {
                        return Ok(());
                    }
                    after.clone_from(&event.id);
                    let line = format!("{}\n", event.data);
                    context.out.print(&if context.out.terminal { stripper.strip(&line) } else { line })?;
                }
            }
            Err(failure) if failure.code == NO_DAEMON || failure.status == Some(503) => {
                if since.elapsed() > AWAY {
                    return Err(failure);
                }
            }
            Err(failure) => return Err(log_missing(failure, trial)),
        }
        std::thread::sleep(Duration::from_millis(300));
        if let Ok(Some(found)) = context.place.running() {
            client = found;
        }
    }
}

/// A 404 is about the trial or about its log; only the daemon knows which.
fn log_missing(failure: Failure, trial: &str) -> Failure {
    if failure.message.contains("log") { failure } else { unknown_trial(failure, trial) }
}
