//! What is kept and what goes, on a real daemon with real trials whose files were made old.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

use metaopt_integration::{Daemon, wait};
use serde_json::{Value, json};

const DAY: u64 = 86_400;

/// Runs trials that each leave a log, a checkpoint and an output; answers the study's trials in order.
fn study(daemon: &Daemon, name: &str, script: &str, trials: u64) -> Vec<Value> {
    let body = json!({
        "name": name,
        "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "sampler": {"name": "random", "seed": 3},
        "budget": {"max_trials": trials},
        "run": {"command": ["sh", "-c", script], "workdir": "in_place", "path": daemon.dir.path()},
    });
    daemon.ok("POST", "/studies", Some(body));
    wait("the trials", || {
        let items = daemon.ok("GET", &format!("/studies/{name}/trials"), None)["items"].as_array().unwrap().clone();
        let left = |t: &Value| daemon.dir.path().join(format!("trials/{}/output/mark", id(t))).is_file();
        (items.len() as u64 == trials && items.iter().all(left)).then_some(items)
    })
}

const LEAVES: &str = "echo hello; echo weights > {trial.checkpoint_dir}/w; echo mark > {trial.output_dir}/mark; \
                      echo metaopt: loss={x}";
/// The same, and does not end.
const STAYS: &str =
    "echo hello; echo weights > {trial.checkpoint_dir}/w; echo mark > {trial.output_dir}/mark; sleep 100";

fn ended(daemon: &Daemon, name: &str) {
    wait("the study's end", || {
        (daemon.ok("GET", &format!("/studies/{name}"), None)["state"] == "complete").then_some(())
    });
    // Logs move when an attempt is put away, a moment after its end.
    let attempts = daemon.dir.path().join("attempts");
    wait("the attempts to be put away", || fs::read_dir(&attempts).unwrap().next().is_none().then_some(()));
}

fn id(trial: &Value) -> &str {
    trial["id"].as_str().unwrap()
}

/// Makes everything beneath a path so old.
fn age(path: &Path, days: u64) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            age(&entry.unwrap().path(), days);
        }
    }
    File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(days * DAY)).unwrap();
}

fn kind<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["kinds"].as_array().unwrap().iter().find(|row| row["kind"] == name).unwrap()
}

#[test]
fn old_files_of_ended_trials_go_and_those_of_the_best_and_of_running_ones_stay() {
    let daemon = Daemon::start();
    let trials = study(&daemon, "old", LEAVES, 3);
    ended(&daemon, "old");
    let running = study(&daemon, "on", STAYS, 1);
    let best = daemon.ok("GET", "/studies/old/best", None);
    for dir in ["logs", "trials"] {
        age(&daemon.dir.path().join(dir), 100);
    }
    let young = daemon.ok("POST", "/gc", Some(json!({"dry_run": true})));
    assert_eq!(
        (kind(&young, "logs")["removed"].clone(), kind(&young, "outputs")["removed"].clone()),
        (json!(2), json!(2))
    );
    assert_eq!(kind(&young, "outputs")["held"], 2, "{young:#}");

    let output = daemon.metaopt(daemon.dir.path(), &["gc", "--dry-run"]);
    let (said, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.lines().any(|line| line.starts_with("logs\t3\t")), "{said}\n{talk}");
    assert!(talk.contains("would free"), "{talk}");
    for trial in &trials {
        assert!(
            daemon.dir.path().join(format!("trials/{}/output/mark", id(trial))).is_file(),
            "a dry run removes nothing"
        );
    }

    let output = daemon.metaopt(daemon.dir.path(), &["gc", "--json"]);
    assert!(output.status.success());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((answer["removed"].clone(), answer["failed"].clone()), (json!(6), json!([])), "{answer:#}");
    for trial in &trials {
        let (dir, is_best) = (daemon.dir.path().join("trials").join(id(trial)), trial["id"] == best["id"]);
        assert_eq!(dir.exists(), is_best, "{trial:#}");
        let (log, artifact) = (format!("/trials/{}/logs", id(trial)), format!("/trials/{}/artifacts/mark", id(trial)));
        for (path, kept) in [(log, "logs are kept for 30 days"), (artifact, "outputs are kept for 90 days")] {
            let (status, body) = daemon.call("GET", &path, None);
            match is_best {
                true => assert_eq!(status, 200, "{path}"),
                false => {
                    let detail = body["detail"].as_str().unwrap_or_default();
                    assert!(
                        status == 404 && detail.contains("was collected on 2") && detail.contains(kept),
                        "{body:#}"
                    );
                }
            }
        }
    }
    assert!(daemon.dir.path().join(format!("trials/{}/checkpoint/w", id(&running[0]))).is_file());
    let again = daemon.ok("POST", "/gc", None);
    assert_eq!(again["removed"], 0, "{again:#}");
}

