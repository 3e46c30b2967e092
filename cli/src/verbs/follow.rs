//! Follows a study until it is over: redrawn in a terminal, a line now and then elsewhere.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    client::Client,
    context::{Context, study_path, trial_path},
    failure::{Failure, INTERRUPTED, NO_DAEMON},
    interrupt,
    json::{finished, is_over, list, some, text, trials_in},
    render::{
        progress::{Frame, Live, SHOWN, lines, summary},
        style::terminal_width,
        value,
    },
};

/// Between two looks, while things are young and later.
const EAGER: Duration = Duration::from_millis(200);
const CALM: Duration = Duration::from_millis(500);
/// Between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(5);
/// How long nothing may run before the reason is told: between two trials there is always a moment of it.
const IDLE: Duration = Duration::from_secs(1);
/// How long a daemon may be away (an upgrade, say) while it is followed.
const AWAY: Duration = Duration::from_secs(60);

/// Follows the study with this ID; answers it as it was when it ended.
pub fn follow(context: &Context, id: &str) -> Result<Value, Failure> {
    interrupt::watch();
    let mut client = context.client()?.clone();
    let begun = Instant::now();
    let mut live = Live::possible().then(Live::default);
    let mut curves = Curves::default();
    let mut said: Option<(Instant, u64)> = None;
    let mut idle = (String::new(), Instant::now());
    let mut told = String::new();
    let mut away: Option<Instant> = None;
    let mut name = String::new();
    loop {
        if interrupt::pressed() {
            if let Some(live) = &mut live {
                live.clear();
            }
            let shown = if name.is_empty() { id } else { &name };
            context.out.say(format!("detached: {shown} goes on without you"));
            context.out.say(format!(
                "{} metaopt status {shown} --watch follows it again, metaopt cancel {shown} ends it",
                context.out.talk.accent("hint:")
            ));
            return Err(Failure::silent(INTERRUPTED));
        }
        let study = match client.get(&study_path(id, "")) {
            Ok(study) => study,
            Err(failure) if failure.code == NO_DAEMON && away.is_none_or(|since| since.elapsed() < AWAY) => {
                if away.is_none() && live.is_none() {
                    context.out.say("metaopt: the daemon is away; waiting for it");
                }
                away.get_or_insert_with(Instant::now);
                interrupt::sleep(CALM);
                // It may come back at another port.
                if let Ok(Some(found)) = context.place.running() {
                    client = found;
                }
                continue;
            }
            Err(failure) => {
                if let Some(live) = &mut live {
                    live.clear();
                }
                return Err(failure);
            }
        };
        away = None;
        text(&study, "name").clone_into(&mut name);
        if is_over(&study) {
            if let Some(live) = &mut live {
                live.clear();
            }
            context.out.say(summary(&study));
            return Ok(study);
        }
        match &mut live {
            Some(live) => {
                let running = curves.running(&client, id);
                let trouble = curves.trouble(&client, &study);
                let frame = Frame {
                    study: &study,
                    running: &running,
                    trouble: trouble.as_deref(),
                    elapsed: Some(begun.elapsed()),
                };
                live.draw(lines(&frame, terminal_width().saturating_sub(1), context.out.talk));
            }
            None => {
                let done = finished(&study);
                if said.is_none_or(|(at, before)| at.elapsed() >= LINES && done != before) {
                    said = Some((Instant::now(), done));
                    context.out.say(summary(&study));
                }
                // A log that only stands still would not tell that something is missing, nor what.
                let why = why_idle(&study);
                if idle.0 != why {
                    idle = (why, Instant::now());
                } else if !why.is_empty() && why != told && idle.1.elapsed() >= IDLE {
                    context.out.say(format!("{name}: nothing runs: {why}"));
                    told = why;
                }
            }
        }
        interrupt::sleep(if begun.elapsed() < Duration::from_secs(10) { EAGER } else { CALM });
    }
}

/// Remembers what was asked of the daemon, so that each frame asks little.
#[derive(Debug, Default)]
pub struct Curves {
    /// Trial → its last step and the values there.
    points: HashMap<String, (u64, Value)>,
    failed: u64,
    trouble: Option<String>,
}

impl Curves {
    /// The first running trials, with the values of their last report.
    pub fn running(&mut self, client: &Client, study: &str) -> Vec<Value> {
        let path = study_path(study, &format!("/trials?state=running&limit={SHOWN}"));
        let Ok(body) = client.get(&path) else { return Vec::new() };
        let mut trials = list(&body, "items").to_vec();
        for trial in &mut trials {
            let (id, step) =
                (text(trial, "id").to_owned(), trial.get("last_step").and_then(Value::as_u64).unwrap_or(0));
            if step == 0 {
                continue;
            }
            if self.points.get(&id).is_none_or(|(known, _)| *known != step) {
                let path = trial_path(&id, &format!("/reports?after_step={}", step - 1));
                let point = client.get(&path).ok().and_then(|body| list(&body, "items").last().cloned());
                let values = point.and_then(|point| point.get("values").cloned()).unwrap_or_default();
                self.points.insert(id.clone(), (step, values));
            }
            if let Some((_, values)) = self.points.get(&id) {
                trial["last_values"] = values.clone();
            }
        }
        trials
    }

    /// The last failure, as a line.
    pub fn trouble(&mut self, client: &Client, study: &Value) -> Option<String> {
        let failed = trials_in(study, "fail");
        if failed != self.failed {
            self.failed = failed;
            self.trouble = last_failure(client, text(study, "id"));
        }
        self.trouble.clone()
    }
}

/// Why the study runs nothing, in the daemon's words; empty when it does.
pub fn why_idle(study: &Value) -> String {
    some(study, "why_idle").map(value::short).unwrap_or_default()
}

/// `gpu1-3: missing_metric, exited without …`
pub fn last_failure(client: &Client, study: &str) -> Option<String> {
    let body = client.get(&study_path(study, "/trials?state=fail&sort=-number&limit=1")).ok()?;
    let trial = list(&body, "items").first()?;
    let detail = some(trial, "detail").map(value::short).unwrap_or_default();
    let reason = text(trial, "reason");
    let mut out = text(trial, "label").to_owned();
    for (mark, part) in [(": ", reason), (", ", detail.trim())] {
        if !part.is_empty() {
            out.push_str(&format!("{mark}{part}"));
        }
    }
    Some(out)
}
