//! The front door: a study's JSON, checked whole, with every error at once.
//!
//! Owns: the shape of a study and what can be judged without knowing samplers, rules or placeholders (the engine and the
//! template module judge those).

use serde_json::{Map, Value};

use super::{Constraint, Objective, RunSpec, StudyDef, Workdir};
use crate::{
    FieldError,
    problem::{Fields, token},
    shape::{self, Field, Kind, bad_name, describe, need, object, opt},
    space::{Params, Space},
};

const STUDY: [Field; 11] = [
    need("name", Kind::Text),
    need("space", Kind::Any),
    need("objectives", Kind::Any),
    opt("constraints", Kind::Any),
    opt("sampler", Kind::Any),
    opt("early_stopping", Kind::Any),
    opt("budget", Kind::Any),
    opt("run", Kind::Any),
    opt("note", Kind::Text),
    opt("user_attrs", Kind::Object),
    // Says what to do about a taken name; no part of the study, so it is checked here and dropped.
    opt("load_if_exists", Kind::Flag),
];
const BUDGET: [Field; 5] = [
    opt("max_trials", Kind::Count),
    opt("max_parallel", Kind::Count),
    opt("timeout_s", Kind::Number),
    opt("strict", Kind::Flag),
    opt("priority", Kind::Whole),
];
const RUN: [Field; 17] = [
    need("command", Kind::Texts),
    opt("setup", Kind::Text),
    opt("snapshot", Kind::Text),
    opt("workdir", Kind::Text),
    opt("path", Kind::Text),
    opt("links", Kind::Texts),
    opt("templates", Kind::Texts),
    opt("nodes", Kind::Texts),
    opt("requires", Kind::TextMap),
    opt("gpus", Kind::Number),
    opt("cpus", Kind::Count),
    opt("env", Kind::TextMap),
    opt("secret_env", Kind::Texts),
    opt("timeout_s", Kind::Number),
    opt("max_attempts", Kind::Count),
    opt("retry_failed", Kind::Flag),
    opt("lost_checkpoint", Kind::Text),
];

/// Reads a study as people write it. Errors name the field (a JSON pointer into `body`) and the fix. `load_if_exists`
/// (the create call's own switch) may stand in `body`. Sampler and rule names are the engine's to check.
pub fn parse_study(body: &Value) -> Result<StudyDef, Vec<FieldError>> {
    let mut errors = Fields::new();
    let Some(given) = body.as_object() else {
        errors.add(
            "",
            format!("a study must be an object with `name`, `space` and `objectives`, not {}", describe(body)),
        );
        return Err(errors.0);
    };
    let top = object(body, "", "a study", &STUDY, false, &mut errors).unwrap_or_default();
    // A slip at the top shouldn't hide what is wrong further down.
    let part = |name: &str| top.get(name).or_else(|| given.get(name)).filter(|v| !v.is_null());

    if let Some(wrong) = given.get("name").and_then(Value::as_str).and_then(bad_study_name) {
        errors.add("/name", format!("a study's name {wrong}"));
    }
    let space = part("space").and_then(|v| Space::parse(v, "/space", &mut errors));
    let objectives = part("objectives").map(|v| objectives(v, &mut errors)).unwrap_or_default();
    let constraints = part("constraints").map(|v| constraints(v, &mut errors)).unwrap_or_default();
    let sampler = part("sampler").and_then(|v| {
        let fields = [need("name", Kind::Text), opt("seed", Kind::Count)];
        named(v, "/sampler", "`sampler`", "name", "auto", &fields, &mut errors)
    });
    let rule = part("early_stopping").and_then(|v| {
        named(v, "/early_stopping", "`early_stopping`", "rule", "median", &[need("rule", Kind::Text)], &mut errors)
    });
    let budget = part("budget").and_then(|v| budget(v, "/budget", &mut errors));
    let run = part("run").and_then(|v| run(v, &mut errors));
    if !errors.0.is_empty() {
        return Err(errors.0);
    }

    let mut clean = Map::new();
    for (key, value) in top.into_iter().filter(|(key, _)| key == "name" || key == "note" || key == "user_attrs") {
        clean.insert(key, value);
    }
    let parts = [("sampler", sampler), ("early_stopping", rule), ("budget", budget), ("run", run)];
    clean.extend(parts.into_iter().filter_map(|(key, map)| Some((key.to_owned(), Value::Object(map?)))));
    clean.insert("space".into(), Value::Array(Vec::new()));
    clean.insert("objectives".into(), Value::Array(Vec::new()));
    match serde_json::from_value::<StudyDef>(Value::Object(clean)) {
        Ok(def) => Ok(StudyDef { space: space.unwrap_or_default(), objectives, constraints, ..def }),
        Err(error) => {
            Err(vec![FieldError { pointer: String::new(), detail: format!("cannot be read as a study: {error}") }])
        }
    }
}

