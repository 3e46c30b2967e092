//! A node without a machine: time, disk and processes are the test's.
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod net;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use metaopt_core::{
    Effect, Node, NodeConfig, Now, Saved, Shelf, StoredDoc,
    commands::{Action, Completion, Report, SuggestRequest, Suggested, Told},
    launch::{AttemptEvent, ExitReport, Launch},
    read_doc,
};
use metaopt_schema::{
    AttemptKey, DocId, NodeId,
    docs::RawChange,
    facts::{Hardware, SlotKind, SlotSpec},
    study::{StudyDef, validate::parse_study},
    view::TrialView,
};
use serde_json::{Value, json};

/// A node, its clocks, and the disk it would be loaded from.
pub struct Bench {
    /// See `NodeConfig`.
    pub curve_bytes: usize,
    pub node: Node,
    pub now: Now,
    pub disk: Disk,
    pub counter: Option<u64>,
    pub launched: Vec<Launch>,
    pub effects: Vec<Effect>,
    /// Every change that was ever stored.
    pub written: Vec<(DocId, RawChange)>,
    boots: u64,
}

pub fn config(boot: u64) -> NodeConfig {
    NodeConfig {
        id: NodeId::new("node0000000000aa"),
        public_key: "00".into(),
        hardware: Hardware { name: "box".into(), version: "test".into(), ..Hardware::default() },
        boot,
        entropy: [boot as u8; 32],
        grace_s: 10.0,
        pause_grace_s: 120.0,
        timing: metaopt_core::Timing::default(),
        curve_bytes: 1 << 20,
    }
}

/// What was stored; clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<BTreeMap<DocId, StoredDoc>>>, Arc<AtomicBool>);

impl Disk {
    pub fn docs(&self) -> BTreeMap<DocId, StoredDoc> {
        self.0.lock().unwrap().clone()
    }

    /// From now on nothing is read, or is again.
    pub fn break_down(&self, broken: bool) {
        self.1.store(broken, Ordering::SeqCst);
    }

    /// As an older metaopt left it.
    pub fn drop_digests(&self) {
        self.0.lock().unwrap().values_mut().for_each(|doc| doc.digest = None);
    }

    /// As a later metaopt left it.
    pub fn renew_digests(&self) {
        let digests = |doc: &mut StoredDoc| doc.digest.iter_mut().for_each(|digest| *digest = b"\x02???".to_vec());
        self.0.lock().unwrap().values_mut().for_each(digests);
    }

    /// Stores a document, over whatever is there.
    pub fn put(&self, doc: StoredDoc) {
        self.0.lock().unwrap().insert(doc.id.clone(), doc);
    }

    pub fn push(&self, id: DocId, change: RawChange) {
        let mut docs = self.0.lock().unwrap();
        let new = StoredDoc { id: id.clone(), snapshot: None, digest: None, changes: Vec::new() };
        docs.entry(id).or_insert(new).changes.push(change);
    }
}

impl Shelf for Disk {
    fn fetch(&self, id: &DocId) -> Result<Option<StoredDoc>, String> {
        if self.1.load(Ordering::SeqCst) {
            return Err("the disk broke down".into());
        }
        Ok(self.0.lock().unwrap().get(id).cloned())
    }
}

fn load(config: NodeConfig, now: Now, disk: &Disk, counter: Option<u64>) -> Node {
    let actor = config.actor();
    let docs: Vec<_> = disk.docs().into_values().map(|stored| read_doc(&actor, stored)).collect();
    Node::load(config, now, docs, Arc::new(disk.clone()), counter).unwrap()
}

impl Bench {
    pub fn new(slots: u32) -> Self {
        let now = Now { mono_ms: 1, wall_ms: 1_790_000_000_000 };
        let disk = Disk::default();
        let node = load(config(1), now, &disk, None);
        let mut bench = Self {
            curve_bytes: 1 << 20,
            node,
            now,
            disk,
            counter: None,
            launched: Vec::new(),
            effects: Vec::new(),
            written: Vec::new(),
            boots: 1,
        };
        bench.arm(slots);
        bench
    }

