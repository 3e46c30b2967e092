//! Who is there: heartbeats, and for how long a silent node is waited for.
//!
//! Owns: links as the node knows them, signs of life, the members that decisions count on. Must not: open links, or read
//! clocks: silence is counted on this node's monotonic clock alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use metaopt_schema::{
    AttemptKey, NodeId, StudyId,
    facts::{ClusterFact, Fact, Hardware, NodeEdit, NodeRecord, SlotSpec},
    mutations::{Mutation, breaks},
    stamp::WallMs,
    study::RunSpec,
    view::NodeView,
};

use serde::{Deserialize, Serialize};

use super::{About, Node, status::REMOVED};
use crate::{
    Now,
    effects::{Effect, Parcel},
    launch::StopWhy,
    slots::{Slot, Slots},
    wire::{Frame, Heartbeat, encode},
};

/// A peer's clock that is further off than this is said to be wrong (milliseconds).
const SKEW_MS: u64 = 60_000;
/// A tick this late means that the node itself was away: asleep, stopped, or without a processor (milliseconds).
const AWAY_MS: u64 = 5_000;
/// A node counts as one that proposes for a study for this long after it last did (milliseconds).
const ACTIVE_MS: u64 = 60_000;
/// How long a node that starts or wakes waits to hear what it missed: without any link, and with one (milliseconds).
const CATCH_UP_MS: [u64; 2] = [3_000, 30_000];
/// The same for a node whose database was lost: what it would do now, it may have done itself.
const CATCH_UP_LOST_MS: [u64; 2] = [60_000, 600_000];
/// Numbers of trials begin at the seconds since this time where nobody can tell which were used (milliseconds since 1970).
const EPOCH_MS: u64 = 1_577_836_800_000;
/// Trials that clients may ask of one node at once, as a weight beside slots.
pub(super) const ASKED_AT_ONCE: f64 = 4.0;
/// Documents that differ for longer than this differ by more than what is on its way (milliseconds).
const LONG_MS: u64 = 10_000;
/// A want that isn't said again ends after this long (milliseconds).
const WANT_MS: u64 = 3_000;
/// Runs of one node that are told apart.
const RUNS: usize = 16;
/// A member not heard for longer than this is no longer one of those that a majority is reckoned of (milliseconds).
const RECENT_MS: u64 = 24 * 3_600_000;

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats (milliseconds, as all of these).
    pub beat_ms: u64,
    /// Silence after which a node is suspected, and no longer counted on.
    pub suspect_ms: u64,
    /// Silence after which its attempts are given up.
    pub orphan_ms: u64,
    /// The same where less than half of the members with slots are heard.
    pub quorum_ms: u64,
    /// Between two nodes' turns to claim what both could.
    pub turn_ms: u64,
    /// Between a contended claim and its start.
    pub settle_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            beat_ms: 1_000,
            suspect_ms: 30_000,
            orphan_ms: 90_000,
            quorum_ms: 900_000,
            turn_ms: 2_000,
            settle_ms: 500,
        }
    }
}

/// Another node, as far as this one hears of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// A link is up.
    pub(super) linked: bool,
    /// Since when, if it is (monotonic).
    since: u64,
    /// The run and number of the heartbeat that was news last.
    latest: Option<(u64, u64)>,
    /// The highest number heard of each of its runs, so that old news is no sign of life; the last heard of at the end.
    runs: Vec<(u64, u64)>,
    /// When it was last heard of (monotonic); at first, when this node began to listen.
    heard: u64,
    /// The same for people; none: not since this node started.
    seen: Option<WallMs>,
    /// Its own last words.
    pub(super) beat: Option<Heartbeat>,
    /// Since when its documents differ from ours.
    pub(super) differs: Option<u64>,
    /// Since this link is up they were equal once: what came later went over it in order.
    level: bool,
    /// How far its clock is ahead of ours (milliseconds).
    skew: i64,
}

