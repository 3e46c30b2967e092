//! Shapes of JSON objects: which fields exist, of what kind, which are needed.
//!
//! Owns: errors about unknown, missing and mistyped fields. Must not: know what the fields mean.

use serde_json::{Map, Value};

use crate::problem::{Fields, token};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A string.
    Text,
    /// Any number.
    Number,
    /// A whole number (`3.0` counts as 3).
    Whole,
    /// A whole number from 0 up.
    Count,
    /// `true` or `false`.
    Flag,
    /// A string, number, boolean or null.
    Scalar,
    /// A list of scalars.
    Scalars,
    /// A list of strings.
    Texts,
    /// An object whose values are strings.
    TextMap,
    /// An object of anything.
    Object,
    /// A list of anything.
    List,
    /// Anything.
    Any,
}

/// One field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// It must be there.
    pub required: bool,
    /// `null` means as much as its absence.
    pub nullable: bool,
}

/// A field that must be there.
pub const fn need(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true, nullable: false }
}

/// A field that may be absent.
pub const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false, nullable: false }
}

/// A field that may be absent or null.
pub const fn opt(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false, nullable: true }
}

/// Checks `value` against `fields` and answers a cleaned copy (nulls that mean absence left out, `3.0` made 3 where a
/// whole number is wanted), or `None` after noting what is wrong. `open`: further fields are kept unchecked.
pub fn object(
    value: &Value,
    at: &str,
    what: &str,
    fields: &[Field],
    open: bool,
    errors: &mut Fields,
) -> Option<Map<String, Value>> {
    let before = errors.0.len();
    let Some(map) = value.as_object() else {
        errors.add(at, format!("{what} must be an object, not {}", describe(value)));
        return None;
    };
    let mut clean = Map::new();
    for (key, value) in map {
        match fields.iter().find(|f| f.name == key) {
            Some(field) if field.nullable && value.is_null() => {}
            Some(field) => {
                if let Some(value) = of_kind(value, field.kind, &format!("{at}/{}", token(key)), key, errors) {
                    clean.insert(key.clone(), value);
                }
            }
            None if open => {
                clean.insert(key.clone(), value.clone());
            }
            None => {
                let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
                errors.add(format!("{at}/{}", token(key)), unknown("field", key, &names));
            }
        }
    }
    for field in fields.iter().filter(|f| f.required) {
        // Where any kind will do nothing else refuses a null, which is no value for something that is needed.
        let missing = |value: &Value| field.kind == Kind::Any && value.is_null();
        if map.get(field.name).is_none_or(missing) {
            errors.add(format!("{at}/{}", field.name), format!("{what} needs the field `{}`", field.name));
        }
    }
    (errors.0.len() == before).then_some(clean)
}

fn of_kind(value: &Value, kind: Kind, at: &str, name: &str, errors: &mut Fields) -> Option<Value> {
    let wrong = |want: &str, errors: &mut Fields| {
        errors.add(at, format!("`{name}` must be {want}, not {}", describe(value)));
        None
    };
    match kind {
        Kind::Any => Some(value.clone()),
        Kind::Text if value.is_string() => Some(value.clone()),
        Kind::Text => wrong("a string", errors),
        Kind::Flag if value.is_boolean() => Some(value.clone()),
        Kind::Flag => wrong("true or false", errors),
        Kind::Number if value.is_number() => Some(value.clone()),
        Kind::Number => wrong("a number", errors),
        Kind::Whole => match whole(value) {
            Some(whole) => Some(whole.into()),
            None => wrong("a whole number (between -2^63 and 2^63)", errors),
        },
        Kind::Count => match (value.as_u64(), whole(value)) {
            (Some(count), _) => Some(count.into()),
            (None, Some(count @ 0..)) => Some(count.into()),
            _ => wrong("a whole number from 0 up", errors),
        },
        Kind::Scalar if is_scalar(value) => Some(value.clone()),
        Kind::Scalar => wrong("a string, number, boolean or null", errors),
        Kind::Object if value.is_object() => Some(value.clone()),
        Kind::Object => wrong("an object", errors),
        Kind::List if value.is_array() => Some(value.clone()),
        Kind::List => wrong("a list", errors),
        Kind::Scalars | Kind::Texts => {
            let (want, test): (_, fn(&Value) -> bool) = match kind {
                Kind::Texts => ("a string", Value::is_string),
                _ => ("a string, number, boolean or null", is_scalar),
            };
            let Some(items) = value.as_array() else {
                return wrong(if kind == Kind::Texts { "a list of strings" } else { "a list of values" }, errors);
            };
            let mut fine = true;
            for (i, item) in items.iter().enumerate().filter(|(_, item)| !test(item)) {
                fine = false;
                errors.add(format!("{at}/{i}"), format!("each of `{name}` must be {want}, not {}", describe(item)));
            }
            fine.then(|| value.clone())
        }
        Kind::TextMap => {
            let Some(map) = value.as_object() else { return wrong("an object of strings", errors) };
            let mut fine = true;
            for (key, item) in map.iter().filter(|(_, item)| !item.is_string()) {
                fine = false;
                errors.add(
                    format!("{at}/{}", token(key)),
                    format!("`{key}` must be a string (put it in quotes), not {}", describe(item)),
                );
            }
            fine.then(|| value.clone())
        }
    }
}

