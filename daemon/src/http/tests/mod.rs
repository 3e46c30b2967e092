//! The routes against a real node, store and event hub; only processes are missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod blobs;
mod cluster;
mod columns;
mod elsewhere;
mod events;
mod files;
mod gc;
mod net;
mod studies;
mod table;
mod trials;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use metaopt_core::{Node, NodeConfig};
use metaopt_schema::{
    AttemptKey,
    facts::{Hardware, SlotKind, SlotSpec},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

use super::{App, auth, router};
use crate::{
    data_dir::Identity,
    driver::{Clock, Shell},
    events::EventHub,
    exec::{ExecConfig, Executor},
    secrets::Secrets,
    store::Store,
};

/// A daemon's API without a socket.
pub(super) struct Bench {
    dir: tempfile::TempDir,
    identity: Identity,
    shell: Shell,
    app: App,
    router: Router,
}

/// What came back.
pub(super) struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body of a success.
    #[track_caller]
    fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// A problem's detail and its pointers.
    #[track_caller]
    fn problem(&self, status: u16) -> (String, Vec<String>) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(body["type"].as_str().unwrap().starts_with("urn:metaopt:problem:") && body["title"].is_string());
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        let pointers = errors.iter().map(|e| e["pointer"].as_str().unwrap().to_owned()).collect();
        let mut detail = body["detail"].as_str().unwrap().to_owned();
        for error in &errors {
            detail.push_str(&format!("\n{}", error["detail"].as_str().unwrap()));
        }
        (detail, pointers)
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(|app| app)
    }

    /// With more than every daemon has.
    pub(super) fn with(more: impl FnOnce(App) -> App) -> Self {
        Self::called("box", 1, more)
    }

    /// Called so, with so many slots.
    pub(super) fn called(name: &str, slots: usize, more: impl FnOnce(App) -> App) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::open(dir.path()).unwrap();
        let clock = Clock::default();
        let config = NodeConfig {
            id: identity.node.clone(),
            public_key: identity.public_key.clone(),
            hardware: Hardware { name: name.into(), version: "1".into(), ..Hardware::default() },
            boot: 7,
            entropy: *blake3::hash(name.as_bytes()).as_bytes(),
            grace_s: 1.0,
            pause_grace_s: 1.0,
            timing: metaopt_core::Timing::default(),
            curve_bytes: 1 << 20,
        };
        let store = Store::open(dir.path()).unwrap().store;
        let mut node = Node::load(config, clock.now(), [], Arc::new(store.reader().clone()), None).unwrap();
        let slot = |i| (SlotSpec { id: format!("cpu-{i}"), kind: SlotKind::Cpu }, None);
        node.slots(clock.now(), (0..slots).map(slot).collect());
        let (shell, _thread) = Shell::start(node, store, None, clock, EventHub::new("boot")).unwrap();
        let exec = ExecConfig {
            data_dir: dir.path().to_owned(),
            api_url: watch::channel(String::new()).1,
            pause_grace: std::time::Duration::from_secs(1),
            allow_root: true,
            token: Arc::new(|_| String::new()),
            supervisor_exe: "none".into(),
            setup_timeout: std::time::Duration::from_secs(1),
            secrets: Arc::new(Secrets::open(dir.path()).unwrap()),
        };
        let executor = Arc::new(Executor::new(exec, mpsc::channel(1).0).unwrap());
        let app = more(App::new(shell.clone(), executor, dir.path().to_owned(), &identity));
        let router = router(app.clone());
        Self { dir, identity, shell, app, router }
    }

    /// Sends any request; `Host` and the node's token are added unless given.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Answered {
        let headers = request.headers_mut();
        headers.entry("host").or_insert("127.0.0.1:7878".parse().unwrap());
        if !headers.contains_key("authorization") {
            headers.insert("authorization", format!("Bearer {}", self.identity.token).parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answered { status: parts.status, headers: parts.headers, bytes }
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answered {
        self.send(Request::builder().method(method).uri(path).body(body.into()).unwrap()).await
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        self.call("GET", &format!("/api/v1{path}"), Body::empty()).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answered {
        self.call("POST", &format!("/api/v1{path}"), body.to_string()).await
    }

    /// As [`Bench::call`], with another token.
    pub(super) async fn with_token(&self, token: &str, method: &str, path: &str, body: &str) -> Answered {
        let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    fn trial_token(&self, trial: &str, attempt: u32) -> String {
        auth::mint_trial_token(&self.identity.secret, &AttemptKey { trial: trial.into(), attempt })
    }

    /// An ask-and-tell study over `x` in [0, 1] that minimises `loss`; `more` is merged in.
    pub(super) async fn study(&self, name: &str, more: Value) -> Value {
        let mut body = json!({"name": name, "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
            "objectives": [{"metric": "loss", "direction": "minimize"}], "sampler": {"name": "random", "seed": 1}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/studies", body).await.ok(201)
    }

    /// Asks for one trial.
    pub(super) async fn ask(&self, study: &str) -> Value {
        let answer = self.post(&format!("/studies/{study}/trials/suggest"), json!({})).await.ok(200);
        answer["items"][0].clone()
    }

    /// Asks for a trial and tells its result.
    pub(super) async fn done(&self, study: &str, values: Value) -> Value {
        let trial = self.ask(study).await;
        let path = format!("/trials/{}/complete", trial["id"].as_str().unwrap());
        self.post(&path, json!({"values": values})).await.ok(200)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shell.quit();
    }
}