/// Reads a budget alone, as a PATCH gives it; pointers below `/budget`.
pub fn parse_budget(body: &Value) -> Result<super::Budget, Vec<FieldError>> {
    let mut errors = Fields::new();
    let read = budget(body, "/budget", &mut errors).unwrap_or_default();
    if !errors.0.is_empty() {
        return Err(errors.0);
    }
    serde_json::from_value(Value::Object(read))
        .map_err(|e| vec![FieldError { pointer: "/budget".into(), detail: format!("cannot be read as a budget: {e}") }])
}

/// What is wrong with a study's name, if anything.
pub fn bad_study_name(name: &str) -> Option<&'static str> {
    bad_name(name).or_else(|| match name {
        _ if name.contains('/') => Some("must not contain `/`, since it stands in paths"),
        _ if name.starts_with('-') => Some("must not begin with `-`, which marks options on the command line"),
        _ => None,
    })
}

/// A configuration from JSON, for a space: pointers below `/params`.
pub fn parse_params(space: &Space, body: &Value) -> Result<Params, Vec<FieldError>> {
    match serde_json::from_value::<Params>(body.clone()) {
        Ok(params) => space.check_params(&params),
        Err(_) => Err(vec![FieldError {
            pointer: "/params".into(),
            detail: format!("`params` must be an object of parameters by name, not {}", describe(body)),
        }]),
    }
}

fn objectives(body: &Value, errors: &mut Fields) -> Vec<Objective> {
    let example = "[{\"metric\": \"loss\", \"direction\": \"minimize\"}]";
    let Some(items) = body.as_array().filter(|items| !items.is_empty()) else {
        errors
            .add("/objectives", format!("`objectives` must be a list with at least one objective, such as {example}"));
        return Vec::new();
    };
    let mut read: Vec<Objective> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let at = format!("/objectives/{i}");
        let Some(map) = object(
            item,
            &at,
            "an objective",
            &[need("metric", Kind::Text), need("direction", Kind::Text)],
            false,
            errors,
        ) else {
            continue;
        };
        metric(&map, &at, errors);
        let direction = map["direction"].as_str().unwrap_or_default();
        match serde_json::from_value::<Objective>(Value::Object(map.clone())) {
            Ok(objective) => {
                if read.iter().any(|o| o.metric == objective.metric) {
                    errors.add(
                        format!("{at}/metric"),
                        format!("`{}` is an objective already; name each metric once", objective.metric),
                    );
                }
                read.push(objective);
            }
            Err(_) => {
                errors.add(format!("{at}/direction"), shape::unknown("direction", direction, &["minimize", "maximize"]))
            }
        }
    }
    read
}

fn metric(map: &Map<String, Value>, at: &str, errors: &mut Fields) {
    if let Some(wrong) = map.get("metric").and_then(Value::as_str).and_then(bad_name) {
        errors.add(format!("{at}/metric"), format!("a metric's name {wrong}"));
    }
}

fn constraints(body: &Value, errors: &mut Fields) -> Vec<Constraint> {
    let Some(items) = body.as_array() else {
        errors.add("/constraints", format!("`constraints` must be a list, not {}", describe(body)));
        return Vec::new();
    };
    let mut read = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let at = format!("/constraints/{i}");
        let fields = [need("metric", Kind::Text), opt("at_most", Kind::Number), opt("at_least", Kind::Number)];
        let Some(map) = object(item, &at, "a constraint", &fields, false, errors) else { continue };
        metric(&map, &at, errors);
        let Ok(constraint) = serde_json::from_value::<Constraint>(Value::Object(map)) else { continue };
        match (constraint.at_least, constraint.at_most) {
            (None, None) => errors.add(&at, "a constraint needs a bound: give `at_most` or `at_least`"),
            (Some(low), Some(high)) if low > high => {
                errors.add(
                    format!("{at}/at_least"),
                    format!("`at_least` ({low}) is above `at_most` ({high}), so nothing could satisfy both"),
                );
            }
            _ => {}
        }
        read.push(constraint);
    }
    read
}

