//! Ask and tell: trials handed to clients under a lease, renewed by reports and heartbeats, offered again when it runs out.

use metaopt_schema::{
    AttemptKey, AttemptNo, StudyId, TrialId,
    facts::{Fact, TrialFact},
    study::StudyState,
    trial::{Claim, Outcome, Place, Reason, TrialState},
    view::StudyView,
};

use super::{Lease, Node, propose::budget_left, studies::word, thaw::Choice};
use crate::{
    Now, Refusal,
    commands::{Action, IdleReason, SuggestRequest, Suggested},
};

/// A trial to hand out or run.
#[derive(Clone)]
pub(super) struct Taken {
    /// Where it stands.
    pub(super) place: Place,
    /// This node's turn among those that could have taken it.
    pub(super) rank: u32,
    /// Others may be taking it at this moment.
    pub(super) settle: bool,
}

/// Longest pause suggested to a client that found nothing (seconds).
const RETRY_AFTER_S: f64 = 2.0;

impl Node {
    /// Hands out trials of an ask-and-tell study.
    ///
    /// # Errors
    /// Unknown study, one that metaopt runs itself, one that was cancelled or put away, no room for another trial, or
    /// this node was removed.
    pub fn suggest(&mut self, now: Now, study: &str, request: SuggestRequest) -> Result<Suggested, Refusal> {
        let view = self.study(study)?;
        if view.record.def.run.is_some() {
            return Err(Refusal::conflict(format!(
                "metaopt runs the trials of `{}` itself; only studies without `run` are asked",
                view.name
            )));
        }
        if matches!(view.wanted, StudyState::Cancelled | StudyState::Archived) {
            return Err(Refusal::conflict(format!("the study `{}` is {}", view.name, word(view.wanted))));
        }
        let id = view.id.clone();
        if !self.studies.contains_key(&id) {
            return Err(Refusal::conflict("this version can't run the study's sampler or rule; ask another node"));
        }
        let mut trials = self.held_by(now, &id, &request);
        if let Some(why) = &self.held
            && trials.is_empty()
        {
            return Err(Refusal::no_room(format!("no new trial is given out: {why}")));
        }
        if trials.is_empty() {
            self.refuse_if_removed()?;
        }
        let wait = self.held.is_some() || self.is_removed(&self.config.id) || self.is_catching_up(now);
        let mut reason = wait.then_some(IdleReason::Wait);
        if self.peers.proposed.insert(id.clone(), now.mono_ms).is_none() {
            self.peers.next_beat = 0; // others should know at once that this node proposes, too
        }
        while reason.is_none() && (trials.len() as u64) < request.count {
            match self.next_trial(now, &id) {
                Ok(taken) => {
                    self.lend(now, &id, &taken, &request);
                    trials.push(taken.place.id);
                }
                Err(why) => {
                    reason = Some(why);
                    break;
                }
            }
        }
        let retry_after_s = match reason {
            Some(IdleReason::Wait) => {
                let soonest = self.leases.values().filter(|l| l.study == id).map(|l| l.expires).min();
                let left = soonest.map_or(RETRY_AFTER_S, |at| at.saturating_sub(now.mono_ms) as f64 / 1000.0);
                Some(left.clamp(0.1, RETRY_AFTER_S))
            }
            Some(IdleReason::Paused) => Some(RETRY_AFTER_S),
            _ => None,
        };
        Ok(Suggested { trials, reason, retry_after_s })
    }

    /// Running trials that this client asked for before; their leases are renewed.
    fn held_by(&mut self, now: Now, id: &StudyId, request: &SuggestRequest) -> Vec<TrialId> {
        let Some(client) = &request.client_id else { return Vec::new() };
        let mine = |lease: &Lease| lease.study == *id && lease.client.as_ref() == Some(client);
        let keys: Vec<AttemptKey> =
            self.leases.iter().filter(|(_, l)| mine(l)).map(|(k, _)| k.clone()).take(request.count as usize).collect();
        for key in &keys {
            self.renew(now, key);
        }
        keys.into_iter().map(|k| k.trial).collect()
    }

    /// The trial to hand out or run next: the oldest that waits, else a frozen one or a new one, as the rule says.
    pub(super) fn next_trial(&mut self, now: Now, id: &StudyId) -> Result<Taken, IdleReason> {
        let Some(study) = self.world.study(id) else { return Err(IdleReason::Wait) };
        let running = study.count(TrialState::Running);
        if study.wanted == StudyState::Paused {
            return Err(IdleReason::Paused);
        }
        if timed_out(study, now) {
            return Err(IdleReason::Budget);
        }
        let room = study.budget.max_parallel.map(|max| max.saturating_sub(running));
        if room == Some(0) {
            return Err(IdleReason::Wait);
        }
        let waiting = study.count(TrialState::Waiting);
        let others = match self.claimable(now, id) {
            Ok(Some(taken)) => return Ok(taken),
            Ok(None) => false,
            Err(_) => true,
        };
        // What others are about to claim takes up room as well.
        let room = room.map(|room| if others { room.saturating_sub(waiting) } else { room });
        if room == Some(0) {
            return Err(IdleReason::Wait);
        }
        let may_begin = self.may_begin(now, id, room, others);
        match self.thaw_or_begin(now, id, may_begin)? {
            Choice::Thaw(taken) => Ok(taken),
            Choice::Begin(draft) => {
                let place = self.propose(now, id, draft);
                Ok(Taken { place, rank: 0, settle: false })
            }
        }
    }

