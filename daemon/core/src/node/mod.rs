//! One node: its documents, its view of everything, and its decisions.

mod ask;
mod contend;
mod dispatch;
mod draws;
mod explain;
mod fidelity;
mod foresee;
mod hold;
mod index;
mod peers;
mod propose;
mod quarantine;
mod replicate;
mod report;
mod residence;
mod shares;
mod status;
mod studies;
mod thaw;
mod thin;
mod trials;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

pub use foresee::{OpenCurves, Predicted};
pub use hold::About;
use metaopt_engine::{Forecast, History, Rule, Sampler};
use metaopt_schema::{
    AttemptKey, ClaimId, DocId, Lamport, NodeId, Stamp, StudyId, TrialId,
    docs::{Actor, Doc, DocError, RawChange},
    facts::{ClusterFact, Fact, Hardware, METRIC_SEGMENT, MetricChunk, NodeRecord},
    shape::nearest,
    stamp::{Clock, MAX_AHEAD_MS, WallMs},
    trial::{Claim, Point},
    view::{StudyView, Touched, TrialView, World},
};
pub use peers::{Enrolled, Timing};
pub use report::{MAX_METRICS, MAX_STEP};
pub use residence::{NoShelf, REST_AFTER_MS, ReadDoc, Saved, Shelf, StoredDoc, read_doc};
pub use status::NodeStatus;
pub use studies::{Forked, Started};

use self::{
    contend::Turns, draws::Draws, index::Index, peers::Peers, replicate::Pulls, residence::Replica, thaw::Frost,
    thin::Thinned,
};
use crate::{
    Now, Refusal,
    commands::Event,
    effects::{Effect, Output, Parcel},
    launch::{AttemptEvent, StopWhy},
    slots::Slots,
};

/// What a node is told at boot.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its identity.
    pub id: NodeId,
    /// Its Ed25519 public key, hexadecimal.
    pub public_key: String,
    /// What it says of itself; slots come with `Node::slots`.
    pub hardware: Hardware,
    /// 64 random bits, fresh at every boot: they tell this boot's changes from others'.
    pub boot: u64,
    /// Fresh at every boot: IDs are derived from it.
    pub entropy: [u8; 32],
    /// Seconds between asking an attempt to stop and SIGTERM, and between that and SIGKILL.
    pub grace_s: f64,
    /// The same before a pause.
    pub pause_grace_s: f64,
    /// How long is waited for other nodes.
    pub timing: Timing,
    /// Most bytes of packed curves kept in memory; the rest is read from the shelf when it is looked at.
    pub curve_bytes: usize,
}

impl NodeConfig {
    /// The writer of this node's changes in this boot.
    pub fn actor(&self) -> Actor {
        Actor::new(&self.id, self.boot)
    }
}

/// The counter that labels and trial IDs are minted from; kept beside the documents, since deleted studies take theirs along.
pub const META_COUNTER: &str = "trial-counter";

/// One node.
pub struct Node {
    config: NodeConfig,
    actor: Actor,
    world: World,
    docs: BTreeMap<DocId, Replica>,
    shelf: Arc<dyn Shelf>,
    /// Bytes of packed curves.
    packed_curves: usize,
    /// The last tick, monotonic.
    ticked: u64,
    clock: Clock,
    lamport: Lamport,
    minted: u64,
    counter: u64,
    studies: BTreeMap<StudyId, Runtime>,
    leases: BTreeMap<AttemptKey, Lease>,
    running: BTreeMap<AttemptKey, Running>,
    slots: Slots,
    /// Processes of attempts that are over or unknown, being ended: they are on slots that nobody knows.
    strays: BTreeSet<AttemptKey>,
    adopted: bool,
    booted_ms: WallMs,
    /// The daemon is ending its jobs and itself: nothing starts any more.
    closing: bool,
    pending: Vec<Fact>,
    /// Facts of documents that could not be read when they were to be written.
    unwritten: Vec<Fact>,
    /// What was written since the last drain.
    written: Written,
    points: BTreeMap<(StudyId, AttemptKey, NodeId), Vec<Point>>,
    thinned: BTreeMap<AttemptKey, Thinned>,
    effects: Vec<Effect>,
    events: Vec<Event>,
    counter_dirty: bool,
    skipped: u64,
    damaged: Vec<String>,
    /// Why nothing new starts here, if so.
    held: Option<String>,
    notices: Vec<hold::Notice>,
    /// When this run began, monotonic.
    started_mono: u64,
    peers: Peers,
    pulls: Pulls,
    turns: Turns,
    index: Index,
    /// What others wrote, to be stored and passed on; and who brought it.
    taken: Vec<(DocId, RawChange, Option<NodeId>)>,
    wholes: Vec<(DocId, Saved)>,
    parcels: Vec<Parcel>,
    troubles: Vec<String>,
    /// Studies in which this node fails what succeeds elsewhere, it seems.
    doubtful: BTreeSet<StudyId>,
    /// Why it put itself under quarantine.
    blame: Option<String>,
    /// Processes found at the start of a node whose database was lost, until it knows whose they are.
    adoption: Option<Vec<AttemptKey>>,
    /// What they said meanwhile.
    early: Vec<(AttemptKey, AttemptEvent)>,
    /// Something may have freed a slot or brought a trial.
    wants_dispatch: bool,
}

