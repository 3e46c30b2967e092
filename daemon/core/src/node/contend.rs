//! What several nodes could do, and one should: claiming what waits, giving up what the dead hold, ending doubles.
//!
//! Owns: turns, settling, orphans, what becomes of this node's attempts when others' facts arrive. Must not: use wall
//! clocks: every wait is counted on this node's own.
//!
//! Nobody can exclude two claims of one trial while messages are under way. So the nodes that could claim take turns, in
//! an order that all of them know without a word (rendezvous hashing, Thaler and Ravishankar 1998); a claim rests for a
//! moment before it starts; and of two claims that meet nevertheless one goes on by a rule that needs no talk.

use std::collections::BTreeMap;

use metaopt_engine::hash64;
use metaopt_schema::{
    AttemptKey, NodeId, StudyId, TrialId,
    facts::{Fact, TrialFact},
    mutations::{Mutation, breaks},
    study::StudyState,
    trial::{Outcome, Place, Reason, TrialState},
    view::{AttemptView, StudyView, TrialView},
};

use super::{Node, ask::Taken, quarantine::failed_on};
use crate::{
    Now,
    commands::IdleReason,
    effects::Effect,
    launch::{Launch, StopWhy},
};

/// Turns waited for at most: who comes later shares the last one.
pub(super) const TURNS: u64 = 8;
/// Between two looks for orphans (milliseconds).
const LOOK_MS: u64 = 500;
/// How long a trial that failed here waits for a node where it hasn't (milliseconds).
const SPARED_MS: u64 = 60_000;
/// Waiting trials looked at for one to claim.
const LOOKED_AT: usize = 64;
/// How long a node is waited for whose turn a trial at the end of a budget is: longer than a busy disk takes to store it
/// and a message to come (milliseconds).
const TICKET_TURN_MS: u64 = 1_000;
/// The same for a node that said it had no free slot: it would have to become free at this very moment.
const FULL_TURN_MS: u64 = 150;

/// What this node waits for.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Since when trials wait to be claimed, frozen ones too, as seen here.
    pub(super) waiting: BTreeMap<TrialId, u64>,
    /// Since when the holders of attempts are overdue.
    overdue: BTreeMap<(AttemptKey, NodeId), u64>,
    /// Claims that settle: when each may start.
    settling: BTreeMap<AttemptKey, (u64, Box<Launch>)>,
    /// The trials of a study known last, those of them that ran, and since when: whose turn the next is hangs on it.
    tickets: BTreeMap<StudyId, ((u64, u64), u64)>,
    next_look: u64,
}

/// Those of `nodes` whose turn for `what` comes before that of `me`: highest hash first. None: it isn't among them.
fn before(what: &str, nodes: impl Iterator<Item = NodeId>, me: &NodeId) -> Option<Vec<NodeId>> {
    let score = |node: &NodeId| hash64(&format!("turn {what} {node}"));
    let mine = (score(me), me.clone());
    let (mut ahead, mut among) = (Vec::new(), false);
    for node in nodes {
        if node == *me {
            among = true;
        } else if (score(&node), node.clone()) > mine {
            ahead.push(node);
        }
    }
    among.then_some(ahead)
}

/// The place of `me` among `nodes` for `what`, from 0 up.
fn turn(what: &str, nodes: impl Iterator<Item = NodeId>, me: &NodeId) -> Option<u64> {
    before(what, nodes, me).map(|ahead| ahead.len() as u64)
}

/// Whether attempt `a` goes on rather than `b`, of two that run: the one further along, else the earlier one.
pub(super) fn leads(a: &AttemptView, b: &AttemptView) -> bool {
    let key = |x: &AttemptView| {
        let rank = x.claim.as_ref().map_or(0, |claim| claim.rank);
        (std::cmp::Reverse(steps(x)), x.attempt, rank, x.node.clone())
    };
    key(a) < key(b)
}

fn steps(attempt: &AttemptView) -> u64 {
    attempt.last_step().max(attempt.claim.as_ref().map_or(0, |claim| claim.resume_step))
}

impl Node {
    /// After this node was away, what waited for its turn waits anew.
    pub(super) fn turns_begin_anew(&mut self, now: Now) {
        self.turns.waiting.values_mut().for_each(|since| *since = now.mono_ms);
        self.turns.overdue.clear();
    }

