//! Several daemons' APIs whose links are function calls, which a test can cut, count and falsify.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use metaopt_core::wire::{Decoder, Frame};
use metaopt_schema::NodeId;
use tower::ServiceExt;

use super::{super::peer_router, Bench};
use crate::{
    blobs::{Elsewhere, Fetcher},
    driver::Shell,
    peer::{CallError, Caller, Host, Later, Newcomer, Outbox, Up},
};

/// Changes what a node answers to another's call.
type Mischief = Arc<dyn Fn(&str, Response<Body>) -> Response<Body> + Send + Sync>;

#[derive(Default)]
pub(super) struct Net {
    routers: Mutex<BTreeMap<NodeId, (Router, Shell)>>,
    away: Mutex<BTreeSet<NodeId>>,
    mischief: Mutex<BTreeMap<NodeId, Mischief>>,
    /// Calls with such paths to such nodes are never answered.
    stalled: Mutex<BTreeSet<(NodeId, String)>>,
    /// Method, node and path of every call.
    calls: Mutex<Vec<(String, NodeId, String)>>,
}

/// The links of one node.
#[derive(Clone)]
pub(super) struct Links {
    net: Weak<Net>,
    me: NodeId,
}

impl Net {
    pub(super) fn go_away(&self, bench: &Bench) {
        self.away.lock().unwrap().insert(bench.identity.node.clone());
    }

    pub(super) fn come_back(&self, bench: &Bench) {
        self.away.lock().unwrap().remove(&bench.identity.node);
    }

    pub(super) fn stall(&self, bench: &Bench, part: &str) {
        self.stalled.lock().unwrap().insert((bench.identity.node.clone(), part.to_owned()));
    }

    pub(super) fn falsify(
        &self,
        bench: &Bench,
        mischief: impl Fn(&str, Response<Body>) -> Response<Body> + Send + Sync + 'static,
    ) {
        self.mischief.lock().unwrap().insert(bench.identity.node.clone(), Arc::new(mischief));
    }

    /// How many calls of this verb went to a node, with a path that holds `part`.
    pub(super) fn calls(&self, verb: &str, bench: &Bench, part: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(v, n, path)| v == verb && *n == bench.identity.node && path.contains(part)).count()
    }
}

impl Elsewhere for Links {
    fn call(&self, node: &NodeId, mut request: Request<Body>) -> Later<Result<Response<Body>, CallError>> {
        let (net, me, node) = (self.net.clone(), self.me.clone(), node.clone());
        Box::pin(async move {
            let cut = |node: &NodeId| CallError::Unreachable { node: node.clone(), error: "no route".into() };
            let net = net.upgrade().ok_or_else(|| cut(&node))?;
            let path = request.uri().to_string();
            net.calls.lock().unwrap().push((request.method().to_string(), node.clone(), path.clone()));
            let away = net.away.lock().unwrap().clone();
            if away.contains(&node) || away.contains(&me) {
                return Err(cut(&node));
            }
            let stalled = net.stalled.lock().unwrap().clone();
            if stalled.iter().any(|(n, part)| *n == node && path.contains(part)) {
                std::future::pending::<()>().await;
            }
            let router = net.routers.lock().unwrap().get(&node).map(|(router, _)| router.clone());
            request.extensions_mut().insert(Caller(me));
            let answer = router.ok_or_else(|| cut(&node))?.oneshot(request).await.unwrap();
            let mischief = net.mischief.lock().unwrap().get(&node).cloned();
            Ok(match mischief {
                Some(mischief) => mischief(&path, answer),
                None => answer,
            })
        })
    }
}

impl Outbox for Links {
    fn send(&self, to: &[NodeId], frame: &Arc<[u8]>) {
        let Some(net) = self.net.upgrade() else { return };
        let away = net.away.lock().unwrap().clone();
        for node in to.iter().filter(|node| !away.contains(*node) && !away.contains(&self.me)) {
            let Some((_, shell)) = net.routers.lock().unwrap().get(node).cloned() else { continue };
            let mut decoder = Decoder::new();
            let mut rest: &[u8] = frame;
            while !rest.is_empty() {
                rest = &rest[decoder.push(rest)..];
                while let Some(frame) = decoder.next_frame().unwrap() {
                    deliver(&shell, &self.me, frame);
                }
            }
        }
    }

    fn cut(&self, _: &NodeId) {}
}

fn deliver(shell: &Shell, from: &NodeId, frame: Frame) {
    // The node's thread sends, which knows no runtime.
    let later = shell.frame(from, frame);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(later);
}

/// A cluster in which everybody knows everybody; nodes are called `gpu1`, `gpu2`, …, with a slot each, except where the
/// name is `laptop`; the disk of `full` has no room.
pub(super) async fn cluster<const N: usize>(names: [&str; N]) -> (Arc<Net>, [Bench; N]) {
    let net = Arc::new(Net::default());
    let benches = names.map(|name| {
        let slots = usize::from(name != "laptop");
        let links = Arc::downgrade(&net);
        Bench::called(name, slots, |app| {
            let me = app.0.node.clone();
            let links = Links { net: links, me };
            let min_free = if name == "full" { u64::MAX } else { 0 };
            let fetcher = Fetcher::new(app.0.shell.clone(), links, &app.0.executor, &app.0.dir, Some(min_free));
            app.with_fetcher(fetcher)
        })
    });
    for bench in &benches {
        let me = bench.identity.node.clone();
        net.routers.lock().unwrap().insert(me.clone(), (peer_router(bench.app.clone()), bench.shell.clone()));
        bench.shell.send_by(Arc::new(Links { net: Arc::downgrade(&net), me }));
    }
    for a in &benches {
        for b in benches.iter().filter(|b| b.identity.node != a.identity.node) {
            let newcomer = Newcomer {
                node: b.identity.node.clone(),
                public_key: b.identity.public_key.clone(),
                name: String::new(),
            };
            a.shell.admit(newcomer).await.unwrap();
        }
    }
    for a in &benches {
        for b in benches.iter().filter(|b| b.identity.node != a.identity.node) {
            a.shell.up(Up { node: b.identity.node.clone(), boot: b.shell.boot(), version: String::new() });
        }
    }
    until("all know all", || {
        let all = |bench: &Bench| {
            bench
                .shell
                .read(|node, now| node.nodes(now).iter().filter(|n| !n.name.is_empty() && n.state == "alive").count())
        };
        benches.iter().all(|bench| all(bench) == N)
    })
    .await;
    (net, benches)
}

/// Waits until it is so.
pub(super) async fn until(what: &'static str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: not so");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Bench {
    /// Its fetcher, begun anew as with the daemon.
    pub(super) fn another_fetcher(&self, net: &Arc<Net>) -> Arc<Fetcher> {
        let links = Links { net: Arc::downgrade(net), me: self.identity.node.clone() };
        Fetcher::new(self.shell.clone(), links, &self.app.0.executor, self.dir.path(), Some(0))
    }

    /// Waits until this node has heard of a study or trial.
    pub(super) async fn hears_of(&self, what: &str) {
        until("it is heard of", || self.shell.read(|node, _| node.study(what).is_ok() || node.trial(what).is_ok()))
            .await;
    }

    pub(super) fn fetcher(&self) -> Arc<Fetcher> {
        self.app.fetcher().unwrap().clone()
    }
}