/// All other nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    pub(super) all: BTreeMap<NodeId, Peer>,
    pub(super) next_beat: u64,
    seq: u64,
    /// Since when this node may have missed what others did; none: it has caught up.
    behind: Option<u64>,
    /// The database was lost, and nobody has told yet what was in it.
    lost: bool,
    /// Who has told all that it knows, since.
    told: BTreeSet<NodeId>,
    /// Not all members have.
    unsure: bool,
    /// When this node last proposed for a study.
    pub(super) proposed: BTreeMap<StudyId, u64>,
    /// When it last wanted a part of a strict budget.
    pub(super) wants: BTreeMap<StudyId, u64>,
}

impl Peers {
    /// The database was lost, and nobody has told yet what was in it.
    pub(super) fn has_lost_its_past(&self) -> bool {
        self.lost
    }
}

impl Node {
    /// A link to `peer` is up.
    pub fn peer_up(&mut self, now: Now, peer: &NodeId) {
        let entry = self.peer(now, peer);
        entry.linked = true;
        entry.since = now.mono_ms;
        entry.level = false;
        entry.differs = Some(0); // compared at its first heartbeat
        let beat = self.heartbeat_frame(now);
        self.post(vec![peer.clone()], &beat, true);
        self.events.push(super::node_event());
    }

    /// The link is gone.
    pub fn peer_down(&mut self, now: Now, peer: &NodeId) {
        self.peer(now, peer).linked = false;
        self.pull_ended(peer);
        self.events.push(super::node_event());
    }

    /// A frame came from `peer`.
    pub fn frame(&mut self, now: Now, peer: &NodeId, frame: Frame) {
        if !self.is_member(peer) && !breaks(Mutation::HearStrangers) {
            return;
        }
        match frame {
            Frame::Heartbeat(beat) => self.heard_beat(now, peer, beat),
            other => self.replicate(now, peer, other),
        }
    }

    /// Sends a heartbeat when one is due. Call it a few times a second, also while nothing can be stored.
    pub fn beat(&mut self, now: Now) {
        if now.mono_ms < self.peers.next_beat {
            return;
        }
        self.peers.next_beat = now.mono_ms + self.config.timing.beat_ms;
        let to = self.linked();
        if !to.is_empty() {
            let beat = self.heartbeat_frame(now);
            self.post(to, &beat, true);
        }
    }

    fn heartbeat_frame(&mut self, now: Now) -> Frame {
        self.peers.seq += 1;
        let links = self.linked();
        // In a full mesh nobody needs to hear of others through us.
        let linked = self.peers.all.iter().filter(|(_, peer)| peer.linked);
        let reach: Vec<(&NodeId, HashSet<&NodeId>)> =
            linked.filter_map(|(id, peer)| Some((id, peer.beat.as_ref()?.links.iter().collect()))).collect();
        let unheard = |node: &NodeId| reach.iter().any(|(id, links)| *id != node && !links.contains(node));
        // Nor of whom we haven't heard for long ourselves: to others old news would be a sign of life.
        let fresh = |peer: &Peer| peer.heard + self.config.timing.suspect_ms > now.mono_ms;
        let told = |id: &NodeId, peer: &Peer| unheard(id) && fresh(peer) && !breaks(Mutation::NoRelaying);
        let heard = self.peers.all.iter().filter(|(id, peer)| told(id, peer));
        let heard = heard.filter_map(|(id, peer)| peer.latest.map(|(boot, seq)| (id.clone(), boot, seq))).collect();
        let unable = self.studies.iter().filter_map(|(id, runtime)| Some((id.clone(), runtime.blocked.clone()?)));
        let active = self.peers.proposed.iter().filter(|(_, at)| **at + ACTIVE_MS > now.mono_ms);
        let wants = self.peers.wants.iter().filter(|(_, at)| **at + WANT_MS > now.mono_ms);
        Frame::Heartbeat(Heartbeat {
            boot: self.config.boot,
            seq: self.peers.seq,
            wall_ms: now.wall_ms,
            root: self.index.root(),
            free: self.free_slots(),
            rests: self.held.is_some() || self.closing || self.is_catching_up(now),
            links,
            heard,
            unable: unable.take(64).collect(),
            wants: wants.map(|(id, _)| id.clone()).take(64).collect(),
            active: active.map(|(id, _)| id.clone()).take(64).collect(),
            why: self.remarks_for_others(),
        })
    }