    /// The waiting trial that this node may claim now, with its turn. `Wait`: there are some, and others come first.
    pub(super) fn claimable(&mut self, now: Now, id: &StudyId) -> Result<Option<Taken>, IdleReason> {
        let Some(study) = self.world.study(id) else { return Ok(None) };
        let run = study.record.def.run.as_ref();
        let able = self.able(now, id, run);
        if able.len() < 2 {
            let first = study.waiting().find(|trial| run.is_none() || !self.misses_checkpoint(now, study, trial));
            return Ok(first.map(|trial| Taken { place: trial.place.clone(), rank: 0, settle: false }));
        }
        let mut others = false;
        for trial in study.waiting().take(LOOKED_AT) {
            // What failed here is first tried where it hasn't.
            let spared = |node: &NodeId| !failed_on(trial, node);
            let since = *self.turns.waiting.entry(trial.place.id.clone()).or_insert(now.mono_ms);
            if run.is_some() && self.misses_checkpoint(now, study, trial) {
                continue;
            }
            let others_first = run.is_some() && !spared(&self.config.id) && able.iter().any(|(node, _)| spared(node));
            if others_first && since + SPARED_MS > now.mono_ms {
                others = true;
                continue;
            }
            let Some(rank) = self.rank(&able, trial, run.is_none()) else { continue };
            if since + rank.min(TURNS) * self.config.timing.turn_ms <= now.mono_ms {
                return Ok(Some(Taken { place: trial.place.clone(), rank: rank as u32, settle: run.is_some() }));
            }
            others = true;
        }
        if others { Err(IdleReason::Wait) } else { Ok(None) }
    }

    /// This node's turn for a waiting trial. Where clients ask, the node that held it or made it is first: its client is
    /// near; so is the node that has the checkpoint.
    pub(super) fn rank(&self, able: &[(NodeId, f64)], trial: &TrialView, asked: bool) -> Option<u64> {
        let me = &self.config.id;
        let last = trial.latest();
        let near = match last {
            Some(attempt) if asked || trial.checkpoint_step() > 0 => Some(&attempt.node),
            None if asked => Some(&trial.place.node),
            _ => None,
        };
        let near = near.filter(|node| able.iter().any(|(id, _)| id == *node));
        if near == Some(me) {
            return Some(0);
        }
        let what = format!("{} {}", trial.place.id, trial.next_attempt());
        let rest = able.iter().map(|(id, _)| id.clone()).filter(|id| near != Some(id));
        turn(&what, rest, me).map(|turn| turn + u64::from(near.is_some()))
    }

    /// Whether this node may propose a further trial now, where only `left` more may be. Of many everybody may; the last
    /// ones go by turns, so that nodes that hear of one another don't exceed the budget, nor how many may run at once.
    pub(super) fn has_ticket(&mut self, now: Now, id: &StudyId, left: Option<u64>) -> bool {
        let Some(left) = left else { return true };
        let Some(study) = self.world.study(id) else { return false };
        let able = self.able(now, id, study.record.def.run.as_ref());
        let at_once: f64 = able.iter().map(|(_, slots)| slots).sum();
        // Twice: slots are filled again while others have not heard of the first filling.
        if able.len() < 2 || left as f64 > 2.0 * at_once || breaks(Mutation::NoTurns) {
            return true;
        }
        let used = study.trials().len() as u64;
        let nodes = able.into_iter().map(|(node, _)| node);
        let Some(ahead) = before(&format!("ticket {id} {used}"), nodes, &self.config.id) else { return false };
        let wait: u64 = ahead.iter().map(|node| if self.is_full(node) { FULL_TURN_MS } else { TICKET_TURN_MS }).sum();
        // What ends makes room on several nodes at once, whose turns were all over: they begin anew.
        let state = (used, study.count(TrialState::Running));
        let (known, since) = self.turns.tickets.entry(id.clone()).or_insert((state, now.mono_ms));
        if *known != state {
            (*known, *since) = (state, now.mono_ms);
        }
        *since + wait <= now.mono_ms
    }

    /// A claim that others may contest starts once it has settled.
    pub(super) fn launch_settled(&mut self, now: Now, key: &AttemptKey, launch: Launch) {
        let due = now.mono_ms + self.config.timing.settle_ms;
        self.turns.settling.insert(key.clone(), (due, Box::new(launch)));
    }

