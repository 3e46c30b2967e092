//! Reading bodies tolerantly: what a newer daemon adds is ignored, what an older one lacks is empty.

use serde_json::{Map, Value};

/// A text field; empty when it isn't there.
pub fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A whole number; 0 when it isn't there.
pub fn count(body: &Value, key: &str) -> u64 {
    body.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// A list; empty when it isn't there.
pub fn list<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A field that is there and not null.
pub fn some<'a>(body: &'a Value, key: &str) -> Option<&'a Value> {
    body.get(key).filter(|value| !value.is_null())
}

/// An object's members.
pub fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// The metrics of a study's objectives.
pub fn metrics(study: &Value) -> Vec<String> {
    list(study, "objectives").iter().map(|objective| text(objective, "metric").to_owned()).collect()
}

/// Names of a study's parameters.
pub fn parameters(study: &Value) -> Vec<String> {
    list(study, "space").iter().map(|param| text(param, "name").to_owned()).collect()
}

/// A trial's parameters, in the order in which the study declares them.
pub fn params<'a>(study: &Value, trial: &'a Value) -> Vec<(&'a String, &'a Value)> {
    let names = parameters(study);
    let mut out: Vec<_> = members(trial.get("params")).collect();
    out.sort_by_key(|(name, _)| names.iter().position(|other| other == *name).unwrap_or(usize::MAX));
    out
}

/// Trials of a study in a state.
pub fn trials_in(study: &Value, state: &str) -> u64 {
    study.pointer(&format!("/counts/{state}")).and_then(Value::as_u64).unwrap_or_default()
}

/// Trials that are over.
pub fn finished(study: &Value) -> u64 {
    ["complete", "pruned", "fail", "infeasible", "cancelled"].iter().map(|state| trials_in(study, state)).sum()
}

/// Nothing more happens to the study by itself.
pub fn is_over(study: &Value) -> bool {
    matches!(text(study, "state"), "complete" | "cancelled" | "archived")
}