/// A string, number, boolean or null.
pub fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

/// A whole number, also where it is written `3.0`.
pub fn whole(value: &Value) -> Option<i64> {
    // Beyond 2^53 a float names no single whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        value.as_f64().filter(|v| v.fract() == 0.0 && v.abs() <= EXACT && !value.is_u64()).map(|v| v as i64)
    })
}

/// `value` in words, for "must be …, not …".
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.chars().count() <= 40 => format!("the string \"{text}\""),
        Value::String(_) => "a long string".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// "unknown field `lwo`; did you mean `low`?", or all names where none is near.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown {what} `{name}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown {what} `{name}`; there is none to give here"),
        None => format!("unknown {what} `{name}`; known: {}", known.join(", ")),
    }
}

/// The known name that `name` is most likely a slip of.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|k| (distance(&lower, &k.to_lowercase()), *k))
        .filter(|(d, k)| *d <= 1 + k.chars().count().max(lower.chars().count()) / 4)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Edits from one text to the other: insertions, deletions, replacements, swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// What is wrong with a name (of a parameter, metric or study), if anything.
pub fn bad_name(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        Some("must not be empty")
    } else if name.chars().count() > 128 {
        Some("must have at most 128 characters")
    } else if name.chars().any(char::is_control) {
        Some("must not contain control characters (line breaks, tabs, …)")
    } else if name.contains(['{', '}']) {
        Some("must not contain `{` or `}`, which mark placeholders")
    } else if name != name.trim() {
        Some("must not begin or end with a space")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nearest_finds_slips_and_leaves_strangers_alone() {
        assert_eq!(nearest("lwo", &["low", "high", "log"]), Some("low"));
        assert_eq!(nearest("max_trails", &["max_trials", "timeout_s"]), Some("max_trials"));
        assert_eq!(nearest("Default", &["default"]), Some("default"));
        assert_eq!(nearest("banana", &["low", "high"]), None);
    }

    #[test]
    fn all_faults_of_an_object_are_reported_at_once() {
        let mut errors = Fields::new();
        let fields = [need("name", Kind::Text), need("low", Kind::Number), opt("n", Kind::Whole)];
        let read =
            object(&json!({"name": 3, "lwo": 1, "n": 1.5}), "/space/0", "a parameter", &fields, false, &mut errors);
        assert!(read.is_none());
        let at: Vec<&str> = errors.0.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!(at, ["/space/0/lwo", "/space/0/n", "/space/0/name", "/space/0/low"]);
        assert!(errors.0[0].detail.contains("did you mean `low`?"), "{}", errors.0[0].detail);
    }

    #[test]
    fn a_null_is_no_value_for_what_is_needed() {
        let mut errors = Fields::new();
        object(&json!({"x": null}), "", "it", &[need("x", Kind::Any)], false, &mut errors);
        assert_eq!(errors.0[0].pointer, "/x");
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        let mut errors = Fields::new();
        let read = object(
            &json!({"n": 12.0, "m": null}),
            "",
            "it",
            &[may("n", Kind::Whole), opt("m", Kind::Text)],
            false,
            &mut errors,
        );
        assert_eq!(Value::Object(read.unwrap()), json!({"n": 12}));
        assert_eq!(whole(&json!(1e300)), None);
    }
}
