//! What a cluster costs as it grows: memory, CPU and bytes for N nodes that all hold T trials.
//!
//! `cargo run --release -p metaopt-core --example cluster_scale -- [NODES,… TRIALS,…]` prints a table (docs/performance.md).
//! Each row is two processes of its own. The first makes the trials, each node its share with ten points of a curve each,
//! and saves the documents. The second starts N nodes from them, as a daemon starts from its disk, links them all with one
//! another (docs/adr/0009) and makes events: a trial is asked for, reports once, and ends; each is passed on until all
//! have it. Disks, TLS and processes are not part of it. A row that would not fit into memory is left out and said.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::expect_used, clippy::disallowed_methods)]

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use metaopt_core::{
    Node, NodeConfig, Now, Saved, Shelf, StoredDoc, Timing,
    commands::{Completion, Report, SuggestRequest, Told},
    read_doc,
    wire::Decoder,
};
use metaopt_schema::{
    DocId, NodeId, TrialId,
    docs::{Actor, Doc, RawChange},
    facts::Hardware,
    study::validate::parse_study,
    trial::TrialState,
};
use serde_json::json;

/// Points of each trial's curve.
const POINTS: u64 = 10;
/// Trials that each node holds all the while.
const HELD: u64 = 2;
/// Rounds of three events, at least.
const ROUNDS: usize = 200;
/// Seconds without an event that are looked at.
const IDLE_S: u64 = 5;
/// As the daemon sets it.
const CURVE_BYTES: usize = 32 << 20;
/// Memory that a row leaves to others (bytes).
const SPARE: u64 = 3 << 30;

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let numbers = |text: &String| -> Vec<usize> { text.split(',').filter_map(|n| n.parse().ok()).collect() };
    match given.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["make", path, nodes, trials] => make(Path::new(path), nodes.parse().unwrap(), trials.parse().unwrap()),
        ["measure", path, nodes] => measure(Path::new(path), nodes.parse().unwrap()),
        _ => {
            let nodes = given.first().map_or_else(|| vec![2, 4, 8, 16, 32, 64], numbers);
            let trials = given.get(1).map_or_else(|| vec![1_000, 10_000, 100_000], numbers);
            table(&nodes, &trials);
        }
    }
}

// ---- the table

