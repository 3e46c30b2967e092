//! A space from JSON, checked whole.
//!
//! Two passes: [`read`] takes each parameter by its shape (so that one slip doesn't hide the next), [`check`] judges
//! ranges, names and conditions of those that could be read.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Domain, Param, Prior, Space, domain::same};
use crate::{
    problem::{Fields, token},
    shape::{self, Field, Kind, bad_name, describe, may, need, object, opt},
};

/// Most choices of one parameter.
pub const MAX_CHOICES: usize = 1024;
/// Most parameters.
pub const MAX_PARAMS: usize = 1000;
/// Whole numbers stay exact in every language's JSON up to here.
const MAX_INT: i64 = 1 << 53;
/// The largest end of a stepped float, in steps: up to here a value's rounding is far below the tolerance of
/// [`Domain::cell_of`], so that every value is found in its own cell.
const MAX_STEPS: f64 = (1_u64 << 30) as f64;

const TYPES: [&str; 6] = ["float", "int", "categorical", "ordinal", "bool", "fidelity"];

fn fields(kind: &str) -> Vec<Field> {
    let mut fields = vec![need("name", Kind::Text), need("type", Kind::Text)];
    match kind {
        "float" => fields.extend([
            need("low", Kind::Number),
            need("high", Kind::Number),
            opt("log", Kind::Flag),
            opt("step", Kind::Number),
            opt("prior", Kind::Object),
        ]),
        "int" => fields.extend([
            need("low", Kind::Whole),
            need("high", Kind::Whole),
            opt("log", Kind::Flag),
            opt("step", Kind::Whole),
            opt("prior", Kind::Object),
        ]),
        "categorical" | "ordinal" => fields.push(need("choices", Kind::Scalars)),
        "fidelity" => fields.extend([need("low", Kind::Whole), need("high", Kind::Whole), opt("base", Kind::Whole)]),
        _ => {}
    }
    if kind != "fidelity" {
        // A null default is a choice's value, so it doesn't mean absence.
        fields.push(may("default", Kind::Scalar));
        fields.push(opt("when", Kind::Object));
    }
    fields
}

/// Parameters by their shape; none where one could not be read.
pub(crate) fn read(body: &Value, at: &str, errors: &mut Fields) -> Vec<Option<Param>> {
    let Some(items) = body.as_array() else {
        errors.add(at, format!("the space must be a list of parameters, not {}", describe(body)));
        return Vec::new();
    };
    if items.len() > MAX_PARAMS {
        errors.add(at, format!("the space has {} parameters; at most {MAX_PARAMS} are supported", items.len()));
        return Vec::new();
    }
    items.iter().enumerate().map(|(i, item)| read_param(item, &format!("{at}/{i}"), errors)).collect()
}

