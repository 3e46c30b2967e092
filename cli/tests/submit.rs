//! What `metaopt submit` says of where a study can run, against a daemon that only pretends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::{Fake, code, page, text};

const SUBMIT: [&str; 8] = ["submit", "-n", "s", "--in-place", "--", "true", "--x~uniform(0, 1)", "y"];

fn place(name: &str, slots: u64, why: Option<&str>) -> Value {
    json!({"node": name, "name": name, "known": why.is_none(), "snapshot": null, "slots": slots, "ready": why.is_none(), "why": why})
}

/// A daemon with these places, once it was asked for them a few times.
fn daemon(after: usize, places: Vec<Value>) -> Fake {
    let asked = AtomicUsize::new(0);
    Fake::new(move |call, body| match call {
        "GET /nodes" => (200, page(&[support::node("n-1", "box1", "alive")])),
        "POST /studies" => (201, json!({"id": "s-1", "name": "s", "run": body["run"]})),
        "GET /studies/s-1/places" if asked.fetch_add(1, Ordering::Relaxed) < after => {
            (200, page(&[place("laptop", 0, Some("has no slots"))]))
        }
        "GET /studies/s-1/places" => (200, page(&places)),
        other => panic!("{other}"),
    })
}

#[test]
fn submit_waits_for_a_node_that_can_run_it_and_then_says_nothing_more() {
    let fake = daemon(3, vec![place("laptop", 0, Some("has no slots")), place("gpu1", 2, None)]);
    let output = fake.run(&SUBMIT);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "s\ts-1\n"), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("only on this machine"), "{}", text(&output.stderr));
    assert_eq!(fake.asked("GET /studies/s-1/places").len(), 4);
}

#[test]
fn submit_says_that_a_study_is_only_on_this_machine_and_why() {
    let nowhere = || vec![place("laptop", 0, Some("has no slots")), place("gpu1", 2, Some("can't be asked"))];
    let output = daemon(0, nowhere()).run(&SUBMIT);
    let said = text(&output.stderr);
    assert_eq!((code(&output), text(&output.stdout).as_str()), (0, "s\ts-1\n"), "{said}");
    assert!(said.contains("only on this machine: laptop: has no slots; gpu1: can't be asked\n"), "{said}");
    let json: Value =
        serde_json::from_slice(&daemon(0, nowhere()).run(&[&SUBMIT[..0], &["--json"], &SUBMIT[..]].concat()).stdout)
            .unwrap();
    assert_eq!((&json["id"], &json["places"][1]["name"]), (&json!("s-1"), &json!("gpu1")));
}

#[test]
fn submit_says_that_no_machine_can_run_a_study_that_others_have() {
    let there = |name, why| {
        let mut place = place(name, 1, Some(why));
        place["known"] = json!(true);
        place
    };
    let places = vec![there("lap", "has no GPU"), there("box1", "is not for it"), there("box2", "has no GPU")];
    let said = text(&daemon(0, places.clone()).run(&SUBMIT).stderr);
    assert!(said.contains("no machine can run it now: lap and box2: has no GPU; box1: is not for it\n"), "{said}");
    let args = [&["submit", "--node", "box1"], &SUBMIT[1..]].concat();
    let said = text(&daemon(0, places).run(&args).stderr);
    assert!(said.contains("now: box1: is not for it; lap and box2: has no GPU\n"), "{said}");
}

#[test]
fn a_study_for_a_node_that_is_not_there_is_refused_with_the_one_that_was_meant() {
    let output = daemon(0, Vec::new()).run(&[&["submit", "--node", "bxo1"], &SUBMIT[1..]].concat());
    let said = text(&output.stderr);
    assert!(code(&output) == 4 && said.contains("no node `bxo1`") && said.contains("did you mean `box1`"), "{said}");
}