    fn free_slots(&self) -> u32 {
        if self.held.is_some() || self.closing {
            return 0;
        }
        self.slots.0.iter().filter(|slot| slot.free() > 1e-9).count() as u32
    }

    fn heard_beat(&mut self, now: Now, from: &NodeId, beat: Heartbeat) {
        for (node, boot, seq) in &beat.heard {
            if *node != self.config.id && self.world.cluster.nodes.contains_key(node) {
                self.sign_of_life(now, node, *boot, *seq, false);
            }
        }
        self.sign_of_life(now, from, beat.boot, beat.seq, true);
        let root = self.index.root();
        let entry = self.peer(now, from);
        entry.skew = (beat.wall_ms as i64).saturating_sub(now.wall_ms as i64);
        let differs = beat.root != root;
        if !differs {
            self.caught_up(now, from);
        }
        let entry = self.peer(now, from);
        let wants = beat.wants.clone();
        entry.beat = Some(beat);
        entry.differs = differs.then(|| entry.differs.unwrap_or(now.mono_ms));
        // What differs for long was lost on the way.
        let long = entry.differs.is_some_and(|since| since + LONG_MS <= now.mono_ms);
        entry.level = entry.linked && (!differs || (entry.level && !long));
        for study in wants {
            self.give_share(now, from, &study);
        }
        self.pull_if_due(now, from);
    }

    /// A heartbeat of `node` was heard of, here or elsewhere; only a new one counts. Of a run of which nothing was heard
    /// yet, what others tell first may be long ago: it is what the next is compared with.
    fn sign_of_life(&mut self, now: Now, node: &NodeId, boot: u64, seq: u64, itself: bool) {
        let entry = self.peer(now, node);
        let known = entry.runs.iter().position(|(run, _)| *run == boot);
        // Of each run the highest counts: what others still tell of an earlier one must not hide the present one.
        let new = known.is_none_or(|i| entry.runs[i].1 < seq);
        if new {
            known.map(|i| entry.runs.remove(i));
            entry.runs.push((boot, seq));
            let drop = entry.runs.len().saturating_sub(RUNS);
            entry.runs.drain(..drop);
            entry.latest = Some((boot, seq));
            if itself || known.is_some() {
                entry.heard = now.mono_ms;
                entry.seen = Some(now.wall_ms);
            }
        }
    }

    fn peer(&mut self, now: Now, node: &NodeId) -> &mut Peer {
        self.peers.all.entry(node.clone()).or_insert_with(|| Peer { heard: now.mono_ms, ..Peer::default() })
    }

    /// Time in which this node itself was away counts as nobody's silence.
    ///
    /// Called before anything is handled, not only at a tick: what waited must not be decided by who seems silent.
    pub fn forgive_silence(&mut self, now: Now) {
        let gap = now.mono_ms.saturating_sub(self.ticked);
        if gap > AWAY_MS {
            self.ticked = now.mono_ms;
            self.peers.all.values_mut().for_each(|peer| peer.heard = peer.heard.saturating_add(gap).min(now.mono_ms));
            self.turns_begin_anew(now);
            self.fall_behind(now);
        }
    }

    /// From now on this node may have missed what others did.
    fn fall_behind(&mut self, now: Now) {
        if self.members().nth(1).is_some() {
            self.peers.behind = Some(now.mono_ms);
        }
    }

    /// `peer` has told all that it knew. After a lost database that isn't enough where others may know more: one that was
    /// away itself knows nothing of what this node did meanwhile.
    pub(super) fn caught_up(&mut self, now: Now, peer: &NodeId) {
        let Some(since) = self.peers.behind else { return };
        self.peers.told.insert(peer.clone());
        let told = |node: &NodeId| *node == self.config.id || self.peers.told.contains(node);
        let all = self.members().all(|node| told(&node.id));
        let linked = self.peers.all.iter().all(|(id, peer)| !peer.linked || told(id));
        let enough = !self.peers.lost || all || (linked && since + CATCH_UP_LOST_MS[0] <= now.mono_ms);
        if enough {
            self.peers.behind = None;
            self.peers.unsure = self.peers.lost && !all;
            self.wants_dispatch = true;
        }
    }