fn named(
    body: &Value,
    at: &str,
    what: &str,
    key: &str,
    example: &str,
    fields: &[Field],
    errors: &mut Fields,
) -> Option<Map<String, Value>> {
    if let Some(name) = body.as_str() {
        errors.add(at, format!("{what} must be an object: write {{\"{key}\": \"{name}\"}}"));
        return None;
    }
    if !body.is_object() {
        errors
            .add(at, format!("{what} must be an object such as {{\"{key}\": \"{example}\"}}, not {}", describe(body)));
        return None;
    }
    object(body, at, what, fields, true, errors)
}

fn budget(body: &Value, at: &str, errors: &mut Fields) -> Option<Map<String, Value>> {
    let map = object(body, at, "`budget`", &BUDGET, false, errors)?;
    for name in ["max_trials", "max_parallel"] {
        at_least_one(&map, name, at, "leave it out for no limit", errors);
    }
    positive(&map, "timeout_s", at, "leave it out for no limit", errors);
    Some(map)
}

fn at_least_one(map: &Map<String, Value>, name: &str, at: &str, hint: &str, errors: &mut Fields) {
    if map.get(name).and_then(Value::as_u64) == Some(0) {
        errors.add(format!("{at}/{name}"), format!("`{name}` must be 1 or more; {hint}"));
    }
}

fn positive(map: &Map<String, Value>, name: &str, at: &str, hint: &str, errors: &mut Fields) {
    if let Some(value) = map.get(name).and_then(Value::as_f64)
        && !(value > 0.0 && value.is_finite())
    {
        errors.add(format!("{at}/{name}"), format!("`{name}` is {value}, but must be above 0 seconds; {hint}"));
    }
}

fn run(body: &Value, errors: &mut Fields) -> Option<Map<String, Value>> {
    let map = object(body, "/run", "`run`", &RUN, false, errors)?;
    at_least_one(&map, "cpus", "/run", "it is the number of CPU slots a trial takes", errors);
    at_least_one(&map, "max_attempts", "/run", "a trial needs at least one attempt", errors);
    positive(&map, "timeout_s", "/run", "leave it out for no limit", errors);
    for name in ["cpus", "max_attempts"] {
        if map.get(name).and_then(Value::as_u64).is_some_and(|n| n > 1_000_000) {
            errors.add(format!("/run/{name}"), format!("`{name}` is too large; give at most 1000000"));
            return None;
        }
    }
    for (name, known) in [("workdir", ["snapshot", "in_place"]), ("lost_checkpoint", ["restart", "wait"])] {
        if let Some(given) = map.get(name).and_then(Value::as_str)
            && !known.contains(&given)
        {
            errors.add(format!("/run/{name}"), shape::unknown(name, given, &known));
            return None;
        }
    }
    match serde_json::from_value::<RunSpec>(Value::Object(map.clone())) {
        Ok(spec) => check_run(&spec, errors),
        Err(error) => errors.add("/run", format!("cannot be read: {error}")),
    }
    Some(map)
}

