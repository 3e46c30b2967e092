//! One box as a person uses it: real daemon, real processes, real scripts in several languages.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path, process::Command, time::Duration};

use metaopt_integration::{Daemon, program, wait};
use serde_json::{Value, json};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn script(dir: &Path, name: &str, body: &str) {
    fs::write(dir.join(name), body).unwrap();
}

fn study_with(daemon: &Daemon, run: Value, trials: u64) -> String {
    let body = json!({
        "name": format!("s{}", run.to_string().len()),
        "space": [{"name": "x", "type": "float", "low": -5.0, "high": 5.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "budget": {"max_trials": trials}, "run": run,
    });
    daemon.ok("POST", "/studies", Some(body))["id"].as_str().unwrap().to_owned()
}

fn complete(daemon: &Daemon, study: &str) -> Value {
    wait("the study's end", || {
        let seen = daemon.ok("GET", &format!("/studies/{study}"), None);
        (seen["state"] == "complete").then_some(seen)
    })
}

fn trials(daemon: &Daemon, study: &str) -> Vec<Value> {
    daemon.ok("GET", &format!("/studies/{study}/trials"), None)["items"].as_array().unwrap().clone()
}

const PARABOLA: &str = "
import argparse
parser = argparse.ArgumentParser()
parser.add_argument('--x', type=float)
parser.add_argument('--kind')
a = parser.parse_args()
print('metaopt: loss=%r' % ((a.x - 1) ** 2 + (a.kind == 'b')))
";

#[test]
fn the_shorthand_runs_a_script_and_prints_the_best() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "train.py", PARABOLA);
    let args = ["--max-trials", "12", "train.py", "--x~uniform(-5, 5)", "--kind~choices([\"a\", \"b\"])"];
    let output = daemon.metaopt(dir.path(), &args);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("loss"), "{out}\n{err}");
    let study = complete(&daemon, "train");
    assert_eq!(study["counts"]["complete"], 12, "{study:#}");
    let best = daemon.ok("GET", "/studies/train/best", None);
    let x = best["params"]["x"].as_f64().unwrap();
    assert!(best["values"]["loss"].as_f64().unwrap() >= 0.0 && (-5.0..=5.0).contains(&x));
    let as_args = text(&daemon.metaopt(dir.path(), &["best", "train", "--as-args"]).stdout);
    assert!(as_args.contains("--x"), "{as_args}");
    let again = daemon.metaopt(dir.path(), &["--max-trials", "1", "train.py", "--x~uniform(-5, 5)", "--kind=a"]);
    assert!(again.status.success());
    assert_eq!(daemon.ok("GET", "/studies/train-2", None)["counts"]["complete"], 1);
}

#[test]
fn a_shell_script_is_tuned_with_curl() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    script(
        dir.path(),
        "train.sh",
        r#"set -e
post() { curl -sS --fail-with-body -H "Authorization: Bearer $METAOPT_TOKEN" -H 'Content-Type: application/json' -d "$2" "$METAOPT_URL/api/v1/trials/$METAOPT_TRIAL_ID/$1"; }
for step in 1 2 3; do post reports "{\"step\": $step, \"values\": {\"loss\": 0.$step}}"; done
post complete '{"values": {"loss": 0.25}}'
"#,
    );
    let args = ["submit", "-n", "sh", "--max-trials", "2", "--watch", "--", "sh", "train.sh", "--x~uniform(0, 1)"];
    let output = daemon.metaopt(dir.path(), &args);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    for trial in trials(&daemon, "sh") {
        assert_eq!(
            (&trial["state"], &trial["values"]["loss"], &trial["last_step"]),
            (&json!("complete"), &json!(0.25), &json!(3))
        );
        assert_eq!(trial["attempts"][0]["exit_code"], 0);
    }
}

#[test]
fn a_node_script_is_tuned_with_fetch() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    script(
        dir.path(),
        "train.mjs",
        r#"const { METAOPT_URL, METAOPT_TOKEN, METAOPT_TRIAL_ID, METAOPT_PARAMS } = process.env;
const post = async (call, body) => {
  const answer = await fetch(`${METAOPT_URL}/api/v1/trials/${METAOPT_TRIAL_ID}/${call}`, {
    method: "POST", body: JSON.stringify(body),
    headers: { authorization: `Bearer ${METAOPT_TOKEN}`, "content-type": "application/json" } });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
};
const { x } = JSON.parse(METAOPT_PARAMS);
const { action } = await post("reports", { step: 1, values: { loss: x } });
if (action !== "continue") process.exit(0);
await post("complete", { values: { loss: x * x } });
"#,
    );
    let args = ["submit", "-n", "js", "--max-trials", "2", "--watch", "--", "node", "train.mjs", "--x~uniform(0, 1)"];
    let output = daemon.metaopt(dir.path(), &args);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    for trial in trials(&daemon, "js") {
        let x = trial["params"]["x"].as_f64().unwrap();
        assert_eq!(trial["values"]["loss"].as_f64().unwrap(), x * x, "{trial:#}");
    }
}

