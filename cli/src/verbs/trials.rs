//! `metaopt trials STUDY`

use serde_json::{Value, json};

use crate::{
    client::segment,
    context::{Context, study_path},
    failure::Failure,
    json::{metrics, parameters, some, text},
    output::Output,
    render::{
        table::{Cell, Table},
        value,
    },
};

/// The trials of a study
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Name or ID
    #[arg(value_name = "STUDY")]
    pub study: String,
    /// Only those in this state
    #[arg(long, value_parser = ["waiting", "running", "paused", "complete", "pruned", "fail", "infeasible", "cancelled"])]
    pub state: Option<String>,
    /// Only those of this node
    #[arg(long)]
    pub node: Option<String>,
    /// Order: number, created_at, started_at, finished_at, last_step or value; `-` in front puts the largest first
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// How many at most; in a terminal 50 unless said, else all
    #[arg(long, short = 'l', value_name = "N")]
    pub limit: Option<usize>,
    /// Each with its ID, also where every label is one trial's (in a pipe always)
    #[arg(long)]
    pub ids: bool,
}

/// Lists them. In a pipe: number, label, state, reason, objectives, parameters, steps, time, detail, ID as tabs.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let study = context.study(&args.study)?;
    let given = [("state", &args.state), ("node", &args.node), ("sort", &args.sort)];
    let query: Vec<String> =
        given.iter().filter_map(|(key, value)| value.as_ref().map(|v| format!("{key}={}", segment(v)))).collect();
    let mut path = study_path(text(&study, "id"), "/trials");
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let limit = args.limit.unwrap_or(if context.out.terminal { 50 } else { usize::MAX });
    // One more than shown tells whether there are more.
    let mut items = context.client()?.list(&path, limit.saturating_add(1))?;
    let more = items.len() > limit;
    items.truncate(limit);
    if context.out.json {
        return context.out.body(&json!({"items": items, "next_cursor": null}));
    }
    context.out.table(&table(&study, &items, args.ids || repeated(&items), context.out))?;
    if more {
        context.out.hint(format!("there are more: --limit N, or metaopt export {}", text(&study, "name")));
    }
    Ok(())
}

/// A label stands for several trials, so that each must be called by its ID.
fn repeated(trials: &[Value]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    trials.iter().any(|trial| !seen.insert(text(trial, "label")))
}

/// `ids`: beside the labels in a terminal, where the last columns may not fit.
fn table(study: &Value, trials: &[Value], ids: bool, out: Output) -> Table {
    let style = out.style;
    let (metrics, parameters) = (metrics(study), parameters(study));
    let mut heads: Vec<String> = ["#", "trial", "state", "reason"].map(str::to_owned).to_vec();
    heads.extend(metrics.iter().chain(&parameters).cloned());
    heads.extend(["steps", "time", "detail"].map(str::to_owned));
    if !out.terminal {
        heads.push("id".into());
    } else if ids {
        heads.insert(2, "id".into());
    }
    let mut table = Table::new(heads);
    for trial in trials {
        let mut row: Vec<Cell> = vec![
            Cell::from(some(trial, "number").map(value::short).unwrap_or_default()).right(),
            text(trial, "label").into(),
            Cell::from(text(trial, "state")).paint(|state| style.state(state)),
            text(trial, "reason").into(),
        ];
        let cell = |map: &str, name: &String| {
            let value = trial.get(map).and_then(|values| values.get(name)).filter(|value| !value.is_null());
            let shown = if out.terminal { value.map(value::short) } else { value.map(value::exact) };
            Cell::from(shown.unwrap_or_default()).right()
        };
        row.extend(metrics.iter().map(|name| cell("values", name)));
        row.extend(parameters.iter().map(|name| cell("params", name)));
        row.push(Cell::from(some(trial, "last_step").map(value::short).unwrap_or_default()).right());
        row.push(Cell::from(took(trial)).right());
        row.push(text(trial, "detail").into());
        let id = Cell::from(text(trial, "id")).paint(|id| style.faint(id));
        if !out.terminal {
            row.push(id);
        } else if ids {
            row.insert(2, id);
        }
        table.row(row);
    }
    table
}

/// How long a trial has taken so far, or took.
pub fn took(trial: &Value) -> String {
    let end = trial.get("finished_at").unwrap_or(&Value::Null);
    some(trial, "started_at").and_then(|start| value::between(start, end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::style::Style;

    #[test]
    fn trials_of_one_label_are_shown_with_their_ids() {
        let trial = |id: &str, label: &str| json!({"id": id, "label": label, "state": "complete", "detail": "d"});
        let (one, two) = (trial("n.1", "box1-1"), trial("m.1", "box1-1"));
        assert!(repeated(&[one.clone(), two.clone()]) && !repeated(std::slice::from_ref(&one)));
        let out = |terminal| Output { json: false, terminal, style: Style::plain(), talk: Style::plain() };
        let shown = |ids| table(&Value::Null, &[one.clone(), two.clone()], ids, out(true)).aligned(80, str::to_owned);
        assert!(shown(true).contains("box1-1  n.1  complete") && !shown(false).contains("n.1"), "{}", shown(true));
        let piped = table(&Value::Null, &[one], false, out(false)).tabs();
        assert!(piped.ends_with("\td\tn.1\n"), "{piped}");
    }
}
