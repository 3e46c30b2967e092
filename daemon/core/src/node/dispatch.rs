//! Trials that this node runs itself: which study and trial goes on a free slot, and what an ended process means.

use metaopt_schema::{
    AttemptKey, StudyId,
    facts::{Fact, SlotSpec, TrialFact},
    mutations::{Mutation, breaks},
    study::StudyState,
    trial::{Claim, End, Outcome, Reason, Values},
    view::AttemptView,
};

use super::{
    Node, Running,
    ask::Taken,
    fidelity::{rung_of, until_of},
    foresee::length_said,
};
use crate::{
    Now,
    commands::{Completion, IdleReason, Report, Told},
    effects::Effect,
    launch::{AttemptEvent, Checkpoint, ExitReport, Launch, Spooled, StopWhy},
    slots::Need,
};

/// A study that this node can't run is looked at again after this long (milliseconds).
const PROBE_AGAIN_MS: u64 = 10_000;
/// A study whose attempt could not even be started rests this long on this node (milliseconds).
const LAUNCH_REST_MS: u64 = 5_000;

impl Node {
    /// The inventory of slots as the shell sees it now: each with why others than metaopt hold it, if they do.
    pub fn slots(&mut self, now: Now, inventory: Vec<(SlotSpec, Option<String>)>) {
        let specs: Vec<SlotSpec> = inventory.iter().map(|(spec, _)| spec.clone()).collect();
        self.slots.update(inventory);
        if self.config.hardware.slots != specs || !self.said_hardware() {
            self.config.hardware.slots = specs;
            self.say_hardware();
        }
        self.dispatch(now);
    }

    fn said_hardware(&self) -> bool {
        self.world.cluster.nodes.get(&self.config.id).is_some_and(|n| n.hardware == self.config.hardware)
    }

    pub(super) fn say_hardware(&mut self) {
        let lamport = self.next_lamport();
        let fact = metaopt_schema::facts::ClusterFact::Hardware {
            node: self.config.id.clone(),
            lamport,
            hardware: self.config.hardware.clone(),
        };
        self.write(Fact::Cluster(fact));
    }

    /// Time passed: leases run out, stops become signals, free slots are filled. Call it a few times a second.
    pub fn tick(&mut self, now: Now) {
        self.forgive_silence(now);
        self.recollect(now);
        self.ticked = now.mono_ms;
        self.forget_notices(now);
        self.rest_curves();
        self.expire_leases(now);
        let due: Vec<(AttemptKey, StopWhy)> = self
            .running
            .iter()
            .filter_map(|(k, r)| match r.stop {
                Some((why, Some(at))) if at <= now.mono_ms => Some((k.clone(), why)),
                _ => None,
            })
            .collect();
        for (key, why) in due {
            self.stop_now(&key, why, now);
        }
        let ids: Vec<StudyId> = self.studies.keys().cloned().collect();
        for id in ids {
            self.probe_if_due(&id, now);
            self.weigh_frozen(&id);
            self.close_exhausted(&id);
        }
        self.turns(now);
        self.dispatch(now);
    }

    pub(super) fn probe_if_due(&mut self, id: &StudyId, now: Now) {
        let Some(run) =
            self.world.study(id).filter(|s| s.wanted == StudyState::Running).and_then(|s| s.record.def.run.clone())
        else {
            return;
        };
        // Of what it may not or could never run this node needs no files.
        if self.excluded(&run).is_some() || self.slots.lacks(self.slots.need(&run)).is_some() {
            return;
        }
        let Some(runtime) = self.studies.get_mut(id) else { return };
        if runtime.probe_at.is_some_and(|at| at <= now.mono_ms) {
            runtime.probe_at = None;
            self.effect(Effect::Probe(id.clone(), Box::new(run)));
        }
    }

    /// The shell found out whether this node can run a study.
    pub fn probed(&mut self, now: Now, id: &StudyId, result: Result<(), String>) {
        let Some(runtime) = self.studies.get_mut(id) else { return };
        runtime.probed = true;
        runtime.probe_at = result.is_err().then_some(now.mono_ms + PROBE_AGAIN_MS);
        runtime.blocked = result.err();
        self.dispatch(now);
    }