#[test]
fn a_trial_outlives_a_killed_daemon_and_is_adopted() {
    let mut daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("runs");
    let command = format!("echo run >> {}; sleep 2; echo 'metaopt: loss=0.5'", mark.display());
    let study =
        study_with(&daemon, json!({"command": ["sh", "-c", command], "workdir": "in_place", "path": dir.path()}), 1);
    wait("the trial to run", || fs::read_to_string(&mark).ok().filter(|t| !t.is_empty()));
    daemon.crash_and_restart();
    let seen = complete(&daemon, &study);
    assert_eq!(seen["counts"]["complete"], 1, "{seen:#}");
    assert_eq!(fs::read_to_string(&mark).unwrap().lines().count(), 1, "it ran once");
    let trial = trials(&daemon, &study).remove(0);
    assert_eq!((&trial["attempt"], &trial["values"]["loss"]), (&json!(1), &json!(0.5)), "{trial:#}");
}

#[test]
fn results_that_ended_while_the_daemon_was_away_are_counted_when_it_returns() {
    let mut daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let command = "sleep 0.3; echo '{{\"loss\": 0.125}}' > $METAOPT_RESULTS_PATH";
    let study =
        study_with(&daemon, json!({"command": ["sh", "-c", command], "workdir": "in_place", "path": dir.path()}), 1);
    wait("the trial to run", || (trials(&daemon, &study).first()?["state"] == "running").then_some(()));
    daemon.crash_and_restart();
    std::thread::sleep(Duration::from_millis(500));
    complete(&daemon, &study);
    assert_eq!(trials(&daemon, &study)[0]["values"]["loss"], 0.125);
}

#[test]
fn a_cancel_ends_the_whole_process_group() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let command =
        format!("sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 0.1; done' & wait", pid_file.display());
    let study =
        study_with(&daemon, json!({"command": ["sh", "-c", command], "workdir": "in_place", "path": dir.path()}), 1);
    let pid: u32 = wait("the grandchild", || fs::read_to_string(&pid_file).ok()?.trim().parse().ok());
    daemon.ok("POST", &format!("/studies/{study}/cancel"), None);
    wait("the grandchild's end", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    wait("the trial's end", || (trials(&daemon, &study)[0]["state"] == "cancelled").then_some(()));
}

#[test]
fn why_a_trial_failed_is_said() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let run = |command: &str| json!({"command": ["sh", "-c", command], "workdir": "in_place", "path": dir.path(), "timeout_s": 1.0});
    for (command, reason, word) in [
        ("echo oh no >&2; exit 3", "exit", "oh no"),
        ("exit 0", "missing_metric", "loss"),
        ("echo 'metaopt: accuracy=1'", "missing_metric", "accuracy"),
        ("sleep 30", "timeout", "timeout"),
    ] {
        let study = study_with(&daemon, run(command), 1);
        complete(&daemon, &study);
        let trial = trials(&daemon, &study).remove(0);
        assert_eq!((trial["state"].as_str(), trial["reason"].as_str()), (Some("fail"), Some(reason)), "{trial:#}");
        assert!(trial["detail"].as_str().unwrap().contains(word), "{trial:#}");
        daemon.ok("DELETE", &format!("/studies/{study}"), None);
    }
}

#[test]
fn a_second_daemon_on_the_directory_refuses() {
    let daemon = Daemon::start();
    let mut second = Command::new(program("metaoptd"));
    second.arg("--data-dir").arg(daemon.dir.path()).args(["--listen", "127.0.0.1:0"]);
    let output = second.output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("in use"), "{}", text(&output.stderr));
    daemon.ok("GET", "/studies", None);
}

#[test]
fn a_study_whose_interpreter_is_missing_says_why_and_spends_nothing() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let study =
        study_with(&daemon, json!({"command": ["no-such-program"], "workdir": "in_place", "path": dir.path()}), 3);
    let why = wait("a reason", || {
        let seen = daemon.ok("GET", &format!("/studies/{study}"), None);
        seen["why_idle"].as_str().filter(|w| w.contains("no-such-program")).map(str::to_owned)
    });
    assert!(!why.is_empty());
    assert!(trials(&daemon, &study).is_empty());
}