/// What the node keeps of a study beside its view; rebuilt from it at boot.
struct Runtime {
    /// My next trial's position among my trials.
    seq: u64,
    /// My next draw.
    draw: u64,
    /// When the first was drawn since this node started.
    began: Option<u64>,
    draws: Draws,
    sampler: Box<dyn Sampler>,
    rule: Box<dyn Rule>,
    history: History,
    dirty: BTreeSet<TrialId>,
    /// For rules that compare whole curves: how many points of each attempt the history has, by trial.
    noted: HashMap<u64, Vec<u64>>,
    /// The space has nothing left that isn't known.
    exhausted: bool,
    /// Since when all that is left belongs to other nodes.
    dry_since: Option<u64>,
    /// Why this node can't run it; found by a probe.
    blocked: Option<String>,
    /// When to probe again; none: a probe is under way or not needed.
    probe_at: Option<u64>,
    probed: bool,
    /// Slot-milliseconds given so far, for a fair share.
    used_ms: u64,
    frost: Frost,
    /// What open trials are expected to come to, by key, as foretold last.
    forecasts: BTreeMap<u64, Forecast>,
}

/// What stands in documents and was not drained yet.
#[derive(Default)]
struct Written {
    changes: Vec<(DocId, RawChange)>,
    owed: Option<DocError>,
    refused: Vec<DocError>,
}

/// An asked trial's lease, by this node's monotonic clock.
struct Lease {
    study: StudyId,
    client: Option<String>,
    lease_ms: u64,
    expires: u64,
}

/// An attempt that this node executes.
struct Running {
    study: StudyId,
    since: u64,
    slots: u64,
    /// It was told to end, why, and when SIGTERM follows; none once sent.
    stop: Option<(StopWhy, Option<u64>)>,
}

impl Node {
    /// A node from its stored documents, in the order of their IDs. What it doesn't keep in memory it takes from `shelf`.
    ///
    /// # Errors
    /// When a document can't be read; it is named.
    pub fn load(
        config: NodeConfig,
        now: Now,
        stored: impl IntoIterator<Item = Result<ReadDoc, DocError>>,
        shelf: Arc<dyn Shelf>,
        counter: Option<u64>,
    ) -> Result<Self, DocError> {
        let mut node = Self {
            actor: config.actor(),
            clock: Clock::new(config.id.clone()),
            world: World::new(),
            docs: BTreeMap::new(),
            shelf,
            packed_curves: 0,
            ticked: now.mono_ms,
            lamport: 0,
            minted: 0,
            counter: counter.unwrap_or(0),
            studies: BTreeMap::new(),
            leases: BTreeMap::new(),
            running: BTreeMap::new(),
            slots: Slots::default(),
            strays: BTreeSet::new(),
            adopted: false,
            booted_ms: now.wall_ms,
            closing: false,
            pending: Vec::new(),
            unwritten: Vec::new(),
            written: Written::default(),
            points: BTreeMap::new(),
            thinned: BTreeMap::new(),
            effects: Vec::new(),
            events: Vec::new(),
            counter_dirty: false,
            skipped: 0,
            damaged: Vec::new(),
            held: None,
            notices: Vec::new(),
            started_mono: now.mono_ms,
            peers: Peers::default(),
            pulls: Pulls::default(),
            turns: Turns::default(),
            index: Index::default(),
            taken: Vec::new(),
            wholes: Vec::new(),
            parcels: Vec::new(),
            troubles: Vec::new(),
            doubtful: BTreeSet::new(),
            blame: None,
            adoption: None,
            early: Vec::new(),
            wants_dispatch: false,
            config,
        };
        let mut opened = false;
        for read in stored {
            let read = read?;
            // Curves come last: what models need of them is noted before their points go to rest.
            if read.is_curves() && !std::mem::replace(&mut opened, true) {
                node.open_studies();
            }
            node.take(read);
        }
        if !opened {
            node.open_studies();
        }
        node.forget_deleted();
        node.boot(now);
        node.begin_to_listen(now);
        Ok(node)
    }