fn table(nodes: &[usize], trials: &[usize]) {
    println!(
        "| nodes | trials | memory of a node, started | at work | CPU of an event, all nodes | a node | bytes on all links | over the change's own | idle: CPU a node | bytes a node |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut of_a_node: BTreeMap<usize, u64> = BTreeMap::new();
    for trials in trials {
        for nodes in nodes {
            let needs = of_a_node.get(trials).map_or(0, |bytes| bytes * *nodes as u64);
            let there = available();
            if needs + SPARE > there {
                let gb = |bytes: u64| bytes as f64 / 1e9;
                println!(
                    "| {nodes} | {trials} | left out: would take {:.1} GB, and {:.1} GB are free |",
                    gb(needs),
                    gb(there)
                );
                continue;
            }
            let path = std::env::temp_dir().join(format!("metaopt-scale-{}", std::process::id()));
            let child = |what: &str| {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.arg(what).arg(&path).arg(nodes.to_string());
                let done =
                    if what == "make" { command.arg(trials.to_string()) } else { &mut command }.output().unwrap();
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
                String::from_utf8(done.stdout).unwrap()
            };
            child("make");
            let line = child("measure");
            std::fs::remove_file(&path).unwrap();
            let at_work: u64 = line.split('\t').next().unwrap().parse().unwrap();
            of_a_node.insert(*trials, at_work);
            println!("| {nodes} | {trials} {}", line.split_once('\t').unwrap().1.trim_end());
        }
    }
}

/// Memory that could be had (bytes).
fn available() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// What this process has in memory (bytes).
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// CPU time that this process, which has one thread, has used.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

// ---- trials to begin with

fn id(i: usize) -> NodeId {
    NodeId::new(format!("node{i:012}"))
}

fn config(i: usize, boot: u64) -> NodeConfig {
    NodeConfig {
        id: id(i),
        public_key: String::new(),
        hardware: Hardware { name: format!("n{i}"), ..Hardware::default() },
        boot,
        entropy: *blake3::hash(format!("{i} {boot}").as_bytes()).as_bytes(),
        grace_s: 1.0,
        pause_grace_s: 1.0,
        timing: Timing::default(),
        curve_bytes: CURVE_BYTES,
    }
}

/// Documents as they are stored.
#[derive(Default)]
struct Disk(BTreeMap<DocId, StoredDoc>);

impl Shelf for Disk {
    fn fetch(&self, id: &DocId) -> Result<Option<StoredDoc>, String> {
        Ok(self.0.get(id).cloned())
    }
}

fn load(i: usize, boot: u64, now: Now, disk: &Arc<Disk>) -> Node {
    let config = config(i, boot);
    let actor = config.actor();
    let docs: Vec<_> = disk.0.values().cloned().map(|stored| read_doc(&actor, stored)).collect();
    let mut node = Node::load(config, now, docs, disk.clone(), None).unwrap();
    node.adopted(now, &[]);
    node.slots(now, Vec::new());
    node
}

/// What nodes wrote, saved in one file.
fn make(path: &Path, nodes: usize, trials: usize) {
    let mut now = Now { mono_ms: 1, wall_ms: 1_790_000_000_000 };
    let mut written: BTreeMap<DocId, Vec<RawChange>> = BTreeMap::new();
    fn store(written: &mut BTreeMap<DocId, Vec<RawChange>>, node: &mut Node) {
        for (id, change) in node.drain().changes {
            written.entry(id).or_default().push(change);
        }
    }
    let mut first = load(0, 1, now, &Arc::default());
    let def = parse_study(&json!({
        "name": "s", "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}], "sampler": {"name": "random", "seed": 1},
    }));
    first.create_study(now, def.unwrap(), false).unwrap();
    (1..nodes).for_each(|i| first.admit(now, &id(i), String::new()).unwrap());
    store(&mut written, &mut first);
    let stored = |(id, changes): (&DocId, &Vec<RawChange>)| {
        (id.clone(), StoredDoc { id: id.clone(), snapshot: None, digest: None, changes: changes.clone() })
    };
    let base = Arc::new(Disk(written.iter().map(stored).collect()));
    for i in 0..nodes {
        let mut node = load(i, 2, now, &base);
        let share = trials / nodes + usize::from(i < trials % nodes);
        for k in 0..share {
            if k % 500 == 0 {
                // Alone for long, it waits for nobody; and what it wrote rests.
                for _ in 0..15 {
                    now = Now { mono_ms: now.mono_ms + 4_000, wall_ms: now.wall_ms + 4_000 };
                    node.tick(now);
                }
                store(&mut written, &mut node);
                let idle = node.idle_docs(now, 1_000);
                let rest = idle.into_iter().filter_map(|id| Some((id.clone(), Saved::of(node.replica(&id)?)?)));
                rest.collect::<Vec<_>>().into_iter().for_each(|(id, saved)| node.rest(&id, saved));
            }
            let trial = ask(&mut node, now, 1).remove(0);
            node.report(now, trial.as_str(), (1..=POINTS).map(point).collect()).unwrap();
            tell(&mut node, now, &trial);
            store(&mut written, &mut node);
        }
        store(&mut written, &mut node);
    }
    let actor = Actor::new(&id(0), 3);
    let saved = written.into_iter().map(|(id, changes)| {
        let saved = Saved::of(&Doc::load(id.clone(), &actor, None, &changes).unwrap()).unwrap();
        (id.to_string(), saved.bytes, saved.digest)
    });
    let saved: Vec<(String, Vec<u8>, Vec<u8>)> = saved.collect();
    std::fs::write(path, postcard::to_allocvec(&saved).unwrap()).unwrap();
}

fn ask(node: &mut Node, now: Now, count: u64) -> Vec<TrialId> {
    let request = SuggestRequest { count, client_id: None, lease_s: 1e6 };
    let given = node.suggest(now, "s", request).unwrap();
    assert_eq!(given.trials.len() as u64, count, "{given:?}");
    given.trials
}

fn point(step: u64) -> Report {
    let values = [("loss".to_owned(), Some(0.5 / step as f64))].into_iter().collect();
    Report { step, values, attempt: None }
}

fn tell(node: &mut Node, now: Now, trial: &TrialId) {
    let told = Told::Complete([("loss".to_owned(), 0.5)].into_iter().collect());
    node.complete(now, trial.as_str(), Completion { told, detail: None, attempt: None }).unwrap();
}

// ---- the cluster

struct Mesh {
    nodes: Vec<Node>,
    now: Now,
    bytes: usize,
    own: usize,
}

impl Mesh {
    fn settle(&mut self) {
        loop {
            let mut posts = Vec::new();
            for (i, node) in self.nodes.iter_mut().enumerate() {
                node.go_on(self.now);
                let output = node.drain();
                assert!(output.refused.is_empty() && output.troubles.is_empty(), "{output:?}");
                let own = output.changes.iter().filter(|(_, c)| c.actor.starts_with(id(i).as_str().as_bytes()));
                self.own += own.map(|(_, change)| change.bytes.len()).sum::<usize>();
                posts.extend(output.parcels.into_iter().map(|parcel| (i, parcel)));
            }
            if posts.is_empty() {
                return;
            }
            for (from, parcel) in posts {
                for to in &parcel.to {
                    let to: usize = to.as_str()["node".len()..].parse().unwrap();
                    self.bytes += parcel.frame.len();
                    let mut decoder = Decoder::new();
                    decoder.push(&parcel.frame);
                    while let Some(frame) = decoder.next_frame().unwrap() {
                        self.nodes[to].frame(self.now, &id(from), frame);
                    }
                }
            }
        }
    }

    /// A second without an event.
    fn second(&mut self) {
        for _ in 0..4 {
            self.now = Now { mono_ms: self.now.mono_ms + 250, wall_ms: self.now.wall_ms + 250 };
            for node in &mut self.nodes {
                node.beat(self.now);
                node.tick(self.now);
            }
            self.settle();
        }
    }

    /// What it costs: CPU and bytes on all links, and the changes' own bytes.
    fn costs(&mut self, what: impl FnOnce(&mut Self)) -> (Duration, usize, usize) {
        (self.bytes, self.own) = (0, 0);
        let before = cpu();
        what(self);
        (cpu() - before, self.bytes, self.own)
    }
}

fn measure(path: &Path, n: usize) {
    let saved: Vec<(String, Vec<u8>, Vec<u8>)> = postcard::from_bytes(&std::fs::read(path).unwrap()).unwrap();
    let stored = saved.into_iter().map(|(id, snapshot, digest)| {
        let id: DocId = id.parse().unwrap();
        (id.clone(), StoredDoc { id, snapshot: Some(snapshot), digest: Some(digest), changes: Vec::new() })
    });
    let disk = Arc::new(Disk(stored.collect()));
    let now = Now { mono_ms: 1, wall_ms: 1_790_100_000_000 };
    let before = resident();
    let nodes: Vec<Node> = (0..n).map(|i| load(i, 10, now, &disk)).collect();
    let mut mesh = Mesh { nodes, now, bytes: 0, own: 0 };
    for i in 0..n {
        (0..n).filter(|other| *other != i).for_each(|other| mesh.nodes[i].peer_up(now, &id(other)));
    }
    let began = Instant::now();
    while mesh.nodes.iter().any(|node| node.root() != mesh.nodes[0].root()) || mesh.now.mono_ms < 5_000 {
        mesh.settle();
        mesh.second();
        assert!(began.elapsed() < Duration::from_secs(600), "they never agree");
    }
    let started = (resident() - before) / n as u64;
    let done = |node: &Node| node.study("s").unwrap().count(TrialState::Complete);
    let trials = done(&mesh.nodes[0]);

    // The first events wake documents that rest, and make each node fold its history.
    for at in 0..n {
        ask(&mut mesh.nodes[at], mesh.now, HELD);
        mesh.settle();
    }
    let rounds = ROUNDS.max(2 * n);
    let events = mesh.costs(|mesh| {
        for i in 0..rounds {
            let trial = ask(&mut mesh.nodes[i % n], mesh.now, 1).remove(0);
            mesh.settle();
            mesh.nodes[i % n].report(mesh.now, trial.as_str(), vec![point(1)]).unwrap();
            mesh.settle();
            tell(&mut mesh.nodes[i % n], mesh.now, &trial);
            mesh.settle();
        }
    });
    assert!(mesh.nodes.iter().all(|node| done(node) == trials + rounds as u64), "all have heard of all");
    let idle = mesh.costs(|mesh| (0..IDLE_S).for_each(|_| mesh.second()));
    let at_work = (resident() - before) / n as u64;
    assert!(mesh.nodes.iter().all(|node| node.root() == mesh.nodes[0].root()), "all have the same documents");

    let each = 3.0 * rounds as f64;
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let seconds = (IDLE_S * n as u64) as f64;
    println!(
        "{at_work}\t| {:.1} MB | {:.1} MB | {:.2} ms | {:.0} µs | {:.0} | {:.2} × {} | {:.0} µs/s | {:.1} kB/s |",
        started as f64 / 1e6,
        at_work as f64 / 1e6,
        us(events.0) / each / 1e3,
        us(events.0) / each / n as f64,
        events.1 as f64 / each,
        events.1 as f64 / (events.2 * (n - 1)) as f64,
        n - 1,
        us(idle.0) / seconds,
        idle.1 as f64 / 1e3 / seconds,
    );
}