    /// The shell has looked for processes of an earlier daemon: those in `found` live on (their events follow, or came),
    /// all others that the documents believe to run here are lost.
    pub fn adopted(&mut self, now: Now, found: &[AttemptKey]) {
        if self.peers.has_lost_its_past() {
            self.adoption = Some(found.to_vec());
            return;
        }
        self.adopted = true;
        let lost: Vec<AttemptKey> = self.running.keys().filter(|k| !found.contains(k)).cloned().collect();
        for key in lost {
            self.give_up(now, &key, Reason::LostNode, "its process was gone when the daemon returned".into());
        }
        // A process whose attempt is over (its study deleted, say) has no business here. Nobody knows which slots it is
        // on: until it is gone nothing else starts.
        for key in found {
            if !self.running.contains_key(key) {
                self.strays.insert(key.clone());
                self.effect(Effect::Stop(key.clone(), StopWhy::Superseded));
            }
        }
        self.dispatch(now);
    }

    /// Attempts that this node runs.
    pub fn running(&self) -> impl Iterator<Item = &AttemptKey> {
        self.running.keys()
    }

    /// Fills free slots.
    pub fn dispatch(&mut self, now: Now) {
        let me = self.world.cluster.nodes.get(&self.config.id);
        if !self.adopted
            || self.closing
            || !self.strays.is_empty()
            || self.is_catching_up(now)
            || self.held.is_some()
            || me.is_some_and(|n| n.draining || n.quarantined || n.removed)
        {
            return;
        }
        let mut tried: Vec<StudyId> = Vec::new();
        while self.slots.any_free() {
            let Some((id, need)) = self.next_study(now, &tried) else { break };
            let Some(slots) = self.slots.allocate(need) else {
                tried.push(id);
                continue;
            };
            match self.next_trial(now, &id) {
                Ok(taken) => self.start(now, &id, &taken, slots),
                Err(IdleReason::Wait | IdleReason::Budget | IdleReason::Exhausted | IdleReason::Paused) => {
                    tried.push(id)
                }
            }
        }
    }

    /// The study that is next: highest priority, then fewest slots held, then least used so far.
    fn next_study(&self, now: Now, tried: &[StudyId]) -> Option<(StudyId, Need)> {
        self.studies
            .iter()
            .filter(|(id, runtime)| !tried.contains(id) && runtime.probed && runtime.blocked.is_none())
            .filter_map(|(id, runtime)| {
                let study = self.world.study(id)?;
                let run = study.record.def.run.as_ref().filter(|_| study.wanted == StudyState::Running)?;
                self.excluded(run).is_none().then_some(())?;
                let need = self.slots.need(run);
                self.slots.lacks(need).is_none().then_some(())?;
                let mine = self.running.values().filter(|r| r.study == *id);
                let held: u64 = mine.clone().map(|r| r.slots).sum();
                let used: u64 =
                    runtime.used_ms + mine.map(|r| r.slots * now.mono_ms.saturating_sub(r.since)).sum::<u64>();
                Some((
                    (std::cmp::Reverse(study.budget.priority), held, used, study.record.at.clone()),
                    id.clone(),
                    need,
                ))
            })
            .min_by(|a, b| a.0.cmp(&b.0))
            .map(|(_, id, need)| (id, need))
    }

    /// Why a study's `nodes` or `requires` leave this node out, if they do.
    pub(super) fn excluded(&self, run: &metaopt_schema::study::RunSpec) -> Option<String> {
        super::peers::excluded(run, &self.config.id, &self.config.hardware)
    }

