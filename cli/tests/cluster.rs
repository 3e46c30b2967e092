//! Commands about clusters, against a daemon that only pretends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::{io::Write, process::Stdio};

use serde_json::{Value, json};
use support::{Fake, cluster, code, node, page, problem, text};

const CODE: &str = "ABCD-EFGH-JK23";

fn two() -> Vec<Value> {
    vec![node("n-1", "gpu1", "alive"), node("n-2", "gpu2", "alive")]
}

/// Answers the lists, and everything else with what `more` says.
fn fake(nodes: Vec<Value>, more: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> Fake {
    Fake::new(move |call, body| match call {
        "GET /nodes" => (200, page(&nodes)),
        "GET /cluster" => (200, cluster(&nodes)),
        "GET /studies" => (200, page(&[])),
        _ => more(call, body),
    })
}

fn inviting() -> Fake {
    fake(two(), |call, body| match call {
        "POST /cluster/invites" => {
            let code = if body["open"] == true { Value::Null } else { json!(CODE) };
            let at = "2999-01-01T00:00:00Z";
            (201, json!({"code": code, "open": body["open"], "expires_at": at, "addresses": ["10.0.0.1:7879"]}))
        }
        "DELETE /cluster/invites" => (204, Value::Null),
        other => panic!("{other}"),
    })
}

#[test]
fn an_invitation_prints_the_code_alone_and_says_what_to_type() {
    let fake = inviting();
    let output = fake.run(&["invite", "--ttl", "5m"]);
    assert_eq!((code(&output), text(&output.stdout)), (0, format!("{CODE}\n")));
    let said = text(&output.stderr);
    for part in
        ["within 5 minutes", "metaopt join ABCD-EFGH-JK23\n", "--peer 10.0.0.1:7879", "run commands on every member"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(fake.asked("POST /cluster/invites"), [json!({"open": false, "ttl_s": 300.0})]);
    let body: Value = serde_json::from_slice(&fake.run(&["invite", "--json"]).stdout).unwrap();
    assert_eq!(body["code"], CODE);
}

#[test]
fn an_open_door_is_said_plainly_and_can_be_closed() {
    let fake = inviting();
    for args in [&["invite", "--open"][..], &["invite", "--open", "20m"]] {
        let output = fake.run(args);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        let said = text(&output.stderr);
        for part in ["ANY machine of this network", "run commands", "metaopt invite --close"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    let asked = fake.asked("POST /cluster/invites");
    assert_eq!(asked, [json!({"open": true, "ttl_s": 600.0}), json!({"open": true, "ttl_s": 1200.0})]);
    let closed = fake.run(&["invite", "--close"]);
    assert!(code(&closed) == 0 && text(&closed.stderr).contains("nobody can join"), "{}", text(&closed.stderr));
    assert_eq!(text(&fake.run(&["--json", "invite", "--close"]).stdout), "{\"closed\":true}\n");
    assert_eq!(code(&fake.run(&["invite", "--open", "5m", "--ttl", "5m"])), 2);
    let long = fake.run(&["invite", "--open", "2h"]);
    assert!(code(&long) == 2 && text(&long.stderr).contains("--open"), "{}", text(&long.stderr));
}

#[test]
fn a_join_waits_for_the_history_and_prints_the_members() {
    let fake = fake(two(), |call, _| match call {
        "POST /cluster/join" => (200, json!({"node": "n-2", "name": "gpu2", "cluster": two()})),
        other => panic!("{other}"),
    });
    let output = fake.run(&["join", CODE]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let names: Vec<&str> = lines.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names, ["gpu1", "gpu2"]);
    assert!(text(&output.stderr).contains("joined the cluster of gpu2"), "{}", text(&output.stderr));
    assert_eq!(fake.asked("POST /cluster/join"), [json!({"code": CODE, "peer": null})]);
    assert_eq!(code(&fake.run(&["join", "ABCD", "EFGH", "JK23"])), 0);
    assert_eq!(fake.asked("POST /cluster/join")[1]["code"], CODE);
    let body: Value = serde_json::from_slice(&fake.run(&["--json", "join", CODE]).stdout).unwrap();
    assert_eq!((&body["name"], body["cluster"].as_array().unwrap().len()), (&json!("gpu2"), 2));
}

#[test]
fn a_code_may_come_from_standard_input_and_peers_are_tried_in_turn() {
    let fake = fake(two(), |call, body| match call {
        "POST /cluster/join" if body["peer"] == "10.0.0.8:7879" => problem(502, "cannot reach 10.0.0.8:7879"),
        "POST /cluster/join" => (200, json!({"node": "n-2", "name": "gpu2", "cluster": two()})),
        other => panic!("{other}"),
    });
    let dir = tempfile::tempdir().unwrap();
    let args = ["join", "--code-stdin", "--peer", "10.0.0.8:7879", "--peer", "10.0.0.9:7879"];
    let mut child = fake.command(dir.path(), &args);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{CODE}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let peers: Vec<Value> = fake.asked("POST /cluster/join").iter().map(|body| body["peer"].clone()).collect();
    assert_eq!(peers, ["10.0.0.8:7879", "10.0.0.9:7879"]);
    assert!(fake.asked("POST /cluster/join").iter().all(|body| body["code"] == CODE));
    let empty = fake.run(&["join", "--code-stdin"]);
    assert!(code(&empty) == 2 && text(&empty.stderr).contains("standard input holds no code"));
    assert_eq!(code(&fake.run(&["join", CODE, "--code-stdin"])), 2);
}

#[test]
fn every_way_not_to_join_has_an_exit_code_and_a_way_out() {
    let words = "gpu2 lets nobody in without a code now: run `metaopt invite` there";
    let wanting = json!({"status": 422, "detail": "x", "errors": [{"pointer": "/code", "detail": words}]});
    for (answer, args, expected, said) in [
        (problem(403, "wrong, used or expired code"), vec!["join", CODE], 1, "error: wrong, used or expired code\n"),
        (problem(404, "nobody was found"), vec!["join", CODE], 4, "nobody was found"),
        (problem(409, "in a cluster with gpu3"), vec!["join", CODE], 1, "gpu3"),
        (problem(429, "too many wrong codes; try again in 30 seconds"), vec!["join", CODE], 1, "30 seconds"),
        (problem(502, "cannot reach gpu9:7879"), vec!["join", CODE, "--peer", "gpu9"], 1, "cannot reach gpu9:7879"),
        ((422, wanting), vec!["join"], 2, "error: gpu2 lets nobody in"),
    ] {
        let fake = fake(two(), move |_, _| answer.clone());
        let output = fake.run(&args);
        assert_eq!(code(&output), expected, "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{said} in {}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
    let elsewhere = fake(two(), |_, _| panic!()).run(&["join", "--no-worker", CODE]);
    assert!(code(&elsewhere) == 2 && text(&elsewhere.stderr).contains("METAOPT_URL"), "{}", text(&elsewhere.stderr));
}

#[test]
fn what_is_for_ever_needs_a_yes() {
    let fake = fake(two(), |call, _| match call {
        "GET /nodes/gpu2" => (200, node("n-2", "gpu2", "alive")),
        "GET /nodes/gpu3" | "DELETE /nodes/gpu3" => problem(404, "there is no node `gpu3`"),
        "DELETE /nodes/gpu2" => (204, Value::Null),
        "POST /nodes/gpu2/lost" | "POST /nodes/gpu2/drain" => (200, node("n-2", "gpu2", "alive")),
        other => panic!("{other}"),
    });
    for args in [vec!["node", "remove", "gpu2"], vec!["leave"]] {
        let output = fake.run(&args);
        assert!(code(&output) == 2 && text(&output.stderr).contains("add --yes"), "{}", text(&output.stderr));
    }
    assert!(fake.asked("DELETE /nodes/gpu2").is_empty() && fake.asked("POST /cluster/leave").is_empty());
    let removed = fake.run(&["node", "remove", "--yes", "gpu2"]);
    assert!(code(&removed) == 0 && text(&removed.stderr).contains("for ever"), "{}", text(&removed.stderr));
    let lost = fake.run(&["node", "lost", "gpu2"]);
    assert!(text(&lost.stderr).contains("offered to others now"), "{}", text(&lost.stderr));
    let unknown = fake.run(&["node", "remove", "--yes", "gpu3"]);
    assert!(code(&unknown) == 4 && text(&unknown.stderr).contains("did you mean `gpu"), "{}", text(&unknown.stderr));
}

#[test]
fn a_node_is_found_by_the_first_letters_of_its_id_and_one_without_slots_takes_no_trials() {
    let mut lap = node("xyzw1", "lap", "alive");
    lap["slots"] = json!([]);
    let answered = lap.clone();
    let fake =
        fake(vec![node("xyzv2", "box1", "alive"), node("n-2", "box2", "alive"), lap], move |call, _| match call {
            "POST /nodes/xyzw1/resume" | "POST /nodes/xyzw1/drain" => (200, answered.clone()),
            call if call.starts_with("GET /nodes/") => problem(404, "there is no such node"),
            other => panic!("{other}"),
        });
    let resumed = fake.run(&["node", "resume", "xyzw"]);
    assert!(code(&resumed) == 0 && text(&resumed.stderr).contains("runs no trials"), "{}", text(&resumed.stderr));
    for (typed, meant) in [("xyz", "`metaopt nodes` lists"), ("BOX2", "did you mean `box2`?")] {
        let unknown = fake.run(&["node", "drain", typed]);
        assert!(code(&unknown) == 4 && text(&unknown.stderr).contains(meant), "{}", text(&unknown.stderr));
    }
}

#[test]
fn a_daemon_that_cannot_leave_says_so() {
    let fake = fake(two(), |_, _| problem(409, "not yet"));
    let output = fake.run(&["leave", "--yes"]);
    assert!(code(&output) == 1 && text(&output.stderr).contains("not yet"), "{}", text(&output.stderr));
    assert_eq!(code(&fake.run(&["leave", "--yes", "--force"])), 1);
    assert_eq!(fake.asked("POST /cluster/leave"), [json!({}), json!({"force": true})]);
}

#[test]
fn nodes_and_status_say_what_is_wrong_in_talk_and_keep_data_plain() {
    let mut nodes = two();
    nodes[1]["state"] = json!("suspect");
    nodes[1]["why"] = json!("its clock is 7 minutes ahead");
    nodes.push(node("n-3", "gpu1", "alive"));
    nodes[2]["version"] = json!("0.0.1");
    let answered = nodes.clone();
    let fake = Fake::new(move |call, _| match call {
        "GET /nodes" => (200, page(&answered)),
        "GET /studies" => (200, page(&[])),
        "GET /cluster" => {
            let mut cluster = cluster(&answered);
            cluster["open_until"] = json!("2999-01-01T00:00:00Z");
            cluster["troubles"] = json!([{"node": null, "address": "10.0.0.9:7879", "why": "no answer", "since": "2026-01-01T00:00:00Z"}]);
            (200, cluster)
        }
        other => panic!("{other}"),
    });
    let output = fake.run(&["nodes"]);
    let (out, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(out.lines().count(), 3);
    assert!(out.lines().all(|line| line.split('\t').count() == 10), "{out}");
    for part in [
        "2 nodes are called `gpu1` (n-1 and n-3)",
        "install the newer one on gpu1",
        "10.0.0.9:7879: no answer",
        "run commands here",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let said = text(&fake.run(&["status"]).stderr);
    for part in ["3 nodes: gpu1 and gpu1 alive, gpu2 suspect; 0 of 3 slots busy", "timedatectl", "run commands here"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let doctor: Value = serde_json::from_slice(&fake.run(&["--json", "doctor"]).stdout).unwrap();
    let found: Vec<String> = doctor["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| format!("{} {} {}", item["verdict"], item["check"], item["found"]))
        .collect();
    let has = |parts: &[&str]| found.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["peers"]) && has(&["good", "mdns"]) && has(&["note", "cluster", "gpu1", "n-3"]), "{found:#?}");
}

#[test]
fn a_list_of_nodes_may_start_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = support::plain(dir.path(), &["nodes", "--no-start"])
        .env("METAOPT_DATA_DIR", dir.path().join("data"))
        .output()
        .unwrap();
    assert!(code(&output) == 3 && text(&output.stderr).contains("metaopt up"), "{}", text(&output.stderr));
    assert!(!dir.path().join("data").exists());
}
