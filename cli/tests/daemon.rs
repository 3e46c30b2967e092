//! Commands against a real daemon, which the first of them starts.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::process::Stdio;

use serde_json::json;
use support::{Place, code, text};

#[test]
fn the_first_command_starts_a_daemon_and_says_so_the_second_finds_it() {
    let place = Place::new();
    let first = place.run(&["status"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let pid = place.pid().unwrap();
    assert!(text(&first.stderr).contains(&format!("metaopt: started metaoptd (pid {pid})")), "{}", text(&first.stderr));
    let second = place.run(&["nodes"]);
    assert!(!text(&second.stderr).contains("started"));
    assert_eq!(text(&second.stdout).lines().count(), 1);
    // Its session is its own: a closed terminal takes only its own session along.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(fields[3], pid.to_string(), "session leader: {stat}");
}

#[test]
fn a_daemon_that_cannot_start_is_exit_code_3_with_its_own_words() {
    let place = Place::new();
    let output = place.command(&["status"]).env("METAOPT_LISTEN", "nonsense").output().unwrap();
    assert_eq!(code(&output), 3);
    let said = text(&output.stderr);
    assert!(said.contains("none could be started") && said.contains("nonsense"), "{said}");
}

#[test]
fn the_shorthand_ends_with_the_best_trial_on_standard_output() {
    let place = Place::new();
    place.file("train.sh", "echo \"metaopt: loss=$2\"\n");
    let output = place.run(&["--max-trials", "4", "train.sh", "--x~uniform(0, 1)"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let out = text(&output.stdout);
    assert!(out.starts_with("best trial  ") && out.contains("\n  x  "), "{out}");
    assert!(text(&output.stderr).contains("4/4 trials"), "{}", text(&output.stderr));
    let best = place.json(&["best", "train"]);
    assert_eq!(best["values"]["loss"], best["params"]["x"]);
    assert_eq!(place.ok(&["best", "train", "--as-args"]).trim(), format!("--x {}", best["params"]["x"]));
    assert_eq!(place.ok(&["trials", "train", "--state", "complete"]).lines().count(), 4);
    assert!(place.ok(&["logs", best["label"].as_str().unwrap()]).starts_with("metaopt: loss="));
}

#[test]
fn a_study_without_a_result_is_exit_code_1_and_shows_why() {
    let place = Place::new();
    let args = ["--max-trials", "1", "-n", "bad", "--", "sh", "-c", "echo Boom >&2; exit 3", "--x~uniform(0, 1)"];
    let output = place.run(&args);
    assert_eq!(code(&output), 1);
    let said = text(&output.stderr);
    for part in ["no trial of `bad` completed", "exit", "metaopt logs "] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_study_that_nothing_can_run_says_why_without_a_terminal_too() {
    let place = Place::new();
    let args = ["submit", "-n", "idle", "--link", "/nowhere/data", "--", "sh", "-c", "true", "--x~uniform(0, 1)"];
    let created = place.run(&args);
    assert!(text(&created.stderr).contains("only on this machine: "), "{}", text(&created.stderr));
    let mut watch = place.command(&["status", "idle", "--watch"]).stderr(Stdio::piped()).spawn().unwrap();
    // The node looks for the link soon, not at once; a line by then, or the end of the output.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let seen = text(&place.run(&["status", "idle"]).stderr);
    assert!(seen.contains("nothing runs") && seen.contains("/nowhere/data"), "{seen}");
    place.ok(&["cancel", "idle"]);
    let mut said = String::new();
    std::io::Read::read_to_string(&mut watch.stderr.take().unwrap(), &mut said).unwrap();
    watch.wait().unwrap();
    assert!(said.contains("nothing runs") && said.contains("/nowhere/data"), "{said}");
}

#[test]
fn a_dry_run_tells_everything_and_creates_nothing() {
    let place = Place::new();
    place.file("train.py", "print('metaopt: loss=1')\n");
    place.file(".gitignore", "data.bin\n");
    place.file("data.bin", "big");
    let shown = place.ok(&["--dry-run", "train.py", "--lr~loguniform(1e-5, 1, default_value=0.01)"]);
    for part in
        ["loguniform".replace("loguniform", "1e-5 … 1, log"), "--lr 0.01".into(), "train.py".into(), "data.bin".into()]
    {
        assert!(shown.contains(&part), "{part} in {shown}");
    }
    assert_eq!(place.json(&["status"])["items"], json!([]));
    let unknown = place.run(&["--dry-run", "train.py", "--lr~uniform(0, 1)", "--out={nope}"]);
    assert_eq!(code(&unknown), 2, "{}", text(&unknown.stderr));
    for (wrong, said) in [
        (["--sampler", "cma-es"], "did you mean `cmaes`"),
        (["--sampler", "tpe:gama=3"], "did you mean `gamma`"),
        (["--sampler", "grid"], "grid"),
        (["--from", "nope"], "no study `nope`"),
    ] {
        let place = Place::new();
        place.file("train.py", "print('metaopt: loss=1')\n");
        let refused = place.run(&["--dry-run", wrong[0], wrong[1], "train.py", "--lr~uniform(0, 1)"]);
        let words = text(&refused.stderr);
        assert!(code(&refused) != 0 && words.contains(said), "{wrong:?}: {words}");
    }
}

#[test]
fn refusals_have_their_exit_codes_and_hints() {
    let place = Place::new();
    place.file("space.json", r#"[{"name": "x", "type": "float", "low": 0, "high": 1}]"#);
    place.ok(&["submit", "-n", "mnist", "--space", "space.json"]);
    for (args, expected, said) in [
        (vec!["status", "mnits"], 4, "did you mean `mnist`?"),
        (vec!["show", "nobody-1"], 4, "there is no trial `nobody-1`"),
        (vec!["cancel", "mnits"], 4, "there is no study or trial `mnits`"),
        (vec!["node", "drain", "nowhere"], 4, "there is no node `nowhere`"),
        (vec!["submit", "-n", "mnist", "--space", "space.json"], 1, "choose another name"),
        (vec!["submit", "-n", "b", "--sampler", "tpee", "--space", "space.json"], 2, "did you mean `tpe`?"),
        (vec!["enqueue", "mnist", "x=7"], 2, "x"),
        (vec!["enqueue", "mnist", "y=7"], 2, "it has x"),
        (vec!["best", "mnist"], 1, "no trial of `mnist` is complete yet"),
        (vec!["delete", "mnist"], 2, "add --yes"),
    ] {
        let output = place.run(&args);
        assert_eq!(code(&output), expected, "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?}: {}", text(&output.stdout));
    }
    let label = place.ok(&["enqueue", "mnist", "x=0.5"]);
    assert_eq!(place.json(&["show", label.trim()])["params"], json!({"x": 0.5}));
    place.ok(&["delete", "--yes", "mnist"]);
    assert_eq!(place.json(&["status"])["items"], json!([]));
}

#[test]
fn a_template_is_filled_in_for_each_trial_and_the_file_stays() {
    let place = Place::new();
    let before = "lr: lr~loguniform(1e-3, 1)\nkeep: {this}\n";
    place.file("config.yaml", before);
    place.file("train.sh", "cat config.yaml\nlr=$(sed -n 's/^lr: //p' config.yaml)\necho \"metaopt: loss=$lr\"\n");
    place.ok(&["--max-trials", "2", "--template", "config.yaml", "train.sh"]);
    let best = place.json(&["best", "train"]);
    assert_eq!(best["values"]["loss"], best["params"]["lr"]);
    assert!(place.ok(&["logs", best["label"].as_str().unwrap()]).contains("keep: {this}"));
    assert_eq!(std::fs::read_to_string(place.dir.path().join("project/config.yaml")).unwrap(), before);
}

#[test]
fn exports_come_back_and_twice_changes_nothing() {
    let place = Place::new();
    place.file("train.sh", "echo \"metaopt: loss=$2\"\n");
    place.ok(&["--max-trials", "3", "train.sh", "--x~uniform(0, 1)"]);
    place.ok(&["export", "train", "-o", "all.jsonl"]);
    assert!(place.ok(&["export", "train", "--format", "csv"]).lines().count() == 4);
    place.file("space.json", r#"[{"name": "x", "type": "float", "low": 0, "high": 1}]"#);
    place.ok(&["submit", "-n", "copy", "--space", "space.json"]);
    let counts = |place: &Place| place.json(&["status", "copy"])["counts"]["complete"].clone();
    for _ in 0..2 {
        place.ok(&["import", "copy", "all.jsonl"]);
        assert_eq!(counts(&place), json!(3));
    }
}

#[test]
fn reports_from_a_shell_script_reach_the_study() {
    let place = Place::new();
    let metaopt = env!("CARGO_BIN_EXE_metaopt");
    place.file(
        "train.sh",
        &format!(
            "set -e\nfor step in 1 2; do\n  action=$({metaopt} report --step $step loss=0.$step)\n  [ \"$action\" = continue ]\ndone\n\
             echo kept > $METAOPT_OUTPUT_DIR/model.txt\n{metaopt} complete loss=0.125\n"
        ),
    );
    place.ok(&["--max-trials", "1", "train.sh", "--x~uniform(0, 1)"]);
    let best = place.json(&["best", "train"]);
    assert_eq!((&best["values"]["loss"], &best["last_step"]), (&json!(0.125), &json!(2)), "{best:#}");
    let files = place.ok(&["pull", "train", "-o", "out"]);
    let file = place.dir.path().join("project").join(files.trim());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "kept\n");
}

#[test]
fn a_machine_without_slots_and_its_name_are_remembered_also_where_its_daemon_runs_already() {
    let place = Place::new();
    place.ok(&["up"]);
    let before = place.pid().unwrap();
    let dir = place.data();
    std::fs::write(dir.join("metaopt.toml"), "# mine\ngrace = \"5s\"\n").unwrap();
    // Nobody is found; what was asked for holds all the same.
    let output = place.run(&["join", "ABCD-EFGH-JK23", "--peer", "127.0.0.1:1", "--no-worker", "--name", "laptop"]);
    assert_ne!(code(&output), 0);
    assert!(text(&output.stderr).contains("starting the daemon anew"), "{}", text(&output.stderr));
    assert_ne!(place.pid().unwrap(), before);
    let node = place.json(&["nodes"])["items"][0].clone();
    assert_eq!((&node["name"], &node["slots"]), (&json!("laptop"), &json!([])));
    let file = std::fs::read_to_string(dir.join("metaopt.toml")).unwrap();
    assert_eq!(file, "# mine\ngrace = \"5s\"\nslots = 0\ngpus = \"none\"\nname = \"laptop\"\n");
    let again = place.run(&["join", "ABCD-EFGH-JK23", "--peer", "127.0.0.1:1", "--no-worker"]);
    assert!(!text(&again.stderr).contains("anew"), "{}", text(&again.stderr));
    assert_eq!(place.ok(&["up", "--name", "box"]).lines().count(), 1);
    assert_eq!(place.json(&["nodes"])["items"][0]["name"], "box");
}

#[test]
fn root_is_told_that_jobs_are_not_run_as_root() {
    if text(&std::process::Command::new("id").arg("-u").output().unwrap().stdout).trim() != "0" {
        return;
    }
    let place = Place::new();
    let run = |args: &[&str]| place.command(args).env_remove("METAOPT_ALLOW_ROOT").output().unwrap();
    run(&["status"]);
    let allowed = place.command(&["doctor"]).output().unwrap();
    let said = text(&allowed.stdout);
    // What the daemon was told counts, not who asks.
    assert!(
        code(&allowed) == 1 && said.contains("jobs are not run as root") && said.contains("METAOPT_ALLOW_ROOT=1"),
        "{said}"
    );
    let shown = text(&run(&["submit", "--dry-run", "--in-place", "--", "true", "--x~uniform(0, 1)"]).stdout);
    assert!(shown.contains("jobs are not run as root"), "{shown}");
    let other = Place::new();
    other.ok(&["status"]);
    let said = text(&other.run(&["doctor"]).stdout);
    assert!(!said.contains("root, and"), "{said}");
}
