//! `kill -9` at any time: of the daemon while clients and jobs are at work, of a supervisor, and a damaged database.
//!
//! `METAOPT_CRASH_KILLS=200 cargo test --release -p metaopt-integration --test crash` goes on for longer;
//! `METAOPT_CRASH_SEED` picks the moments.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(unix)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metaopt_integration::{Client, Daemon, program, wait};
use serde_json::{Value, json};

fn study(daemon: &Daemon, name: &str, run: Option<Value>, trials: u64) {
    let mut body = json!({
        "name": name, "space": [{"name": "x", "type": "float", "low": -5.0, "high": 5.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}], "budget": {"max_trials": trials},
        "sampler": {"name": "random"},
    });
    if let Some(run) = run {
        body["run"] = run;
    }
    daemon.ok("POST", "/studies", Some(body));
}

fn job(script: &str, dir: &Path) -> Option<Value> {
    Some(json!({"command": ["sh", "-c", script], "workdir": "in_place", "path": dir}))
}

fn trials(daemon: &Daemon, study: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = daemon.ok("GET", &format!("/studies/{study}/trials?limit=500{cursor}"), None);
        all.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Everything that a client was told with a 2xx.
#[derive(Default)]
struct Ledger {
    told: BTreeMap<String, f64>,
    reports: BTreeMap<(String, u64), f64>,
    attempts: BTreeMap<String, u64>,
}

/// Asks, reports and tells until told to stop; writes down what was acknowledged, and only that.
fn client(client: &Client, ledger: &Mutex<Ledger>, stop: &AtomicBool, number: u64) {
    let post = |path: &str, body: Value| client.call("POST", path, Some(body.to_string())).filter(|a| a.status < 300);
    let mut round = 0;
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let name = format!("client-{number}-{round}");
        // The same client's name gets the same trial again, whether or not the first answer was lost.
        let Some(asked) = post("/studies/asked/trials/suggest", json!({"client_id": name})) else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        let Some(trial) = asked.body["items"][0].as_object() else { continue };
        let id = trial["id"].as_str().unwrap().to_owned();
        ledger.lock().unwrap().attempts.insert(id.clone(), trial["attempt"].as_u64().unwrap());
        for step in 1..=3_u64 {
            let value = (number * 1_000_000 + round * 10 + step) as f64;
            if post(&format!("/trials/{id}/reports"), json!({"step": step, "values": {"loss": value}})).is_some() {
                ledger.lock().unwrap().reports.insert((id.clone(), step), value);
            }
        }
        let value = (number * 1_000_000 + round * 10) as f64;
        if post(&format!("/trials/{id}/complete"), json!({"values": {"loss": value}})).is_some() {
            ledger.lock().unwrap().told.insert(id, value);
        }
    }
}