    /// Whether this node first waits for what it missed: what it would do now, others may have done.
    pub(super) fn is_catching_up(&self, now: Now) -> bool {
        let linked = self.peers.all.values().any(|peer| peer.linked);
        let patience = if self.peers.lost { CATCH_UP_LOST_MS } else { CATCH_UP_MS };
        self.peers.behind.is_some_and(|since| since + patience[usize::from(linked)] > now.mono_ms)
    }

    /// Where the database was lost: once peers have told what was in it, or nobody does, this node's own attempts are
    /// looked at again. Where nobody told, trials get numbers that can't have been used.
    pub(super) fn recollect(&mut self, now: Now) {
        if !self.peers.lost || self.is_catching_up(now) {
            return;
        }
        self.peers.lost = false;
        if self.peers.behind.take().is_some() || std::mem::take(&mut self.peers.unsure) {
            self.counter = self.counter.max(now.wall_ms.saturating_sub(EPOCH_MS) / 1000);
            self.counter_dirty = true;
        }
        self.resume_mine(now);
        if let Some(found) = self.adoption.take() {
            self.adopted(now, &found);
        }
        for (key, event) in std::mem::take(&mut self.early) {
            self.attempt(now, &key, event);
        }
    }

    /// What a node must know to find its cluster again when its database is lost; to be kept beside it.
    pub fn roll(&self) -> Vec<Enrolled> {
        let enrolled = |n: &NodeView| {
            let record = n.record.as_ref()?;
            Some(Enrolled {
                node: n.id.clone(),
                public_key: record.public_key.clone(),
                name: n.hardware.name.clone(),
                addresses: n.hardware.addresses.clone(),
                removed: n.removed,
            })
        };
        self.world.cluster.nodes.values().filter_map(enrolled).collect()
    }

    /// The database was lost: the cluster is known from its roll, and this node does nothing before it has heard what it
    /// did itself.
    pub fn restore(&mut self, now: Now, roll: Vec<Enrolled>) {
        let me = self.config.id.clone();
        for one in roll.into_iter().filter(|one| one.node != me) {
            let Enrolled { node, public_key, name, addresses, removed } = one;
            let record = NodeRecord { node: node.clone(), public_key, at: self.clock.tick(now.wall_ms) };
            self.write(Fact::Cluster(ClusterFact::Joined(record)));
            if removed {
                let (lamport, by) = (self.next_lamport(), self.config.id.clone());
                let edit = NodeEdit::Removed;
                self.write(Fact::Cluster(ClusterFact::NodeEdit { node, lamport, by, edit }));
            } else {
                // Older than anything that the node itself says.
                let hardware = Hardware { name, addresses, ..Hardware::default() };
                self.world.fold(&Fact::Cluster(ClusterFact::Hardware { node, lamport: 0, hardware }));
            }
        }
        self.begin_to_listen(now);
        self.peers.lost = self.peers.behind.is_some();
    }

    /// Begins to listen for every member that is known.
    pub(super) fn listen(&mut self, now: Now) {
        let members: Vec<NodeId> = self.members().map(|n| n.id.clone()).collect();
        for id in members {
            if id != self.config.id {
                self.peer(now, &id);
            }
        }
    }

    /// At a start.
    pub(super) fn begin_to_listen(&mut self, now: Now) {
        self.listen(now);
        self.fall_behind(now);
    }

    /// Members that weren't removed, this one too.
    pub(super) fn members(&self) -> impl Iterator<Item = &NodeView> {
        self.world.cluster.nodes.values().filter(|n| n.record.is_some() && !n.removed)
    }

    /// Whether `node` is one of them.
    pub fn is_member(&self, node: &NodeId) -> bool {
        self.world.cluster.nodes.get(node).is_some_and(|n| n.record.is_some() && !n.removed)
    }

    /// Whether it was removed for ever.
    pub fn is_removed(&self, node: &NodeId) -> bool {
        self.world.cluster.nodes.get(node).is_some_and(|n| n.removed)
    }

    /// Other members, what they are called and where they are reached.
    pub fn others(&self) -> Vec<(NodeId, String, Vec<String>)> {
        let others = self.members().filter(|n| n.id != self.config.id);
        others.map(|n| (n.id.clone(), n.hardware.name.clone(), n.hardware.addresses.clone())).collect()
    }

