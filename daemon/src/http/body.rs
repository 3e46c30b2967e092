//! Reading bodies: within limits, as JSON, with every wrong field named.
//!
//! Owns: body limits, what is said about broken JSON, and non-finite numbers. Must not: know what fields mean.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use futures_util::StreamExt;
use metaopt_api::ProblemKind;
use metaopt_schema::{
    FieldError, Fields,
    problem::token,
    shape::{self, Field},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    guard::Room,
    problem::{Answer, ApiError},
};

/// Largest body of an ordinary request.
pub const LIMIT: u64 = 1024 * 1024;
/// Largest import.
pub const IMPORT_LIMIT: u64 = 256 * 1024 * 1024;
/// Largest compressed snapshot.
pub const SNAPSHOT_LIMIT: u64 = 512 * 1024 * 1024;
/// Largest artifact.
pub const ARTIFACT_LIMIT: u64 = 1024 * 1024 * 1024;
/// How much of a body that is too large is read and thrown away, so that its sender gets to read why.
const DRAINED: u64 = 16 * 1024 * 1024;
/// A sender that is silent for this long has gone.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);
/// So is one that brings less than this in that time (bytes), again and again.
const TRICKLE: u64 = 4096;
/// Larger bodies wait for room before they are parsed.
const SMALL: usize = 16 * 1024;

/// The chunks of a body, up to a limit.
pub struct Chunks {
    stream: axum::body::BodyDataStream,
    read: u64,
    limit: u64,
    // when the present window began, and how much had come by then
    window: (tokio::time::Instant, u64),
}

impl Chunks {
    /// Refuses at once what says that it is too large or compressed.
    ///
    /// # Errors
    /// 413 or 415.
    pub async fn open(headers: &HeaderMap, body: Body, limit: u64) -> Answer<Self> {
        let encoding = headers.get(header::CONTENT_ENCODING).map(|v| v.to_str().unwrap_or("?"));
        let mut chunks =
            Self { stream: body.into_data_stream(), read: 0, limit, window: (tokio::time::Instant::now(), 0) };
        if let Some(encoding) = encoding.filter(|e| !e.eq_ignore_ascii_case("identity")) {
            let detail = format!("the content encoding `{encoding}` is not understood; send the body as it is");
            return Err(ApiError::new(ProblemKind::UnsupportedMediaType, detail));
        }
        let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|n| n > limit) {
            chunks.drain().await;
            return Err(ApiError::too_large(limit));
        }
        Ok(chunks)
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// 413 past the limit, 400 when the sender stops halfway.
    pub async fn next(&mut self) -> Answer<Option<Bytes>> {
        let cut = |why: &str| ApiError::new(ProblemKind::Malformed, format!("the body was cut off: {why}"));
        let next = tokio::time::timeout(SILENCE, self.stream.next()).await;
        let chunk = match next.map_err(|_| cut("nothing came for 30 s"))? {
            None => return Ok(None),
            Some(chunk) => chunk.map_err(|error| cut(&error.to_string()))?,
        };
        self.read += chunk.len() as u64;
        if self.window.0.elapsed() > SILENCE {
            if self.read - self.window.1 < TRICKLE {
                return Err(cut("less than 4 KiB came in 30 s"));
            }
            self.window = (tokio::time::Instant::now(), self.read);
        }
        if self.read > self.limit {
            self.drain().await;
            return Err(ApiError::too_large(self.limit));
        }
        Ok(Some(chunk))
    }

    async fn drain(&mut self) {
        let mut left = DRAINED;
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
        while let Ok(Some(Ok(chunk))) = tokio::time::timeout_at(deadline, self.stream.next()).await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                return;
            }
        }
    }
}

/// A whole body of at most [`LIMIT`].
async fn bytes(request: Request) -> Answer<Vec<u8>> {
    let (parts, body) = request.into_parts();
    let mut chunks = Chunks::open(&parts.headers, body, LIMIT).await?;
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next().await? {
        all.extend_from_slice(&chunk);
    }
    if all.len() > SMALL
        && let Some(room) = parts.extensions.get::<Room>()
    {
        room.take().await;
    }
    Ok(all)
}

/// A JSON body in which non-finite numbers (which are not JSON, but which programs send) are nulls.
#[derive(Debug)]
pub struct Loose {
    /// The value; `{}` for an empty body.
    pub value: Value,
    /// Where the non-finite numbers stood, and how they were written.
    pub not_finite: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequest<S> for Loose {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        Self::parse(&bytes(request).await?)
    }
}

