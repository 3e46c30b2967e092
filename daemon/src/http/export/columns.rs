//! The columns of a table of trials, for CSV and Parquet.
//!
//! Owns: their names, order and types. Must not: write them.

use std::collections::BTreeSet;

use metaopt_core::Node;
use metaopt_schema::{
    space::Domain,
    trial::Proposer,
    view::{StudyView, TrialView},
};
use serde_json::Value;

use crate::http::render;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// 64 bits.
    Int,
    /// Double precision.
    Float,
    /// True or false.
    Bool,
    /// Milliseconds since 1970, UTC.
    Time,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Of a text column.
    Text(String),
    /// Of a column of whole numbers.
    Int(i64),
    /// Of a column of numbers.
    Float(f64),
    /// Of a column of truths.
    Bool(bool),
    /// Of a column of times.
    Time(u64),
}

/// Where a column's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Field(&'static str),
    Param(String),
    Metric(String),
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its header.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    source: Source,
}

/// The columns of a study's trials: what every trial has, its parameters, and every metric that any trial has now.
pub fn of(study: &StudyView) -> Vec<Column> {
    use Kind::{Int, Text, Time};
    let field = |name, kind| Column { name: String::from(name), kind, source: Source::Field(name) };
    let mut columns = vec![
        field("number", Int),
        field("id", Text),
        field("label", Text),
        field("state", Text),
        field("reason", Text),
    ];
    for param in &study.space.params {
        let name = format!("params_{}", param.name);
        columns.push(Column { name, kind: kind_of(&param.domain), source: Source::Param(param.name.clone()) });
    }
    let def = &study.record.def;
    let mut metrics: Vec<String> = def.objectives.iter().map(|o| o.metric.clone()).collect();
    let seen: BTreeSet<String> =
        study.trials().iter().flat_map(|t| t.values().into_iter().map(|(name, _)| name.to_string())).collect();
    for metric in def.constraints.iter().map(|c| c.metric.clone()).chain(seen) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    for metric in metrics {
        columns.push(Column { name: format!("values_{metric}"), kind: Kind::Float, source: Source::Metric(metric) });
    }
    columns.extend([
        field("node", Text),
        field("attempt", Int),
        field("attempts", Int),
        field("last_step", Int),
        field("created_at", Time),
        field("started_at", Time),
        field("finished_at", Time),
        field("sampler", Text),
        field("detail", Text),
        field("note", Text),
        field("user_attrs", Text),
    ]);
    columns
}

fn kind_of(domain: &Domain) -> Kind {
    match domain {
        Domain::Float { .. } => Kind::Float,
        Domain::Int { .. } | Domain::Fidelity { .. } => Kind::Int,
        Domain::Bool {} => Kind::Bool,
        Domain::Categorical { choices } | Domain::Ordinal { choices } => {
            if choices.iter().all(Value::is_boolean) {
                Kind::Bool
            } else if choices.iter().all(Value::is_i64) {
                Kind::Int
            } else if choices.iter().all(Value::is_number) {
                Kind::Float
            } else {
                Kind::Text
            }
        }
    }
}

/// Whether text of this parameter is plain; where choices are of several types it is JSON, so that `1` and `"1"` differ.
fn is_plain(study: &StudyView, name: &str) -> bool {
    study.space.params.iter().find(|p| p.name == name).is_none_or(|p| match &p.domain {
        Domain::Categorical { choices } | Domain::Ordinal { choices } => choices.iter().all(Value::is_string),
        _ => true,
    })
}

impl Column {
    /// This column's value of a trial.
    pub fn cell(&self, node: &Node, study: &StudyView, trial: &TrialView) -> Cell {
        match &self.source {
            Source::Param(name) => trial.spec.params.get(name).map_or(Cell::Null, |v| self.param(study, name, &v)),
            Source::Metric(name) => trial.values().get(name).map_or(Cell::Null, |v| Cell::Float(*v)),
            Source::Field(name) => field(name, node, study, trial),
        }
    }

    fn param(&self, study: &StudyView, name: &str, value: &Value) -> Cell {
        match self.kind {
            Kind::Float => value.as_f64().map_or(Cell::Null, Cell::Float),
            Kind::Int => value.as_i64().map_or(Cell::Null, Cell::Int),
            Kind::Bool => value.as_bool().map_or(Cell::Null, Cell::Bool),
            Kind::Time => Cell::Null,
            Kind::Text => match value {
                Value::String(text) if is_plain(study, name) => Cell::Text(text.clone()),
                other => Cell::Text(other.to_string()),
            },
        }
    }
}

fn field(name: &str, node: &Node, study: &StudyView, trial: &TrialView) -> Cell {
    let text = |t: Option<String>| t.filter(|t| !t.is_empty()).map_or(Cell::Null, Cell::Text);
    let whole = |n: u64| i64::try_from(n).map_or(Cell::Null, Cell::Int);
    let time = |t: Option<u64>| t.map_or(Cell::Null, Cell::Time);
    match name {
        "number" => whole(study.number(trial)),
        "id" => Cell::Text(trial.place.id.to_string()),
        "label" => Cell::Text(trial.label()),
        "state" => Cell::Text(trial.state.as_str().to_owned()),
        "reason" => trial.end().map_or(Cell::Null, |e| match serde_json::to_value(e.reason) {
            Ok(Value::String(word)) => Cell::Text(word),
            _ => Cell::Null,
        }),
        "node" => text(trial.shown().map(|a| render::node_name(node, &a.node))),
        "attempt" => trial.shown().map_or(Cell::Null, |a| Cell::Int(i64::from(a.attempt))),
        "attempts" => whole(trial.attempts.len() as u64),
        "last_step" => whole(trial.last_step()),
        "created_at" => time(Some(trial.spec.at.ms)),
        "started_at" => time(trial.started_at()),
        "finished_at" => time(trial.finished_at()),
        "sampler" => match &trial.spec.by {
            Proposer::Sampler { name, .. } => Cell::Text(name.to_string()),
            Proposer::Enqueued | Proposer::Imported => Cell::Null,
        },
        "detail" => text(trial.end().and_then(|e| e.detail.clone())),
        "note" => text(Some(trial.note().to_owned())),
        "user_attrs" if trial.user_attrs().is_empty() => Cell::Null,
        "user_attrs" => text(serde_json::to_string(trial.user_attrs()).ok()),
        _ => Cell::Null,
    }
}