    /// Whether a new trial may begin where `room` more may run at once. `others`: some are about to claim what waits.
    fn may_begin(&mut self, now: Now, id: &StudyId, room: Option<u64>, others: bool) -> Result<(), IdleReason> {
        let Some(study) = self.world.study(id) else { return Err(IdleReason::Wait) };
        let (left, mine, strict) = (budget_left(study), self.may_propose(study), study.budget.strict);
        if left == Some(0) {
            return Err(if others { IdleReason::Wait } else { IdleReason::Budget });
        }
        if mine == Some(0) {
            self.want_share(now, id);
            return Err(IdleReason::Wait);
        }
        // Room that several nodes could take: of a strict budget each spends only what is its own.
        if !self.has_ticket(now, id, room.into_iter().chain(left.filter(|_| !strict)).min()) {
            return Err(IdleReason::Wait);
        }
        if self.studies.get(id).is_some_and(|r| r.exhausted) {
            return Err(self.dried_up(id));
        }
        Ok(())
    }

    /// The space has nothing left.
    pub(super) fn dried_up(&mut self, id: &StudyId) -> IdleReason {
        self.close_exhausted(id);
        let idle = |study: &StudyView| study.count(TrialState::Running) == 0 && !self.awaits_thaw(study);
        if self.world.study(id).is_some_and(idle) { IdleReason::Exhausted } else { IdleReason::Wait }
    }

    /// Claims a trial's next attempt for a client.
    fn lend(&mut self, now: Now, id: &StudyId, taken: &Taken, request: &SuggestRequest) {
        let place = &taken.place;
        let Some((_, trial)) = self.world.trial(&place.id) else { return };
        let (attempt, resume_step) = (trial.next_attempt(), trial.checkpoint_step());
        let until = self.next_until(id, trial);
        let node = self.config.id.clone();
        let claim = Claim {
            id: self.mint_claim(),
            at: self.clock.tick(now.wall_ms),
            client_id: request.client_id.clone(),
            lease_s: Some(request.lease_s),
            slots: Vec::new(),
            resume_step,
            rank: taken.rank,
            asked: true,
            until,
        };
        self.write(Fact::Trial(id.clone(), place.clone(), TrialFact::Claimed { attempt, node, claim }));
        let lease_ms = (request.lease_s * 1000.0) as u64;
        let key = AttemptKey { trial: place.id.clone(), attempt };
        let lease = Lease {
            study: id.clone(),
            client: request.client_id.clone(),
            lease_ms,
            expires: now.mono_ms.saturating_add(lease_ms),
        };
        self.leases.insert(key, lease);
    }

    pub(super) fn renew(&mut self, now: Now, key: &AttemptKey) {
        if let Some(lease) = self.leases.get_mut(key) {
            lease.expires = now.mono_ms.saturating_add(lease.lease_ms);
        }
    }

    /// Renews a lease and says what the client should do.
    ///
    /// # Errors
    /// Unknown trial or attempt.
    pub fn heartbeat(&mut self, now: Now, trial: &str, attempt: Option<AttemptNo>) -> Result<Action, Refusal> {
        let (key, _) = self.attempt_key(trial, attempt)?;
        self.renew(now, &key);
        Ok(self.standing_action(&key))
    }

    /// Ends attempts whose clients stopped renewing.
    pub(super) fn expire_leases(&mut self, now: Now) {
        let over: Vec<AttemptKey> =
            self.leases.iter().filter(|(_, l)| l.expires <= now.mono_ms).map(|(k, _)| k.clone()).collect();
        for key in over {
            let Some(lease) = self.leases.remove(&key) else { continue };
            let Some(place) = self.world.trial(&key.trial).map(|(_, t)| t.place.clone()) else { continue };
            let mut end = self.end(now, Outcome::Fail, Reason::LostClient);
            end.detail = Some(format!("not renewed for {} s", lease.lease_ms as f64 / 1000.0));
            self.end_attempt(&lease.study, &place, &key, end);
        }
    }
}

/// The study's time is up: nothing new starts.
pub(super) fn timed_out(study: &StudyView, now: Now) -> bool {
    study.budget.timeout_s.is_some_and(|s| now.wall_ms as f64 >= study.record.at.ms as f64 + s * 1000.0)
}