    /// Claims a trial's next attempt for this node and launches it.
    fn start(&mut self, now: Now, id: &StudyId, taken: &Taken, slots: Vec<(String, f64)>) {
        let place = &taken.place;
        let Some((study, trial)) = self.world.trial(&place.id) else { return };
        let Some(run) = study.record.def.run.clone() else { return };
        let (attempt, resume_step) = (trial.next_attempt(), trial.checkpoint_step());
        let until = self.next_until(id, trial);
        let far = trial.checkpoint().filter(|(node, _)| **node != self.config.id);
        let checkpoint = far.map(|(node, end)| Checkpoint { node: node.clone(), hash: end.checkpoint.clone() });
        let key = AttemptKey { trial: place.id.clone(), attempt };
        let launch = Launch {
            key: key.clone(),
            label: trial.label(),
            study: id.clone(),
            study_name: study.name.clone(),
            params: study.space.with_fidelity(&trial.spec.params.params(), Some(until as i64)),
            space_names: study.space.params.iter().map(|p| p.name.clone()).collect(),
            metrics: study.record.def.metrics().into_iter().map(str::to_owned).collect(),
            gpus: slots.iter().map(|(id, _)| id.clone()).filter(|id| !id.starts_with("cpu-")).collect(),
            run,
            resume_step,
            checkpoint,
            grace_s: self.config.grace_s,
            at: now.wall_ms,
        };
        let claim = Claim {
            id: self.mint_claim(),
            at: self.clock.tick(now.wall_ms),
            client_id: None,
            lease_s: None,
            slots: slots.iter().map(|(id, _)| id.clone()).collect(),
            resume_step,
            rank: taken.rank,
            asked: false,
            until,
        };
        let node = self.config.id.clone();
        self.write(Fact::Trial(id.clone(), place.clone(), TrialFact::Claimed { attempt, node, claim }));
        self.slots.book(&key, &slots);
        let running = Running { study: id.clone(), since: now.mono_ms, slots: slots.len() as u64, stop: None };
        self.running.insert(key.clone(), running);
        if taken.settle && !breaks(Mutation::NoSettling) {
            self.launch_settled(now, &key, launch);
        } else {
            self.effect(Effect::Launch(Box::new(launch)));
        }
    }

    /// The answer to its report tells the script to end; if it doesn't, a signal follows after the grace period.
    pub(super) fn stop_soon(&mut self, key: &AttemptKey, why: StopWhy, now: Now) {
        let grace = if why == StopWhy::Paused { self.config.pause_grace_s } else { self.config.grace_s };
        if let Some(running) = self.running.get_mut(key)
            && running.stop.is_none()
        {
            running.stop = Some((why, Some(now.mono_ms + (grace * 1000.0) as u64)));
        }
    }

    /// A signal now.
    pub(super) fn stop_now(&mut self, key: &AttemptKey, why: StopWhy, now: Now) {
        if self.unsettle(key) {
            // It has no process yet.
            let (outcome, reason) = match why {
                StopWhy::Cancelled => (Outcome::Cancelled, Reason::Cancelled),
                StopWhy::Preempted => (Outcome::Fail, Reason::Preempted),
                StopWhy::Paused => (Outcome::Paused, Reason::Paused),
                StopWhy::Pruned | StopWhy::Superseded => (Outcome::Fail, Reason::Superseded),
            };
            let end = self.end(now, outcome, reason);
            return self.settle(now, key, end);
        }
        if let Some(running) = self.running.get_mut(key) {
            // The first reason stands, except that a person's word overrides a rule's or a pause.
            let why = match running.stop {
                Some((first, _)) if why != StopWhy::Cancelled => first,
                _ => why,
            };
            running.stop = Some((why, None));
            self.effect(Effect::Stop(key.clone(), why));
        }
    }

    /// Whether an attempt was told to end, by an answer or a signal: its trial may go on from what it left.
    pub fn is_stopping(&self, key: &AttemptKey) -> bool {
        let told = self.running.get(key).is_some_and(|running| running.stop.is_some());
        told || self.world.trial(&key.trial).is_some_and(|(_, trial)| trial.pause_wanted() || trial.cancel_wanted())
    }