impl Loose {
    /// Parses a body.
    ///
    /// # Errors
    /// 400 with the position.
    pub fn parse(body: &[u8]) -> Answer<Self> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self { value: Value::Object(serde_json::Map::new()), not_finite: Vec::new() });
        }
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let error = match serde_json::from_slice(body) {
            Ok(value) => return Ok(Self { value, not_finite: Vec::new() }),
            Err(error) => error,
        };
        if let Some(marked) = mark_non_finite(body)
            && let Ok(mut value) = serde_json::from_slice(&marked)
        {
            let mut not_finite = Vec::new();
            unmark(&mut value, String::new(), &mut not_finite);
            // None is left where a later value of the same key took its place.
            if !not_finite.is_empty() {
                return Ok(Self { value, not_finite });
            }
        }
        Err(ApiError::new(ProblemKind::Malformed, format!("the body is not JSON: {error}")))
    }

    /// The value, where every number is finite.
    ///
    /// # Errors
    /// 422 naming each that isn't.
    pub fn finite(self) -> Answer<Value> {
        if self.not_finite.is_empty() {
            return Ok(self.value);
        }
        let error = |(pointer, text): (String, String)| FieldError {
            pointer,
            detail: format!("must be a finite number, not {text}"),
        };
        Err(ApiError::fields(self.not_finite.into_iter().map(error).collect()))
    }
}

const MARK: &str = "\u{1}metaopt non-finite:";

/// The body with every bare `NaN`, `Infinity` or number beyond a double's range as a marked string; none when there is none.
fn mark_non_finite(body: &[u8]) -> Option<Vec<u8>> {
    // Who writes marks of their own is not helped.
    let text = std::str::from_utf8(body).ok().filter(|text| !text.contains("\\u0001"))?;
    let mut out = String::with_capacity(text.len() + 64);
    let (mut rest, mut found) = (text, false);
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            })?;
            out.push_str(&rest[..end + 2]);
            rest = &rest[end + 2..];
        } else if c == '-' || c.is_ascii_alphanumeric() {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c))).unwrap_or(rest.len());
            let word = &rest[..end];
            let named = matches!(word, "NaN" | "-NaN" | "Infinity" | "-Infinity" | "nan" | "inf" | "-inf");
            let huge = word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
                && word.parse::<f64>().is_ok_and(f64::is_infinite);
            if named || huge {
                if rest[end..].trim_start().starts_with(':') {
                    return None;
                }
                found = true;
                out.push_str(&format!("\"\\u0001{}{word}\"", &MARK[1..]));
            } else {
                out.push_str(word);
            }
            rest = &rest[end..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    found.then(|| out.into_bytes())
}

fn unmark(value: &mut Value, at: String, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => {
            if let Some(word) = text.strip_prefix(MARK) {
                found.push((at, word.to_owned()));
                *value = Value::Null;
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                unmark(item, format!("{at}/{i}"), found);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                unmark(item, format!("{at}/{}", token(key)), found);
            }
        }
        _ => {}
    }
}

/// A request type: its fields, for errors that name them all at once.
pub trait Shape: DeserializeOwned {
    /// What it is, in errors.
    const WHAT: &'static str;
    /// Its fields.
    const FIELDS: &'static [shape::Field];

    /// Reads one, with pointers below `at`.
    fn read(value: &Value, at: &str, errors: &mut Fields) -> Option<Self> {
        let map = shape::object(value, at, Self::WHAT, Self::FIELDS, false, errors)?;
        match serde_json::from_value(Value::Object(map)) {
            Ok(read) => Some(read),
            Err(error) => {
                errors.add(at, error.to_string());
                None
            }
        }
    }
}

/// A JSON body of a known shape.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: Shape> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        let value = Loose::from_request(request, state).await?.finite()?;
        let mut errors = Fields::new();
        match T::read(&value, "", &mut errors) {
            Some(read) if errors.0.is_empty() => Ok(Self(read)),
            _ => Err(ApiError::fields(errors.0)),
        }
    }
}

/// The body of a call that needs none: absent, or an object without fields.
#[derive(Debug, serde::Deserialize)]
pub struct Nothing {}

impl Shape for Nothing {
    const WHAT: &'static str = "the body";
    const FIELDS: &'static [Field] = &[];
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn non_finite_numbers_are_named_where_they_stand() {
        let body = br#"{"a": [1, NaN], "b~/": {"x": -Infinity, "text": "NaN \" Infinity"}, "c": 1e999}"#;
        let loose = Loose::parse(body).unwrap();
        assert_eq!(loose.value, json!({"a": [1, null], "b~/": {"x": null, "text": "NaN \" Infinity"}, "c": null}));
        let at: Vec<_> = loose.not_finite.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
        assert_eq!(at, [("/a/1", "NaN"), ("/b~0~1/x", "-Infinity"), ("/c", "1e999")]);
        assert!(loose.finite().is_err());
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_position() {
        for body in [
            &b"{"[..],
            b"{\"a\": Nan}",
            b"[1,]",
            b"\xff",
            b"{} {}",
            b"{\"a\": NaN",
            b"hello",
            br#"[NaN, "\u0001metaopt non-finite:x"]"#,
        ] {
            let error = format!("{:?}", Loose::parse(body).unwrap_err());
            assert!(error.contains("column"), "{error}");
        }
    }

    #[test]
    fn an_empty_body_is_an_empty_object() {
        assert_eq!(Loose::parse(b" \n").unwrap().value, json!({}));
        assert_eq!(Loose::parse(b"\xef\xbb\xbf{\"a\": 1}").unwrap().value, json!({"a": 1}));
    }
}
