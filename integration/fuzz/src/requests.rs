//! Request bodies and queries: what is JSON is read as JSON; non-finite numbers become nulls that are named where they
//! stand; a cursor comes back as it was.
//!
//! Input: a byte that says which, then a body, or a query.

use metaopt::submit::spec;
use metaopt_daemon::fuzzing::{body, query, seal};
use serde_json::Value;

use crate::head;

pub fn run(data: &[u8]) -> bool {
    let (which, data) = head(data);
    if which % 2 == 0 { a_body(data) } else { a_query(data) }
}

fn a_body(data: &[u8]) -> bool {
    let json = serde_json::from_slice::<Value>(data).ok();
    let read = body(data);
    match (&json, &read) {
        (Some(json), Some((value, not_finite))) => assert!(json == value && not_finite.is_empty()),
        (Some(_), None) => panic!("JSON was refused"),
        (None, Some((value, not_finite))) => {
            let blank = data.iter().all(u8::is_ascii_whitespace) || data.starts_with(b"\xef\xbb\xbf");
            assert!(blank || !not_finite.is_empty());
            for (pointer, word) in not_finite {
                assert!(word.parse::<f64>().is_ok_and(|number| !number.is_finite()), "{word}");
                // Where a key stands twice, the last one counts.
                assert!(value.pointer(pointer).is_some(), "{pointer} points nowhere");
            }
        }
        (None, None) => {}
    }
    read.is_some()
}

fn a_query(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if let Ok(map) = spec::named("--sampler", "name", text) {
        assert!(map["name"].as_str().is_some_and(|name| !name.is_empty()));
    }
    let Some((limit, cursor)) = query(&format!("/x?{text}")) else { return false };
    assert!((1..=1000).contains(&limit));
    if let Some(cursor) = cursor {
        let again = query(&format!("/x?cursor={}", seal(&cursor)));
        assert_eq!(again.and_then(|(_, cursor)| cursor), Some(cursor));
    }
    true
}