    /// `--stop-jobs`: every running attempt is asked to end; they are retried later. This node starts nothing after
    /// it, or what it preempts would come back at once and outlive the daemon.
    pub fn stop_all(&mut self, now: Now) {
        self.closing = true;
        let keys: Vec<AttemptKey> = self.running.keys().cloned().collect();
        for key in keys {
            self.stop_now(&key, StopWhy::Preempted, now);
        }
    }

    /// The shell tells of an attempt.
    pub fn attempt(&mut self, now: Now, key: &AttemptKey, event: AttemptEvent) {
        if self.peers.has_lost_its_past() {
            self.early.push((key.clone(), event));
            return;
        }
        if event != AttemptEvent::Started {
            self.strays.remove(key);
        }
        match event {
            AttemptEvent::Started => {}
            AttemptEvent::SetupFailed(detail) => self.give_up(now, key, Reason::SetupFailed, detail),
            AttemptEvent::LaunchFailed(detail) => {
                if let Some(runtime) = self.running.get(key).and_then(|r| self.studies.get_mut(&r.study)) {
                    runtime.blocked = Some(detail.clone());
                    runtime.probe_at = Some(now.mono_ms + LAUNCH_REST_MS);
                }
                self.give_up(now, key, Reason::Preempted, format!("could not be started: {detail}"));
            }
            AttemptEvent::Vanished(detail) => {
                let reason = match self.running.get(key).and_then(|r| r.stop) {
                    Some((StopWhy::Cancelled, _)) => Reason::Cancelled,
                    _ => Reason::LostNode,
                };
                self.give_up(now, key, reason, detail);
            }
            AttemptEvent::Exited(report) => self.exited(now, key, report),
        }
    }

    fn give_up(&mut self, now: Now, key: &AttemptKey, reason: Reason, detail: String) {
        let outcome = if reason == Reason::Cancelled { Outcome::Cancelled } else { Outcome::Fail };
        let mut end = self.end(now, outcome, reason);
        end.detail = Some(detail);
        self.settle(now, key, end);
    }

    /// Frees what an attempt held that never started and of which nothing is to be recorded.
    pub(super) fn abandon(&mut self, now: Now, key: &AttemptKey) {
        self.slots.release(key);
        self.running.remove(key);
        self.dispatch(now);
    }

    /// Records an executed attempt's end and frees what it held.
    pub(super) fn settle(&mut self, now: Now, key: &AttemptKey, end: End) {
        self.slots.release(key);
        if let Some(running) = self.running.remove(key) {
            if let Some(runtime) = self.studies.get_mut(&running.study) {
                runtime.used_ms += running.slots * now.mono_ms.saturating_sub(running.since);
            }
            if let Some(place) = self.world.trial(&key.trial).map(|(_, t)| t.place.clone()) {
                let failed = end.outcome == Outcome::Fail && !end.reason.is_machines_fault();
                self.end_attempt(&running.study, &place, key, end);
                self.supersede(now, key);
                if failed {
                    self.doubt_myself(now, &running.study);
                }
            }
            self.effect(Effect::Finish(key.clone()));
        } else {
            self.let_go(key);
        }
        self.dispatch(now);
    }