    /// Makes a node a member that has proved what was asked of it.
    pub fn admit(&mut self, now: Now, node: &NodeId, public_key: String) -> Result<(), crate::Refusal> {
        self.refuse_if_removed()?;
        if self.is_removed(node) {
            return Err(crate::Refusal::conflict(format!("node {node} was removed from this cluster for ever")));
        }
        if !self.is_member(node) {
            let record = NodeRecord { node: node.clone(), public_key, at: self.clock.tick(now.wall_ms) };
            self.write(Fact::Cluster(ClusterFact::Joined(record)));
            self.peer(now, node);
        }
        Ok(())
    }

    /// This node is a member no more, by its own wish, and for ever under this identity.
    ///
    /// # Errors
    /// It has no others to leave.
    pub fn leave(&mut self, now: Now, force: bool) -> Result<(), crate::Refusal> {
        if self.members().nth(1).is_none() && !self.is_removed(&self.config.id) {
            return Err(crate::Refusal::conflict("this node is in a cluster of its own: there is nothing to leave"));
        }
        if self.linked().is_empty() && !force && !self.is_removed(&self.config.id) {
            return Err(crate::Refusal::conflict(
                "no other member hears this node now, so that none would learn that it left: wait for a link, or `metaopt leave --force` and then `metaopt node remove` it on another",
            ));
        }
        if self.is_ahead_of_all() && !force && !self.is_removed(&self.config.id) {
            return Err(crate::Refusal::conflict(
                "what this node knows has not reached another member yet, and would be lost to them: try again in a moment, or `metaopt leave --force`",
            ));
        }
        let (lamport, id) = (self.next_lamport(), self.config.id.clone());
        let edit = NodeEdit::Removed;
        self.write(Fact::Cluster(ClusterFact::NodeEdit { node: id.clone(), lamport, by: id, edit }));
        self.nodes_changed(now);
        Ok(())
    }

    /// Whether no member that it is linked with has what this node knows, nor will by what is on its way.
    pub fn is_ahead_of_all(&self) -> bool {
        let mut linked = self.peers.all.values().filter(|peer| peer.linked).peekable();
        linked.peek().is_some() && !linked.any(|peer| peer.level)
    }

    /// Where this node is reached, as its links find out.
    pub fn set_addresses(&mut self, addresses: Vec<String>) {
        if self.config.hardware.addresses != addresses {
            self.config.hardware.addresses = addresses;
            self.say_hardware();
        }
    }

    /// How long a link to `node` has been up.
    pub(super) fn linked_for(&self, now: Now, node: &NodeId) -> u64 {
        let peer = self.peers.all.get(node).filter(|peer| peer.linked);
        peer.map_or(0, |peer| now.mono_ms.saturating_sub(peer.since))
    }

    pub(super) fn linked(&self) -> Vec<NodeId> {
        self.peers.all.iter().filter(|(_, peer)| peer.linked).map(|(id, _)| id.clone()).collect()
    }

    /// For how long a member has been silent; none for this node itself.
    pub(super) fn silence(&self, now: Now, node: &NodeId) -> Option<u64> {
        if *node == self.config.id {
            return None;
        }
        if breaks(Mutation::WallClock)
            && let Some(seen) = self.peers.all.get(node).and_then(|peer| peer.seen)
        {
            return Some(now.wall_ms.saturating_sub(seen));
        }
        let heard = self.peers.all.get(node).map_or(self.started_mono, |peer| peer.heard);
        Some(now.mono_ms.saturating_sub(heard))
    }

    /// Members that are there, this one among them, by ID: those heard of lately that nobody gave up.
    pub(super) fn alive(&self, now: Now) -> impl Iterator<Item = &NodeView> {
        let suspect = self.config.timing.suspect_ms;
        self.members().filter(move |n| !n.lost && self.silence(now, &n.id).is_none_or(|ms| ms < suspect))
    }

