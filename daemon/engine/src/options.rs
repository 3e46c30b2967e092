//! Options of samplers and rules: read with defaults, every wrong one named.

use indexmap::IndexMap;
use metaopt_schema::{
    FieldError, Fields,
    problem::token,
    shape::{describe, unknown, whole},
};
use serde_json::Value;

/// Options under one JSON pointer.
pub struct Options<'a> {
    given: &'a IndexMap<String, Value>,
    at: &'static str,
    errors: Fields,
}

impl<'a> Options<'a> {
    /// Notes every option that isn't among `known`.
    pub fn new(given: &'a IndexMap<String, Value>, at: &'static str, owner: &str, known: &[&str]) -> Self {
        let mut errors = Fields::new();
        for name in given.keys().filter(|name| !known.contains(&name.as_str())) {
            errors.add(format!("{at}/{}", token(name)), unknown(&format!("option of `{owner}`"), name, known));
        }
        Self { given, at, errors }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.given.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, name: &str, want: &str, value: &Value) {
        self.errors.add(format!("{}/{name}", self.at), format!("`{name}` must be {want}, not {}", describe(value)));
    }

    /// A whole number in `low..=high`.
    pub fn count(&mut self, name: &str, low: u64, high: u64) -> Option<u64> {
        let value = self.get(name)?;
        let read = whole(value).and_then(|v| u64::try_from(v).ok()).filter(|v| (low..=high).contains(v));
        if read.is_none() {
            self.wrong(name, &format!("a whole number from {low} to {high}"), value);
        }
        read
    }

    /// A number that `fits`; `want` says which do.
    pub fn number(&mut self, name: &str, want: &str, fits: impl Fn(f64) -> bool) -> Option<f64> {
        let value = self.get(name)?;
        let read = value.as_f64().filter(|v| v.is_finite() && fits(*v));
        if read.is_none() {
            self.wrong(name, want, value);
        }
        read
    }

    /// True or false.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.get(name)?;
        if !value.is_boolean() {
            self.wrong(name, "true or false", value);
        }
        value.as_bool()
    }

    /// One of `words`.
    pub fn choice(&mut self, name: &str, words: &[&'static str]) -> Option<&'static str> {
        let value = self.get(name)?;
        let read = words.iter().find(|word| value.as_str() == Some(**word)).copied();
        if read.is_none() {
            self.wrong(name, &format!("one of {}", words.join(", ")), value);
        }
        read
    }

    /// Notes a fault of one option.
    pub fn fault(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.add(format!("{}/{name}", self.at), detail);
    }

    /// `value` when nothing was wrong.
    pub fn done<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        self.errors.done(value)
    }
}

/// Refuses a name: planned ones are told from unknown ones.
pub fn no_such(what: &str, at: &str, name: &str, here: &[&str], planned: &[&str]) -> Vec<FieldError> {
    let detail = if planned.contains(&name) {
        format!("the {what} `{name}` is not in this version; use one of {}", here.join(", "))
    } else {
        unknown(what, name, here)
    };
    vec![FieldError { pointer: at.into(), detail }]
}
