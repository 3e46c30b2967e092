//! The program as people start it: help, misuse, exit codes, and no daemon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

fn metaopt(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metaopt"));
    command.current_dir(dir).env("METAOPT_DATA_DIR", dir.join("data")).stdin(Stdio::null());
    for name in ["METAOPT_URL", "METAOPT_TOKEN", "METAOPT_TRIAL_ID", "METAOPT_ATTEMPT", "METAOPT_RESULTS_PATH"] {
        command.env_remove(name);
    }
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    metaopt(dir).args(args).output().unwrap()
}

/// Without a daemon anywhere: nothing listens at the address that is named.
fn run_away(dir: &Path, args: &[&str]) -> Output {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    metaopt(dir).args(args).env("METAOPT_URL", format!("http://{port}")).env("METAOPT_TOKEN", "t").output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn help_is_data_and_groups_the_verbs() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--help"]);
    assert_eq!(code(&output), 0);
    for part in ["Search:", "Look:", "Machines:", "Inside a trial:", "loguniform(1e-5, 1)"] {
        assert!(stdout(&output).contains(part), "{part}");
    }
    assert!(stderr(&output).is_empty());
    let submit = stdout(&run(dir.path(), &["submit", "--help"]));
    for part in ["--max-trials", "--early-stopping", "Where:", "Budget:", "--dry-run"] {
        assert!(submit.contains(part), "{part}");
    }
    assert!(stdout(&run(dir.path(), &["--version"])).starts_with("metaopt "));
    assert!(!dir.path().join("data").exists(), "help touches nothing");
}

#[test]
fn misuse_is_exit_code_2_and_says_how_to_mend_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("train.py"), "print('hello')\n").unwrap();
    for (args, said) in [
        (vec!["statsu"], "did you mean `metaopt status`?"),
        (vec!["gone.py", "--lr"], "there is no file `gone.py` here"),
        (vec!["status", "--nonsense"], "--nonsense"),
        (vec!["--max-trails", "5", "train.py"], "--max-trials"),
        (vec!["submit", "--max-trials", "0", "--", "p", "-x~bool()"], "--max-trials"),
        (vec!["submit", "--timeout", "5 fortnights", "--", "p", "-x~bool()"], "30s, 5m or 2h"),
        (vec!["train.py"], "nothing to search"),
        (vec!["report", "--step", "1", "loss=1"], "METAOPT_TRIAL_ID is not set"),
        (vec!["report", "--step", "0", "loss=1"], "--step"),
        (vec!["complete"], "METRIC=NUMBER"),
        (vec!["node", "drain"], "NODE"),
    ] {
        let output = run(dir.path(), &args);
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    assert!(!dir.path().join("data").exists(), "no daemon was started for any of it");
}

#[test]
fn a_slip_in_a_marker_is_pointed_at() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("train.py"), "").unwrap();
    let output = run(dir.path(), &["train.py", "--lr~loguniforn(1e-5, 1)"]);
    assert_eq!(code(&output), 2);
    assert_eq!(
        stderr(&output),
        "error: unknown prior `loguniforn`\n  --lr~loguniforn(1e-5, 1)\n       ^^^^^^^^^^\n\
         hint: did you mean `loguniform`? It is written loguniform(LOW, HIGH)\n"
    );
}

#[test]
fn no_daemon_is_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["status"][..], &["best", "x"], &["--json", "nodes"], &["delete", "-y", "x"]] {
        let output = run_away(dir.path(), args);
        assert_eq!(code(&output), 3, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("error: no daemon at http://127.0.0.1:"), "{}", stderr(&output));
    }
}

#[test]
fn a_script_goes_on_while_the_daemon_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let inside = |args: &[&str]| {
        metaopt(dir.path())
            .args(args)
            .env("METAOPT_URL", format!("http://{port}"))
            .env("METAOPT_TOKEN", "trial's")
            .env("METAOPT_TRIAL_ID", "n.1")
            .env("METAOPT_ATTEMPT", "2")
            .env("METAOPT_RESULTS_PATH", dir.path().join("results.json"))
            .output()
            .unwrap()
    };
    let report = inside(&["report", "--step", "1", "loss=0.5"]);
    assert_eq!((code(&report), stdout(&report).as_str()), (0, "continue\n"), "{}", stderr(&report));
    let complete = inside(&["complete", "loss=0.4"]);
    assert_eq!(code(&complete), 0, "{}", stderr(&complete));
    assert!(stderr(&complete).contains("the daemon is away"));
    let spool = std::fs::read_to_string(dir.path().join("spool.jsonl")).unwrap();
    let calls: Vec<serde_json::Value> = spool.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        calls,
        [
            serde_json::json!({"call": "reports", "body": {"step": 1, "values": {"loss": 0.5}, "attempt": 2}}),
            serde_json::json!({"call": "complete", "body": {"values": {"loss": 0.4}, "attempt": 2}})
        ]
    );
}

#[test]
fn what_was_spooled_is_delivered_first_when_the_daemon_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::fs::write(dir.path().join("spool.jsonl"), "{\"call\":\"reports\",\"body\":{\"step\":1,\"values\":{}}}\n")
        .unwrap();
    let daemon = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                let n = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..n]);
            }
            let body = r#"{"action": "stop"}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
            heard.push(String::from_utf8(request).unwrap());
        }
        heard
    });
    let output = metaopt(dir.path())
        .args(["report", "--step", "2", "loss=1"])
        .env("METAOPT_URL", url)
        .env("METAOPT_TOKEN", "trial's")
        .env("METAOPT_TRIAL_ID", "n.1")
        .env("METAOPT_RESULTS_PATH", dir.path().join("results.json"))
        .output()
        .unwrap();
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "stop\n"), "{}", stderr(&output));
    let heard = daemon.join().unwrap();
    assert!(heard[0].contains("\"step\":1") && heard[1].contains("\"step\":2"), "{heard:?}");
    assert!(heard[0].starts_with("POST /api/v1/trials/n.1/reports HTTP/1.1"), "{}", heard[0]);
    assert_eq!(std::fs::read_to_string(dir.path().join("spool.jsonl")).unwrap(), "");
}

#[test]
fn secrets_come_from_standard_input_and_only_names_go_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = metaopt(dir.path()).args(["secret", "set", "WANDB_API_KEY"]).stdin(Stdio::piped()).spawn().unwrap();
    set.stdin.take().unwrap().write_all(b"hunter2hunter2\n").unwrap();
    assert!(set.wait().unwrap().success());
    let listed = run(dir.path(), &["secret", "list"]);
    assert_eq!(stdout(&listed), "WANDB_API_KEY\n");
    let missing = run(dir.path(), &["secret", "rm", "WANDB_API_KEI"]);
    assert_eq!(code(&missing), 4);
    assert!(stderr(&missing).contains("`WANDB_API_KEY`"), "{}", stderr(&missing));
    assert_eq!(code(&run(dir.path(), &["secret", "rm", "WANDB_API_KEY"])), 0);
    assert_eq!(stdout(&run(dir.path(), &["secret", "list"])), "");
}

#[test]
fn completions_know_the_verbs() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(dir.path(), &["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("enqueue"), "{shell}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = metaopt(dir.path())
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let until = Instant::now() + Duration::from_secs(10);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((said.as_str(), child.wait().unwrap().code()), ("", Some(0)));
}