#[test]
fn a_deleted_studys_files_go_at_once_and_a_young_ones_stay() {
    let daemon = Daemon::start();
    let gone = study(&daemon, "gone", LEAVES, 2);
    let stays = study(&daemon, "stays", LEAVES, 2);
    ended(&daemon, "gone");
    ended(&daemon, "stays");
    daemon.ok("DELETE", "/studies/gone", None);
    let answer = daemon.ok("POST", "/gc", None);
    assert_eq!(answer["removed"], 6, "{answer:#}");
    let there = |trial: &Value| daemon.dir.path().join("trials").join(id(trial)).exists();
    assert!(!gone.iter().any(there) && stays.iter().all(there));
}

#[test]
fn the_daemon_collects_by_itself_and_keeps_within_its_limits() {
    let mut daemon = Daemon::start();
    let trials = study(&daemon, "self", LEAVES, 4);
    ended(&daemon, "self");
    age(&daemon.dir.path().join("logs"), 2);
    // Of logs aged alike only the best trial's may stay above a quota of nothing; outputs have no limit here.
    let limits = "[gc]\nevery = \"1s\"\nlogs = { age = \"never\", quota = \"0\" }\n";
    fs::write(daemon.dir.path().join("metaopt.toml"), limits).unwrap();
    daemon.crash_and_restart();
    let logs = daemon.dir.path().join("logs");
    let count =
        || fs::read_dir(&logs).unwrap().flatten().filter(|e| !e.file_name().to_string_lossy().starts_with('.')).count();
    wait("the collection", || (count() == 1).then_some(()));
    let best = daemon.ok("GET", "/studies/self/best", None);
    assert!(logs.join(format!("{}-1.log", id(&best))).is_file());
    for trial in &trials {
        assert!(daemon.dir.path().join(format!("trials/{}/output/mark", id(trial))).is_file());
    }
}

#[test]
fn nothing_goes_that_a_lost_database_may_have_known() {
    let mut daemon = Daemon::start();
    let trials = study(&daemon, "lost", LEAVES, 2);
    ended(&daemon, "lost");
    age(&daemon.dir.path().join("trials"), 1000);
    let database = fs::read_dir(daemon.dir.path())
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "redb"))
        .expect("a database");
    daemon.crash_and_restart_after(|| fs::write(&database, vec![7; 65_536]).unwrap());
    assert_eq!(daemon.ok("GET", "/studies", None)["items"], json!([]), "the database is lost");
    let answer = daemon.ok("POST", "/gc", None);
    assert_eq!(
        (answer["removed"].clone(), kind(&answer, "corrupt")["count"].clone()),
        (json!(0), json!(1)),
        "{answer:#}"
    );
    assert!(answer["notes"].as_array().unwrap().iter().any(|n| n.as_str().unwrap().contains("by hand")), "{answer:#}");
    for trial in &trials {
        assert!(daemon.dir.path().join(format!("trials/{}/output/mark", id(trial))).is_file());
    }
}

#[test]
fn an_environment_goes_when_it_is_out_of_use_and_a_snapshot_when_no_study_names_it() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.sh"), "cat made > /dev/null && echo metaopt: loss=1\n").unwrap();
    let submit =
        ["submit", "--max-trials", "1", "--setup", "echo x > made", "--", "sh", "train.sh", "--x~uniform(0, 1)"];
    assert!(daemon.metaopt(dir.path(), &submit).status.success());
    ended(&daemon, "train");
    let made = |what: &str| fs::read_dir(daemon.dir.path().join(what)).unwrap().flatten().map(|e| e.path()).next();
    let (environment, snapshot) = (made("prepared").expect("an environment"), made("snapshots").expect("a snapshot"));
    age(&environment, 20);
    age(&snapshot, 20);
    let answer = daemon.ok("POST", "/gc", None);
    assert_eq!(answer["removed"], 1, "{answer:#}");
    assert!(!environment.exists() && snapshot.exists(), "the study could be given more trials");

    let more = json!({"budget": {"max_trials": 2}});
    daemon.ok("PATCH", "/studies/train", Some(more));
    ended(&daemon, "train");
    assert!(environment.exists(), "made again for the next trial");

    daemon.ok("DELETE", "/studies/train", None);
    age(&snapshot, 20);
    daemon.ok("POST", "/gc", None);
    assert!(!snapshot.exists());
}