    /// Whether at least half of the members with slots are heard. In a minority nothing is given up for long: the others
    /// may well be working, and this side be the one that is cut off.
    pub(super) fn sees_half(&self, now: Now) -> bool {
        // Not those who are merely not given up yet: of many that fall silent at once, the first would be.
        let suspect = self.config.timing.suspect_ms;
        let recent = self.members().filter(|n| !n.lost && !n.hardware.slots.is_empty());
        let (mut there, mut all) = (0usize, 0usize);
        for node in recent {
            match self.silence(now, &node.id) {
                // Who wasn't heard in this run may be gone for long.
                Some(ms)
                    if ms >= RECENT_MS
                        || (ms >= self.config.timing.quorum_ms && self.last_seen(&node.id).is_none()) => {}
                Some(ms) => {
                    all += 1;
                    there += usize::from(ms < suspect);
                }
                None => {
                    all += 1;
                    there += 1;
                }
            }
        }
        there * 2 >= all
    }

    /// Whether what `node` holds is to be given up.
    pub(super) fn is_given_up(&self, now: Now, node: &NodeId) -> bool {
        let Some(silence) = self.silence(now, node) else { return false };
        match self.world.cluster.nodes.get(node) {
            Some(view) if view.removed || view.lost => true,
            _ if silence >= self.config.timing.quorum_ms => true,
            _ if breaks(Mutation::OrphanAtOnce) => silence >= self.config.timing.beat_ms,
            _ if breaks(Mutation::MinorityGivesUp) => silence >= self.config.timing.orphan_ms,
            _ => silence >= self.config.timing.orphan_ms && self.sees_half(now),
        }
    }

    /// Alive nodes on which a study's trials could run, this one among them where it can; with their weights.
    pub(super) fn able(&self, now: Now, study: &StudyId, run: Option<&RunSpec>) -> Vec<(NodeId, f64)> {
        let asked = |node: &NodeView| match self.peers.all.get(&node.id).and_then(|p| p.beat.as_ref()) {
            Some(beat) => beat.active.contains(study),
            None => false,
        };
        let mut able: Vec<(NodeId, f64)> = Vec::new();
        let said =
            |n: &NodeView| self.peers.all.get(&n.id).and_then(|p| p.beat.as_ref()).is_some_and(|beat| beat.rests);
        let rests = |n: &&NodeView| n.draining || (n.quarantined && run.is_some()) || said(n);
        for node in self.alive(now).filter(|n| !rests(n)) {
            let me = node.id == self.config.id;
            match run {
                Some(run) => {
                    let unable = match me {
                        true => self.studies.get(study).is_some_and(|r| r.blocked.is_some()),
                        false => (self.peers.all.get(&node.id).and_then(|p| p.beat.as_ref()))
                            .is_some_and(|beat| beat.unable.iter().any(|(id, _)| id == study)),
                    };
                    let slots = node.hardware.slots.len();
                    if slots > 0
                        && !unable
                        && could_hold(run, &node.hardware)
                        && excluded(run, &node.id, &node.hardware).is_none()
                    {
                        able.push((node.id.clone(), slots as f64));
                    }
                }
                None if me || asked(node) => able.push((node.id.clone(), ASKED_AT_ONCE)),
                None => {}
            }
        }
        able
    }

    /// Whether a node has nothing that this one lacks, and the other way round, as far as was heard.
    pub(super) fn is_level_with(&self, node: &NodeId) -> bool {
        self.peers.all.get(node).is_some_and(|peer| peer.linked && peer.differs.is_none())
    }

    /// Whether a node runs a trial of a study.
    pub(super) fn runs(&self, node: &NodeId, id: &StudyId) -> bool {
        let mut held = self.world.study(id).into_iter().flat_map(|study| study.held());
        held.any(|trial| trial.attempts.iter().any(|a| a.is_running() && a.node == *node))
    }

    /// Whether a node said last that it has no free slot.
    pub(super) fn is_full(&self, node: &NodeId) -> bool {
        let beat = self.peers.all.get(node).and_then(|peer| peer.beat.as_ref());
        beat.is_some_and(|beat| beat.free == 0)
    }

