//! A real daemon for tests: its own data directory, a free port, ended by its own process id.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that can't set up its machine should stop")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

#[cfg(target_os = "linux")]
pub mod cluster;

/// A program that `cargo build --bins` made, beside this test.
pub fn program(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its own file");
    let dir = exe.parent().and_then(Path::parent).expect("target/PROFILE/deps/test");
    let path = dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins` first", path.display());
    path
}

/// Where a daemon is called; it survives the daemon's restarts, since they keep port and token.
#[derive(Clone, Debug)]
pub struct Client {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The node's bearer token.
    pub token: String,
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u64>,
    /// JSON, or text as a string.
    pub body: Value,
}

impl Client {
    /// A call to `/api/v1PATH`; none where nobody answers.
    pub fn call(&self, method: &str, path: &str, body: Option<String>) -> Option<Answer> {
        self.call_within(Duration::from_secs(30), method, path, body)
    }

    /// The same with another patience than half a minute.
    pub fn call_within(&self, limit: Duration, method: &str, path: &str, body: Option<String>) -> Option<Answer> {
        let (status, retry_after, text) = self.text_within(limit, method, path, body)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Some(Answer { status, retry_after, body })
    }

    /// The same, and the answer as it came: its status, `Retry-After`, its body.
    pub fn text_within(
        &self,
        limit: Duration,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Option<(u16, Option<u64>, String)> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(limit)).build().into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        let mut answer = agent.run(request.body(body.unwrap_or_default()).expect("a request")).ok()?;
        let retry_after = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()?.parse().ok());
        let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().ok()?;
        Some((answer.status().as_u16(), retry_after, text))
    }
}

/// One running `metaoptd`; killed when dropped, its jobs ended first.
pub struct Daemon {
    /// Its data directory.
    pub dir: tempfile::TempDir,
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The node's bearer token.
    pub token: String,
    args: Vec<String>,
    /// What all its lives said on standard error; shown when the test fails.
    pub log: tempfile::NamedTempFile,
    prefix: Vec<String>,
}

impl Daemon {
    /// Starts one with two CPU slots.
    pub fn start() -> Self {
        Self::with(&["--slots", "2"])
    }

    /// Starts one with more options.
    pub fn with(args: &[&str]) -> Self {
        Self::within(tempfile::tempdir().expect("a temporary directory"), args)
    }

    /// Starts one on a directory.
    pub fn within(dir: tempfile::TempDir, args: &[&str]) -> Self {
        Self::under(dir, &[], args)
    }

    /// Starts one in a directory as the last words of a command, such as `setpriv --reuid 65534 metaoptd`: without such
    /// words the `metaoptd` beside this test.
    pub fn under(dir: tempfile::TempDir, prefix: &[&str], args: &[&str]) -> Self {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (prefix, args) = (owned(prefix), owned(args));
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let (child, url, token) = boot(dir.path(), &prefix, &args, &log);
        Self { dir, child, url, token, args, log, prefix }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn crash(&mut self) {
        self.child.kill().expect("the daemon is ours to kill");
        self.child.wait().expect("and to wait for");
    }

    /// A new one on the same directory, after a crash.
    pub fn restart(&mut self) {
        (self.child, self.url, self.token) = boot(self.dir.path(), &self.prefix, &self.args, &self.log);
    }

    /// `kill -9`, then a new one on the same directory.
    pub fn crash_and_restart(&mut self) {
        self.crash_and_restart_after(|| ());
    }

    /// The same, with something done in between.
    pub fn crash_and_restart_after(&mut self, between: impl FnOnce()) {
        self.crash();
        between();
        self.restart();
    }

    /// What it said on standard error so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// Where to call it.
    pub fn client(&self) -> Client {
        Client { url: self.url.clone(), token: self.token.clone() }
    }

    /// A call to `/api/v1PATH`; the status and the JSON (or text) that came back.
    pub fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.call_raw(method, path, body.map(|b| b.to_string()), &self.token)
    }

    /// The same with a body of any kind and another token.
    pub fn call_raw(&self, method: &str, path: &str, body: Option<String>, token: &str) -> (u16, Value) {
        let client = Client { url: self.url.clone(), token: token.to_owned() };
        let answer = client.call(method, path, body).expect("an answer");
        (answer.status, answer.body)
    }

    /// A call that must succeed.
    pub fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer:#}");
        answer
    }

    /// `metaopt ARGS` in `dir`.
    pub fn metaopt(&self, dir: &Path, args: &[&str]) -> Output {
        self.metaopt_command(dir, args).output().expect("metaopt runs")
    }

    /// The same, not yet started.
    pub fn metaopt_command(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program("metaopt"));
        command.args(args).current_dir(dir).env("METAOPT_DATA_DIR", self.dir.path());
        command.env_remove("METAOPT_URL").env_remove("METAOPT_TOKEN").stdin(Stdio::null());
        command
    }

    /// Looks until `done` answers something, for at most half a minute.
    pub fn wait<T>(&self, what: &str, done: impl FnMut() -> Option<T>) -> T {
        wait(what, done)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.said());
            // It may be stopped or dead: nothing of it must hold up the test's end.
            let _ = self.child.kill();
            let _ = self.child.wait();
            return;
        }
        // Its jobs would outlive it by design; a test leaves none behind.
        let studies = self.call("GET", "/studies?limit=1000", None).1;
        for study in studies["items"].as_array().into_iter().flatten() {
            let _ = self.call("POST", &format!("/studies/{}/cancel", study["id"].as_str().unwrap_or_default()), None);
        }
        std::thread::sleep(Duration::from_millis(200));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn boot(dir: &Path, prefix: &[String], args: &[String], log: &tempfile::NamedTempFile) -> (Child, String, String) {
    let own = [program("metaoptd").display().to_string()];
    let (exe, words) = prefix.split_first().unwrap_or((&own[0], &[]));
    let mut child = Command::new(exe)
        .args(words)
        .arg("--data-dir")
        .arg(dir)
        .args(["--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0", "--no-mdns", "--allow-root", "--grace", "2s"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::options().append(true).open(log.path()).expect("the log"))
        .spawn()
        .expect("metaoptd starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    assert!(line.starts_with("metaoptd ready url="), "got {line:?}");
    let api: Value = serde_json::from_slice(&std::fs::read(dir.join("api.json")).expect("api.json")).expect("JSON");
    let text = |key: &str| api[key].as_str().expect("text").to_owned();
    (child, text("url"), text("token"))
}

/// Looks every 50 ms, for at most half a minute.
pub fn wait<T>(what: &str, done: impl FnMut() -> Option<T>) -> T {
    wait_for(Duration::from_secs(30), what, done)
}

/// Looks every 50 ms, for at most so long.
pub fn wait_for<T>(limit: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
