//! Links between nodes that run in one process, on 127.0.0.1.

mod cluster;
mod hostile;
mod liveness;
mod multicast;
mod pairing;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use metaopt_core::{
    About,
    node::base32,
    wire::{Frame, Heartbeat, encode},
};
use metaopt_schema::NodeId;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;

use super::{
    Host, Known, Later, Limits, Newcomer, Outbox, PeerConfig, Peers, Standing, Up,
    greet::Wire,
    tls::{LINK, Peer, Tls},
};

/// What a host heard.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Up(NodeId, u64),
    Down(NodeId),
    Frame(NodeId, Frame),
}

#[derive(Default)]
struct State {
    members: BTreeMap<NodeId, Known>,
    removed: BTreeSet<NodeId>,
    heard: Vec<Heard>,
    notices: Vec<(About, String)>,
    bound: Option<String>,
    addresses: Vec<String>,
    cannot_admit: Option<String>,
}

/// A node as links see it.
struct TestHost {
    boot: u64,
    state: Mutex<State>,
    /// Frames that may be taken.
    slow: Mutex<Duration>,
}

impl TestHost {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Host for TestHost {
    fn standing(&self, node: &NodeId) -> Standing {
        let state = self.state();
        match () {
            () if state.removed.contains(node) => Standing::Removed,
            () if state.members.contains_key(node) => Standing::Member,
            () => Standing::Stranger,
        }
    }

    fn members(&self) -> Vec<Known> {
        self.state().members.values().cloned().collect()
    }

    fn boot(&self) -> u64 {
        self.boot
    }

    fn up(&self, up: Up) {
        self.state().heard.push(Heard::Up(up.node, up.boot));
    }

    fn down(&self, node: &NodeId) {
        self.state().heard.push(Heard::Down(node.clone()));
    }

    fn frame(&self, node: &NodeId, frame: Frame) -> Later<()> {
        self.state().heard.push(Heard::Frame(node.clone(), frame));
        let slow = *self.slow.lock().unwrap();
        Box::pin(sleep(slow))
    }

    fn admit(&self, newcomer: Newcomer) -> Later<Result<(), String>> {
        let mut state = self.state();
        let answer = match state.cannot_admit.clone() {
            Some(why) => Err(why),
            None => {
                let Newcomer { node, name, .. } = newcomer;
                state.members.entry(node.clone()).or_insert(Known { node, name, addresses: Vec::new() });
                Ok(())
            }
        };
        Box::pin(async { answer })
    }

    fn bound(&self) -> Option<String> {
        self.state().bound.clone()
    }

    fn addresses(&self, addresses: Vec<String>) {
        self.state().addresses = addresses;
    }

    fn notice(&self, about: About, text: String) {
        let notices = &mut self.state().notices;
        notices.retain(|(known, said)| *known != about || (about == About::Here && *said != text));
        notices.push((about, text));
    }
}

/// A node's key, made anew.
fn key() -> (Vec<u8>, NodeId) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap().as_ref().to_vec();
    let node = id(&pkcs8);
    (pkcs8, node)
}

fn id(pkcs8: &[u8]) -> NodeId {
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8).unwrap();
    NodeId::new(base32(&blake3::hash(pair.public_key().as_ref()).as_bytes()[..10]))
}

/// Two keys, the one with the smaller ID first.
fn two_keys() -> [(Vec<u8>, NodeId); 2] {
    let mut keys = [key(), key()];
    keys.sort_by(|a, b| a.1.cmp(&b.1));
    keys
}

/// A node that runs. Dropped, it stops.
struct Node {
    id: NodeId,
    pkcs8: Vec<u8>,
    host: Arc<TestHost>,
    peers: Peers,
    stopping: CancellationToken,
    dir: Arc<tempfile::TempDir>,
}

static BOOTS: AtomicU64 = AtomicU64::new(1);

impl Node {
    async fn new() -> Self {
        Self::with(key().0, |_| {}).await
    }

