//! Sending a file, or the part of it that was asked for (RFC 9110, 14).
//!
//! Owns: `Range`, `If-Match` and `If-Range`. Must not: open files.

use std::{fs::File, io::Seek, io::SeekFrom};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use metaopt_api::ProblemKind;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::problem::{Answer, ApiError};

/// Read at once.
const BUFFER: usize = 64 * 1024;

/// A file of `size` bytes whose content `tag` names. A range that makes no sense is passed over, as servers may.
///
/// # Errors
/// 409 when the caller means other content; a disk that can't be read.
pub fn send(headers: &HeaderMap, mut file: File, size: u64, tag: Option<&str>) -> Answer<Response> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    let is_tag = |given: &str| tag.is_some_and(|tag| given.trim_matches('"') == tag);
    if text(header::IF_MATCH).is_some_and(|given| given != "*" && !is_tag(given)) {
        return Err(ApiError::new(ProblemKind::Conflict, "it has other content than that"));
    }
    let wanted = text(header::IF_RANGE).is_none_or(is_tag);
    let range = text(header::RANGE).filter(|_| wanted).and_then(|text| range(text, size));
    let (from, length) = range.map_or((0, size), |(from, to)| (from, to - from + 1));
    file.seek(SeekFrom::Start(from)).map_err(ApiError::internal)?;
    // The file may grow while it is sent; what was announced is what is sent.
    let limited = tokio::fs::File::from_std(file).take(length);
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(limited, BUFFER)));
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(tag) = tag {
        headers.insert(header::ETAG, value(format!("\"{tag}\""))?);
    }
    if let Some((from, to)) = range {
        headers.insert(header::CONTENT_RANGE, value(format!("bytes {from}-{to}/{size}"))?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn value(text: String) -> Answer<HeaderValue> {
    HeaderValue::try_from(text).map_err(ApiError::internal)
}

/// The first and last byte of `bytes=FROM-TO`, `bytes=FROM-` or `bytes=-LAST`; none: several, nonsense, or beyond the end.
fn range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let last = size.checked_sub(1)?;
    let (from, to) = match (from, to) {
        ("", tail) => (size.saturating_sub(number(tail).filter(|n| *n > 0)?), last),
        (from, "") => (number(from)?, last),
        (from, to) => (number(from)?, number(to)?.min(last)),
    };
    (from <= to).then_some((from, to))
}

/// FROM, TO and SIZE of `Content-Range: bytes FROM-TO/SIZE`.
pub fn content_range(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, to) = range.split_once('-')?;
    let found = (from.parse().ok()?, to.parse().ok()?, size.parse().ok()?);
    (found.0 <= found.1 && found.1 < found.2).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_or_passed_over() {
        for (text, size, found) in [
            ("bytes=0-9", 10, Some((0, 9))),
            ("bytes=2-99", 10, Some((2, 9))),
            ("bytes=9-", 10, Some((9, 9))),
            ("bytes=-3", 10, Some((7, 9))),
            ("bytes=-30", 10, Some((0, 9))),
            ("bytes=10-", 10, None),
            ("bytes=5-4", 10, None),
            ("bytes=-0", 10, None),
            ("bytes=0-0", 0, None),
            ("bytes=0-1,3-4", 10, None),
            ("bytes=+1-2", 10, None),
            ("bytes=-", 10, None),
            ("bytes=99999999999999999999-", 10, None),
            ("lines=1-2", 10, None),
        ] {
            assert_eq!(range(text, size), found, "{text}");
        }
    }
}