    /// Keeps clocks and counters ahead of everything seen.
    /// Stamps further ahead than a little beyond `wall` are not followed.
    fn learn(&mut self, fact: &Fact, wall: WallMs) {
        use metaopt_schema::facts::{StudyFact, TrialFact};
        // Its own stamps are its own clock's.
        let mut see = |stamp: &Stamp| {
            let own = stamp.node == self.config.id;
            self.clock.see(stamp, if own { WallMs::MAX - MAX_AHEAD_MS } else { wall });
        };
        match fact {
            Fact::Cluster(ClusterFact::Hardware { lamport, .. } | ClusterFact::NodeEdit { lamport, .. })
            | Fact::Study(_, StudyFact::Edited { lamport, .. })
            | Fact::Trial(_, _, TrialFact::Edited { lamport, .. }) => self.lamport = self.lamport.max(*lamport),
            Fact::Trial(study, place, TrialFact::Proposed(spec)) => {
                see(&spec.at);
                if place.node == self.config.id {
                    // After a lost database they come back from peers.
                    if spec.counter >= self.counter {
                        self.counter = spec.counter.saturating_add(1);
                        self.counter_dirty = true;
                    }
                    if let Some(runtime) = self.studies.get_mut(study) {
                        runtime.draws.begin_anew();
                        runtime.seq = runtime.seq.max(place.seq.saturating_add(1));
                        if let metaopt_schema::trial::Proposer::Sampler { draw, .. } = &spec.by {
                            runtime.draw = runtime.draw.max(draw.saturating_add(1));
                        }
                    }
                }
            }
            Fact::Trial(_, _, TrialFact::Claimed { claim, .. }) => {
                see(&claim.at);
            }
            Fact::Trial(
                _,
                _,
                TrialFact::Ended { end, .. } | TrialFact::Told { end, .. } | TrialFact::GivenUp { end, .. },
            ) => {
                see(&end.at);
            }
            Fact::Trial(_, _, TrialFact::Kept { at, .. }) => {
                see(at);
            }
            Fact::Study(_, StudyFact::Share { .. }) => {}
            Fact::Study(_, StudyFact::Defined(record)) => {
                see(&record.at);
            }
            Fact::Cluster(ClusterFact::Joined(_) | ClusterFact::Listed { .. }) | Fact::Metric(..) => {}
        }
    }

    fn boot(&mut self, now: Now) {
        if self.world.cluster.nodes.get(&self.config.id).is_none_or(|n| n.record.is_none()) {
            let record = NodeRecord {
                node: self.config.id.clone(),
                public_key: self.config.public_key.clone(),
                at: self.clock.tick(now.wall_ms),
            };
            self.write(Fact::Cluster(ClusterFact::Joined(record)));
        }
        self.resume_mine(now);
    }

