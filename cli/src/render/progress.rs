//! Live progress: what a study's frame looks like, and redrawing it in place.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use serde_json::Value;

use super::{style::Style, value};
use crate::json::{finished, metrics, some, text, trials_in};

/// Running trials shown at most.
pub const SHOWN: usize = 8;

/// All that a frame shows.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The study.
    pub study: &'a Value,
    /// Running trials, with `last_values` where known.
    pub running: &'a [Value],
    /// What a trial said of its failure, as a line.
    pub trouble: Option<&'a str>,
    /// Since the command began to watch, if it does.
    pub elapsed: Option<Duration>,
}

/// The frame's lines, none longer than `width` columns.
pub fn lines(frame: &Frame<'_>, width: usize, style: Style) -> Vec<String> {
    let study = frame.study;
    let mut out = vec![head(study, width, frame.elapsed, style)];
    if let Some(line) = best(study, style, width) {
        out.push(line);
    }
    if let Some(why) = some(study, "why_idle") {
        // Whole, over several lines: its end is where the way out stands.
        for (at, line) in wrap(&value::short(why), width.saturating_sub(6)).iter().take(4).enumerate() {
            let head = if at == 0 { style.warn("idle") } else { "    ".into() };
            out.push(format!("{head}  {line}"));
        }
    }
    let names = metrics(study);
    for trial in frame.running.iter().take(SHOWN) {
        out.push(running_line(trial, &names, width, style));
    }
    let running = trials_in(study, "running") as usize;
    if running > SHOWN.min(frame.running.len()) && frame.running.len() >= SHOWN {
        out.push(style.faint(&format!("  … {} more running", running - SHOWN)));
    }
    if let Some(trouble) = frame.trouble {
        out.push(format!("{}  {}", style.bad("fail"), cut(trouble, width.saturating_sub(6))));
    }
    out
}

/// One line for logs and pipes.
pub fn summary(study: &Value) -> String {
    let mut out = format!("{}: {}", text(study, "name"), tally(study));
    if let Some(best) = some(study, "best") {
        let values = best.get("values").and_then(Value::as_object).cloned().unwrap_or_default();
        out.push_str(&format!("; best {} ({})", value::metrics(&values, &metrics(study)), text(best, "label")));
    }
    out
}

/// `12/100 trials, 4 running, 2 failed`
pub fn tally(study: &Value) -> String {
    let done = finished(study);
    let mut parts = vec![match study.pointer("/budget/max_trials").and_then(Value::as_u64) {
        Some(all) => format!("{done}/{all} trials"),
        None => format!("{done} trials"),
    }];
    for (state, word) in [
        ("running", "running"),
        ("waiting", "waiting"),
        ("paused", "paused"),
        ("pruned", "pruned"),
        ("fail", "failed"),
        ("infeasible", "infeasible"),
        ("cancelled", "cancelled"),
    ] {
        let n = trials_in(study, state);
        if n > 0 {
            parts.push(format!("{n} {word}"));
        }
    }
    parts.join(", ")
}

fn head(study: &Value, width: usize, elapsed: Option<Duration>, style: Style) -> String {
    let (name, state) = (text(study, "name"), text(study, "state"));
    let tally = tally(study);
    let time = match some(study, "eta_s").and_then(value::seconds) {
        Some(eta) if state == "running" => format!("{eta} left"),
        _ => elapsed.map(value::duration).unwrap_or_default(),
    };
    let fixed = [name, state, &tally, &time].iter().map(|part| part.chars().count() + 2).sum::<usize>();
    let bar = match study.pointer("/budget/max_trials").and_then(Value::as_u64) {
        Some(all) if all > 0 && width >= fixed + 10 => {
            let width = (width - fixed).min(30);
            format!("{}  ", bar(finished(study) as f64 / all as f64, width, style))
        }
        _ => String::new(),
    };
    let line = format!("{}  {}  {bar}{tally}  {}", style.strong(name), style.state(state), style.faint(&time))
        .trim_end()
        .to_owned();
    if fixed > width + 2 { cut(&format!("{name}  {state}  {tally}"), width) } else { line }
}

fn bar(part: f64, width: usize, style: Style) -> String {
    let full = ((part.clamp(0.0, 1.0)) * width as f64).round() as usize;
    format!("{}{}", style.good(&"━".repeat(full)), style.faint(&"─".repeat(width - full)))
}

fn best(study: &Value, style: Style, width: usize) -> Option<String> {
    let best = some(study, "best")?;
    let values = best.get("values").and_then(Value::as_object).cloned().unwrap_or_default();
    let (value, label) = (value::metrics(&values, &metrics(study)), text(best, "label"));
    let left = width.saturating_sub(6 + value.chars().count() + 2 + label.chars().count() + 2);
    let params = cut(&value::pairs(best.get("params")), left);
    Some(format!("{}  {}  {label}  {}", style.strong("best"), style.good(&value), style.faint(&params)))
}

