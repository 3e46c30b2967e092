//! A daemon of a test's own, and one that only pretends.
#![allow(dead_code, reason = "not every test file uses all of it")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use metaopt::client::challenge;
use serde_json::Value;

/// A data directory and a project; the daemon in it ends with this.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        Self { dir }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join("project").join(name), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_metaopt"));
        command.current_dir(self.dir.path().join("project")).args(args).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("METAOPT_")) {
            command.env_remove(name);
        }
        command
            .env("METAOPT_DATA_DIR", self.data())
            .env("METAOPT_LISTEN", "127.0.0.1:0")
            .env("METAOPT_PEER_LISTEN", "127.0.0.1:0")
            .env("METAOPT_NO_MDNS", "1")
            .env("METAOPT_ALLOW_ROOT", "1");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat())).unwrap()
    }

    pub fn pid(&self) -> Option<u64> {
        let api: Value = serde_json::from_slice(&std::fs::read(self.data().join("api.json")).ok()?).ok()?;
        api["pid"].as_u64()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            end(pid);
        }
    }
}

pub const TOKEN: &str = "s3cret";

type Asked = Arc<Mutex<Vec<(String, Value)>>>;
type Answer = dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync;

/// Answers calls (`POST /cluster/join`) with what a function makes of them, and remembers them. Of a GET the body is its query
/// and the event to go on after, where there is one; a text that is answered goes out as it is.
pub struct Fake {
    url: String,
    asked: Asked,
}

impl Fake {
    pub fn new(answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let (answer, noted): (Arc<Answer>, _) = (Arc::new(answer), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, asked) = (answer.clone(), noted.clone());
                std::thread::spawn(move || serve(&stream, &*answer, &asked));
            }
        });
        Self { url, asked }
    }

    /// Bodies of the calls of `what`.
    pub fn asked(&self, what: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(call, _)| call == what).map(|(_, body)| body.clone()).collect()
    }

    /// `metaopt`, told where this is.
    pub fn command(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = plain(dir, args);
        command.env("METAOPT_URL", &self.url).env("METAOPT_TOKEN", TOKEN);
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        let dir = tempfile::tempdir().unwrap();
        self.command(dir.path(), args).output().unwrap()
    }
}

/// `metaopt` without anything of the tests' own surroundings.
pub fn plain(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metaopt"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("METAOPT_")) {
        command.env_remove(name);
    }
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command
}

fn serve(stream: &TcpStream, answer: &Answer, asked: &Asked) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let (mut length, mut after) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.trim().to_lowercase();
            if let Some(n) = lower.strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            if let Some(id) = lower.strip_prefix("last-event-id:") {
                id.trim().clone_into(&mut after);
            }
            if lower.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut words = first.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (status, body) = match path.split_once("challenge=") {
            Some((_, challenge)) => (200, serde_json::json!({"proof": challenge::proof(TOKEN, challenge)})),
            None if path == "/healthz" => (200, Value::Null),
            None => {
                let path = path.strip_prefix("/api/v1").unwrap_or(path);
                let (at, query) = path.split_once('?').unwrap_or((path, ""));
                let call = format!("{method} {at}");
                let body = match (method, query, after.as_str()) {
                    ("GET", "", "") => body,
                    ("GET", ..) => serde_json::json!({"query": query, "after": after}),
                    _ => body,
                };
                asked.lock().unwrap().push((call.clone(), body.clone()));
                answer(&call, &body)
            }
        };
        let text = match body {
            Value::Null => String::new(),
            Value::String(text) => text,
            body => body.to_string(),
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", text.len());
        let mut stream = stream;
        if stream.write_all((head + &text).as_bytes()).is_err() {
            return;
        }
    }
}

/// Ends a process, and waits until it has gone.
pub fn end(pid: u64) {
    let kill = |signal: &str| {
        let status = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let until = Instant::now() + Duration::from_secs(10);
    kill("-TERM");
    while kill("-0") && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// A member as `/nodes` answers it.
pub fn node(id: &str, name: &str, state: &str) -> Value {
    serde_json::json!({"id": id, "name": name, "state": state, "addresses": [format!("{name}:7879")],
        "version": env!("CARGO_PKG_VERSION"), "labels": {}, "last_seen": "2026-01-01T00:00:00Z", "why": null,
        "slots": [{"id": "cpu-0", "kind": "cpu", "state": "free", "trials": []}]})
}

/// A cluster as `/cluster` answers it, seen by `n-1`.
pub fn cluster(nodes: &[Value]) -> Value {
    serde_json::json!({"node": "n-1", "name": "gpu1", "version": env!("CARGO_PKG_VERSION"), "nodes": nodes,
        "peers_address": "0.0.0.0:7879", "addresses": ["10.0.0.1:7879"], "mdns": true, "open_until": null, "troubles": []})
}

/// A list of one page.
pub fn page(items: &[Value]) -> Value {
    serde_json::json!({"items": items, "next_cursor": null})
}

/// A problem document.
pub fn problem(status: u16, detail: &str) -> (u16, Value) {
    (status, serde_json::json!({"type": "urn:metaopt:problem:x", "title": "x", "status": status, "detail": detail}))
}
