//! Boxes in virtual time: each has a node, clocks, a disk, processes and slots. One seed decides everything that happens.
//!
//! What the daemon's shell does (`daemon/src/driver.rs` and `committer.rs`) is done here in the same order: what comes is
//! handled, drained, committed with all that waits, and only then are answers given, frames sent and processes started.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use metaopt_core::{
    Effect, Enrolled, Node, NodeConfig, Now, Output, Parcel, Refusal, RefusalKind, Saved, Timing,
    commands::{Action, Completion, IdleReason, NodeAction, Report, StudyAction, SuggestRequest, Told, TrialAction},
    launch::{AttemptEvent, Launch},
    read_doc,
    wire::{Decoder, Frame},
};
use metaopt_schema::{
    AttemptKey, NodeId, StudyId, TrialId,
    facts::{Hardware, SlotSpec},
    mutations::{Mutation, breaks},
    study::StudyDef,
};

use crate::{
    clients::Client,
    disk::Disk,
    faults::Fault,
    invariants::Ledger,
    jobs::{Job, Plan, result_of, value_at},
    network::{Network, REDIAL_MS, SILENCE_MS, pair, side},
    random::Random,
};

/// Between two ticks of a node.
const TICK_MS: u64 = 250;
/// When all clocks showed the right time.
const WALL: u64 = 1_790_000_000_000;
/// A call that takes longer is given up by who called.
pub const PATIENCE_MS: u64 = 4_000;

/// How long a node that lost its database waits for those who may know what it did, while some are away.
const RECOLLECTS_MS: u64 = 60_000;

/// Short waits, so that much happens in little time.
pub const TIMING: Timing =
    Timing { beat_ms: 1_000, suspect_ms: 5_000, orphan_ms: 15_000, quorum_ms: 45_000, turn_ms: 500, settle_ms: 300 };

/// How a box is away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pause {
    /// The daemon alone is stopped: its jobs go on, and so do its clocks.
    Stopped,
    /// The machine sleeps: its monotonic clock stands still.
    Asleep,
}

#[derive(Clone, Debug)]
pub enum Call {
    Create(Box<StudyDef>),
    Suggest { study: String, client: String, lease_s: f64 },
    Report { key: AttemptKey, step: u64, value: f64 },
    Complete { key: AttemptKey, told: Told },
    Study(String, StudyAction),
    Trial(TrialId, TrialAction),
    Enqueue(String, f64),
    Node(NodeId, NodeAction),
}

#[derive(Clone, Debug)]
pub enum Reply {
    Lent(Vec<AttemptKey>, Option<IdleReason>),
    Action(Action),
    Done,
    Refused(Refusal),
    /// The disk fails: perhaps it happened, perhaps not.
    Unsure,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Who {
    Client(usize, u64),
    Job(AttemptKey, u64),
    Nobody,
}

#[derive(Debug)]
pub enum Event {
    Boot(usize),
    /// How long it stays down, and whether the machine goes down too.
    Crash(usize, u64, bool),
    Adopt(usize, u64),
    Tick(usize, u64),
    Flush(usize, u64),
    Committed(usize, u64),
    Arrive {
        from: usize,
        to: usize,
        number: u64,
        frame: Arc<[u8]>,
    },
    Hear {
        at: usize,
        peer: usize,
        number: u64,
        up: bool,
    },
    Net,
    Join(usize),
    Probed(usize, u64, StudyId),
    Step(usize, AttemptKey, u64),
    Obey(usize, AttemptKey, u64),
    Ended(usize, AttemptKey),
    Call {
        at: usize,
        call: Call,
        who: Who,
    },
    Reply {
        who: Who,
        from: usize,
        call: Call,
        reply: Reply,
    },
    Client(usize, u64),
    Fault,
    Mend(Mend),
    Operator,
    Check,
}

/// What ends a fault.
#[derive(Clone, Debug)]
pub enum Mend {
    Uncut(Vec<(usize, usize)>),
    Wake(usize),
    Disk(usize),
    Fast(Vec<(usize, usize)>),
    Calm,
}

pub struct Machine {
    pub id: NodeId,
    pub node: Option<Node>,
    pub boot: u64,
    pub up_since: u64,
    pub pause: Option<(Pause, u64)>,
    pub disk: Disk,
    pub jobs: BTreeMap<AttemptKey, Job>,
    pub slots: Vec<SlotSpec>,
    /// It was removed from the cluster, or may have been.
    pub gone: bool,
    /// Commits fail.
    pub full: bool,
    /// Who is a member, kept beside the identity.
    roll: Vec<Enrolled>,
    /// The database is gone, and the daemon doesn't know yet.
    pub lost: bool,
    /// Until then it may still be finding out what it did before its database was lost.
    pub recollects: u64,
    /// It is to crash within its next commit: how long for, and whether the machine goes down too.
    pub doomed: Option<(u64, bool)>,
    wall_off: i64,
    mono_zero: u64,
    heard: u64,
    trouble: bool,
    pending: Pending,
    /// Being committed, since when.
    inflight: Option<(Pending, u64)>,
    inbox: Vec<Event>,
    flush_due: bool,
}

type Answer = (Who, Call, Reply);

/// What waits for the disk, in the order in which it came.
#[derive(Default)]
struct Pending {
    outputs: Vec<Output>,
    answers: Vec<Answer>,
}

pub struct World {
    pub seed: u64,
    pub now: u64,
    pub boxes: Vec<Machine>,
    pub net: Network,
    pub clients: Vec<Client>,
    pub ledger: Ledger,
    pub random: Random,
    pub job_random: Random,
    pub fired: BTreeMap<&'static str, u64>,
    pub scenario: crate::scenario::Scenario,
    pub studies: Vec<(String, StudyDef)>,
    /// Faults and operators have ended.
    pub healed: bool,
    /// Clients ask for no more.
    pub quiet: bool,
    /// Frames that somebody listened in on, where somebody does.
    pub overheard: VecDeque<Arc<[u8]>>,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    runs: u64,
    pub steps: u64,
    hash: blake3::Hasher,
    tracing: bool,
}

impl World {
    pub fn new(seed: u64, scenario: crate::scenario::Scenario) -> Self {
        let mut random = Random::stream(seed, "world");
        let count = scenario.boxes(&mut random);
        let boxes = (0..count).map(|i| machine(seed, i, scenario.slots(&mut random, i))).collect();
        let mut world = Self {
            seed,
            now: 0,
            boxes,
            net: Network::new(count, Random::stream(seed, "network")),
            clients: Vec::new(),
            ledger: Ledger::default(),
            random,
            job_random: Random::stream(seed, "jobs"),
            fired: BTreeMap::new(),
            scenario,
            studies: Vec::new(),
            healed: false,
            quiet: false,
            overheard: VecDeque::new(),
            queue: BTreeMap::new(),
            queued: 0,
            runs: 0,
            steps: 0,
            hash: blake3::Hasher::new(),
            tracing: std::env::var_os("METAOPT_SIM_TRACE").is_some(),
        };
        for i in 0..count {
            let at = world.random.below(300);
            world.at(at, Event::Boot(i));
            if i > 0 {
                world.at(500 + at, Event::Join(i));
            }
        }
        world.at(0, Event::Net);
        world.at(1_000, Event::Check);
        world
    }

