//! Doors for `integration/fuzz` to what is otherwise private; only with the feature `fuzzing`.
//!
//! Owns: nothing. Must not: be used by anything that ships.

use axum::extract::FromRequestParts;
use futures_util::FutureExt;
use metaopt_core::commands::ImportedTrial;
use serde_json::Value;

pub use crate::exec::{
    redact::{Redactor, SHORTEST},
    results::{is_result_line, parse_line},
};
use crate::http::{body::Loose, import::Lines, query::Query};

/// The trials of an import, their lines, and how many lines had no result; the errors as text.
pub fn import<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<ImportedTrial>, Vec<usize>, u64), String> {
    let mut lines = Lines::default();
    for chunk in chunks {
        lines.push(chunk).map_err(|error| format!("{error:?}"))?;
    }
    let unfinished = lines.finish().map_err(|error| format!("{error:?}"))?;
    let (trials, numbers) = lines.take();
    Ok((trials, numbers, unfinished))
}

/// A request's body, and where its non-finite numbers stood.
pub fn body(bytes: &[u8]) -> Option<(Value, Vec<(String, String)>)> {
    Loose::parse(bytes).ok().map(|loose| (loose.value, loose.not_finite))
}

/// A request's query, read in every way that handlers read one: the page's limit and cursor.
pub fn query(uri: &str) -> Option<(usize, Option<(u64, String)>)> {
    let (mut parts, ()) = axum::http::Request::builder().uri(uri).body(()).ok()?.into_parts();
    let query = Query::from_request_parts(&mut parts, &()).now_or_never()?.ok()?;
    let known = ["limit", "cursor", "state", "sort", "fields", "after_step", "follow"];
    query.only(&known).ok()?;
    query.whole("after_step", 0, u64::MAX).ok()?;
    query.flag("follow").ok()?;
    query.word("sort", &["number", "-number"]).ok()?;
    query.words("state", &["waiting", "running"]).ok()?;
    Some((query.limit().ok()?, query.cursor().ok()?))
}

/// A cursor as clients hold it.
pub fn seal(cursor: &(u64, String)) -> String {
    crate::http::query::seal(cursor)
}
