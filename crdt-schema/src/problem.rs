//! Errors about fields: where (an RFC 6901 pointer) and what to do about it.

use serde::{Deserialize, Serialize};

/// One wrong field of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer to the field, such as `/space/0/low`.
    pub pointer: String,
    /// What is wrong and how to mend it.
    pub detail: String,
}

/// Collects field errors, so that one answer names them all.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<FieldError>);

impl Fields {
    /// Nothing wrong yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// Notes one wrong field.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }
    /// `value` when nothing was wrong, else every error.
    pub fn done<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// Escapes one reference token of a JSON pointer (RFC 6901 §3).
pub fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