    /// What people should know of another node, beyond its state.
    pub(super) fn remarks_on(&self, now: Now, node: &NodeView) -> Option<String> {
        let peer = self.peers.all.get(&node.id)?;
        let of_it = |about: &About| matches!(about, About::Twins(id) | About::Newcomer(id) if *id == node.id);
        let mut all: Vec<String> = self.notices(of_it).map(ToOwned::to_owned).collect();
        all.extend(peer.beat.as_ref().and_then(|beat| beat.why.clone()));
        if peer.skew.unsigned_abs() > SKEW_MS && peer.beat.is_some() {
            let (minutes, way) = (peer.skew.unsigned_abs() / 60_000, if peer.skew > 0 { "ahead of" } else { "behind" });
            all.push(format!("its clock is {minutes} min {way} this node's: let NTP set both"));
        }
        if peer.seen.is_none() {
            all.push("not heard since this node started".into());
        } else if !peer.linked && self.silence(now, &node.id).is_some_and(|ms| ms < self.config.timing.suspect_ms) {
            let others = self.members().nth(2).is_some();
            all.push(match others {
                true => "no link to it now: heard through others, if at all".into(),
                false => "no link to it now".into(),
            });
        }
        let twin = self.members().any(|n| n.id != node.id && n.hardware.name == node.hardware.name);
        if twin {
            all.push("another node bears the same name: start one of them with --name".into());
        }
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// When it was last heard of, for people.
    pub(super) fn last_seen(&self, node: &NodeId) -> Option<WallMs> {
        self.peers.all.get(node).and_then(|peer| peer.seen)
    }

    /// Queues a frame. `at_once`: it says nothing that must be stored first.
    pub(super) fn post(&mut self, to: Vec<NodeId>, frame: &Frame, at_once: bool) {
        match encode(frame) {
            Ok(bytes) => self.parcels.push(Parcel { to, frame: bytes, at_once }),
            Err(error) => self.troubles.push(format!("a message to peers could not be written: {error}")),
        }
    }

    /// What goes to peers at once, apart from a drain: while nothing else can go out.
    pub fn urgent(&mut self) -> Vec<Parcel> {
        let (urgent, later) = std::mem::take(&mut self.parcels).into_iter().partition(|parcel| parcel.at_once);
        self.parcels = later;
        urgent
    }

    /// A node's edits were learnt.
    pub(super) fn nodes_changed(&mut self, now: Now) {
        let removed: Vec<NodeId> =
            self.peers.all.iter().filter(|(id, p)| p.linked && self.is_removed(id)).map(|(id, _)| id.clone()).collect();
        for id in removed {
            self.effect(Effect::Cut(id));
        }
        let me = self.world.cluster.nodes.get(&self.config.id);
        // Given up, and yet here: saying so undoes it.
        let other = |n: &NodeView| n.hardware != self.config.hardware; // said before its database was lost
        if me.is_some_and(|n| !n.removed && (n.lost || other(n))) {
            self.say_hardware();
        }
        self.forget_notices(now);
        if self.is_removed(&self.config.id) {
            self.notice(REMOVED.into());
            let keys: Vec<AttemptKey> = self.running.keys().cloned().collect();
            for key in keys {
                self.stop_now(&key, StopWhy::Superseded, now);
            }
        }
    }
}

/// Whether a node has the slots for a trial at all, busy or not.
fn could_hold(run: &RunSpec, hardware: &Hardware) -> bool {
    let empty = |spec: &SlotSpec| Slot { spec: spec.clone(), foreign: None, used: Vec::new() };
    let slots = Slots(hardware.slots.iter().map(empty).collect());
    slots.lacks(slots.need(run)).is_none()
}

/// One line of a node's roll of members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Its identity.
    pub node: NodeId,
    /// Its public key, hexadecimal.
    pub public_key: String,
    /// What it calls itself.
    pub name: String,
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// It was removed for ever.
    pub removed: bool,
}

/// Why a study's `nodes` or `requires` leave a node out, if they do.
pub(super) fn excluded(run: &RunSpec, id: &NodeId, hardware: &Hardware) -> Option<String> {
    if let Some(nodes) = &run.nodes
        && !nodes.iter().any(|n| n == id.as_str() || *n == hardware.name)
    {
        return Some(format!("restricted to node(s) {}", nodes.join(", ")));
    }
    let lacking = run.requires.iter().find(|(k, v)| hardware.labels.get(*k) != Some(*v))?;
    Some(format!("lacks the label {}={} (start metaoptd with --label)", lacking.0, lacking.1))
}
