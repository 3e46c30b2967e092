//! `metaopt logs [-f] TRIAL`

use std::io::{BufRead, BufReader, Read};

use crate::{
    context::{Context, trial_path, unknown_trial},
    failure::{Doing, Failure},
    render::strip::Stripper,
    sse,
};

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
    let more = if args.follow { "/logs?follow=true" } else { "/logs" };
    let (kind, mut reader) = context
        .client()?
        .stream(&trial_path(&args.trial, more))
        .map_err(|failure| unknown_trial(failure, &args.trial))?;
    let mut stripper = Stripper::default();
    let mut print = |bytes: &[u8]| {
        if context.out.terminal {
            context.out.print(&stripper.strip(&String::from_utf8_lossy(bytes)))
        } else {
            context.out.write(bytes)
        }
    };
    if kind.starts_with("text/event-stream") {
        let mut events = sse::Events::new(BufReader::new(reader));
        while let Some(event) = events.next_event().doing(|| "the log broke off".into())? {
            match event.name.as_str() {
                "end" => break,
                _ => print(sse::log_text(&event).as_bytes())?,
            }
        }
        return Ok(());
    }
    if context.out.terminal {
        // By lines, so that no character is cut in two.
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).doing(|| "the log broke off".into())? > 0 {
            print(&line)?;
            line.clear();
        }
        return Ok(());
    }
    let mut buffer = [0; 16 << 10];
    loop {
        match reader.read(&mut buffer).doing(|| "the log broke off".into())? {
            0 => return Ok(()),
            n => print(&buffer[..n])?,
        }
    }
}
