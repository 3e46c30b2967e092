//! Several nodes over a net without faults beyond links that are cut or slow.

use std::{collections::BTreeMap, sync::Arc};

use metaopt_core::{
    Effect, Node, NodeConfig, Now, Parcel,
    launch::{AttemptEvent, Launch},
    wire::Decoder,
};
use metaopt_schema::{
    NodeId,
    facts::{Hardware, SlotKind, SlotSpec},
    trial::TrialState,
};

use super::{Disk, def, good};

pub struct Net {
    pub nodes: Vec<Box1>,
    pub now: Now,
    pub cut: Vec<(usize, usize)>,
    pub bytes: usize,
    /// What each node sends takes so long (milliseconds); the order of one sender's frames stays.
    pub lag: Vec<u64>,
    under_way: Vec<(u64, usize, Parcel)>,
}

pub struct Box1 {
    pub id: NodeId,
    pub node: Node,
    pub disk: Disk,
    pub launched: Vec<Launch>,
    pub stopped: Vec<String>,
    pub linked: BTreeMap<usize, bool>,
    pub asleep: bool,
}

pub fn id(i: usize) -> NodeId {
    NodeId::new(format!("node{i:012}"))
}

impl Net {
    pub fn new(n: usize, slots: u32) -> Self {
        let now = Now { mono_ms: 1, wall_ms: 1_790_000_000_000 };
        let nodes = (0..n).map(|i| {
            let disk = Disk::default();
            let hardware = Hardware { name: format!("gpu{i}"), version: "test".into(), ..Hardware::default() };
            let config = NodeConfig { id: id(i), hardware, entropy: [i as u8; 32], ..super::config(i as u64 + 1) };
            let mut node = Node::load(config, now, Vec::new(), Arc::new(disk.clone()), None).unwrap();
            node.adopted(now, &[]);
            let inventory =
                (0..slots).map(|i| (SlotSpec { id: format!("cpu-{i}"), kind: SlotKind::Cpu }, None)).collect();
            node.slots(now, inventory);
            for other in (0..n).filter(|other| *other != i) {
                node.admit(now, &id(other), "00".into()).unwrap();
            }
            Box1 { id: id(i), node, disk, launched: vec![], stopped: vec![], linked: BTreeMap::new(), asleep: false }
        });
        let mut net =
            Self { nodes: nodes.collect(), now, cut: Vec::new(), bytes: 0, lag: vec![0; n], under_way: Vec::new() };
        net.pass(3.0);
        net
    }

    pub fn joined(&self, a: usize, b: usize) -> bool {
        let cut = |x, y| self.cut.contains(&(x, y));
        a != b && !cut(a, b) && !cut(b, a) && !self.nodes[a].asleep && !self.nodes[b].asleep
    }

    pub fn relink(&mut self) {
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                let (is, was) = (self.joined(a, b), self.nodes[a].linked.get(&b).copied().unwrap_or(false));
                if is != was && !self.nodes[a].asleep {
                    self.nodes[a].linked.insert(b, is);
                    let peer = id(b);
                    let now = self.now;
                    match is {
                        true => self.nodes[a].node.peer_up(now, &peer),
                        false => self.nodes[a].node.peer_down(now, &peer),
                    }
                }
            }
        }
    }

    /// Delivers until nothing is under way.
    pub fn settle(&mut self) {
        self.relink();
        let now = self.now;
        for _ in 0..10_000 {
            let mut posts = Vec::new();
            let mut quiet = true;
            for (i, one) in self.nodes.iter_mut().enumerate().filter(|(_, one)| !one.asleep) {
                one.node.go_on(now);
                let output = one.node.drain();
                quiet &= output.is_empty();
                assert!(output.refused.is_empty(), "{:?}", output.refused);
                assert!(output.troubles.is_empty(), "{:?}", output.troubles);
                for (doc, change) in output.changes {
                    one.disk.push(doc, change);
                }
                for effect in output.effects {
                    match effect {
                        Effect::Launch(launch) => one.launched.push(*launch),
                        Effect::Stop(key, why) => one.stopped.push(format!("{} {} {why:?}", key.trial, key.attempt)),
                        Effect::Probe(study, _) => one.node.probed(now, &study, Ok(())),
                        _ => {}
                    }
                }
                posts.extend(output.parcels.into_iter().map(|parcel| (i, parcel)));
            }
            if quiet {
                return;
            }
            self.under_way.extend(posts.into_iter().map(|(from, parcel)| (now.mono_ms + self.lag[from], from, parcel)));
            self.arrive();
        }
        panic!("it never comes to rest");
    }

    fn arrive(&mut self) {
        let now = self.now.mono_ms;
        let (due, later) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, ..)| *at <= now);
        self.under_way = later;
        due.into_iter().for_each(|(_, from, parcel): (u64, usize, Parcel)| self.deliver(from, parcel));
    }

    pub fn deliver(&mut self, from: usize, parcel: Parcel) {
        for to in parcel.to {
            let to = self.nodes.iter().position(|one| one.id == to).unwrap();
            if self.joined(from, to) {
                self.bytes += parcel.frame.len();
                let mut decoder = Decoder::new();
                decoder.push(&parcel.frame);
                let frame = decoder.next_frame().unwrap().unwrap();
                let sender = self.nodes[from].id.clone();
                self.nodes[to].node.frame(self.now, &sender, frame);
            }
        }
    }

    pub fn pass(&mut self, seconds: f64) {
        let mut left = (seconds * 1000.0) as u64;
        self.settle();
        while left > 0 {
            let step = left.min(100);
            left -= step;
            self.now.mono_ms += step;
            self.now.wall_ms += step;
            self.arrive();
            for one in self.nodes.iter_mut().filter(|one| !one.asleep) {
                one.node.beat(self.now);
                one.node.tick(self.now);
            }
            self.settle();
        }
    }

    pub fn study(&mut self, at: usize, extra: serde_json::Value) {
        self.nodes[at].node.create_study(self.now, def(extra), false).unwrap();
        self.settle();
    }

    /// Every process that runs and isn't stopped ends well.
    pub fn finish(&mut self, at: usize) {
        let launched = std::mem::take(&mut self.nodes[at].launched);
        for launch in launched {
            self.nodes[at].node.attempt(self.now, &launch.key, AttemptEvent::Exited(good(0.5)));
        }
        self.settle();
    }

    pub fn trials(&self, at: usize) -> Vec<(String, TrialState)> {
        let study = self.nodes[at].node.study("s").unwrap();
        study.trials().iter().map(|t| (t.place.id.to_string(), t.state)).collect()
    }

    pub fn agree(&self) {
        let first = self.trials(0);
        for at in 1..self.nodes.len() {
            assert_eq!(self.trials(at), first, "node {at}");
        }
    }
}