    /// Starts what has settled. What was contested and lost is no longer there.
    fn start_settled(&mut self, now: Now) {
        let due: Vec<AttemptKey> =
            self.turns.settling.iter().filter(|(_, (at, _))| *at <= now.mono_ms).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.reconcile(now, &key.trial);
            if let Some((_, launch)) = self.turns.settling.remove(&key) {
                self.effect(Effect::Launch(launch));
            }
        }
    }

    /// Whether an attempt still settles, and so has no process.
    pub(super) fn unsettle(&mut self, key: &AttemptKey) -> bool {
        self.turns.settling.remove(key).is_some()
    }

    /// What time brings: settled claims start, silent holders are given up.
    pub(super) fn turns(&mut self, now: Now) {
        self.start_settled(now);
        if now.mono_ms < self.turns.next_look {
            return;
        }
        self.turns.next_look = now.mono_ms + LOOK_MS;
        if self.world.cluster.nodes.len() < 2 {
            return; // alone, nothing comes from elsewhere
        }
        let mine: Vec<TrialId> = self.running.keys().chain(self.leases.keys()).map(|key| key.trial.clone()).collect();
        mine.iter().for_each(|trial| self.reconcile(now, trial));
        self.give_up_orphans(now);
        self.take_up_forgotten(now);
        self.judge_myself();
        self.forget_turns();
    }

    /// Drops what is waited for no longer.
    fn forget_turns(&mut self) {
        let mut turns = std::mem::take(&mut self.turns);
        let waits = |trial: &TrialView| matches!(trial.state, TrialState::Waiting | TrialState::Paused);
        turns.waiting.retain(|id, _| self.world.trial(id).is_some_and(|(_, trial)| waits(trial)));
        turns.tickets.retain(|id, _| self.studies.contains_key(id));
        self.turns = turns;
    }

    /// Attempts that others know as this node's and it doesn't: its disk was lost, or lost what was written last. Nobody
    /// else would end them as long as this node is heard.
    fn take_up_forgotten(&mut self, now: Now) {
        if !self.adopted {
            return;
        }
        let mut forgotten = Vec::new();
        for study in self.world.studies() {
            for trial in study.held() {
                for attempt in trial.attempts.iter().filter(|a| a.node == self.config.id && a.is_running()) {
                    let key = AttemptKey { trial: trial.place.id.clone(), attempt: attempt.attempt };
                    if !self.running.contains_key(&key) && !self.leases.contains_key(&key) {
                        forgotten.push((study.id.clone(), trial.place.clone(), key, attempt.claim.clone()));
                    }
                }
            }
        }
        for (study, place, key, claim) in forgotten {
            match claim {
                Some(claim) if claim.asked => self.lease_anew(now, study, key, claim),
                _ => {
                    let mut end = self.end(now, Outcome::Fail, Reason::LostNode);
                    end.detail = Some("its node lost what it knew of it".into());
                    self.end_attempt(&study, &place, &key, end);
                    self.wants_dispatch = true;
                }
            }
        }
    }

    fn give_up_orphans(&mut self, now: Now) {
        let mut orphans: Vec<(StudyId, Place, AttemptKey, NodeId, u32)> = Vec::new();
        let mut verdicts: BTreeMap<NodeId, bool> = BTreeMap::new();
        for study in self.world.studies() {
            for trial in study.held() {
                for attempt in trial.attempts.iter().filter(|a| a.is_running() && a.node != self.config.id) {
                    let gone =
                        *verdicts.entry(attempt.node.clone()).or_insert_with(|| self.is_given_up(now, &attempt.node));
                    if gone {
                        let key = AttemptKey { trial: trial.place.id.clone(), attempt: attempt.attempt };
                        orphans.push((
                            study.id.clone(),
                            trial.place.clone(),
                            key,
                            attempt.node.clone(),
                            attempt.kept(),
                        ));
                    }
                }
            }
        }
        let mut overdue = BTreeMap::new();
        for (study, place, key, holder, kept) in orphans {
            let entry = (key.clone(), holder.clone());
            let since = self.turns.overdue.get(&entry).copied().unwrap_or(now.mono_ms);
            let what = format!("orphan {} {} {holder}", key.trial, key.attempt);
            let alive = self.alive(now).map(|node| node.id.clone());
            let turn = turn(&what, alive, &self.config.id).unwrap_or(TURNS);
            if since + turn.min(TURNS) * self.config.timing.turn_ms > now.mono_ms {
                overdue.insert(entry, since);
                continue;
            }
            let mut end = self.end(now, Outcome::Fail, Reason::LostNode);
            end.detail = Some(match self.world.cluster.nodes.get(&holder) {
                Some(node) if node.removed => format!("its node {} was removed from the cluster", node.hardware.name),
                Some(node) if node.lost => format!("its node {} was given up by a person", node.hardware.name),
                Some(node) => format!("its node {} was not heard of for too long", node.hardware.name),
                None => format!("its node {holder} is unknown here"),
            });
            let by = self.config.id.clone();
            let fact = TrialFact::GivenUp { attempt: key.attempt, node: holder, kept, by, end };
            self.write(Fact::Trial(study, place, fact));
            self.wants_dispatch = true;
        }
        self.turns.overdue = overdue;
    }

    /// Trials of a study of which this node holds an attempt.
    pub(super) fn mine_in(&self, id: &StudyId) -> Vec<TrialId> {
        let running = self.running.iter().filter(|(_, r)| r.study == *id).map(|(key, _)| key.trial.clone());
        let leased = self.leases.iter().filter(|(_, l)| l.study == *id).map(|(key, _)| key.trial.clone());
        running.chain(leased).collect()
    }

    /// What becomes of this node's attempts at a trial, now that facts about it have arrived.
    pub(super) fn reconcile(&mut self, now: Now, trial: &TrialId) {
        let from = AttemptKey { trial: trial.clone(), attempt: 0 };
        let of = |key: &&AttemptKey| key.trial == *trial;
        let running = self.running.range(&from..).map(|(key, _)| key).take_while(of);
        let leased = self.leases.range(&from..).map(|(key, _)| key).take_while(of);
        let mine: Vec<AttemptKey> = running.chain(leased).cloned().collect();
        for key in mine {
            self.reconcile_one(now, &key);
        }
    }

    fn reconcile_one(&mut self, now: Now, key: &AttemptKey) {
        let Some((study, trial)) = self.world.trial(&key.trial) else { return };
        let Some(at) = trial.attempts.iter().position(|a| a.attempt == key.attempt && a.node == self.config.id) else {
            return;
        };
        let mine = &trial.attempts[at];
        let (study_id, place) = (study.id.clone(), trial.place.clone());
        let asked = self.leases.contains_key(key);
        match fate(study, trial, at) {
            Fate::GoOn => {}
            Fate::Told => {
                if asked && let Some(told) = mine.told.as_deref() {
                    let end = told.clone();
                    self.end_attempt(&study_id, &place, key, end);
                    self.supersede(now, key);
                }
            }
            Fate::Keep => {
                let (kept, at) = (mine.kept() + 1, self.clock.tick(now.wall_ms));
                let node = self.config.id.clone();
                let fact = TrialFact::Kept { attempt: key.attempt, node, kept, at };
                self.write(Fact::Trial(study_id, place, fact));
            }
            Fate::End(why) if asked => {
                let (outcome, reason) = match why {
                    StopWhy::Cancelled => (Outcome::Cancelled, Reason::Cancelled),
                    // The client is told at its next report, where the answer is the transition.
                    StopWhy::Paused => return,
                    _ => (Outcome::Fail, Reason::Superseded),
                };
                let end = self.end(now, outcome, reason);
                self.end_attempt(&study_id, &place, key, end);
            }
            Fate::End(why) => {
                if self.running.get(key).is_some_and(|r| r.stop.is_some_and(|(_, due)| due.is_none())) {
                    return; // it was told already
                }
                if self.unsettle(key) {
                    let (outcome, reason) = match why {
                        StopWhy::Cancelled => (Outcome::Cancelled, Reason::Cancelled),
                        _ => (Outcome::Fail, Reason::Superseded),
                    };
                    let end = self.end(now, outcome, reason);
                    return self.settle(now, key, end);
                }
                match why {
                    StopWhy::Paused => self.stop_soon(key, why, now),
                    _ => self.stop_now(key, why, now),
                }
            }
        }
    }
}

