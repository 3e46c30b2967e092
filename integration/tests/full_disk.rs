//! A disk that fills up for real: a small tmpfs as data directory. Mounting needs root; elsewhere the tests say that
//! they did nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use metaopt_integration::{Answer, Daemon, wait};
use serde_json::{Value, json};

/// A disk of its own; let go when dropped, which must be after its daemon.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={mib}m,mode=0700");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "metaopt-test"]).arg(dir.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        eprintln!("SKIPPED: a tmpfs can't be mounted here (needs root); nothing was tested of a full disk");
        None
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Writes until so much is left.
    fn fill(&self, left: u64) {
        let mut file = fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while self.free() >= left + size && file.write_all(&vec![0; size as usize]).is_ok() {}
        }
    }

    fn free(&self) -> u64 {
        let output = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(self.0.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().map(|n| n.parse::<u64>().unwrap()).product()
    }

    fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn study(daemon: &Daemon, name: &str, run: Option<Value>, trials: u64) {
    let mut body = json!({
        "name": name, "space": [{"name": "x", "type": "float", "low": -5.0, "high": 5.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}], "budget": {"max_trials": trials},
    });
    if let Some(run) = run {
        body["run"] = run;
    }
    daemon.ok("POST", "/studies", Some(body));
}

fn job(script: &str, dir: &Path) -> Option<Value> {
    Some(json!({"command": ["sh", "-c", script], "workdir": "in_place", "path": dir}))
}

fn trial(daemon: &Daemon, study: &str) -> Value {
    daemon.ok("GET", &format!("/studies/{study}/trials"), None)["items"][0].clone()
}

fn post(daemon: &Daemon, path: &str, body: &Value) -> Answer {
    daemon.client().call("POST", path, Some(body.to_string())).expect("an answer")
}

#[test]
fn a_disk_that_is_filling_up_stops_claims_first_and_nothing_else() {
    let Some(small) = Small::mount(48) else { return };
    let work = tempfile::tempdir().unwrap();
    let go = work.path().join("go");
    let dir = tempfile::tempdir_in(small.0.path()).unwrap();
    let daemon = Daemon::within(dir, &["--slots", "2", "--min-free", "16MiB"]);
    study(&daemon, "asked", None, 10);
    let asked = daemon.ok("POST", "/studies/asked/trials/suggest", Some(json!({})))["items"][0].clone();
    let script = format!("while ! test -e {}; do sleep 0.1; done; echo 'metaopt: loss=0.5'", go.display());
    study(&daemon, "runs", job(&script, work.path()), 1);
    wait("the job", || (trial(&daemon, "runs")["state"] == "running").then_some(()));

    small.fill(8 << 20);
    let why = wait("the node's word", || {
        let why = daemon.ok("GET", "/nodes", None)["items"][0]["why"].clone();
        why.as_str().map(str::to_owned)
    });
    assert!(why.contains("MiB left") && why.contains("--min-free"), "{why}");
    let refused = post(&daemon, "/studies/asked/trials/suggest", &json!({}));
    assert_eq!((refused.status, refused.retry_after), (503, Some(10)), "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("MiB left"), "{refused:?}");
    study(&daemon, "later", job("echo 'metaopt: loss=1'", work.path()), 1);
    // Reports and results, asked and run, are taken all the same.
    let id = asked["id"].as_str().unwrap();
    let report = post(&daemon, &format!("/trials/{id}/reports"), &json!({"step": 1, "values": {"loss": 2.0}}));
    assert_eq!(report.status, 200, "{report:?}");
    daemon.ok("POST", &format!("/trials/{id}/complete"), Some(json!({"values": {"loss": 1.5}})));
    fs::write(&go, "").unwrap();
    wait("the job's result", || (trial(&daemon, "runs")["values"]["loss"] == 0.5).then_some(()));
    std::thread::sleep(Duration::from_millis(1500));
    let later = daemon.ok("GET", "/studies/later", None);
    assert!(trial(&daemon, "later").is_null(), "started without room: {later:#}");
    assert!(later["why_idle"].as_str().unwrap().contains("MiB left"), "{later:#}");

    small.clear();
    wait("the study that waited", || (trial(&daemon, "later")["state"] == "complete").then_some(()));
    daemon.ok("POST", "/studies/asked/trials/suggest", Some(json!({})));
    assert!(daemon.said().contains("nothing new is started"));
}

#[test]
fn a_full_disk_loses_no_result_and_is_left_without_a_restart() {
    let Some(small) = Small::mount(24) else { return };
    let work = tempfile::tempdir().unwrap();
    let go = work.path().join("go");
    let dir = tempfile::tempdir_in(small.0.path()).unwrap();
    let mut daemon = Daemon::within(dir, &["--slots", "2", "--min-free", "2MiB"]);
    study(&daemon, "asked", None, 500);
    // Both go on printing while there is no room for it; the first ends then, the second when there is room again.
    let (printed, room) = (work.path().join("printed"), work.path().join("room"));
    let script = |then: &str| {
        format!(
            "echo a line of the log; until test -e {}; do sleep 0.1; done; \
             yes 'no room for this' | head -c 300000; echo; {then}; echo 'metaopt: loss=0.5'",
            go.display()
        )
    };
    study(&daemon, "runs", job(&script(&format!("touch {}; sleep 0.2", printed.display())), work.path()), 1);
    study(
        &daemon,
        "talks",
        job(&script(&format!("until test -e {}; do sleep 0.1; done", room.display())), work.path()),
        1,
    );
    for name in ["runs", "talks"] {
        wait("the job", || (trial(&daemon, name)["state"] == "running").then_some(()));
    }
    let mut open = Vec::new();
    for _ in 0..100 {
        let asked = daemon.ok("POST", "/studies/asked/trials/suggest", Some(json!({})));
        open.push(asked["items"][0]["id"].as_str().unwrap().to_owned());
    }

    // Curves until the database must grow and can't, which may be at once: the first point comes before.
    let first = json!({"step": 1, "values": {"metric-0": 1.0}});
    assert_eq!(post(&daemon, &format!("/trials/{}/reports", open[0]), &first).status, 200);
    small.fill(0);
    let (mut step, mut kept, end) = (1, 1, Instant::now() + Duration::from_secs(60));
    let refused = loop {
        step += 1;
        let id = &open[0];
        let values: Value = (0..40).map(|n| (format!("metric-{n}"), json!(f64::from(step)))).collect();
        let answer = post(&daemon, &format!("/trials/{id}/reports"), &json!({"step": step, "values": values}));
        if answer.status != 200 {
            break answer;
        }
        kept = step;
        assert!(Instant::now() < end, "the disk never filled up");
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.retry_after.is_some() && refused.body["type"] == "urn:metaopt:problem:storage", "{refused:?}");
    assert!(refused.body["detail"].as_str().unwrap().contains("full"), "{refused:?}");
    assert_eq!(post(&daemon, &format!("/trials/{}/complete", open[1]), &json!({"values": {"loss": 1.0}})).status, 503);
    daemon.ok("GET", "/studies/asked/trials", None);
    // The job ends; nobody can write down how.
    fs::write(&go, "").unwrap();
    wait("the log to be printed", || printed.exists().then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    let running = trial(&daemon, "runs");
    assert_eq!(running["state"], "running", "its supervisor waits for room: {running:#}");

    let pid = daemon.pid();
    small.clear();
    wait("the job's result", || (trial(&daemon, "runs")["values"]["loss"] == 0.5).then_some(()));
    let ran = trial(&daemon, "runs");
    assert_eq!((&ran["state"], &ran["attempt"]), (&json!("complete"), &json!(1)), "{ran:#}");
    wait("a told result", || {
        let told = post(&daemon, &format!("/trials/{}/complete", open[1]), &json!({"values": {"loss": 1.0}}));
        (told.status == 200).then_some(())
    });
    assert_eq!(daemon.pid(), pid);
    fs::write(&room, "").unwrap();
    wait("the other's result", || (trial(&daemon, "talks")["values"]["loss"] == 0.5).then_some(()));
    let id = trial(&daemon, "talks")["id"].as_str().unwrap().to_owned();
    let log = daemon.ok("GET", &format!("/trials/{id}/logs"), None);
    let log = log.as_str().unwrap();
    assert!(log.starts_with("a line of the log") && log.ends_with("metaopt: loss=0.5\n"), "{log}");
    assert_eq!(log.matches("bytes of the log had no room here").count(), 1, "the gap is marked, once: {log}");
    // All of it is on the disk, not only in memory.
    daemon.crash_and_restart();
    let reports = daemon.ok("GET", &format!("/trials/{}/reports?limit=1000&after_step={}", open[0], kept - 1), None);
    assert_eq!(reports["items"][0]["step"], kept, "{reports:#}");
    assert_eq!(trial(&daemon, "runs")["values"]["loss"], 0.5);
    assert_eq!(daemon.ok("GET", &format!("/trials/{}", open[1]), None)["values"]["loss"], 1.0);
}