    fn exited(&mut self, now: Now, key: &AttemptKey, report: ExitReport) {
        for call in &report.spooled {
            self.deliver(now, key, call);
        }
        let Some(stop) = self.running.get(key).map(|r| r.stop.map(|(why, _)| why).or(report.stopped)) else {
            // Over already, as far as is known: only its files are left.
            self.let_go(key);
            return;
        };
        self.write_held(key);
        let node = self.config.id.clone();
        let Some((study, trial)) = self.world.trial(&key.trial) else {
            self.running.remove(key);
            self.slots.release(key);
            self.effect(Effect::Finish(key.clone()));
            return;
        };
        let study_id = study.id.clone();
        let Some(view) = trial.attempt(key.attempt, &node) else { return };
        let metrics: Vec<String> = study.record.def.metrics().into_iter().map(str::to_owned).collect();
        let last_values: Values =
            metrics.iter().filter_map(|m| view.curve.last_of(m).map(|(_, v)| (m.clone(), v))).collect();
        let (rung, until) = (rung_of(study, view), until_of(view));
        let at_rung = rung.and_then(|step| view.curve.point(step));
        let (told, resume_at) = (view.told.as_deref().cloned(), checkpoint_step(view, &report));
        // A script that took no notice of `pause`, and was done with all its steps before it had to leave, is whole.
        let done = length_said(study).is_some_and(|length| view.last_step() >= length);
        let whole = done && rung.is_none() && report.exit_code == Some(0);
        let claimed = view.claim.as_ref().map_or(0, |c| c.at.ms);
        let seen: Vec<String> = view.curve.last().map(|(name, _)| name.to_owned()).collect();
        let mut end = self.end(now, Outcome::Fail, Reason::Exit);
        end.exit_code = report.exit_code;
        // What ended while the daemon was away ended then, not now; nothing was drawn in between that saw it or not.
        if report.ended_at > claimed && report.ended_at < self.booted_ms {
            (end.at.ms, end.at.n) = (report.ended_at, 0);
        }
        end.checkpoint_step = resume_at;
        end.checkpoint = report.checkpoint.clone().filter(|_| end.checkpoint_step > 0);
        let found = told.clone().filter(|t| t.outcome == Outcome::Complete).map(|t| t.values).or_else(|| match &report
            .result
        {
            Some(Ok(values)) => Some(values.clone()),
            _ => at_rung.map(|point| {
                point.values.iter().filter_map(|(name, value)| Some((name.to_owned(), (*value)?))).collect()
            }),
        });
        let stop = stop.filter(|why| *why != StopWhy::Paused || !whole);
        if let Some(why) = stop {
            // What was found in the meantime is a point of the curve; that it was stopped stands.
            if let Some(values) = found.filter(|_| matches!(why, StopWhy::Pruned | StopWhy::Paused)) {
                self.note_result(now, &study_id, key, &node, rung, values);
            }
            (end.outcome, end.reason) = match why {
                StopWhy::Pruned => (Outcome::Pruned, Reason::Pruned),
                StopWhy::Paused => (Outcome::Paused, Reason::Paused),
                StopWhy::Cancelled => (Outcome::Cancelled, Reason::Cancelled),
                StopWhy::Superseded => (Outcome::Fail, Reason::Superseded),
                StopWhy::Preempted => (Outcome::Fail, Reason::Preempted),
            };
            let killed = (report.signal == Some(9)).then(|| "it did not leave in time and was killed".to_owned());
            end.detail = both(self.about_freezing(&study_id, &key.trial, &end), killed);
            return self.settle(now, key, noted(end, &report));
        }
        if let Some(told) = told.filter(|t| t.outcome != Outcome::Complete) {
            (end.outcome, end.reason, end.detail) = (told.outcome, told.reason, told.detail);
            return self.settle(now, key, noted(end, &report));
        }
        let clean = report.exit_code == Some(0);
        let fallback = || (clean && metrics.iter().all(|m| last_values.contains_key(m))).then(|| last_values.clone());
        match found.or_else(fallback) {
            Some(values) if metrics.iter().all(|m| values.contains_key(m)) => {
                (end.outcome, end.values) = (Outcome::Complete, values);
            }
            Some(values) => {
                end.reason = Reason::MissingMetric;
                end.detail =
                    Some(missing(&metrics, values.names().map(ToString::to_string).chain(report.seen.clone())));
            }
            None if report.timed_out => {
                end.reason = Reason::Timeout;
                end.detail = Some("ran longer than `run.timeout_s` allows".into());
            }
            None if report.oom => {
                end.reason = Reason::Oom;
                end.detail = Some("the kernel ended it for want of memory".into());
            }
            None if clean => {
                end.reason = Reason::MissingMetric;
                let seen = missing(&metrics, seen.into_iter().chain(report.seen.clone()));
                end.detail = Some(match &report.result {
                    Some(Err(wrong)) => format!("{seen}; {wrong}"),
                    _ => seen,
                });
            }
            None => end.detail = Some(how_it_died(&report)),
        }
        if let Some(step) = rung.filter(|_| end.outcome == Outcome::Complete) {
            let values = std::mem::take(&mut end.values);
            self.note_result(now, &study_id, key, &node, Some(step), values);
            (end.outcome, end.reason) = (Outcome::Paused, Reason::Paused);
        } else if until.is_some() && end.outcome == Outcome::Complete {
            // At its rung a trial that went all the way is a rival still.
            self.note_result(now, &study_id, key, &node, until, end.values.clone());
        }
        self.settle(now, key, noted(end, &report));
    }

