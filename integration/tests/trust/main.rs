//! Attacks on one box: every hole that docs/security.md names, tried for real against a real daemon.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod flood;
mod jobs;
mod requests;
mod terminal;

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use metaopt_integration::{Daemon, program, wait};
use serde_json::{Value, json};

/// Whoever has no rights anywhere.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says what can't be tried here. Past the test harness, which shows nothing of a test that passes.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// A daemon that isn't root's, whoever runs this test; none where that can't be had, and then it is said.
fn unprivileged(args: &[&str]) -> Option<Daemon> {
    if !is_root() {
        return Some(Daemon::with(args));
    }
    let works = Command::new("setpriv").args(["--reuid", "65534", "true"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        skipped("setpriv (util-linux) is needed to be an unprivileged user");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    // where this test's programs lie an ordinary user may not look
    let exe = dir.path().with_extension("metaoptd");
    fs::copy(program("metaoptd"), &exe).unwrap();
    fs::set_permissions(&exe, fs::Permissions::from_mode(0o755)).unwrap();
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let id = NOBODY.to_string();
    let home = format!("HOME={}", dir.path().display());
    let exe_text = exe.display().to_string();
    let prefix = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "env", &home, &exe_text];
    let daemon = Daemon::under(dir, &prefix, args);
    // It runs already, and finds itself by /proc/self/exe.
    fs::remove_file(exe).unwrap();
    Some(daemon)
}

/// Runs one command line as a study's only trial, to its end; answers the trial.
fn job(daemon: &Daemon, name: &str, script: &str, more: Value) -> Value {
    let mut run = json!({"command": ["sh", "-c", script.replace('{', "{{").replace('}', "}}")]});
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = json!({
        "name": name, "budget": {"max_trials": 1}, "run": run,
        "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}],
    });
    daemon.ok("POST", "/studies", Some(body));
    wait("the job's end", || {
        let trial = daemon.ok("GET", &format!("/studies/{name}/trials"), None)["items"].get(0)?.clone();
        (trial["state"] != "running" && trial["state"] != "waiting").then_some(trial)
    })
}

/// What a job left in its output directory.
fn output(daemon: &Daemon, trial: &Value, file: &str) -> String {
    let path = daemon.dir.path().join("trials").join(trial["id"].as_str().unwrap()).join("output").join(file);
    String::from_utf8_lossy(&fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).into_owned()
}

/// An ask-and-tell study, and one trial of it.
fn asked(daemon: &Daemon, name: &str) -> String {
    let body = json!({
        "name": name,
        "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}],
    });
    daemon.ok("POST", "/studies", Some(body));
    let asked = daemon.ok("POST", &format!("/studies/{name}/trials/suggest"), Some(json!({})));
    asked["items"][0]["id"].as_str().unwrap().to_owned()
}

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// The status of the answer to bytes as they are; 0 when the connection was closed instead.
fn raw(daemon: &Daemon, request: &[u8]) -> (u16, String) {
    let mut stream = connect(daemon);
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..read]);
        // whole problems and JSON fit into a few KiB; streams are not waited for
        let text = String::from_utf8_lossy(&answer);
        if text.contains("\r\n\r\n") && (text.ends_with('}') || text.contains("text/event-stream")) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0);
    (status, text)
}

fn all_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            out.extend(all_files(&path));
        }
        out.push(path);
    }
    out
}