    fn arm(&mut self, slots: u32) {
        let inventory = (0..slots).map(|i| (SlotSpec { id: format!("cpu-{i}"), kind: SlotKind::Cpu }, None)).collect();
        self.node.slots(self.now, inventory);
        self.settle();
    }

    /// What the shell does after each batch; probes always succeed.
    pub fn settle(&mut self) {
        loop {
            let output = self.node.drain();
            if output.is_empty() {
                return;
            }
            for (id, change) in output.changes {
                self.written.push((id.clone(), change.clone()));
                self.disk.push(id, change);
            }
            for (_, value) in output.meta {
                self.counter = Some(u64::from_le_bytes(value.try_into().unwrap()));
            }
            for effect in output.effects {
                match &effect {
                    Effect::Launch(launch) => self.launched.push((**launch).clone()),
                    Effect::Probe(study, _) => self.node.probed(self.now, study, Ok(())),
                    Effect::Forget(docs) => docs.iter().for_each(|d| drop(self.disk.0.lock().unwrap().remove(d))),
                    _ => {}
                }
                self.effects.push(effect);
            }
        }
    }

    /// A crash: only what was on disk is left.
    pub fn restart(&mut self, slots: u32) {
        self.boots += 1;
        let config = NodeConfig { curve_bytes: self.curve_bytes, ..config(self.boots) };
        self.node = load(config, self.now, &self.disk, self.counter);
        self.arm(slots);
    }

    pub fn pass(&mut self, seconds: f64) {
        self.now.mono_ms += (seconds * 1000.0) as u64;
        self.now.wall_ms += (seconds * 1000.0) as u64;
        self.node.tick(self.now);
        self.settle();
    }

    /// Puts every idle document to rest, as the shell does; how many.
    pub fn rest(&mut self) -> usize {
        let idle = self.node.idle_docs(self.now, usize::MAX);
        for id in &idle {
            let saved = Saved::of(self.node.replica(id).unwrap()).unwrap();
            let (snapshot, digest) = (Some(saved.bytes.clone()), Some(saved.digest.clone()));
            let stored = StoredDoc { id: id.clone(), snapshot, digest, changes: Vec::new() };
            self.disk.put(stored);
            self.node.rest(id, saved);
        }
        idle.len()
    }

    pub fn study(&mut self, extra: Value) -> String {
        let def = def(extra);
        let name = def.name.clone();
        self.node.create_study(self.now, def, false).unwrap();
        self.settle();
        name
    }

    pub fn ask(&mut self, study: &str, count: u64, client: Option<&str>) -> Suggested {
        let request = SuggestRequest { count, client_id: client.map(str::to_owned), lease_s: 60.0 };
        let answer = self.node.suggest(self.now, study, request).unwrap();
        self.settle();
        answer
    }

    pub fn report(&mut self, trial: &str, step: u64, loss: f64) -> Action {
        let report = Report { step, values: [("loss".to_owned(), Some(loss))].into_iter().collect(), attempt: None };
        let action = self.node.report(self.now, trial, vec![report]).unwrap();
        self.settle();
        action
    }

    pub fn tell(&mut self, trial: &str, attempt: Option<u32>, loss: f64) -> Result<(), String> {
        let told = Told::Complete([("loss".to_owned(), loss)].into_iter().collect());
        let completion = Completion { told, detail: None, attempt };
        let result = self.node.complete(self.now, trial, completion).map(drop).map_err(|e| e.to_string());
        self.settle();
        result
    }

    pub fn exit(&mut self, key: &AttemptKey, report: ExitReport) {
        self.node.attempt(self.now, key, AttemptEvent::Exited(report));
        self.settle();
    }

    pub fn trial(&self, id: &str) -> &TrialView {
        self.node.trial(id).unwrap().1
    }
}

/// A definition with sensible rest.
pub fn def(extra: Value) -> StudyDef {
    let mut body = json!({
        "name": "s",
        "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "sampler": {"name": "random", "seed": 7},
    });
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    parse_study(&body).unwrap()
}

/// Exit 0 with a result on standard output.
pub fn good(loss: f64) -> ExitReport {
    ExitReport {
        exit_code: Some(0),
        result: Some(Ok([("loss".to_owned(), loss)].into_iter().collect())),
        ..ExitReport::default()
    }
}
