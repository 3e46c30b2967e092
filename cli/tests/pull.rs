//! `metaopt pull` of a study of which not everything can be had, against a daemon that only pretends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::{Fake, code, page, problem, text};

fn trial(id: &str, label: &str) -> Value {
    json!({"id": id, "label": label, "state": "complete"})
}

#[test]
fn what_can_be_fetched_of_a_study_is_and_the_rest_is_named() {
    let fake = Fake::new(|call, _| match call {
        "GET /studies/s" => (200, json!({"id": "s-1", "name": "s"})),
        "GET /studies/s-1/trials" => {
            let labels = [("n.1", "box1-1"), ("n.2", "box2-1"), ("n.3", "box3-1"), ("m.1", "box1-1")];
            (200, page(&labels.map(|(id, label)| trial(id, label))))
        }
        "GET /trials/n.2/artifacts" => problem(503, "the files of trial box2-1 are on box2, which can't be reached"),
        "GET /trials/n.1/artifacts" | "GET /trials/n.3/artifacts" | "GET /trials/m.1/artifacts" => {
            (200, page(&[json!({"name": "model.txt", "size": 1, "blake3": null})]))
        }
        "GET /trials/m.1" => (200, trial("m.1", "box1-1")),
        "GET /trials/box1-1" => problem(409, "several trials are labelled `box1-1`"),
        other if other.ends_with("/artifacts/model.txt") => (200, "x".into()),
        other => problem(404, &format!("there is no {other}")),
    });
    let dir = tempfile::tempdir().unwrap();
    let output = fake.command(dir.path(), &["pull", "s"]).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(code(&output), 1, "{said}");
    assert_eq!(text(&output.stdout), "./n.1/model.txt\n./box3-1/model.txt\n./m.1/model.txt\n");
    assert!(said.contains("fetched 3 files") && said.contains("of 1 of 4 trials"), "{said}");
    assert!(said.contains("  box2-1: the files of trial box2-1 are on box2"), "{said}");
    assert!(dir.path().join("m.1/model.txt").is_file());
    let one = fake.command(dir.path(), &["pull", "m.1", "-o", "one"]).output().unwrap();
    assert_eq!(text(&one.stdout), "one/m.1/model.txt\n", "{}", text(&one.stderr));
}
