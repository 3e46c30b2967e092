//! What one event costs a cluster: this node's core against Automerge's own sync protocol over the same mesh.
//!
//! `cargo run --release -p metaopt-core --example replication_cost -- [NODES] [TRIALS]` prints CPU time and bytes an event,
//! over all nodes. Both sides hold the same trials; an event is a told result, seen by all nodes in the end. Commits to
//! disk and TLS are not part of it on either side.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::expect_used)]
#![allow(clippy::disallowed_methods, reason = "it measures how long the pure core takes")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use automerge::{
    AutoCommit, ObjType, ROOT, ReadDoc,
    sync::{Message, State, SyncDoc},
    transaction::Transactable,
};
use metaopt_core::{
    NoShelf, Node, NodeConfig, Now, Timing,
    commands::{Completion, Report, SuggestRequest, Told},
    wire::Decoder,
};
use metaopt_schema::{NodeId, facts::Hardware, study::validate::parse_study};
use serde_json::json;

/// Events measured.
const EVENTS: usize = 50;
/// Reports of each trial: on both sides every event is a change of its own, as it is where each is acknowledged.
const REPORTS: u64 = 10;

fn main() {
    let mut given = std::env::args().skip(1).filter_map(|text| text.parse::<usize>().ok());
    let (nodes, trials) = (given.next().unwrap_or(10), given.next().unwrap_or(2_500));
    let (ours, our_bytes, own) = ours(nodes, trials);
    println!(
        "{nodes} nodes, {trials} trials: metaopt {:.3} ms CPU an event over all nodes, {our_bytes} bytes on all links, {own} bytes the changes' own size on as many links",
        ms(ours)
    );
    let (stock, stock_bytes) = stock(nodes, trials);
    println!("{nodes} nodes, {trials} trials: Automerge's sync protocol {:.3} ms, {stock_bytes} bytes", ms(stock));
    println!("ratio {:.0}", stock.as_secs_f64() / ours.as_secs_f64());
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

struct Mesh {
    nodes: Vec<(NodeId, Node)>,
    now: Now,
    bytes: usize,
    own: usize,
}

impl Mesh {
    fn new(n: usize) -> Self {
        let now = Now { mono_ms: 1, wall_ms: 1_790_000_000_000 };
        let id = |i: usize| NodeId::new(format!("node{i:012}"));
        let node = |i: usize| {
            let config = NodeConfig {
                id: id(i),
                public_key: String::new(),
                hardware: Hardware { name: format!("n{i}"), ..Hardware::default() },
                boot: i as u64 + 1,
                entropy: [i as u8; 32],
                grace_s: 1.0,
                pause_grace_s: 1.0,
                timing: Timing::default(),
                curve_bytes: 1 << 30,
            };
            let mut node = Node::load(config, now, Vec::new(), Arc::new(NoShelf), None).unwrap();
            for other in (0..n).filter(|other| *other != i) {
                node.admit(now, &id(other), String::new()).unwrap();
                node.peer_up(now, &id(other));
            }
            (id(i), node)
        };
        let mut mesh = Self { nodes: (0..n).map(node).collect(), now, bytes: 0, own: 0 };
        // Once more, so that all know who is linked with whom.
        for _ in 0..2 {
            mesh.settle();
            mesh.now.mono_ms += 2_000;
            mesh.nodes.iter_mut().for_each(|(_, node)| node.beat(mesh.now));
        }
        mesh.settle();
        mesh
    }

    fn settle(&mut self) {
        loop {
            let mut posts = Vec::new();
            for (id, node) in &mut self.nodes {
                let output = node.drain();
                let own = output.changes.iter().filter(|(_, c)| c.actor.starts_with(id.as_str().as_bytes()));
                self.own += own.map(|(_, change)| change.bytes.len()).sum::<usize>();
                posts.extend(output.parcels.into_iter().map(|parcel| (id.clone(), parcel)));
            }
            if posts.is_empty() {
                return;
            }
            for (from, parcel) in posts {
                for (_, node) in self.nodes.iter_mut().filter(|(id, _)| parcel.to.contains(id)) {
                    self.bytes += parcel.frame.len();
                    let mut decoder = Decoder::new();
                    decoder.push(&parcel.frame);
                    while let Ok(Some(frame)) = decoder.next_frame() {
                        node.frame(self.now, &from, frame);
                    }
                }
            }
        }
    }
}

fn ours(n: usize, trials: usize) -> (Duration, usize, usize) {
    let mut mesh = Mesh::new(n);
    let def = parse_study(&json!({
        "name": "s", "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}], "sampler": {"name": "random", "seed": 1},
    }));
    let now = mesh.now;
    mesh.nodes[0].1.create_study(now, def.unwrap(), false).unwrap();
    mesh.settle();
    let ask = |mesh: &mut Mesh, at: usize, count: u64| {
        let request = SuggestRequest { count, client_id: None, lease_s: 1e6 };
        mesh.nodes[at].1.suggest(now, "s", request).unwrap().trials
    };
    for i in 0..trials {
        let trial = ask(&mut mesh, i % n, 1).remove(0);
        for step in 1..=REPORTS {
            let values = [("loss".to_owned(), Some(0.5 / step as f64))].into_iter().collect();
            let report = Report { step, values, attempt: None };
            mesh.nodes[i % n].1.report(now, trial.as_str(), vec![report]).unwrap();
            mesh.settle();
        }
        tell(&mut mesh, i % n, trial.as_str());
        mesh.settle();
    }
    let waiting: Vec<_> = (0..EVENTS).map(|i| (i % n, ask(&mut mesh, i % n, 1).remove(0))).collect();
    mesh.settle();
    (mesh.bytes, mesh.own) = (0, 0);
    let start = Instant::now();
    for (at, trial) in waiting {
        tell(&mut mesh, at, trial.as_str());
        mesh.settle();
    }
    let time = start.elapsed() / EVENTS as u32;
    let done = |node: &Node| node.study("s").unwrap().count(metaopt_schema::trial::TrialState::Complete);
    assert!(mesh.nodes.iter().all(|(_, node)| done(node) == (trials + EVENTS) as u64));
    (time, mesh.bytes / EVENTS, mesh.own * (n - 1) / EVENTS)
}

fn tell(mesh: &mut Mesh, at: usize, trial: &str) {
    let told = Told::Complete([("loss".to_owned(), 0.5)].into_iter().collect());
    let completion = Completion { told, detail: None, attempt: None };
    mesh.nodes[at].1.complete(mesh.now, trial, completion).unwrap();
}

/// A study as one document, its trials maps in one map, kept equal by the sync protocol, every pair of nodes with a session.
fn stock(n: usize, trials: usize) -> (Duration, usize) {
    let mut first = AutoCommit::new();
    let all = first.put_object(ROOT, "trials", ObjType::Map).unwrap();
    for i in 0..trials {
        let trial = first.put_object(&all, format!("t{i}"), ObjType::Map).unwrap();
        first.put(&trial, "params", r#"{"x": 0.123456789}"#).unwrap();
        first.put(&trial, "state", "running").unwrap();
        first.commit();
        let curve = first.put_object(&trial, "curve", ObjType::List).unwrap();
        for step in 0..REPORTS {
            first.insert(&curve, step as usize, 0.5 / (step + 1) as f64).unwrap();
            first.commit();
        }
        first.put(&trial, "state", "complete").unwrap();
        first.put(&trial, "value", 0.5).unwrap();
        first.commit();
    }
    let mut docs: Vec<AutoCommit> =
        (0..n).map(|i| first.fork().with_actor(automerge::ActorId::from(format!("actor{i:010}").as_bytes()))).collect();
    let mut states: BTreeMap<(usize, usize), State> = BTreeMap::new();
    let mut bytes = 0;
    sync(&mut docs, &mut states, &mut bytes);
    bytes = 0;
    let start = Instant::now();
    for event in 0..EVENTS {
        let doc = &mut docs[event % n];
        let (_, all) = doc.get(ROOT, "trials").unwrap().unwrap();
        let (_, trial) = doc.get(&all, format!("t{event}")).unwrap().unwrap();
        doc.put(&trial, "state", format!("told {event}")).unwrap();
        doc.commit();
        sync(&mut docs, &mut states, &mut bytes);
    }
    (start.elapsed() / EVENTS as u32, bytes / EVENTS)
}

fn sync(docs: &mut [AutoCommit], states: &mut BTreeMap<(usize, usize), State>, bytes: &mut usize) {
    loop {
        let mut quiet = true;
        for from in 0..docs.len() {
            for to in 0..docs.len() {
                if from == to {
                    continue;
                }
                let state = states.entry((from, to)).or_default();
                let Some(message) = docs[from].sync().generate_sync_message(state) else { continue };
                quiet = false;
                let encoded = message.encode();
                *bytes += encoded.len();
                let message = Message::decode(&encoded).unwrap();
                let state = states.entry((to, from)).or_default();
                docs[to].sync().receive_sync_message(state, message).unwrap();
            }
        }
        if quiet {
            return;
        }
    }
}
