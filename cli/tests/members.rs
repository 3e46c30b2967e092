//! Two and three real daemons: inviting, joining, leaving and removing as people type it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::{
    process::Output,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{Place, code, text};

/// A machine called so.
fn run(place: &Place, name: &str, args: &[&str]) -> Output {
    place.command(args).env("METAOPT_NAME", name).output().unwrap()
}

#[track_caller]
fn ok(place: &Place, name: &str, args: &[&str]) -> String {
    let output = run(place, name, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(place: &Place, name: &str, args: &[&str]) -> Value {
    serde_json::from_str(&ok(place, name, &[args, &["--json"]].concat())).unwrap()
}

/// A code of `a`, and where it is reached.
fn invitation(a: &Place) -> (String, String) {
    let body = json(a, "a", &["invite"]);
    (body["code"].as_str().unwrap().into(), body["addresses"][0].as_str().unwrap().into())
}

/// Names of members that weren't removed, as `place` sees them, once `expected` many are there.
#[track_caller]
fn names(place: &Place, name: &str, expected: usize) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let body = json(place, name, &["nodes"]);
        let nodes = body["items"].as_array().unwrap();
        let all = nodes
            .iter()
            .filter(|node| node["state"] != "removed")
            .map(|node| node["name"].as_str().unwrap().to_owned());
        let mut all: Vec<String> = all.collect();
        all.sort();
        if all.len() == expected && all.iter().all(|name| !name.is_empty()) {
            return all;
        }
        assert!(Instant::now() < until, "{expected} wanted: {body:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn two_machines_join_with_a_code_and_each_has_what_the_other_knew() {
    let (a, b) = (Place::new(), Place::new());
    for (place, name) in [(&a, "a"), (&b, "b")] {
        place.file("train.sh", "echo \"metaopt: loss=$2\"\n");
        ok(place, name, &["-n", &format!("of-{name}"), "--max-trials", "3", "train.sh", "--x~uniform(0, 1)"]);
    }
    let (invited, address) = invitation(&a);
    let joined = run(&b, "b", &["join", &invited, "--peer", &address]);
    assert_eq!(code(&joined), 0, "{}", text(&joined.stderr));
    assert!(text(&joined.stderr).contains("joined the cluster of a"), "{}", text(&joined.stderr));
    assert_eq!(text(&joined.stdout).lines().count(), 2);
    for (place, name) in [(&a, "a"), (&b, "b")] {
        assert_eq!(names(place, name, 2), ["a", "b"]);
        let until = Instant::now() + Duration::from_secs(10);
        let done =
            || ["of-a", "of-b"].iter().all(|study| json(place, name, &["status", study])["counts"]["complete"] == 3);
        while !(json(place, name, &["status"])["items"].as_array().unwrap().len() == 2 && done()) {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let said = text(&run(&a, "a", &["status"]).stderr);
    assert!(said.contains("2 nodes: a and b alive"), "{said}");

    // The code was good once, and a member joins nobody else.
    let c = Place::new();
    let used = run(&c, "c", &["join", &invited, "--peer", &address]);
    assert!(code(&used) == 1 && text(&used.stderr).contains("used or expired code"), "{}", text(&used.stderr));
    let bound = run(&b, "b", &["join", &invited, "--peer", &address]);
    assert!(
        code(&bound) == 1 && text(&bound.stderr).contains("in a cluster with a already"),
        "{}",
        text(&bound.stderr)
    );
    let alone = run(&c, "c", &["leave", "--yes"]);
    assert!(code(&alone) == 1 && text(&alone.stderr).contains("nothing to leave"), "{}", text(&alone.stderr));
}

#[test]
fn an_open_door_lets_in_without_a_code_until_it_is_closed() {
    let (a, b, c) = (Place::new(), Place::new(), Place::new());
    let address = invitation(&a).1;
    let wanting = run(&b, "b", &["join", "--peer", &address]);
    assert!(code(&wanting) == 2 && text(&wanting.stderr).contains("without a code now"), "{}", text(&wanting.stderr));
    ok(&a, "a", &["invite", "--open", "5m"]);
    for verb in ["status", "nodes", "up"] {
        let said = text(&run(&a, "a", &[verb]).stderr);
        assert!(said.contains("run commands here"), "{verb}: {said}");
    }
    ok(&b, "b", &["join", "--peer", &address]);
    ok(&a, "a", &["invite", "--close"]);
    let closed = run(&c, "c", &["join", "--peer", &address]);
    assert_eq!(code(&closed), 2, "{}", text(&closed.stderr));
    assert_eq!(names(&a, "a", 2), ["a", "b"]);
}

#[test]
fn who_leaves_begins_anew_and_may_come_again_as_another() {
    let (a, b) = (Place::new(), Place::new());
    a.file("space.json", r#"[{"name": "x", "type": "float", "low": 0, "high": 1}]"#);
    ok(&a, "a", &["submit", "-n", "kept", "--space", "space.json"]);
    let (invited, address) = invitation(&a);
    ok(&b, "b", &["join", &invited, "--peer", &address]);
    assert_eq!(json(&b, "b", &["status"])["items"][0]["name"], "kept");
    let before = json(&b, "b", &["up"])["nodes"].as_array().unwrap().len();
    assert_eq!(before, 2);
    let left = run(&b, "b", &["leave", "--yes"]);
    assert!(code(&left) == 0 && text(&left.stderr).contains("on its own again"), "{}", text(&left.stderr));
    assert_eq!(names(&b, "b", 1), ["b"]);
    assert_eq!(json(&b, "b", &["status"])["items"].as_array().unwrap().len(), 0);
    assert_eq!(names(&a, "a", 1), ["a"]);
    let (invited, address) = invitation(&a);
    ok(&b, "b", &["join", &invited, "--peer", &address]);
    assert_eq!(names(&a, "a", 2), ["a", "b"]);
    // Removed from the other side: for ever, under this identity.
    ok(&a, "a", &["node", "remove", "--yes", "b"]);
    assert_eq!(names(&a, "a", 1), ["a"]);
}

#[test]
fn a_laptop_joins_without_slots_and_sees_everything() {
    let (a, b) = (Place::new(), Place::new());
    let (invited, address) = invitation(&a);
    ok(&b, "b", &["join", &invited, "--peer", &address, "--no-worker"]);
    let body = json(&b, "b", &["nodes"]);
    let slots = |name: &str| {
        let node = body["items"].as_array().unwrap().iter().find(|node| node["name"] == name);
        node.unwrap_or_else(|| panic!("{body:#}"))["slots"].as_array().unwrap().len()
    };
    assert!(slots("b") == 0 && slots("a") > 0, "{body:#}");
}