fn check(daemon: &Daemon, ledger: &Ledger, life: u64) {
    let known: BTreeMap<String, Value> =
        trials(daemon, "asked").into_iter().map(|trial| (trial["id"].as_str().unwrap().to_owned(), trial)).collect();
    for (id, value) in &ledger.told {
        let trial = known.get(id).unwrap_or_else(|| panic!("life {life}: trial {id} is gone"));
        assert_eq!(
            (&trial["state"], &trial["values"]["loss"]),
            (&json!("complete"), &json!(value)),
            "life {life}: {id}"
        );
    }
    for (id, attempt) in &ledger.attempts {
        let trial = known.get(id).unwrap_or_else(|| panic!("life {life}: trial {id}, handed out, is gone"));
        assert!(trial["attempt"].as_u64().unwrap() >= *attempt, "life {life}: {trial:#}");
    }
    // A sample of the curves: each is a call of its own.
    let curves: BTreeSet<&String> = ledger.reports.keys().map(|(id, _)| id).collect();
    for id in curves.iter().rev().take(40) {
        let answer = daemon.ok("GET", &format!("/trials/{id}/reports"), None);
        let points = answer["items"].as_array().unwrap();
        for ((_, step), value) in ledger.reports.range(((*id).clone(), 0)..=((*id).clone(), u64::MAX)) {
            let found = points.iter().find(|point| point["step"] == *step).map(|point| &point["values"]["loss"]);
            assert_eq!(found, Some(&json!(value)), "life {life}: {id} step {step}");
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_runs_twice_however_often_the_daemon_is_killed() {
    let kills = number("METAOPT_CRASH_KILLS", 6);
    let seed = number("METAOPT_CRASH_SEED", 1);
    println!("seed {seed}, {kills} kills");
    let mut daemon = Daemon::start();
    let work = tempfile::tempdir().unwrap();
    let marks = work.path().join("marks");
    let script = format!(
        "echo start $METAOPT_TRIAL_ID $METAOPT_ATTEMPT $(date +%s%N) >> {0}; sleep 0.4; \
         echo end $METAOPT_TRIAL_ID $METAOPT_ATTEMPT $(date +%s%N) >> {0}; echo 'metaopt: loss=0.5'",
        marks.display()
    );
    study(&daemon, "asked", None, 1_000_000);
    study(&daemon, "runs", job(&script, work.path()), 1_000_000);
    let (ledger, stop, acknowledged) = (Mutex::new(Ledger::default()), AtomicBool::new(false), AtomicU64::new(0));
    let at = daemon.client();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (at, ledger, stop) = (&at, &ledger, &stop);
            scope.spawn(move || client(at, ledger, stop, number));
        }
        // A failed check must end the clients too, or the scope would wait for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut state = seed;
            for life in 0..kills {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                std::thread::sleep(Duration::from_millis(150 + (state >> 33) % 900));
                daemon.crash();
                let before = Instant::now();
                daemon.restart();
                assert!(before.elapsed() < Duration::from_secs(10), "life {life}: {:?} to come back", before.elapsed());
                assert_eq!(daemon.url, at.url, "the address survives");
                let ledger = ledger.lock().unwrap();
                check(&daemon, &ledger, life);
                acknowledged.store(ledger.told.len() as u64, Ordering::SeqCst);
            }
        }));
        stop.store(true, Ordering::SeqCst);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    let ledger = ledger.into_inner().unwrap();
    assert!(acknowledged.load(Ordering::SeqCst) > kills, "the clients got hardly anything done");
    daemon.ok("POST", "/studies/runs/pause", None);
    wait("the jobs' ends", || trials(&daemon, "runs").iter().all(|t| t["state"] != "running").then_some(()));
    check(&daemon, &ledger, kills);
    let mut starts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut events: Vec<(u128, i32)> = Vec::new();
    for line in fs::read_to_string(&marks).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let up = words[0] == "start";
        *starts.entry((words[1].into(), words[2].into())).or_default() += usize::from(up);
        events.push((words[3].parse().unwrap(), if up { 1 } else { -1 }));
    }
    events.sort_unstable();
    let mut now = 0;
    let most = events
        .iter()
        .map(|(_, step)| {
            now += step;
            now
        })
        .max()
        .unwrap();
    assert!(starts.values().all(|n| *n == 1), "an attempt was started twice: {starts:?}");
    assert!(most <= 2, "{most} jobs at once on two slots");
    let done = trials(&daemon, "runs");
    let lost: Vec<&Value> = done.iter().filter(|t| t["state"] != "complete" && t["state"] != "waiting").collect();
    assert!(lost.is_empty(), "{lost:#?}");
    for (id, attempt) in starts.keys() {
        let trial = done.iter().find(|t| t["id"] == **id).unwrap_or_else(|| panic!("{id} ran and is unknown"));
        assert!(trial["attempt"].as_u64().unwrap() >= attempt.parse().unwrap(), "{trial:#}");
    }
    println!("{} results, {} attempts, at most {most} at once", ledger.told.len(), starts.len());
}

#[test]
fn a_daemon_that_was_stopped_for_a_while_takes_nobodys_trial_away() {
    let daemon = Daemon::start();
    study(&daemon, "asked", None, 10);
    let asked = daemon.ok("POST", "/studies/asked/trials/suggest", Some(json!({"lease_s": 2})));
    let id = asked["items"][0]["id"].as_str().unwrap().to_owned();
    signal(daemon.pid(), "-STOP");
    std::thread::sleep(Duration::from_secs(4));
    signal(daemon.pid(), "-CONT");
    std::thread::sleep(Duration::from_millis(500));
    let trial = daemon.ok("GET", &format!("/trials/{id}"), None);
    assert_eq!((&trial["state"], &trial["attempt"]), (&json!("running"), &json!(1)), "{trial:#}");
    daemon.ok("POST", &format!("/trials/{id}/complete"), Some(json!({"values": {"loss": 1.0}})));
}

/// The only attempt's directory.
fn attempt(daemon: &Daemon) -> Option<PathBuf> {
    fs::read_dir(daemon.dir.path().join("attempts")).ok()?.flatten().map(|entry| entry.path()).next()
}