fn check_run(run: &RunSpec, errors: &mut Fields) {
    match run.command.first() {
        None => errors.add(
            "/run/command",
            "`command` is empty; give the program and its arguments, such as [\"python\", \"train.py\"]",
        ),
        Some(program) if program.trim().is_empty() => errors.add("/run/command/0", "the program's name is empty"),
        Some(_) => {}
    }
    for (i, argument) in run.command.iter().enumerate().filter(|(_, a)| a.contains('\0')) {
        let _ = argument;
        errors.add(format!("/run/command/{i}"), "an argument can't contain a NUL character");
    }
    if run.setup.as_deref().is_some_and(|setup| setup.trim().is_empty()) {
        errors.add("/run/setup", "`setup` is empty; leave it out");
    }
    if let Some(snapshot) = &run.snapshot {
        let hash = snapshot.strip_prefix("b3:").unwrap_or_default();
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            errors.add(
                "/run/snapshot",
                "`snapshot` must be `b3:` and 64 hexadecimal digits, as PUT /snapshots answers them",
            );
        }
    }
    match (run.workdir, &run.path) {
        (Workdir::InPlace, None) => errors.add(
            "/run/path",
            "`workdir` is in_place, so `path` is needed: the absolute path of the directory to run in",
        ),
        (Workdir::InPlace, Some(path)) if !path.starts_with('/') => {
            errors.add("/run/path", format!("`path` must be absolute (begin with `/`), not `{path}`"));
        }
        (Workdir::InPlace, _) if run.snapshot.is_some() => {
            errors.add("/run/snapshot", "`workdir` is in_place, which uses no snapshot; leave one of them out");
        }
        (Workdir::Snapshot, Some(_)) => errors.add("/run/path", "`path` is only for `workdir` in_place; leave it out"),
        _ => {}
    }
    for (i, link) in run.links.iter().enumerate() {
        if let Some(wrong) = bad_path(link, true) {
            errors.add(format!("/run/links/{i}"), format!("the link `{link}` {wrong}"));
        }
    }
    for (i, template) in run.templates.iter().enumerate() {
        if let Some(wrong) = bad_path(template, false) {
            errors.add(format!("/run/templates/{i}"), format!("the template `{template}` {wrong}"));
        }
    }
    if run.nodes.as_ref().is_some_and(Vec::is_empty) {
        errors.add(
            "/run/nodes",
            "`nodes` is an empty list, so nothing could ever run; name a node, or leave it out for all",
        );
    }
    if let Some(gpus) = run.gpus
        && !(gpus.is_finite() && gpus >= 0.0 && (gpus <= 1.0 || gpus.fract() == 0.0))
    {
        errors.add("/run/gpus", format!("`gpus` is {gpus}, but must be a whole number, or a share of one GPU between 0 and 1; 0 runs on CPU slots"));
    }
    for name in run.env.keys() {
        let at = format!("/run/env/{}", token(name));
        if let Some(wrong) = bad_env(name) {
            errors.add(at, format!("`{name}` {wrong}"));
        } else if looks_secret(name) {
            errors.add(
                at,
                format!("`{name}` looks like a secret, and studies are kept for ever on every node: use `metaopt secret set {name}` and list it in `secret_env`"),
            );
        }
    }
    for (i, name) in run.secret_env.iter().enumerate() {
        let at = format!("/run/secret_env/{i}");
        if let Some(wrong) = bad_env(name) {
            errors.add(at, format!("`{name}` {wrong}"));
        } else if run.env.contains_key(name) {
            errors.add(at, format!("`{name}` stands in `env` too; keep one of them"));
        }
    }
}

fn bad_path(path: &str, absolute_allowed: bool) -> Option<&'static str> {
    if path.trim().is_empty() {
        Some("is empty")
    } else if path.contains('\0') {
        Some("contains a NUL character")
    } else if path.split('/').any(|part| part == "..") {
        Some("must not contain `..`; give the path itself")
    } else if !absolute_allowed && path.starts_with('/') {
        Some("must be relative to the submitted directory")
    } else {
        None
    }
}

fn bad_env(name: &str) -> Option<&'static str> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() || !name.bytes().all(fine) {
        Some("is no name of an environment variable: use letters, digits and `_`, not starting with a digit")
    } else if name.to_ascii_uppercase().starts_with("METAOPT_") {
        Some("is reserved: metaopt sets METAOPT_* itself")
    } else {
        None
    }
}

/// Names whose last words say that they hold a secret (so TOKENIZERS_PARALLELISM and KEYBOARD don't).
pub fn looks_secret(name: &str) -> bool {
    const WORDS: [&str; 10] =
        ["TOKEN", "TOKENS", "KEY", "KEYS", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS"];
    const ENDS: [&str; 6] = ["TOKEN", "APIKEY", "ACCESSKEY", "SECRETKEY", "SECRET", "PASSWORD"];
    let name = name.to_ascii_uppercase();
    name.split('_').any(|word| WORDS.contains(&word) || ENDS.iter().any(|end| word.ends_with(end)))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