    /// Takes up what this node holds, as the documents say.
    fn resume_mine(&mut self, now: Now) {
        // Leases of asked trials start anew: a client that lives renews them, one that died loses them a lease later.
        let mut mine = Vec::new();
        for study in self.world.studies() {
            // Also what others gave up while this node was away: its process may live.
            for trial in study.trials().iter() {
                for attempt in trial.attempts.iter().filter(|a| a.is_open() && a.node == self.config.id) {
                    let key = AttemptKey { trial: trial.place.id.clone(), attempt: attempt.attempt };
                    mine.extend(attempt.claim.clone().map(|claim| (study.id.clone(), key, claim)));
                }
            }
        }
        for (study, key, claim) in mine {
            if claim.asked {
                self.lease_anew(now, study, key, claim);
            } else {
                let share = self
                    .world
                    .study(&study)
                    .and_then(|s| s.record.def.run.as_ref())
                    .and_then(|r| r.gpus)
                    .unwrap_or(1.0);
                let share = if share > 0.0 && share < 1.0 { share } else { 1.0 };
                let slots: Vec<_> = claim.slots.iter().map(|id| (id.clone(), share)).collect();
                self.slots.book(&key, &slots);
                self.running.insert(key, Running { study, since: now.mono_ms, slots: slots.len() as u64, stop: None });
            }
        }
    }

    fn lease_anew(&mut self, now: Now, study: StudyId, key: AttemptKey, claim: Claim) {
        let lease_ms = (claim.lease_s.unwrap_or(3600.0) * 1000.0) as u64;
        let lease = Lease { study, client: claim.client_id, lease_ms, expires: now.mono_ms + lease_ms };
        self.leases.insert(key, lease);
    }

    fn open_studies(&mut self) {
        let ids: Vec<StudyId> = self.world.studies().map(|s| s.id.clone()).collect();
        for id in ids {
            self.open_study(&id);
        }
    }

    /// This node's identity.
    pub fn id(&self) -> &NodeId {
        &self.config.id
    }

    /// Names this run.
    pub fn run(&self) -> u64 {
        self.config.boot
    }

    /// Sums up all its documents: equal roots, equal documents.
    pub fn root(&self) -> u64 {
        self.index.root()
    }

    /// This node's name.
    pub fn name(&self) -> &str {
        &self.config.hardware.name
    }

    /// A node's name, or its ID where it has none.
    pub fn name_of<'a>(&'a self, id: &'a NodeId) -> &'a str {
        let known = self.world.cluster.nodes.get(id).map(|node| node.hardware.name.as_str());
        known.filter(|name| !name.is_empty()).unwrap_or(id.as_str())
    }

    /// Everything known.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Facts of kinds this version doesn't know, kept and skipped.
    pub fn skipped_facts(&self) -> u64 {
        self.skipped
    }

    /// Entries that could not be read at boot, in words.
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// All studies that aren't deleted, oldest first.
    pub fn studies(&self) -> impl Iterator<Item = &StudyView> {
        let mut all: Vec<_> = self.world.studies().collect();
        all.sort_by(|a, b| (&a.record.at, &a.id).cmp(&(&b.record.at, &b.id)));
        all.into_iter()
    }

    /// A study by ID or name.
    ///
    /// # Errors
    /// Not found; names the nearest.
    pub fn study(&self, text: &str) -> Result<&StudyView, Refusal> {
        let by_id = self.world.study(&StudyId::new(text)).filter(|s| !s.deleted);
        by_id.or_else(|| self.world.study_named(text)).ok_or_else(|| {
            let names: Vec<&str> = self.world.studies().map(|s| s.name.as_str()).collect();
            Refusal::not_found(match nearest(text, &names) {
                Some(name) => format!("there is no study `{text}`; did you mean `{name}`?"),
                None => format!("there is no study `{text}`"),
            })
        })
    }

    /// A trial by ID or label.
    ///
    /// # Errors
    /// Not found; or a label that several trials carry, with the candidates.
    pub fn trial(&self, text: &str) -> Result<(&StudyView, &TrialView), Refusal> {
        if let Some(found) = self.world.trial(&TrialId::new(text)) {
            return Ok(found);
        }
        let found = self.world.labelled(text);
        match found.as_slice() {
            [one] => Ok(*one),
            [] if self.peers.has_lost_its_past() => {
                Err(Refusal::unreadable("the database was lost; what was in it is being fetched from the other nodes"))
            }
            [] => Err(Refusal::not_found(format!("there is no trial `{text}`"))),
            many => {
                let ids: Vec<&str> = many.iter().map(|(_, t)| t.place.id.as_str()).collect();
                Err(Refusal::conflict(format!("several trials are labelled `{text}`; use an ID: {}", ids.join(", "))))
            }
        }
    }

