//! `metaopt logs -f` from one attempt to the next, against a daemon that only pretends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{Fake, code, problem, text};

fn attempt(n: u64, node: &str, reason: Option<&str>) -> Value {
    json!({"attempt": n, "node": node, "reason": reason})
}

fn trial(state: &str, attempts: &[Value]) -> (u16, Value) {
    (200, json!({"id": "n-1.1", "label": "box1-1", "state": state, "attempts": attempts}))
}

#[test]
fn a_log_is_followed_from_a_lost_attempt_to_the_next_and_to_the_trials_end() {
    let (looks, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let lost = "the log is on box5, which can't be reached (it was last heard";
    let fake = Fake::new(move |call, body| match (call, body["query"].as_str().unwrap_or_default()) {
        ("GET /trials/box1-1", _) => trial("running", &[attempt(1, "box5", None)]),
        ("GET /trials/n-1.1", _) => match looks.fetch_add(1, Ordering::Relaxed) {
            0..=2 => trial("running", &[attempt(1, "box5", None)]),
            3 => trial("waiting", &[attempt(1, "box5", Some("lost_node"))]),
            4..=5 => trial("running", &[attempt(1, "box5", Some("lost_node")), attempt(2, "box2", None)]),
            _ => trial("complete", &[attempt(1, "box5", Some("lost_node")), attempt(2, "box2", Some("exit"))]),
        },
        ("GET /trials/n-1.1/logs", "follow=true&attempt=1") if body["after"] == "" => {
            (200, "id: 4\ndata: one\n\n".into())
        }
        ("GET /trials/n-1.1/logs", "follow=true&attempt=1") => {
            let seconds = asked.fetch_add(1, Ordering::Relaxed);
            problem(503, &format!("{lost} {seconds} s ago)"))
        }
        ("GET /trials/n-1.1/logs", "follow=true&attempt=2") => {
            assert_eq!(body["after"], "", "another log, from its beginning");
            (200, "id: 4\ndata: two\n\nevent: end\ndata: {}\n\n".into())
        }
        other => panic!("{other:?}"),
    });
    let output = fake.run(&["logs", "-f", "box1-1"]);
    let said = text(&output.stderr);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "one\ntwo\n"), "{said}");
    assert_eq!(
        said,
        format!("metaopt: {lost} 0 s ago); waiting\nattempt 1 was lost with box5; going on with attempt 2\n")
    );
    // Attempt 2 was read once; its end came before the trial's.
    let calls = fake.asked("GET /trials/n-1.1/logs");
    assert_eq!(calls.iter().filter(|body| body["query"] == "follow=true&attempt=2").count(), 1);
}

#[test]
fn a_log_that_nobody_has_any_more_ends_the_following_with_its_reason() {
    let fake = Fake::new(|call, _| match call {
        "GET /trials/box1-1" | "GET /trials/n-1.1" => trial("complete", &[attempt(1, "box5", Some("exit"))]),
        _ => problem(503, "the log is on box5, which can't be reached"),
    });
    let output = fake.run(&["logs", "-f", "box1-1"]);
    assert!(code(&output) == 1 && text(&output.stderr).contains("box5"), "{}", text(&output.stderr));
}