    pub fn at(&mut self, delay: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.now + delay, self.queued), event);
    }

    /// A line of what happens; all lines together tell whether two runs were the same.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            let line = line();
            println!("{:>9.3}  {line}", self.now as f64 / 1000.0);
            self.hash.update(line.as_bytes());
        } else if cfg!(debug_assertions) && self.scenario.compared {
            self.hash.update(line().as_bytes());
        }
    }

    pub fn fingerprint(&self) -> String {
        self.hash.finalize().to_hex().to_string()
    }

    pub fn wrong(&mut self, what: String) {
        self.say(|| format!("WRONG: {what}"));
        self.ledger.wrong.push(format!("at {:.3} s: {what}", self.now as f64 / 1000.0));
    }

    pub fn fire(&mut self, fault: &'static str) {
        *self.fired.entry(fault).or_default() += 1;
    }

    /// Runs until `until`, or something is wrong.
    pub fn run_until(&mut self, until: u64) {
        while self.ledger.wrong.is_empty() {
            let Some(entry) = self.queue.first_entry() else { return };
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.steps += 1;
            self.handle(event);
        }
        self.now = self.now.max(until);
    }

    pub fn now_of(&self, at: usize) -> Now {
        let machine = &self.boxes[at];
        Now {
            mono_ms: self.now - machine.mono_zero + 1,
            wall_ms: (WALL + self.now).saturating_add_signed(machine.wall_off),
        }
    }

    pub fn wall(&self, at: usize) -> u64 {
        self.now_of(at).wall_ms
    }

    pub fn index(&self, id: &NodeId) -> Option<usize> {
        self.boxes.iter().position(|machine| machine.id == *id)
    }

    /// Does something with a running node, as the driver's thread does.
    pub fn with<R>(&mut self, at: usize, f: impl FnOnce(&mut Node, Now) -> R) -> Option<R> {
        let now = self.now_of(at);
        let true_now = self.now;
        let machine = &mut self.boxes[at];
        let node = machine.node.as_mut()?;
        let silence = true_now - std::mem::replace(&mut machine.heard, true_now);
        let behind = machine.inflight.as_ref().is_some_and(|(_, since)| true_now - since > 200);
        if silence > 1_000 || machine.trouble || behind {
            node.away(silence);
        }
        let result = f(node, now);
        if !std::mem::replace(&mut machine.flush_due, true) {
            let boot = machine.boot;
            let later = if self.random.chance(0.2) { self.random.range(0, 4) } else { 0 };
            self.at(later, Event::Flush(at, boot));
        }
        Some(result)
    }

    fn handle(&mut self, event: Event) {
        let owner = match &event {
            Event::Tick(at, _) | Event::Flush(at, _) | Event::Committed(at, _) | Event::Adopt(at, _) => Some(*at),
            Event::Arrive { to, .. } => Some(*to),
            Event::Hear { at, .. } | Event::Probed(at, ..) | Event::Call { at, .. } | Event::Ended(at, _) => Some(*at),
            _ => None,
        };
        if let Some(at) = owner
            && self.boxes[at].pause.is_some()
        {
            return self.boxes[at].inbox.push(event);
        }
        match event {
            Event::Boot(at) => self.boot(at),
            Event::Crash(at, long, power) => {
                self.crash(at, power);
                self.at(long, Event::Boot(at));
            }
            Event::Adopt(at, boot) if self.runs_as(at, boot) => self.adopt(at),
            Event::Tick(at, boot) if self.runs_as(at, boot) => self.tick(at),
            Event::Flush(at, boot) if self.runs_as(at, boot) => self.flush(at),
            Event::Committed(at, boot) if self.runs_as(at, boot) => self.committed(at),
            Event::Adopt(..) | Event::Tick(..) | Event::Flush(..) | Event::Committed(..) => {}
            Event::Arrive { from, to, number, frame } => self.arrive(from, to, number, &frame),
            Event::Hear { at, peer, number, up } => self.hear(at, peer, number, up),
            Event::Net => self.look_after_links(),
            Event::Join(at) => self.join(at),
            Event::Probed(at, boot, study) => {
                if self.runs_as(at, boot) {
                    self.with(at, |node, now| node.probed(now, &study, Ok(())));
                }
            }
            Event::Step(at, key, run) => self.job_step(at, &key, run),
            Event::Obey(at, key, run) => {
                let wall = self.wall(at);
                if let Some(job) = self.boxes[at].jobs.get_mut(&key).filter(|job| job.run == run && job.lives()) {
                    job.obey(wall);
                    self.job_ended(at, &key);
                }
            }
            Event::Ended(at, key) => self.tell_end(at, &key),
            Event::Call { at, call, who } => self.call(at, call, who),
            Event::Reply { who, from, call, reply } => self.reply(who, from, call, reply),
            Event::Client(client, epoch) => crate::clients::wake(self, client, epoch),
            Event::Fault => crate::faults::strike(self),
            Event::Mend(mend) => crate::faults::mend(self, mend),
            Event::Operator => crate::operators::act(self),
            Event::Check => {
                crate::invariants::now_and_then(self);
                self.at(1_000, Event::Check);
            }
        }
    }

    pub fn runs_as(&self, at: usize, boot: u64) -> bool {
        self.boxes[at].boot == boot && self.boxes[at].node.is_some()
    }

    // ---- daemons

    fn boot(&mut self, at: usize) {
        let true_now = self.now;
        let seed = self.seed;
        if self.boxes[at].node.is_some() {
            return;
        }
        let machine = &mut self.boxes[at];
        machine.boot += 1;
        machine.mono_zero = true_now;
        machine.heard = true_now;
        machine.up_since = true_now;
        machine.pause = None;
        machine.inbox.clear();
        machine.trouble = false;
        machine.flush_due = false;
        machine.pending = Pending::default();
        machine.inflight = None;
        let hash = blake3::hash(format!("{seed} {at} {}", machine.boot).as_bytes());
        let config = NodeConfig {
            id: machine.id.clone(),
            public_key: format!("{at:064x}"),
            hardware: Hardware { name: format!("box{at}"), version: "sim".into(), ..Hardware::default() },
            boot: u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap()),
            entropy: *hash.as_bytes(),
            grace_s: 2.0,
            pause_grace_s: 3.0,
            timing: TIMING,
            curve_bytes: if at.is_multiple_of(2) { 1 << 20 } else { 2_000 },
        };
        let boot = machine.boot;
        let actor = config.actor();
        let docs: Vec<_> = machine.disk.docs().into_iter().map(|stored| read_doc(&actor, stored)).collect();
        let shelf = Arc::new(machine.disk.clone());
        let counter = machine.disk.counter();
        let now = self.now_of(at);
        self.say(|| format!("box{at} starts, run {boot}"));
        match Node::load(config, now, docs, shelf, counter) {
            Ok(node) => {
                if !node.damaged().is_empty() {
                    let damaged = format!("{:?}", node.damaged());
                    self.wrong(format!("box{at} finds its documents damaged: {damaged}"));
                }
                self.boxes[at].node = Some(node);
            }
            Err(error) => return self.wrong(format!("box{at} can't read what it stored: {error}")),
        }
        self.ledger.restarted(at);
        if std::mem::take(&mut self.boxes[at].lost) {
            self.boxes[at].recollects = true_now + RECOLLECTS_MS;
            let roll = self.boxes[at].roll.clone();
            self.with(at, |node, now| node.restore(now, roll));
        }
        let inventory = self.boxes[at].slots.iter().map(|spec| (spec.clone(), None)).collect();
        self.with(at, |node, now| node.slots(now, inventory));
        let adopts = self.random.range(5, 400);
        self.at(adopts, Event::Adopt(at, boot));
        let first = self.random.below(TICK_MS);
        self.at(first, Event::Tick(at, boot));
    }

    fn adopt(&mut self, at: usize) {
        let machine = &self.boxes[at];
        let found: Vec<AttemptKey> = machine.jobs.iter().filter(|(_, j)| !j.vanished).map(|(k, _)| k.clone()).collect();
        let over: Vec<AttemptKey> = machine.jobs.iter().filter(|(_, j)| !j.lives()).map(|(k, _)| k.clone()).collect();
        self.with(at, |node, now| node.adopted(now, &found));
        for key in over {
            self.tell_end(at, &key);
        }
    }

    /// The daemon ends at once. `power`: so does the machine, and with it its jobs.
    pub fn crash(&mut self, at: usize, power: bool) {
        if self.boxes[at].node.is_none() {
            return;
        }
        self.say(|| format!("box{at} crashes{}", if power { ", power cut" } else { "" }));
        // What was being committed may have come through, or its first part alone.
        let fate = self.random.below(4);
        let machine = &mut self.boxes[at];
        if let Some((inflight, _)) = machine.inflight.take()
            && !machine.full
            && fate > 1
        {
            store(&machine.disk, &inflight.outputs, fate > 2);
        }
        if let Some(node) = machine.node.take() {
            machine.roll = node.roll();
        }
        machine.pause = None;
        machine.inbox.clear();
        if power {
            machine.jobs.retain(|_, job| !job.lives());
        }
        let now = self.now;
        let pairs: Vec<(usize, usize)> = self.net.links.keys().filter(|p| p.0 == at || p.1 == at).copied().collect();
        for key in pairs {
            let other = if key.0 == at { key.1 } else { key.0 };
            let reach = self.net.reach(at, other) && !power;
            let Some(link) = self.net.links.get_mut(&key) else { continue };
            link.up[side(at, key)] = false;
            if link.over {
                continue;
            }
            // A reset is heard of at once; a power cut is silence.
            if reach {
                self.end_link(key, 5)
            } else {
                self.net.links.get_mut(&key).unwrap().mute_since.get_or_insert(now);
            }
        }
    }

    pub fn pause(&mut self, at: usize, how: Pause) {
        let now = self.now;
        if self.boxes[at].node.is_some() && self.boxes[at].pause.is_none() {
            self.say(|| format!("box{at} is away: {how:?}"));
            self.boxes[at].pause = Some((how, now));
            let links = self.net.links.iter_mut().filter(|(p, l)| (p.0 == at || p.1 == at) && !l.over);
            links.for_each(|(_, link)| {
                link.mute_since.get_or_insert(now);
            });
        }
    }

    pub fn wake(&mut self, at: usize) {
        let now = self.now;
        let machine = &mut self.boxes[at];
        let Some((how, since)) = machine.pause.take() else { return };
        if how == Pause::Asleep {
            machine.mono_zero += now - since;
            machine.heard += now - since;
        }
        machine.up_since = now;
        for (pair, link) in &mut self.net.links {
            if pair.0 == at || pair.1 == at {
                link.mute_since = None;
            }
        }
        self.say(|| format!("box{at} is back"));
        let inbox = std::mem::take(&mut self.boxes[at].inbox);
        for event in inbox {
            self.at(0, event);
        }
    }

    fn tick(&mut self, at: usize) {
        let boot = self.boxes[at].boot;
        let trouble = self.boxes[at].trouble;
        self.with(at, |node, now| {
            node.beat(now);
            if !trouble {
                node.tick(now);
            }
        });
        self.at(TICK_MS, Event::Tick(at, boot));
        // Documents rest once all is stored.
        let machine = &self.boxes[at];
        if !trouble && machine.inflight.is_none() && machine.pending.outputs.is_empty() && self.random.chance(0.2) {
            self.flush(at);
            if self.boxes[at].inflight.is_none() {
                self.rest(at);
            }
        }
    }

    fn rest(&mut self, at: usize) {
        let now = self.now_of(at);
        let machine = &mut self.boxes[at];
        let Some(node) = machine.node.as_mut() else { return };
        for id in node.idle_docs(now, 4) {
            let saved = node.replica(&id).map(Saved::of);
            match saved {
                Some(Some(saved)) => {
                    machine.disk.snapshot(&id, &saved);
                    node.rest(&id, saved);
                }
                _ => return self.wrong(format!("box{at} can't save {id}")),
            }
        }
    }

    fn flush(&mut self, at: usize) {
        let now = self.now_of(at);
        let machine = &mut self.boxes[at];
        machine.flush_due = false;
        let trouble = machine.trouble;
        let Some(node) = machine.node.as_mut() else { return };
        if !trouble {
            node.go_on(now);
        }
        let mut output = node.drain();
        if let Some(error) = output.refused.first() {
            let error = error.to_string();
            self.wrong(format!("box{at} wrote what its document refuses: {error}"));
        }
        for trouble in std::mem::take(&mut output.troubles) {
            self.say(|| format!("box{at}: {trouble}"));
            self.ledger.troubles.push(trouble);
        }
        crate::invariants::observe(self, at, &output.events);
        let (at_once, later): (Vec<Parcel>, Vec<Parcel>) = output.parcels.drain(..).partition(|p| p.at_once);
        output.parcels = later;
        self.post(at, at_once);
        if breaks(Mutation::SendEarly) {
            let early = std::mem::take(&mut output.parcels);
            self.post(at, early);
        }
        if breaks(Mutation::AnswerEarly) {
            let early = std::mem::take(&mut self.boxes[at].pending.answers);
            self.answer(at, early, true);
        }
        self.boxes[at].pending.outputs.push(output);
        self.commit(at);
    }

    fn commit(&mut self, at: usize) {
        let now = self.now;
        // Where nothing is to go wrong, no disk stalls either: turns for the last trials of a soft budget are short.
        let stalls = !self.scenario.faults.is_empty() && self.random.chance(0.03);
        let delay = if stalls { self.random.range(50, 600) } else { self.random.range(0, 12) };
        let machine = &mut self.boxes[at];
        if machine.inflight.is_some() {
            return;
        }
        let pending = std::mem::take(&mut machine.pending);
        let nothing = pending.outputs.iter().all(|o| o.changes.is_empty() && o.wholes.is_empty() && o.meta.is_empty());
        let boot = machine.boot;
        machine.inflight = Some((pending, now));
        if nothing && !machine.trouble {
            return self.committed(at);
        }
        if let Some((long, power)) = machine.doomed.take() {
            self.at(delay / 2, Event::Crash(at, long, power));
        }
        // A disk that fails is tried again after a second.
        let delay = if self.boxes[at].trouble { 1_000 } else { delay };
        self.at(delay, Event::Committed(at, boot));
    }

    fn committed(&mut self, at: usize) {
        let machine = &mut self.boxes[at];
        let Some((mut pending, _)) = machine.inflight.take() else { return };
        let stored = !machine.full
            || pending.outputs.iter().all(|o| o.changes.is_empty() && o.wholes.is_empty() && o.meta.is_empty());
        let answers = std::mem::take(&mut pending.answers);
        if stored {
            store(&machine.disk, &pending.outputs, true);
            let was = std::mem::replace(&mut machine.trouble, false);
            let parcels: Vec<Parcel> = pending.outputs.iter_mut().flat_map(|o| o.parcels.drain(..)).collect();
            let effects: Vec<Effect> = pending.outputs.into_iter().flat_map(|o| o.effects).collect();
            self.post(at, parcels);
            self.answer(at, answers, true);
            for effect in effects {
                self.carry_out(at, effect);
            }
            if was {
                self.with(at, |node, now| node.hold(now, None));
            }
        } else {
            let was = std::mem::replace(&mut machine.trouble, true);
            // It stays to be stored, with what comes.
            machine.pending.outputs.splice(0..0, pending.outputs);
            self.answer(at, answers, false);
            if !was {
                self.say(|| format!("box{at} can't store"));
                self.with(at, |node, now| node.hold(now, Some("the disk is full".into())));
            }
        }
        let machine = &self.boxes[at];
        if machine.inflight.is_none() && !(machine.pending.outputs.is_empty() && machine.pending.answers.is_empty()) {
            self.commit(at);
        }
    }

    fn answer(&mut self, at: usize, answers: Vec<Answer>, stored: bool) {
        for (who, call, reply) in answers {
            let reply = match reply {
                Reply::Refused(_) => reply,
                _ if !stored => Reply::Unsure,
                _ => reply,
            };
            let delay = self.random.range(0, 3);
            self.at(delay, Event::Reply { who, from: at, call, reply });
        }
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        match effect {
            Effect::Launch(launch) => self.launch(at, *launch),
            Effect::Stop(key, why) => {
                self.say(|| format!("box{at} stops {} #{}: {why:?}", key.trial, key.attempt));
                let ends = self.job_random.range(5, 2_000);
                if let Some(job) = self.boxes[at].jobs.get_mut(&key).filter(|job| job.lives()) {
                    job.stopped = Some(why);
                    if !std::mem::replace(&mut job.ends_soon, true) {
                        let run = job.run;
                        self.at(ends, Event::Obey(at, key, run));
                    }
                }
            }
            Effect::Probe(study, _) => {
                let boot = self.boxes[at].boot;
                let delay = self.random.range(1, 200);
                self.at(delay, Event::Probed(at, boot, study));
            }
            Effect::Finish(key) | Effect::SetAside(key) => {
                let over = self.boxes[at].jobs.get(&key).is_some_and(|job| !job.lives());
                if over {
                    self.boxes[at].jobs.remove(&key);
                }
            }
            Effect::Cut(peer) => {
                if let Some(peer) = self.index(&peer) {
                    self.end_link(pair(at, peer), 5);
                }
            }
            Effect::Forget(docs) => self.boxes[at].disk.forget(&docs),
        }
    }

    // ---- jobs

    fn launch(&mut self, at: usize, launch: Launch) {
        let key = launch.key.clone();
        self.runs += 1;
        let run = self.runs;
        self.say(|| format!("box{at} launches {} #{}", key.trial, key.attempt));
        let job = Job::new(&mut self.job_random, launch, run, &self.scenario);
        crate::invariants::launched(self, at, &job);
        let (plan, first) = (job.plan, job.step_ms);
        self.boxes[at].jobs.insert(key.clone(), job);
        if plan == Plan::Unstartable {
            if let Some(job) = self.boxes[at].jobs.get_mut(&key) {
                job.vanished = true;
            }
            self.at(10, Event::Ended(at, key));
        } else {
            self.at(first, Event::Step(at, key, run));
        }
    }

    fn job_step(&mut self, at: usize, key: &AttemptKey, run: u64) {
        if matches!(self.boxes[at].pause, Some((Pause::Asleep, _))) {
            return self.at(500, Event::Step(at, key.clone(), run));
        }
        let alive = self.boxes[at].node.is_some();
        let wall = self.wall(at);
        let Some(job) = self.boxes[at].jobs.get_mut(key).filter(|job| job.run == run && job.lives()) else { return };
        if job.step < job.steps {
            job.step += 1;
            let (step, next) = (job.step, job.step_ms);
            if !alive {
                job.spool_step();
            }
            if alive {
                let call = Call::Report { key: key.clone(), step, value: value_at(key, step) };
                self.at(0, Event::Call { at, call, who: Who::Job(key.clone(), run) });
            }
            return self.at(next, Event::Step(at, key.clone(), run));
        }
        match job.plan {
            Plan::Vanishes => job.vanished = true,
            Plan::Tells => {
                if alive {
                    let told = Told::Complete([("loss".to_owned(), result_of(key))].into_iter().collect());
                    let call = Call::Complete { key: key.clone(), told };
                    // It ends a moment later, whether it was answered or not.
                    job.plan = Plan::Prints;
                    self.at(0, Event::Call { at, call, who: Who::Job(key.clone(), run) });
                    return self.at(100, Event::Step(at, key.clone(), run));
                }
                job.spool_result();
                job.natural_end(wall);
            }
            _ => job.natural_end(wall),
        }
        self.job_ended(at, key);
    }

    fn job_ended(&mut self, at: usize, key: &AttemptKey) {
        self.say(|| format!("box{at}: the process of {} #{} is over", key.trial, key.attempt));
        if self.boxes[at].node.is_some() {
            self.at(0, Event::Ended(at, key.clone()));
        }
    }

    /// The daemon hears of a process's end, once in each of its runs.
    fn tell_end(&mut self, at: usize, key: &AttemptKey) {
        let boot = self.boxes[at].boot;
        if self.boxes[at].node.is_none() {
            return;
        }
        let Some(job) = self.boxes[at].jobs.get_mut(key).filter(|j| !j.lives() && j.told_boot != Some(boot)) else {
            return;
        };
        job.told_boot = Some(boot);
        let event = match (&job.ended, job.plan) {
            (Some(report), _) => AttemptEvent::Exited(report.clone()),
            (None, Plan::Unstartable) => AttemptEvent::LaunchFailed("no such program".into()),
            (None, _) => AttemptEvent::Vanished("its supervisor was killed".into()),
        };
        let key = key.clone();
        self.with(at, |node, now| node.attempt(now, &key, event));
    }

    // ---- calls

    fn call(&mut self, at: usize, call: Call, who: Who) {
        if self.boxes[at].node.is_none() {
            return;
        }
        if self.boxes[at].trouble {
            return self.at(1, Event::Reply { who, from: at, call, reply: Reply::Unsure });
        }
        // Calls about an attempt go to its holder, where that can be reached.
        if let Call::Report { key, .. } | Call::Complete { key, .. } = &call
            && let Some(node) = &self.boxes[at].node
            && let Some(holder) = node.holder(key.trial.as_str(), Some(key.attempt))
            && let Some(holder) = self.index(&holder)
            && self.net.links.get(&pair(at, holder)).is_some_and(|link| link.up == [true; 2] && !link.over)
            && self.net.reach(at, holder)
        {
            let delay = self.net.delay(at, holder) + 1;
            return self.at(delay, Event::Call { at: holder, call, who });
        }
        let lent = |node: &Node, trial: &TrialId| {
            let (_, view) = node.trial(trial.as_str()).ok()?;
            let mine = view.attempts.iter().rev().find(|a| a.node == *node.id() && a.is_open())?;
            Some(AttemptKey { trial: trial.clone(), attempt: mine.attempt })
        };
        let asked = call.clone();
        let result = self.with(at, move |node, now| -> Result<Reply, Refusal> {
            let done = |_| Reply::Done;
            match asked {
                Call::Create(def) => node.create_study(now, *def, true).map(|_| Reply::Done),
                Call::Suggest { study, client, lease_s } => {
                    let request = SuggestRequest { count: 1, client_id: Some(client), lease_s };
                    let given = node.suggest(now, &study, request)?;
                    Ok(Reply::Lent(given.trials.iter().filter_map(|t| lent(node, t)).collect(), given.reason))
                }
                Call::Report { key, step, value } => {
                    let values = [("loss".to_owned(), Some(value))].into_iter().collect();
                    let report = Report { step, values, attempt: Some(key.attempt) };
                    node.report(now, key.trial.as_str(), vec![report]).map(Reply::Action)
                }
                Call::Complete { key, told } => {
                    let completion = Completion { told, detail: None, attempt: Some(key.attempt) };
                    node.complete(now, key.trial.as_str(), completion).map(|_| Reply::Done)
                }
                Call::Study(study, action) => node.study_action(now, &study, action).map(|_| Reply::Done),
                Call::Trial(trial, action) => node.trial_action(now, trial.as_str(), action).map(|_| Reply::Done),
                Call::Enqueue(study, x) => {
                    let params = [("x".to_owned(), serde_json::json!(x))].into_iter().collect();
                    node.enqueue(now, &study, params, Default::default()).map(|_| Reply::Done)
                }
                Call::Node(id, action) => node.node_action(now, id.as_str(), action).map(done_id).map(done),
            }
        });
        let Some(result) = result else { return };
        let reply = result.unwrap_or_else(Reply::Refused);
        self.boxes[at].pending.answers.push((who, call, reply));
    }

    fn reply(&mut self, who: Who, from: usize, call: Call, reply: Reply) {
        self.say(|| format!("box{from} answers {who:?} {call:?}: {reply:?}"));
        if let (Call::Complete { key, told: Told::Complete(values) }, Reply::Done) = (&call, &reply) {
            let value = values["loss"];
            crate::invariants::acknowledged(self, from, key.clone(), value);
        }
        match who {
            Who::Client(client, number) => crate::clients::answered(self, client, number, from, call, reply),
            Who::Job(key, run) => {
                let stop = matches!(reply, Reply::Action(Action::Stop | Action::Pause));
                let Some(job) = self.boxes[from].jobs.get_mut(&key).filter(|job| job.run == run && job.lives()) else {
                    return;
                };
                if stop && !std::mem::replace(&mut job.ends_soon, true) {
                    let later = self.job_random.range(10, 800);
                    self.at(later, Event::Obey(from, key, run));
                } else if matches!(reply, Reply::Refused(Refusal { kind: RefusalKind::NotFound, .. }) | Reply::Unsure) {
                    // The Python package spools what it could not deliver.
                    match call {
                        Call::Report { .. } => job.spool_step(),
                        Call::Complete { .. } => job.spool_result(),
                        _ => {}
                    }
                }
            }
            Who::Nobody => {}
        }
    }

    // ---- links

    fn post(&mut self, from: usize, parcels: Vec<Parcel>) {
        let listened = self.scenario.faults.contains(&Fault::Rogue);
        for parcel in parcels {
            if listened {
                crate::rogues::overhear(self, &parcel.frame);
            }
            for to in parcel.to {
                if to == crate::rogues::stranger() {
                    self.wrong(format!("10: box{from} answers a stranger"));
                }
                let Some(to) = self.index(&to).filter(|to| *to != from) else { continue };
                let times = self.net.send(self.now, from, to, &parcel.frame);
                for (time, number) in times {
                    let delay = time.saturating_sub(self.now);
                    self.at(delay, Event::Arrive { from, to, number, frame: parcel.frame.clone() });
                }
            }
        }
    }

    fn arrive(&mut self, from: usize, to: usize, number: u64, bytes: &[u8]) {
        let key = pair(from, to);
        let here = self.net.links.get(&key).is_some_and(|l| l.up[side(to, key)] && (l.number == number));
        if !here || self.boxes[to].node.is_none() {
            return;
        }
        let mut decoder = Decoder::new();
        decoder.push(bytes);
        let frame = match decoder.next_frame() {
            Ok(Some(frame)) => frame,
            other => return self.wrong(format!("box{to} can't read a frame of box{from}: {other:?}")),
        };
        if self.boxes[to].trouble && !matches!(frame, Frame::Heartbeat(_)) {
            return;
        }
        if !matches!(frame, Frame::Heartbeat(_)) {
            self.say(|| format!("box{to} gets of box{from} {}", shown(&frame)));
        }
        let peer = self.boxes[from].id.clone();
        self.with(to, |node, now| node.frame(now, &peer, frame));
    }

    fn hear(&mut self, at: usize, peer: usize, number: u64, up: bool) {
        let key = pair(at, peer);
        let Some(link) = self.net.links.get_mut(&key).filter(|link| link.number == number) else { return };
        if self.boxes[at].node.is_none() || link.up[side(at, key)] == up || (up && link.over) {
            return;
        }
        link.up[side(at, key)] = up;
        link.since = self.now;
        if link.up == [true; 2] && !self.net.cuts.contains(&key) && !self.net.cuts.contains(&(key.1, key.0)) {
            link.mute_since = None;
        }
        if up {
            crate::invariants::note_who_hears(self);
        }
        let id = self.boxes[peer].id.clone();
        self.say(|| format!("box{at}: the link to box{peer} is {}", if up { "up" } else { "down" }));
        self.with(at, |node, now| if up { node.peer_up(now, &id) } else { node.peer_down(now, &id) });
    }

    /// A link is over: both sides notice within `within` milliseconds.
    pub fn end_link(&mut self, key: (usize, usize), within: u64) {
        let (now, a, b) = (self.now, self.random.range(0, within), self.random.range(0, within));
        let redial = self.random.range(100, REDIAL_MS);
        let Some(link) = self.net.links.get_mut(&key).filter(|link| !link.over) else { return };
        link.over = true;
        link.dial_at = now + a.max(b) + redial;
        let number = link.number;
        self.at(a, Event::Hear { at: key.0, peer: key.1, number, up: false });
        self.at(b, Event::Hear { at: key.1, peer: key.0, number, up: false });
    }

    fn look_after_links(&mut self) {
        self.at(200, Event::Net);
        let pairs: Vec<(usize, usize)> = self.net.links.keys().copied().collect();
        for key in pairs {
            let (a, b) = key;
            let Some(link) = self.net.links.get_mut(&key) else { continue };
            if !link.over {
                // One side's end is gone: the other finds out when nothing comes back.
                if link.up[0] != link.up[1] {
                    link.mute_since.get_or_insert(self.now);
                }
                if link.mute_since.is_some_and(|since| since + SILENCE_MS <= self.now) {
                    self.end_link(key, 1_000);
                }
                continue;
            }
            let awake = |at: usize| self.boxes[at].node.is_some() && self.boxes[at].pause.is_none();
            let idle = !link.up[0] && !link.up[1];
            if link.dial_at > self.now || !idle || !awake(a) || !awake(b) || !self.net.reach(a, b) {
                continue;
            }
            let knows = |at: usize, of: usize| {
                self.boxes[at].node.as_ref().is_some_and(|node| node.is_member(&self.boxes[of].id))
            };
            if knows(a, b) && knows(b, a) {
                let number = self.net.begin(key);
                self.at(0, Event::Hear { at: a, peer: b, number, up: true });
                self.at(0, Event::Hear { at: b, peer: a, number, up: true });
            }
        }
    }

    /// Pairing with a member: both sides admit each other.
    fn join(&mut self, at: usize) {
        let via = if self.now < 5_000 { Some(0) } else { self.other_member(at) };
        let ready = |world: &Self, at: usize| {
            world.boxes[at].node.is_some() && world.boxes[at].pause.is_none() && !world.boxes[at].trouble
        };
        let Some(via) = via.filter(|via| ready(self, *via) && ready(self, at) && self.net.reach(*via, at)) else {
            return self.at(500, Event::Join(at));
        };
        let (a, b) = (self.boxes[at].id.clone(), self.boxes[via].id.clone());
        self.say(|| format!("box{at} joins box{via}"));
        self.with(at, |node, now| node.admit(now, &b, format!("{via:064x}")).ok());
        self.with(via, |node, now| node.admit(now, &a, format!("{at:064x}")).ok());
    }

    fn other_member(&mut self, at: usize) -> Option<usize> {
        let others: Vec<usize> = (0..self.boxes.len())
            .filter(|i| *i != at && self.boxes[*i].node.as_ref().is_some_and(|n| n.is_member(&self.boxes[at].id)))
            .filter(|i| self.net.links.contains_key(&pair(at, *i)))
            .collect();
        self.random.pick(&others).copied()
    }

    /// Lets frames through that waited for a cut to heal.
    pub fn uncut(&mut self, from: usize, to: usize) {
        if self.net.cuts.remove(&(from, to)) && self.net.reach(from, to) {
            for (from, to) in [(from, to), (to, from)] {
                for frame in self.net.resume(from, to) {
                    for (time, number) in self.net.send(self.now, from, to, &frame) {
                        let delay = time.saturating_sub(self.now);
                        self.at(delay, Event::Arrive { from, to, number, frame: frame.clone() });
                    }
                }
            }
        }
    }

    pub fn cut(&mut self, from: usize, to: usize) {
        let now = self.now;
        if self.net.cuts.insert((from, to))
            && let Some(link) = self.net.links.get_mut(&pair(from, to)).filter(|link| !link.over)
        {
            link.mute_since.get_or_insert(now);
        }
    }

    pub fn jump(&mut self, at: usize, by: i64) {
        self.say(|| format!("the clock of box{at} jumps by {} s", by / 1000));
        self.boxes[at].wall_off += by;
    }

    pub fn set_clock_right(&mut self, at: usize) {
        self.boxes[at].wall_off = 0;
    }

    /// Machines that are to agree in the end.
    pub fn members(&self) -> Vec<usize> {
        (0..self.boxes.len()).filter(|i| !self.boxes[*i].gone).collect()
    }
}

