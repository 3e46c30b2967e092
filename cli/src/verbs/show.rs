//! `metaopt show TRIAL`

use serde_json::Value;

use super::trials::took;
use crate::{
    context::{Context, trial_path},
    failure::Failure,
    json::{list, members, some, text},
    render::{spark, strip::strip, style::Style, value},
};

/// One trial: its parameters, values, attempts and curve
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Label or ID
    #[arg(value_name = "TRIAL")]
    pub trial: String,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let trial = context.trial(&args.trial)?;
    if context.out.json {
        return context.out.body(&trial);
    }
    let points = context.client()?.list(&trial_path(text(&trial, "id"), "/reports"), usize::MAX).unwrap_or_default();
    context.out.print(&page(&trial, &points, context.out.style))
}

fn page(trial: &Value, points: &[Value], style: Style) -> String {
    let mut out = format!(
        "{}  {}  {} of {}",
        style.strong(text(trial, "label")),
        style.state(text(trial, "state")),
        some(trial, "number").map(|n| format!("trial {n}")).unwrap_or_default(),
        text(trial, "study"),
    );
    if !text(trial, "reason").is_empty() {
        out.push_str(&format!("  {}", style.faint(text(trial, "reason"))));
    }
    out.push('\n');
    for line in strip(text(trial, "detail")).lines() {
        out.push_str(&format!("  {}\n", style.warn(line)));
    }
    section(&mut out, "values", trial.get("values"), style);
    section(&mut out, "parameters", trial.get("params"), style);
    section(&mut out, "attributes", trial.get("user_attrs"), style);
    for (metric, curve) in spark::curves(points) {
        out.push_str(&format!("{}  {curve}\n", style.faint(&metric)));
    }
    let attempts = list(trial, "attempts");
    if !attempts.is_empty() {
        out.push_str(&format!("{}\n", style.faint("attempts")));
    }
    for attempt in attempts {
        out.push_str(&format!("  {}\n", attempt_line(attempt, style)));
    }
    let facts = [
        ("took", took(trial)),
        ("last step", some(trial, "last_step").map(value::short).unwrap_or_default()),
        ("predicted", predicted(trial)),
        ("sampler", proposer(trial)),
        ("note", strip(text(trial, "note"))),
        ("id", text(trial, "id").to_owned()),
    ];
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty() && fact != "0") {
        out.push_str(&format!("{}  {fact}\n", style.faint(&format!("{name:<9}"))));
    }
    out
}

/// `0.31 (0.28 to 0.35) at step 50, 2m of running away`.
fn predicted(trial: &Value) -> String {
    let Some(it) = some(trial, "predicted") else { return String::new() };
    let number = |key: &str| it.get(key).map(value::short).unwrap_or_default();
    let away = some(it, "remaining_s").and_then(value::seconds);
    let away = away.map(|away| format!(", {away} of running away")).unwrap_or_default();
    format!("{} ({} to {}) at step {}{away}", number("value"), number("low"), number("high"), number("step"))
}

/// The sampler that proposed it; nothing where its parameters were given.
fn proposer(trial: &Value) -> String {
    trial.get("sampler").map(|sampler| strip(text(sampler, "name"))).unwrap_or_default()
}

fn section(out: &mut String, title: &str, map: Option<&Value>, style: Style) {
    let width = members(map).map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (at, (name, member)) in members(map).enumerate() {
        if at == 0 {
            out.push_str(&format!("{}\n", style.faint(title)));
        }
        let pad = " ".repeat(width - name.chars().count());
        out.push_str(&format!("  {name}{pad}  {}\n", strip(&value::exact(member))));
    }
}

fn attempt_line(attempt: &Value, style: Style) -> String {
    let mut parts = vec![
        some(attempt, "attempt").map(value::short).unwrap_or_default(),
        text(attempt, "node").to_owned(),
        style.faint(if text(attempt, "reason").is_empty() { "running" } else { text(attempt, "reason") }),
    ];
    if let Some(code) = some(attempt, "exit_code").filter(|code| code.as_i64() != Some(0)) {
        parts.push(style.warn(&format!("exit code {code}")));
    }
    let end = attempt.get("ended_at").unwrap_or(&Value::Null);
    parts.extend(some(attempt, "started_at").and_then(|start| value::between(start, end)));
    parts.push(value::pairs(attempt.get("values")));
    if attempt.get("counted") == Some(&Value::Bool(true)) {
        parts.push(style.good("counted"));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_holds_what_happened() {
        let trial = json!({"id": "n.17", "label": "gpu1-17", "number": 40, "study": "mnist", "state": "fail",
            "reason": "exit", "detail": "exit code 1\nBoom\u{1b}[2J", "params": {"lr": 0.01, "opt": "sgd"}, "values": {},
            "attempts": [{"attempt": 1, "node": "gpu1", "reason": "exit", "exit_code": 1}]});
        let points = [json!({"step": 1, "values": {"loss": 2.0}}), json!({"step": 2, "values": {"loss": 1.0}})];
        let text = page(&trial, &points, Style::plain());
        for part in [
            "gpu1-17  fail  trial 40 of mnist  exit",
            "  Boom\n",
            "  lr   0.01\n",
            "1  gpu1  exit  exit code 1",
            "loss  █▁  2 → 1",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