/// What is to become of an attempt of this node.
enum Fate {
    GoOn,
    /// Its client told another node.
    Told,
    /// Others gave it up, and it lives.
    Keep,
    End(StopWhy),
}

fn fate(study: &StudyView, trial: &TrialView, at: usize) -> Fate {
    let mine = &trial.attempts[at];
    if mine.end.is_some() {
        return Fate::GoOn;
    }
    if study.wanted == StudyState::Cancelled || trial.cancel_wanted() {
        return Fate::End(StopWhy::Cancelled);
    }
    if trial.counted == Some(at) || (mine.is_asked() && mine.told.is_some()) {
        return Fate::Told;
    }
    let overtaken = trial.counted.is_some() || trial.state.is_terminal();
    let yields = !breaks(Mutation::NoYielding);
    let led = yields
        && trial.attempts.iter().enumerate().any(|(i, other)| i != at && other.is_running() && leads(other, mine));
    if (overtaken && yields) || led {
        return Fate::End(StopWhy::Superseded);
    }
    if mine.given_up().is_some() {
        return Fate::Keep;
    }
    if trial.pause_wanted() { Fate::End(StopWhy::Paused) } else { Fate::GoOn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_reckons_the_same_turns_and_each_has_its_own() {
        let nodes: Vec<NodeId> = (0..16).map(|i| NodeId::new(format!("node{i}"))).collect();
        let mut firsts = BTreeMap::new();
        for what in 0..200 {
            let what = what.to_string();
            let mut turns: Vec<u64> = nodes.iter().map(|me| turn(&what, nodes.iter().cloned(), me).unwrap()).collect();
            let first = turns.iter().position(|turn| *turn == 0).unwrap();
            *firsts.entry(first).or_insert(0) += 1;
            turns.sort();
            assert!(turns.into_iter().eq(0..16));
            // Without one of them the others keep their order.
            let left = || nodes.iter().skip(1).cloned();
            assert_eq!(left().filter(|me| turn(&what, left(), me) == Some(0)).count(), 1);
            assert_eq!(turn(&what, left(), &nodes[0]), None);
        }
        assert!(firsts.len() == 16, "nobody is always late: {firsts:?}");
    }
}