    async fn with(pkcs8: Vec<u8>, change: impl FnOnce(&mut PeerConfig)) -> Self {
        Self::of(pkcs8, State::default(), Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    async fn of(
        pkcs8: Vec<u8>,
        state: State,
        dir: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut PeerConfig),
    ) -> Self {
        let id = id(&pkcs8);
        let boot = BOOTS.fetch_add(1, Relaxed);
        let host = Arc::new(TestHost { boot, state: Mutex::new(state), slow: Mutex::default() });
        let mut config = PeerConfig {
            dir: dir.path().to_owned(),
            pkcs8: pkcs8.clone(),
            node: id.clone(),
            public_key: String::new(),
            name: format!("node-{boot}"),
            version: "0".into(),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            advertise: None,
            peers: Vec::new(),
            mdns: false,
            cluster_key: None,
            dials_only: false,
            limits: Limits::default(),
        };
        change(&mut config);
        let stopping = CancellationToken::new();
        let peers = Peers::start(config, host.clone(), stopping.clone()).await.unwrap();
        Self { id, pkcs8, host, peers, stopping, dir }
    }

    fn address(&self) -> String {
        self.peers.address().to_string()
    }

    /// Makes `other` a member here, reached where it listens if `reached`.
    fn knows(&self, other: &Node, reached: bool) {
        let addresses = if reached { vec![other.address()] } else { Vec::new() };
        let known = Known { node: other.id.clone(), name: "other".into(), addresses };
        self.host.state().members.insert(other.id.clone(), known);
    }

    fn is_linked(&self, other: &Node) -> bool {
        self.peers.links().iter().any(|link| link.node == other.id)
    }

    fn heard(&self) -> Vec<Heard> {
        self.host.state().heard.clone()
    }

    fn count(&self, which: impl Fn(&Heard) -> bool) -> usize {
        self.heard().iter().filter(|heard| which(heard)).count()
    }

    fn ups(&self) -> usize {
        self.count(|heard| matches!(heard, Heard::Up(..)))
    }

    fn frames(&self) -> usize {
        self.count(|heard| matches!(heard, Heard::Frame(..)))
    }

    fn admitted(&self) -> Vec<NodeId> {
        self.host.state().members.keys().cloned().collect()
    }

    fn troubles(&self) -> String {
        self.peers.troubles().into_iter().map(|trouble| trouble.text + "\n").collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// Both know each other; the first dials.
async fn linked() -> (Node, Node) {
    let (a, b) = (Node::new().await, Node::new().await);
    b.knows(&a, false);
    a.knows(&b, true);
    until("they are linked", || a.is_linked(&b) && b.is_linked(&a)).await;
    (a, b)
}

async fn until(what: &str, is: impl Fn() -> bool) {
    within(10.0, what, is).await;
}

/// How long it took.
async fn within(seconds: f64, what: &str, is: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed().as_secs_f64() < seconds, "not within {seconds} s: {what}");
        sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

fn beat(seq: u64) -> Frame {
    Frame::Heartbeat(Heartbeat { seq, ..Heartbeat::default() })
}

fn send(from: &Node, to: &Node, frame: &Frame) {
    from.peers.send(std::slice::from_ref(&to.id), &encode(frame).unwrap());
}

/// A connection by hand, up to TLS.
async fn by_hand(pkcs8: &[u8], to: &Node) -> (Tls, TlsStream<TcpStream>, Peer) {
    let tls = Tls::new(pkcs8).unwrap();
    let stream = TcpStream::connect(to.peers.address()).await.unwrap();
    let (stream, peer) = tls.connect(stream, LINK).await.unwrap();
    (tls, stream, peer)
}

/// The same, up to where greetings are exchanged.
async fn greeted(pkcs8: &[u8], to: &Node, greeting: metaopt_core::wire::Greeting) -> (Tls, Wire, Peer) {
    let (tls, stream, peer) = by_hand(pkcs8, to).await;
    let mut wire = Wire::new(stream);
    wire.send(&Frame::Hello(metaopt_core::wire::Hello::ours())).await.unwrap();
    assert!(matches!(wire.next().await.unwrap(), Frame::Hello(_)));
    wire.send(&Frame::Greeting(greeting)).await.unwrap();
    (tls, wire, peer)
}