fn running_line(trial: &Value, names: &[String], width: usize, style: Style) -> String {
    let label = text(trial, "label");
    let mut parts = Vec::new();
    if let Some(step) = some(trial, "last_step").and_then(Value::as_u64).filter(|step| *step > 0) {
        parts.push(format!("step {step}"));
    }
    if let Some(values) = trial.get("last_values").and_then(Value::as_object) {
        parts.push(value::metrics(values, names));
    }
    parts.extend(some(trial, "started_at").and_then(value::ago));
    parts.retain(|part| !part.is_empty());
    let facts = parts.join("  ");
    let left = width.saturating_sub(4 + label.chars().count() + facts.chars().count() + 2);
    let params = cut(&value::pairs(trial.get("params")), left);
    format!("  {}  {facts}  {}", style.accent(label), style.faint(&params)).trim_end().to_owned()
}

/// Broken between words into lines of at most `width` characters.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for word in super::strip::strip(text).split_whitespace() {
        match out.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => out.push(cut(word, width)),
        }
    }
    out
}

/// At most `width` characters, with an ellipsis where something was cut off.
pub fn cut(text: &str, width: usize) -> String {
    let line = super::strip::strip(text).replace(['\n', '\t'], " ");
    if line.chars().count() <= width {
        return line;
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { String::new() } else { format!("{}…", kept.trim_end()) }
}

/// Redraws a block of lines at the bottom of standard error.
#[derive(Debug, Default)]
pub struct Live {
    drawn: Vec<String>,
    hidden: bool,
}

impl Live {
    /// Whether there is a terminal to draw on.
    pub fn possible() -> bool {
        std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Replaces what was drawn last; draws nothing when nothing changed.
    pub fn draw(&mut self, lines: Vec<String>) {
        if lines == self.drawn {
            return;
        }
        let mut out = String::new();
        if !self.hidden {
            // A cursor that blinks over the bar distracts.
            out.push_str("\x1b[?25l");
            self.hidden = true;
        }
        out.push_str(&self.up());
        for line in &lines {
            // One line each, or the next drawing begins in the wrong place.
            out.push_str(&format!("\x1b[2K{}\n", super::strip::for_terminal(&line.replace('\n', " "))));
        }
        out.push_str("\x1b[J");
        self.drawn = lines;
        flush(&out);
    }

    /// Takes the block away, so that what follows is printed in its place.
    pub fn clear(&mut self) {
        let mut out = self.up();
        if !self.drawn.is_empty() {
            out.push_str("\x1b[J");
        }
        self.drawn.clear();
        out.push_str(&self.show());
        flush(&out);
    }

    fn up(&self) -> String {
        if self.drawn.is_empty() { String::new() } else { format!("\x1b[{}A\r", self.drawn.len()) }
    }

    fn show(&mut self) -> String {
        if std::mem::take(&mut self.hidden) { "\x1b[?25h".into() } else { String::new() }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let show = self.show();
        flush(&show);
    }
}

fn flush(text: &str) {
    if !text.is_empty() {
        let mut stderr = std::io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn study() -> Value {
        json!({"name": "mnist", "state": "running", "budget": {"max_trials": 100}, "eta_s": 130.0,
            "objectives": [{"metric": "loss", "direction": "minimize"}],
            "counts": {"complete": 30, "fail": 2, "pruned": 5, "running": 9, "waiting": 0},
            "best": {"label": "gpu1-17", "values": {"loss": 0.031}, "params": {"lr": 0.012, "opt": "adam"}}})
    }

    fn text_of(study: &Value, running: &[Value], width: usize) -> String {
        let frame = Frame { study, running, trouble: None, elapsed: Some(Duration::from_secs(61)) };
        lines(&frame, width, Style::plain()).join("\n")
    }

    #[test]
    fn a_frame_tells_progress_best_and_what_runs() {
        let running: Vec<Value> = (0..8)
            .map(|i| json!({"label": format!("gpu1-{i}"), "last_step": i, "last_values": {"loss": 0.5}, "params": {"lr": 0.1}}))
            .collect();
        assert_eq!(
            text_of(&study(), &running, 120).lines().take(4).collect::<Vec<_>>().join("\n"),
            "mnist  running  ━━━━━━━━━━━───────────────────  37/100 trials, 9 running, 5 pruned, 2 failed  2m10s left\n\
             best  loss 0.031  gpu1-17  lr=0.012 opt=adam\n  gpu1-0  loss 0.5  lr=0.1\n  gpu1-1  step 1  loss 0.5  lr=0.1"
        );
        assert!(text_of(&study(), &running, 100).ends_with("… 1 more running"));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut study = study();
        study["why_idle"] = json!("x".repeat(300));
        study["best"]["params"] = json!({"a": "y".repeat(300)});
        let running = [json!({"label": "gpu1-1", "params": {"a": "z".repeat(300)}})];
        for width in [40, 60, 80, 200] {
            for line in text_of(&study, &running, width).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn long_reasons_are_wrapped_between_words() {
        assert_eq!(wrap("one two  three\nfour", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("abcdefgh", 4), ["abc…"]);
    }

    #[test]
    fn a_line_for_a_log() {
        assert_eq!(summary(&study()), "mnist: 37/100 trials, 9 running, 5 pruned, 2 failed; best loss 0.031 (gpu1-17)");
    }
}