    /// A call that the script could not make while the daemon was away; one that doesn't fit any more is dropped.
    fn deliver(&mut self, now: Now, key: &AttemptKey, call: &Spooled) {
        let number = |v: &serde_json::Value| v.as_f64();
        let trial = key.trial.as_str().to_owned();
        let values = call.body.get("values").and_then(|v| v.as_object());
        match call.call.as_str() {
            "reports" => {
                let bodies: Vec<&serde_json::Value> =
                    call.body.as_array().map_or(vec![&call.body], |a| a.iter().collect());
                for body in bodies {
                    let Some(step) = body.get("step").and_then(serde_json::Value::as_u64) else { continue };
                    let Some(values) = body.get("values").and_then(|v| v.as_object()) else { continue };
                    let values = values.iter().map(|(k, v)| (k.clone(), number(v))).collect();
                    let report = Report { step, values, attempt: Some(key.attempt) };
                    // The script has ended: whatever the answer would have been, nobody waits for it.
                    let _ = self.report(now, &trial, vec![report]);
                }
            }
            "complete" => {
                let state = call.body.get("state").and_then(|s| s.as_str());
                let told = match state {
                    Some("fail") => Told::Fail,
                    Some("pruned") => Told::Pruned,
                    Some("infeasible") => Told::Infeasible,
                    _ => Told::Complete(
                        values.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), number(v)?))).collect(),
                    ),
                };
                let detail = call.body.get("detail").and_then(|d| d.as_str()).map(str::to_owned);
                let _ = self.complete(now, &trial, Completion { told, detail, attempt: Some(key.attempt) });
            }
            _ => {}
        }
    }
}

/// The step from which a later attempt may go on: that of the committed checkpoint.
fn checkpoint_step(view: &AttemptView, report: &ExitReport) -> u64 {
    let last = view.last_step();
    match report.checkpoint_step {
        _ if !report.has_checkpoint => 0,
        Some((step, true)) => step,
        None if report.checkpoint_at == 0 => last,
        noted => {
            let reported = || view.curve.points().filter(|point| point.at <= report.checkpoint_at);
            let step = noted.map_or_else(|| reported().map(|point| point.step).max().unwrap_or(0), |(step, _)| step);
            // Scripts that save before they report have saved the step after the last one reported.
            if last <= step.saturating_add(1) { last } else { step }
        }
    }
}

/// With what is to be known of how the attempt began.
fn noted(mut end: End, report: &ExitReport) -> End {
    end.detail = both(end.detail, report.note.clone());
    end
}

fn both(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(format!("{one}; {other}")),
        (one, other) => one.or(other),
    }
}

fn missing(metrics: &[String], seen: impl Iterator<Item = String>) -> String {
    let seen: std::collections::BTreeSet<String> = seen.collect();
    let wanted: Vec<String> = metrics.iter().filter(|m| !seen.contains(*m)).map(|m| format!("`{m}`")).collect();
    let wanted = if wanted.is_empty() { metrics.iter().map(|m| format!("`{m}`")).collect() } else { wanted };
    let seen: Vec<String> = seen.iter().map(|s| format!("`{s}`")).collect();
    let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join(", ") };
    format!("gave no finite value for {}; saw {seen}", wanted.join(", "))
}

fn how_it_died(report: &ExitReport) -> String {
    let how = match (report.exit_code, report.signal) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    };
    let tail = report.tail.trim();
    if tail.is_empty() { how } else { format!("{how}: {tail}") }
}