#[test]
fn a_killed_supervisor_takes_its_script_along_and_the_trial_is_run_again() {
    let daemon = Daemon::start();
    let work = tempfile::tempdir().unwrap();
    let pids = work.path().join("pids");
    let script =
        format!("echo $$ >> {0}; test $METAOPT_ATTEMPT = 2 || sleep 60; echo 'metaopt: loss=1'", pids.display());
    study(&daemon, "runs", job(&script, work.path()), 1);
    let pid: u32 = wait("the script", || fs::read_to_string(&pids).ok()?.trim().parse().ok());
    let record = wait("the supervisor", || {
        let record: Value = serde_json::from_slice(&fs::read(attempt(&daemon)?.join("supervisor.json")).ok()?).ok()?;
        (!record["child"].is_null()).then_some(record)
    });
    signal(u32::try_from(record["supervisor"]["pid"].as_u64().unwrap()).unwrap(), "-KILL");
    wait("the script's end", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    wait("the second attempt", || (trials(&daemon, "runs")[0]["state"] == "complete").then_some(()));
    let trial = trials(&daemon, "runs").remove(0);
    let reasons: Vec<&str> =
        trial["attempts"].as_array().unwrap().iter().map(|a| a["reason"].as_str().unwrap()).collect();
    assert_eq!((reasons, &trial["attempt"]), (vec!["lost_node", "exit"], &json!(2)), "{trial:#}");
}

#[test]
fn a_damaged_database_is_kept_and_so_is_what_ran_without_it() {
    let mut daemon = Daemon::start();
    let work = tempfile::tempdir().unwrap();
    let pid_file = work.path().join("pid");
    let script = format!("echo precious; echo $$ > {}; sleep 60", pid_file.display());
    study(&daemon, "runs", job(&script, work.path()), 1);
    let pid: u32 = wait("the script", || fs::read_to_string(&pid_file).ok()?.trim().parse().ok());
    let name = attempt(&daemon).unwrap().file_name().unwrap().to_owned();
    let lost = trials(&daemon, "runs")[0]["id"].clone();
    daemon.crash();
    let path = daemon.dir.path().join("metaopt.redb");
    let mut bytes = fs::read(&path).unwrap();
    for at in (0..bytes.len()).step_by(512) {
        bytes[at] ^= 0xff;
    }
    fs::write(&path, &bytes).unwrap();
    daemon.restart();
    // It serves, and says what happened, where people look.
    assert_eq!(daemon.ok("GET", "/studies", None)["items"], json!([]));
    assert!(daemon.said().contains("the database is corrupt"), "{}", daemon.said());
    let why = daemon.ok("GET", "/nodes", None)["items"][0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("metaopt.redb.corrupt-"), "{why}");
    let doctor = daemon.metaopt(work.path(), &["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("corrupt"), "{doctor}");
    let status = daemon.metaopt(work.path(), &["status"]);
    assert!(String::from_utf8_lossy(&status.stderr).contains("metaopt.redb.corrupt-"), "{status:?}");
    // What ran is ended, and what it left is kept.
    wait("the script's end", || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    let kept = daemon.dir.path().join("unknown").join(name);
    wait("its files", || kept.join("exit.json").exists().then_some(()));
    assert_eq!(fs::read_to_string(kept.join("log")).unwrap(), "precious\n");
    assert!(fs::read_to_string(kept.join("launch.json")).unwrap().contains("\"runs\""));
    let aside = fs::read_dir(daemon.dir.path()).unwrap().flatten().map(|entry| entry.path());
    let aside = aside.filter(|path| path.to_string_lossy().contains(".corrupt-")).collect::<Vec<_>>();
    assert_eq!(aside.len(), 1);
    assert_eq!(fs::read(&aside[0]).unwrap(), bytes);
    // The node is as good as new.
    study(&daemon, "again", job("echo 'metaopt: loss=1'", work.path()), 1);
    wait("a result", || (trials(&daemon, "again").first()?["state"] == "complete").then_some(()));
    // The files of the trials that were lost must not become another's.
    assert_ne!(trials(&daemon, "again")[0]["id"], lost);
    daemon.crash_and_restart();
    let why = daemon.ok("GET", "/nodes", None)["items"][0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("metaopt.redb.corrupt-"), "as long as it lies there: {why}");
}

#[test]
fn an_empty_database_and_one_that_is_gone_are_said_as_loudly_as_a_damaged_one() {
    let mut daemon = Daemon::start();
    let path = daemon.dir.path().join("metaopt.redb");
    daemon.crash_and_restart_after(|| fs::write(&path, "").unwrap());
    let why = daemon.ok("GET", "/nodes", None)["items"][0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("metaopt.redb.corrupt-"), "{why}");
    daemon.crash_and_restart_after(|| fs::remove_file(&path).unwrap());
    let why = daemon.ok("GET", "/nodes", None)["items"][0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("metaopt.redb was missing"), "{why}");
    assert!(daemon.said().contains("metaopt.redb was missing"), "{}", daemon.said());
}

#[test]
#[cfg(target_os = "linux")]
fn a_log_that_can_t_be_written_ends_nothing_and_sigterm_still_does() {
    let metaoptd = program("metaoptd").display().to_string();
    let deaf = ["sh", "-c", "exec \"$@\" 2>/dev/full", "sh", &metaoptd];
    let dir = tempfile::tempdir().unwrap();
    // Room for nothing: the daemon warns of that as soon as it looks.
    let mut daemon = Daemon::under(dir, &deaf, &["--slots", "1", "--min-free", "900TiB"]);
    wait("the warning", || daemon.ok("GET", "/nodes", None)["items"][0]["why"].as_str().map(|_| ()));
    study(&daemon, "s", None, 1);
    let pid = daemon.pid();
    assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
    wait("its end", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('Z').then_some(())
    });
    daemon.crash_and_restart();
    assert_eq!(daemon.ok("GET", "/studies", None)["items"][0]["name"], "s");
}