fn read_param(item: &Value, at: &str, errors: &mut Fields) -> Option<Param> {
    let Some(map) = item.as_object() else {
        errors.add(at, format!("a parameter must be an object such as {{\"name\": \"lr\", \"type\": \"float\", \"low\": 0, \"high\": 1}}, not {}", describe(item)));
        return None;
    };
    let kind = match map.get("type") {
        Some(Value::String(kind)) if TYPES.contains(&kind.as_str()) => kind.as_str(),
        Some(Value::String(kind)) => {
            errors.add(format!("{at}/type"), shape::unknown("type", kind, &TYPES));
            return None;
        }
        Some(other) => {
            errors.add(
                format!("{at}/type"),
                format!("`type` must be one of {}, not {}", TYPES.join(", "), describe(other)),
            );
            return None;
        }
        None => {
            errors
                .add(format!("{at}/type"), format!("a parameter needs the field `type`: one of {}", TYPES.join(", ")));
            return None;
        }
    };
    if let ("bool", Some(_)) = (kind, map.get("choices")) {
        errors.add(format!("{at}/choices"), "a bool has no `choices`: leave them out, or use a categorical");
        return None;
    }
    let mut clean = object(item, at, &format!("a parameter of type {kind}"), &fields(kind), false, errors)?;
    if let Some(prior) = clean.get("prior") {
        object(prior, &format!("{at}/prior"), "`prior`", &[need("normal", Kind::List)], false, errors)?;
        let numbers: Vec<f64> = prior["normal"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        if numbers.len() != 2 || prior["normal"].as_array().map_or(0, Vec::len) != 2 {
            errors.add(format!("{at}/prior/normal"), "`normal` takes two numbers: [mean, standard deviation]");
            return None;
        }
    }
    if let Some(when) = clean.get("when") {
        let when = read_when(when.as_object()?, &format!("{at}/when"), errors)?;
        if when.is_empty() {
            clean.remove("when");
        } else {
            clean.insert("when".into(), serde_json::to_value(when).ok()?);
        }
    }
    match serde_json::from_value(Value::Object(clean)) {
        Ok(param) => Some(param),
        Err(error) => {
            errors.add(at, format!("cannot be read as a parameter: {error}"));
            None
        }
    }
}

fn read_when(map: &Map<String, Value>, at: &str, errors: &mut Fields) -> Option<IndexMap<String, Vec<Value>>> {
    let mut when = IndexMap::new();
    let mut fine = true;
    for (parent, allowed) in map {
        let values = match allowed {
            Value::Array(values) => values.clone(),
            one => vec![one.clone()],
        };
        let at = format!("{at}/{}", token(parent));
        if values.is_empty() {
            errors.add(&at, format!("the list of values of `{parent}` is empty, so the parameter could never be active; name at least one"));
            fine = false;
        } else if let Some(bad) = values.iter().find(|v| !shape::is_scalar(v)) {
            errors.add(
                &at,
                format!("values of `{parent}` must be strings, numbers, booleans or null, not {}", describe(bad)),
            );
            fine = false;
        }
        when.insert(parent.clone(), values);
    }
    fine.then_some(when)
}

/// Judges parameters that could be read. `raw` are all names as given, so that a condition on an unreadable parent isn't
/// reported as missing.
pub(crate) fn check(params: &[Option<Param>], raw: &[Option<String>], at: &str, errors: &mut Fields) {
    let mut first_at: IndexMap<&str, usize> = IndexMap::new();
    let mut fidelity: Option<&str> = None;
    for (i, name) in raw.iter().enumerate().filter_map(|(i, name)| Some((i, name.as_deref()?))) {
        let place = format!("{at}/{i}/name");
        if let Some(wrong) = bad_name(name) {
            errors.add(&place, format!("a parameter's name {wrong}"));
        } else if name == "trial" || name.starts_with("trial.") {
            errors.add(
                &place,
                format!("`{name}` is reserved: `{{trial.…}}` placeholders belong to metaopt; choose another name"),
            );
        }
        match first_at.get(name) {
            Some(first) => errors.add(
                &place,
                format!("the name `{name}` is taken by parameter {first} of this space; names must be unique"),
            ),
            None => {
                first_at.insert(name, i);
            }
        }
    }
    for (i, param) in params.iter().enumerate().filter_map(|(i, p)| Some((i, p.as_ref()?))) {
        let here = format!("{at}/{i}");
        let before = errors.0.len();
        domain(&param.domain, &here, errors);
        if errors.0.len() == before
            && let Some(Err(detail)) = param.default.as_ref().map(|default| param.domain.canonical(default))
        {
            errors.add(format!("{here}/default"), format!("the default {detail}"));
        }
        if param.domain.is_fidelity() {
            match fidelity {
                Some(first) => errors.add(&here, format!("a space has at most one fidelity; `{first}` is one already")),
                None => fidelity = Some(&param.name),
            }
        }
        for (parent, allowed) in param.when.iter().flatten() {
            let here = format!("{here}/when/{}", token(parent));
            condition(params, &first_at, i, parent, allowed, &here, errors);
        }
    }
}

fn condition(
    params: &[Option<Param>],
    first_at: &IndexMap<&str, usize>,
    i: usize,
    parent: &str,
    allowed: &[Value],
    at: &str,
    errors: &mut Fields,
) {
    let name = params[i].as_ref().map_or("", |p| &p.name);
    if parent == name {
        return errors.add(at, format!("`{name}` depends on itself"));
    }
    let Some(&place) = first_at.get(parent) else {
        let known: Vec<&str> = first_at.keys().copied().filter(|k| *k != name).collect();
        return errors.add(
            at,
            format!(
                "`{name}` depends on a parameter that does not exist: {}",
                shape::unknown("parameter", parent, &known)
            ),
        );
    };
    let Some(param) = &params[place] else { return };
    if place > i {
        return errors.add(
            at,
            match path(params, first_at, place, i) {
                Some(cycle) => format!(
                    "`{name}` depends on itself in a cycle: {name} → {}; remove one of these conditions",
                    cycle.join(" → ")
                ),
                None => format!("`{parent}` is declared after `{name}`; move it before, since parents come first"),
            },
        );
    }
    match &param.domain {
        Domain::Float { .. } => {
            errors.add(
                at,
                format!("`{parent}` is a float; conditions need a parent of type categorical, ordinal, bool or int"),
            );
        }
        Domain::Fidelity { .. } => {
            errors.add(
                at,
                format!(
                    "`{parent}` is a fidelity, which changes from attempt to attempt; conditions can't depend on it"
                ),
            );
        }
        domain => {
            for value in allowed.iter().filter(|v| domain.cell_of(v).is_none()) {
                let why = domain.canonical(value).err().unwrap_or_else(|| "is none of its values".into());
                errors.add(at, format!("`{parent}` can never be {value}: {why}"));
            }
            for (k, value) in allowed.iter().enumerate() {
                if allowed[..k].iter().any(|earlier| same(earlier, value)) {
                    errors.add(at, format!("{value} is listed twice; name each value once"));
                }
            }
        }
    }
}

/// Names along conditions from parameter `from` to `to`, both included.
fn path(params: &[Option<Param>], first_at: &IndexMap<&str, usize>, from: usize, to: usize) -> Option<Vec<String>> {
    let mut routes = vec![vec![from]];
    let mut seen = vec![from];
    while let Some(route) = routes.pop() {
        let last = *route.last()?;
        if last == to {
            return Some(route.iter().filter_map(|i| params[*i].as_ref().map(|p| p.name.clone())).collect());
        }
        let parents = params[last].as_ref().and_then(|p| p.when.as_ref());
        for next in parents.into_iter().flatten().filter_map(|(parent, _)| first_at.get(parent.as_str())) {
            if !seen.contains(next) {
                seen.push(*next);
                routes.push(route.iter().copied().chain([*next]).collect());
            }
        }
    }
    None
}

fn domain(domain: &Domain, at: &str, errors: &mut Fields) {
    match domain {
        Domain::Float { low, high, log, step, prior } => {
            for (name, value) in [("low", low), ("high", high)] {
                if !value.is_finite() {
                    errors.add(format!("{at}/{name}"), format!("`{name}` must be a finite number"));
                }
            }
            bounds(*low, *high, at, errors);
            if low < high && !(high - low).is_finite() {
                errors.add(format!("{at}/high"), "the range high - low is too wide for a float; narrow it");
            }
            if *log && *low <= 0.0 {
                errors.add(
                    format!("{at}/low"),
                    format!("`low` is {low}, but a logarithmic scale needs `low` above 0; raise it or leave `log` out"),
                );
            }
            if let Some(step) = step {
                if *log {
                    errors.add(
                        format!("{at}/step"),
                        "a logarithmic float can't have a `step`; leave out `log` or `step`",
                    );
                } else if *step <= 0.0 || !step.is_finite() {
                    errors.add(format!("{at}/step"), format!("`step` is {step}, but must be above 0"));
                } else if low < high && *step > high - low {
                    errors.add(format!("{at}/step"), format!("`step` {step} is larger than the range {low} to {high}"));
                } else if low.abs().max(high.abs()) / step > MAX_STEPS {
                    errors.add(
                        format!("{at}/step"),
                        "`step` is too small for numbers as large as `low` and `high`: there would be more than a billion steps from 0; leave it out for a continuous parameter",
                    );
                }
            }
            normal(prior.as_ref(), *low, *high, *log, at, errors);
        }
        Domain::Int { low, high, log, step, prior } => {
            for (name, value) in [("low", low), ("high", high)] {
                if value.unsigned_abs() > MAX_INT as u64 {
                    errors.add(
                        format!("{at}/{name}"),
                        format!("`{name}` must lie between -2^53 and 2^53, where JSON numbers are exact"),
                    );
                }
            }
            bounds(*low, *high, at, errors);
            if *log && *low < 1 {
                errors.add(
                    format!("{at}/low"),
                    format!(
                        "`low` is {low}, but a logarithmic scale needs `low` of 1 or more; raise it or leave `log` out"
                    ),
                );
            }
            if let Some(step) = step {
                if *step <= 0 {
                    errors.add(format!("{at}/step"), format!("`step` is {step}, but must be 1 or more"));
                } else if *log && *step != 1 {
                    errors.add(
                        format!("{at}/step"),
                        "a logarithmic int can't have a `step` other than 1; leave out `log` or `step`",
                    );
                } else if low < high && step.unsigned_abs() > high.abs_diff(*low) {
                    errors.add(format!("{at}/step"), format!("`step` {step} is larger than the range {low} to {high}"));
                }
            }
            normal(prior.as_ref(), *low as f64, *high as f64, *log, at, errors);
        }
        Domain::Categorical { choices } | Domain::Ordinal { choices } => {
            if choices.is_empty() || choices.len() > MAX_CHOICES {
                errors.add(
                    format!("{at}/choices"),
                    format!("`choices` has {} entries; give 1 to {MAX_CHOICES}", choices.len()),
                );
            }
            for (k, choice) in choices.iter().enumerate().take(MAX_CHOICES) {
                if let Some(first) = choices[..k].iter().position(|earlier| same(earlier, choice)) {
                    errors.add(
                        format!("{at}/choices/{k}"),
                        format!("{choice} is the same as choice {first}; choices must be unique"),
                    );
                }
            }
        }
        Domain::Bool {} => {}
        Domain::Fidelity { low, high, base } => {
            if *low < 1 {
                errors.add(
                    format!("{at}/low"),
                    format!("`low` is {low}, but a fidelity counts completed steps, from 1 up"),
                );
            }
            bounds(*low, *high, at, errors);
            if *base < 2 {
                errors.add(
                    format!("{at}/base"),
                    format!("`base` is {base}, but must be 2 or more: it is the ratio of successive rungs"),
                );
            }
        }
    }
}

fn bounds<T: PartialOrd + std::fmt::Display>(low: T, high: T, at: &str, errors: &mut Fields) {
    if low > high {
        errors.add(format!("{at}/low"), format!("`low` ({low}) must be below `high` ({high}); swap them"));
    } else if low == high {
        errors.add(
            format!("{at}/low"),
            format!("`low` and `high` are both {low}, so there is nothing to search: widen the range, leave the parameter out, or use a categorical with one choice"),
        );
    }
}

fn normal(prior: Option<&Prior>, low: f64, high: f64, log: bool, at: &str, errors: &mut Fields) {
    let Some(Prior::Normal(mean, sigma)) = prior else { return };
    let at = format!("{at}/prior/normal");
    if !(sigma.is_finite() && *sigma > 0.0) {
        errors.add(&at, format!("the standard deviation is {sigma}, but must be above 0"));
    }
    let (from, to, unit) = if log && low > 0.0 {
        (low.ln(), high.ln(), " (natural logarithms, since `log` is set)")
    } else {
        (low, high, "")
    };
    if low < high && !(*mean >= from && *mean <= to) {
        errors.add(&at, format!("the mean {mean} lies outside the range {from} to {to}{unit}"));
    }
}

impl Space {
    /// Reads a space, pointers below `at`.
    pub(crate) fn parse(body: &Value, at: &str, errors: &mut Fields) -> Option<Space> {
        let before = errors.0.len();
        let params = read(body, at, errors);
        check(&params, &raw_names(body), at, errors);
        if body.is_array() && params.iter().flatten().all(|p| p.domain.is_fidelity()) && errors.0.len() == before {
            errors.add(at, "the space has nothing to search; give at least one parameter");
        }
        (errors.0.len() == before).then(|| Space { params: params.into_iter().flatten().collect() })
    }
}

pub(crate) fn raw_names(body: &Value) -> Vec<Option<String>> {
    let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
    body.as_array().into_iter().flatten().map(name).collect()
}