    /// A fresh identifier of 16 base-32 characters.
    fn mint(&mut self) -> String {
        self.minted += 1;
        let mut hash = blake3::Hasher::new_keyed(&self.config.entropy);
        hash.update(&self.minted.to_le_bytes());
        base32(&hash.finalize().as_bytes()[..10])
    }

    fn mint_claim(&mut self) -> ClaimId {
        ClaimId::new(self.mint())
    }

    fn next_lamport(&mut self) -> Lamport {
        self.lamport = self.lamport.saturating_add(1);
        self.lamport
    }

    /// Notes a fact: it is in the view at once and in its document at the next drain.
    fn write(&mut self, fact: Fact) {
        let touched = self.world.fold(&fact);
        self.touched(touched);
        if let Fact::Trial(study, _, said) = &fact
            && !self.is_placed(said)
            && let Some(runtime) = self.studies.get_mut(study)
        {
            runtime.draws.wrote_unplaced(fact.doc());
        }
        self.pending.push(fact);
    }

    /// Notes a point of a curve; points of one attempt become one chunk at the next drain.
    fn write_point(&mut self, study: &StudyId, key: &AttemptKey, holder: &NodeId, point: Point) {
        let chunk = MetricChunk {
            node: holder.clone(),
            segment: 0,
            trial: key.trial.clone(),
            attempt: key.attempt,
            chunk: point.step,
            points: vec![point.clone()],
        };
        self.world.fold(&Fact::Metric(study.clone(), chunk));
        self.points.entry((study.clone(), key.clone(), holder.clone())).or_default().push(point);
    }

