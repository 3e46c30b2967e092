//! What scripts print: secrets are gone whatever the chunks, and so is all that could command a terminal; event streams
//! and result lines are read or refused.
//!
//! Input: two bytes that cut, a line of secrets separated by commas, then the log.

use metaopt::{render::strip::Stripper, sse::Events};
use metaopt_daemon::fuzzing::{Redactor, SHORTEST, is_result_line, parse_line};

use crate::{head, pieces};

const MASK: &str = "[redacted]";

pub fn run(data: &[u8]) -> bool {
    let (cut, data) = head(data);
    let (other_cut, data) = head(data);
    let (first, log) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let secrets: Vec<String> = String::from_utf8_lossy(first).split(',').map(str::to_owned).collect();
    let redacted = redact(&secrets, pieces(log, cut));
    assert_eq!(redacted, redact(&secrets, pieces(log, other_cut)), "chunks changed what is redacted");
    assert_eq!(redacted, redact(&secrets, [log]), "chunks changed what is redacted");
    let known: Vec<&[u8]> = secrets.iter().map(String::as_bytes).filter(|secret| secret.len() >= SHORTEST).collect();
    // Between masks there is nothing to find. (A secret may overlap a mask or lie in one: `acted`.)
    for part in split(&redacted, MASK.as_bytes()) {
        assert!(known.iter().all(|secret| split(part, secret).len() == 1), "a secret was left");
    }

    let text = String::from_utf8_lossy(log);
    let stripped = strip(&text, cut);
    assert_eq!(stripped, strip(&text, other_cut), "chunks changed what is stripped");
    let left = stripped.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
    assert_eq!(left, None, "a control character was left");
    assert_eq!(strip(&stripped, cut), stripped, "stripping twice");
    if !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
        assert_eq!(stripped, text, "plain text is left alone");
    }

    let mut events = Events::new(log);
    while let Ok(Some(event)) = events.next_event() {
        assert!(!event.name.is_empty() && event.data.len() <= log.len() * 3);
    }
    for line in text.lines().filter(|line| is_result_line(line)) {
        let found = parse_line(line, &["loss".into()]);
        assert_eq!(format!("{found:?}"), format!("{:?}", parse_line(line, &["loss".into()])));
    }
    redacted != log || stripped.len() != text.len()
}

fn redact<'a>(secrets: &[String], chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut redactor = Redactor::new(secrets);
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend(redactor.push(chunk));
    }
    out.extend(redactor.finish());
    out
}

fn strip(text: &str, cut: u8) -> String {
    let mut stripper = Stripper::default();
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut at = (usize::from(cut % 7) + 1).min(rest.len());
        while !rest.is_char_boundary(at) {
            at += 1;
        }
        out += &stripper.strip(&rest[..at]);
        rest = &rest[at..];
    }
    out
}

fn split<'a>(bytes: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    while at + by.len() <= bytes.len() {
        if bytes[at..].starts_with(by) {
            parts.push(&bytes[from..at]);
            at += by.len();
            from = at;
        } else {
            at += 1;
        }
    }
    parts.push(&bytes[from..]);
    parts
}