#[test]
fn url_token_and_history_survive_a_restart() {
    let mut daemon = Daemon::start();
    let (url, token) = (daemon.url.clone(), daemon.token.clone());
    let body = json!({"name": "ask", "space": [{"name": "x", "type": "int", "low": 1, "high": 3}],
        "objectives": [{"metric": "loss", "direction": "maximize"}]});
    daemon.ok("POST", "/studies", Some(body));
    let asked = daemon.ok("POST", "/studies/ask/trials/suggest", Some(json!({})))["items"][0].clone();
    let id = asked["id"].as_str().unwrap();
    daemon.ok("POST", &format!("/trials/{id}/complete"), Some(json!({"values": {"loss": 2.5}})));
    daemon.crash_and_restart();
    assert_eq!((daemon.url.clone(), daemon.token.clone()), (url, token));
    assert_eq!(daemon.ok("GET", "/studies/ask/best", None)["values"]["loss"], 2.5);
}

#[test]
fn bad_input_names_the_field_and_writes_nothing() {
    let daemon = Daemon::start();
    let base = json!({"name": "bad", "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}]});
    let with = |pointer: &str, value: Value| {
        let mut body = base.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        body
    };
    let x = |extra: Value| {
        let mut param = json!({"name": "x", "type": "float", "low": 0.0, "high": 1.0});
        param.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!([param])
    };
    let cases = [
        (with("/nmae", json!("a")), "/nmae"),
        (with("/space", x(json!({"low": 2.0}))), "/space/0/"),
        (with("/space", x(json!({"low": 1.0}))), "/space/0/"),
        (with("/space", x(json!({"log": true}))), "/space/0/"),
        (with("/space", x(json!({"lwo": 1.0}))), "/space/0/lwo"),
        (with("/space", x(json!({"when": {"y": [1]}}))), "/space/0/when"),
        (with("/space", json!([{"name": "x", "type": "bool"}, {"name": "x", "type": "bool"}])), "/space/1/name"),
        (
            with(
                "/space",
                json!([{"name": "a", "type": "bool", "when": {"b": [true]}}, {"name": "b", "type": "bool", "when": {"a": [true]}}]),
            ),
            "/space/",
        ),
        (with("/objectives", json!([])), "/objectives"),
        (with("/sampler", json!({"name": "magic"})), "/sampler/name"),
        (with("/early_stopping", json!({"rule": "magic"})), "/early_stopping/rule"),
        (with("/early_stopping", json!({"rule": "median", "patienec": 3})), "/early_stopping/patienec"),
        (with("/budget", json!({"max_trials": 0})), "/budget/max_trials"),
        (with("/run", json!({"command": ["a", "{y}"]})), "/run/command/1"),
        (with("/run", json!({"command": []})), "/run/command"),
        (with("/run", json!({"command": ["a"], "env": {"API_TOKEN": "x"}})), "/run/env"),
    ];
    for (body, pointer) in cases {
        let (status, answer) = daemon.call("POST", "/studies", Some(body.clone()));
        assert_eq!(status, 422, "{body:#}\n{answer:#}");
        let found =
            answer["errors"].as_array().unwrap().iter().any(|e| e["pointer"].as_str().unwrap().starts_with(pointer));
        assert!(found, "{body:#}\n{answer:#}");
    }
    assert!(daemon.ok("GET", "/studies", None)["items"].as_array().unwrap().is_empty(), "nothing half-written");
    daemon.ok("POST", "/studies", Some(base.clone()));
    assert_eq!(daemon.call("POST", "/studies", Some(base)).0, 409);
    assert_eq!(daemon.call_raw("POST", "/studies", Some("{".into()), &daemon.token).0, 400);
    assert_eq!(daemon.call_raw("GET", "/studies", None, "wrong").0, 401);
    assert_eq!(daemon.call("GET", "/studies/none", None).0, 404);
    let id = daemon.ok("POST", "/studies/bad/trials/suggest", Some(json!({})))["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for body in [
        "{\"step\": 1, \"values\": {\"loss\": NaN}}",
        "{\"step\": 0, \"values\": {\"loss\": 1}}",
        "{\"step\": 1}",
        "{\"step\": -1, \"values\": {\"loss\": 1}}",
    ] {
        let (status, answer) =
            daemon.call_raw("POST", &format!("/trials/{id}/reports"), Some(body.into()), &daemon.token);
        assert!(status == 422 || status == 400, "{body}: {status} {answer:#}");
    }
    let (status, answer) =
        daemon.call("POST", &format!("/trials/{id}/complete"), Some(json!({"values": {"acc": 1.0}})));
    assert_eq!((status, answer["errors"][0]["pointer"].as_str()), (422, Some("/values/loss")));
}

#[test]
fn usage_errors_exit_with_2_and_unknown_studies_with_4() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), "train.py", PARABOLA);
    let typo = daemon.metaopt(dir.path(), &["train.py", "--x~unifrom(0, 1)"]);
    assert_eq!(typo.status.code(), Some(2), "{}", text(&typo.stderr));
    assert!(text(&typo.stderr).contains("uniform"), "{}", text(&typo.stderr));
    assert_eq!(daemon.metaopt(dir.path(), &["best", "nothing"]).status.code(), Some(4));
}