    fn touched(&mut self, touched: Touched) {
        let event = |kind, study: Option<StudyId>, trial| Event { kind, study, trial, data: None };
        match touched {
            Touched::Nothing => {}
            Touched::Cluster => self.events.push(event("node.updated", None, None)),
            Touched::Study(id) => self.events.push(event("study.updated", Some(id), None)),
            Touched::Trial(study, trial) => {
                if let Some(runtime) = self.studies.get_mut(&study) {
                    runtime.dirty.insert(trial.clone());
                }
                self.events.push(event("trial.updated", Some(study), Some(trial)));
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Puts what is pending into the documents, to be drained later.
    fn write_pending(&mut self) {
        let mut by_doc: BTreeMap<DocId, Vec<Fact>> = BTreeMap::new();
        for fact in std::mem::take(&mut self.unwritten) {
            by_doc.entry(fact.doc()).or_default().push(fact);
        }
        let mut new: BTreeSet<DocId> = BTreeSet::new();
        for fact in std::mem::take(&mut self.pending) {
            let doc = fact.doc();
            new.insert(doc.clone());
            by_doc.entry(doc).or_default().push(fact);
        }
        for ((study, key, node), points) in std::mem::take(&mut self.points) {
            let Some((_, trial)) = self.world.trial(&key.trial) else { continue };
            let segment = (trial.place.seq / METRIC_SEGMENT) as u32;
            for points in chunks(points) {
                let Some(first) = points.first().map(|p| p.step) else { continue };
                let (node, trial) = (node.clone(), key.trial.clone());
                let chunk = MetricChunk { node, segment, trial, attempt: key.attempt, chunk: first, points };
                let fact = Fact::Metric(study.clone(), chunk);
                new.insert(fact.doc());
                by_doc.entry(fact.doc()).or_default().push(fact);
            }
        }
        let mut done = std::mem::take(&mut self.written);
        done.owed = None;
        for (id, facts) in by_doc {
            let doc = match self.wake(&id) {
                Ok(doc) => doc,
                Err(error) => {
                    // It rests on a disk that can't be read now: to be written later. Who says something of it is told
                    // so, and nobody else.
                    if new.contains(&id) {
                        done.owed = Some(error);
                    }
                    self.unwritten.extend(facts);
                    continue;
                }
            };
            let mut written = Vec::new();
            for part in parts(doc, facts) {
                match doc.write(&part) {
                    Err(_) if part.len() > 1 => written.extend(part.into_iter().map(|fact| doc.write(&[fact]))),
                    one => written.push(one),
                }
            }
            for one in written {
                match one {
                    Ok(Some(change)) => {
                        self.index.add(&id, &change.actor, change.seq);
                        done.changes.push((id.clone(), change));
                    }
                    Ok(None) => {}
                    Err(error) => done.refused.push(error),
                }
            }
        }
        self.written = done;
    }

    /// Everything since the last drain: a change a document, or several where it is much; effects and events. A fact that its document refuses, which
    /// means a bug, is told in `refused` and takes no other along: what a document has taken must be stored, or its
    /// next change could never be read.
    pub fn drain(&mut self) -> Output {
        self.write_pending();
        let mut taken = std::mem::take(&mut self.taken);
        let written = std::mem::take(&mut self.written);
        let mut output = Output {
            changes: written.changes,
            owed: written.owed,
            refused: written.refused,
            effects: std::mem::take(&mut self.effects),
            events: std::mem::take(&mut self.events),
            ..Output::default()
        };
        self.push(&output.changes, &taken);
        output.changes.extend(taken.drain(..).map(|(id, change, _)| (id, change)));
        output.wholes = std::mem::take(&mut self.wholes);
        output.parcels = std::mem::take(&mut self.parcels);
        output.troubles = std::mem::take(&mut self.troubles);
        if std::mem::take(&mut self.counter_dirty) {
            output.meta.push((META_COUNTER.to_owned(), self.counter.to_le_bytes().to_vec()));
        }
        output
    }
}

/// Bytes of one change, about: what is sent between nodes has limits (see [`crate::wire`]).
const CHANGE_BYTES: usize = 1 << 20;
/// Facts of one change: each is looked for among those before it.
const CHANGE_FACTS: usize = 256;
/// Values of one chunk of a curve.
const CHUNK_VALUES: usize = 4096;

/// Facts as so many changes. All of one trial stay together: nobody is to see a part of them alone.
fn parts(doc: &Doc, facts: Vec<Fact>) -> Vec<Vec<Fact>> {
    if facts.len() < 2 {
        return vec![facts];
    }
    let mut groups: Vec<(usize, Vec<Fact>)> = Vec::new();
    let mut of_trials: BTreeMap<TrialId, usize> = BTreeMap::new();
    for fact in facts {
        let size = doc.size_of(&fact);
        let group = match &fact {
            Fact::Trial(_, place, _) => *of_trials.entry(place.id.clone()).or_insert(groups.len()),
            _ => groups.len(),
        };
        if group == groups.len() {
            groups.push((0, Vec::new()));
        }
        groups[group].0 += size;
        groups[group].1.push(fact);
    }
    let mut parts: Vec<Vec<Fact>> = vec![Vec::new()];
    let mut bytes = 0;
    for (size, facts) in groups {
        let full = |part: &Vec<Fact>| bytes + size > CHANGE_BYTES || part.len() + facts.len() > CHANGE_FACTS;
        if parts.last().is_none_or(|part| !part.is_empty() && full(part)) {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.extend(facts);
        }
    }
    parts
}

/// Points as chunks that fit into changes. A chunk is named by its first step.
fn chunks(points: Vec<Point>) -> Vec<Vec<Point>> {
    let mut chunks: Vec<Vec<Point>> = Vec::new();
    let (mut values, mut firsts) = (0, BTreeSet::new());
    for point in points {
        let more = point.values.len().max(1);
        let full = values + more > CHUNK_VALUES && !firsts.contains(&point.step);
        match chunks.last_mut().filter(|_| !full) {
            Some(chunk) => chunk.push(point),
            None => {
                firsts.insert(point.step);
                chunks.push(vec![point]);
                values = 0;
            }
        }
        values += more;
    }
    chunks
}

/// Nodes changed.
fn node_event() -> Event {
    Event { kind: "node.updated", study: None, trial: None, data: None }
}

/// Crockford's base 32, lower case: no vowels that look like digits.
pub fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut out = String::new();
    let (mut acc, mut bits) = (0u32, 0);
    for byte in bytes {
        acc = (acc << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(ALPHABET[(acc >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        out.push(char::from(ALPHABET[(acc << (5 - bits)) as usize & 31]));
    }
    out
}