fn done_id(_: NodeId) {}

/// A frame in a few words.
fn shown(frame: &Frame) -> String {
    match frame {
        Frame::Changes(changes) => {
            format!("changes of {:?}", changes.iter().map(|(d, c)| format!("{d} {}", c.seq)).collect::<Vec<_>>())
        }
        Frame::Whole(doc, ..) => format!("the whole of {doc}"),
        Frame::Have { vectors, .. } => format!("the vectors of {} documents", vectors.len()),
        Frame::Want(wanted) => format!("its want of {:?}", wanted.keys().map(ToString::to_string).collect::<Vec<_>>()),
        Frame::Compare(_) => "sums".into(),
        other => format!("{other:?}"),
    }
}

/// As the committer does it: in two transactions, between which the power may fail.
fn store(disk: &Disk, outputs: &[Output], wholly: bool) {
    outputs.iter().for_each(|o| disk.take_whole(&o.wholes));
    if wholly {
        let changes: Vec<_> = outputs.iter().flat_map(|o| o.changes.iter().cloned()).collect();
        let meta: Vec<_> = outputs.iter().flat_map(|o| o.meta.iter().cloned()).collect();
        disk.commit(&changes, &meta);
    }
}

fn machine(seed: u64, i: usize, slots: Vec<SlotSpec>) -> Machine {
    let hash = blake3::hash(format!("identity {seed} {i}").as_bytes());
    Machine {
        id: NodeId::new(metaopt_core::node::base32(&hash.as_bytes()[..10])),
        node: None,
        boot: 0,
        up_since: 0,
        pause: None,
        disk: Disk::default(),
        jobs: BTreeMap::new(),
        slots,
        gone: false,
        full: false,
        roll: Vec::new(),
        lost: false,
        recollects: 0,
        doomed: None,
        wall_off: 0,
        mono_zero: 0,
        heard: 0,
        trouble: false,
        pending: Pending::default(),
        inflight: None,
        inbox: Vec::new(),
        flush_due: false,
    }
}
