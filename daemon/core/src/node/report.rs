//! What comes back from attempts: curve points and results, from clients and from scripts.

use std::collections::{BTreeMap, BTreeSet};

use metaopt_engine::{Newcomer, RecordState, Reported, Verdict, hash64};
use metaopt_schema::{
    AttemptKey, AttemptNo, FieldError, Named, NodeId, TrialId,
    facts::{Fact, TrialFact},
    problem::token,
    study::StudyState,
    trial::{End, Outcome, Point, Reason, Values},
    view::{AttemptView, StudyView},
};

use super::{
    Node,
    fidelity::{rung_of, until_of},
    foresee::step_of,
    thaw::has_new,
};
use crate::{
    Now, Refusal,
    commands::{Action, Completion, Event, Report, Told},
    launch::StopWhy,
};

/// Different metrics of one attempt; more is a script that names metrics by what it measures.
pub const MAX_METRICS: usize = 1_000;
/// The largest step: whole numbers up to it are the same in every language.
pub const MAX_STEP: u64 = 1 << 53;

impl Node {
    /// The other node to which calls about an attempt are to go: the one that holds it. None: this one answers.
    pub fn holder(&self, trial: &str, attempt: Option<AttemptNo>) -> Option<NodeId> {
        let (_, view) = self.attempt_key(trial, attempt).ok()?;
        (view.node != self.config.id && view.is_open()).then(|| view.node.clone())
    }

    /// Finds the attempt meant: the one named, else the running one, else the latest.
    pub(super) fn attempt_key(
        &self,
        trial: &str,
        attempt: Option<AttemptNo>,
    ) -> Result<(AttemptKey, &AttemptView), Refusal> {
        let (_, view) = self.trial(trial)?;
        let found = match attempt {
            Some(n) => view
                .attempts
                .iter()
                .find(|a| a.attempt == n && a.node == self.config.id)
                .or_else(|| view.attempts.iter().find(|a| a.attempt == n)),
            None => view.running().or_else(|| view.latest()),
        };
        match found {
            Some(found) => Ok((AttemptKey { trial: view.place.id.clone(), attempt: found.attempt }, found)),
            None => match attempt {
                Some(n) => Err(Refusal::field("/attempt", format!("trial {} has no attempt {n}", view.label()))),
                None => Err(Refusal::conflict(format!(
                    "trial {} is {}: nobody holds it",
                    view.label(),
                    view.state.as_str()
                ))),
            },
        }
    }

    /// What an attempt should do, apart from the rule's verdict.
    pub(super) fn standing_action(&self, key: &AttemptKey) -> Action {
        let Some((study, trial)) = self.world.trial(&key.trial) else { return Action::Stop };
        let mine = |a: &&AttemptView| a.attempt == key.attempt && a.node == self.config.id;
        let any = |a: &&AttemptView| a.attempt == key.attempt;
        let found = trial.attempts.iter().find(mine).or_else(|| trial.attempts.iter().find(any));
        let Some(view) = found else { return Action::Stop };
        if let Some(end) = &view.end {
            // A client that was taken for dead goes on, as long as nobody took its place.
            let forgiven = end.reason == Reason::LostClient
                && trial.next_attempt() == key.attempt + 1
                && !trial.state.is_terminal();
            return match end.outcome {
                Outcome::Paused => Action::Pause,
                _ if forgiven => Action::Continue,
                _ => Action::Stop,
            };
        }
        if let Some((why, _)) = self.running.get(key).and_then(|r| r.stop) {
            return if why == StopWhy::Paused { Action::Pause } else { Action::Stop };
        }
        if trial.cancel_wanted() || study.wanted == StudyState::Cancelled {
            return Action::Stop;
        }
        if trial.pause_wanted() {
            return Action::Pause;
        }
        Action::Continue
    }

    /// Takes points of a training curve, renews the lease, and answers what to do.
    ///
    /// # Errors
    /// Unknown trial or attempt, a step that is known with other values, fields that don't fit; then nothing is stored.
    pub fn report(&mut self, now: Now, trial: &str, reports: Vec<Report>) -> Result<Action, Refusal> {
        let mut errors = Vec::new();
        for (i, report) in reports.iter().enumerate() {
            let at = |field: &str| if reports.len() == 1 { format!("/{field}") } else { format!("/{i}/{field}") };
            if report.step == 0 {
                errors.push(FieldError {
                    pointer: at("step"),
                    detail: "steps are completed units of work, from 1 up".into(),
                });
            }
            if report.step > MAX_STEP {
                errors.push(FieldError { pointer: at("step"), detail: format!("steps go up to {MAX_STEP}") });
            }
            if report.values.is_empty() {
                errors.push(FieldError {
                    pointer: at("values"),
                    detail: "needs at least one metric, such as {\"loss\": 0.4}".into(),
                });
            }
        }
        if !errors.is_empty() {
            return Err(Refusal::invalid(errors));
        }
        self.warm(trial)?;
        let mut fresh: Vec<(AttemptKey, Point)> = Vec::new();
        let mut latest: Option<AttemptKey> = None;
        let several = reports.len() > 1;
        // Metrics that come with this call, by attempt.
        let mut news: BTreeMap<AttemptKey, BTreeSet<String>> = BTreeMap::new();
        if reports.is_empty() {
            return Err(Refusal::field("", "needs at least one report"));
        }
        for (i, report) in reports.into_iter().enumerate() {
            let (key, view) = self.attempt_key(trial, report.attempt)?;
            let known = view.curve.point(report.step).map(|p| p.values);
            let known =
                known.or_else(|| self.held_back(&key).find(|p| p.step == report.step).map(|p| p.values.clone()));
            let twin = fresh.iter().find(|(k, p)| p.step == report.step && *k == key).map(|(_, p)| p.values.clone());
            match known.or(twin) {
                Some(values) if values == report.values => {}
                Some(_) => {
                    return Err(Refusal::conflict(format!(
                        "step {} was reported with other values already",
                        report.step
                    )));
                }
                None => {
                    let new = news.entry(key.clone()).or_default();
                    new.extend(
                        report.values.iter().map(|(m, _)| m).filter(|m| !view.curve.has(m)).map(|m| m.to_string()),
                    );
                    if view.curve.metrics() + new.len() > MAX_METRICS {
                        return Err(Refusal::field(
                            if several { format!("/{i}/values") } else { "/values".into() },
                            format!("a trial may have at most {MAX_METRICS} different metrics"),
                        ));
                    }
                    fresh.push((key.clone(), Point { step: report.step, values: report.values, at: now.wall_ms }));
                }
            }
            latest = Some(latest.map_or(key.clone(), |k| k.max(key)));
        }
        let Some(latest) = latest else { return Ok(Action::Continue) };
        let Some((study, view)) = self.world.trial(&latest.trial) else { return Ok(Action::Stop) };
        let (study_id, place) = (study.id.clone(), view.place.clone());
        let holder = self.config.id.clone();
        if view.attempt(latest.attempt, &holder).is_none() {
            return Err(Refusal::conflict(format!(
                "attempt {} of trial {} is held by another node: report there",
                latest.attempt,
                view.label()
            )));
        }
        let step = fresh.iter().filter(|(k, _)| *k == latest).map(|(_, p)| p.step).max();
        for (key, point) in fresh {
            self.note_point(&study_id, &key, &holder, point);
        }
        self.renew(now, &latest);
        let standing = self.standing_action(&latest);
        let asked = self.leases.contains_key(&latest);
        match standing {
            Action::Continue => {}
            Action::Pause if asked => {
                let end = self.end(now, Outcome::Paused, Reason::Paused);
                self.end_attempt(&study_id, &place, &latest, end);
                return Ok(Action::Pause);
            }
            other => return Ok(other),
        }
        let Some(step) = step else { return Ok(Action::Continue) };
        let verdict = self.verdict(now, &study_id, &latest, step);
        let (action, outcome, reason, why) = match verdict {
            Verdict::Continue => return Ok(Action::Continue),
            Verdict::Stop => (Action::Stop, Outcome::Pruned, Reason::Pruned, StopWhy::Pruned),
            Verdict::Pause => (Action::Pause, Outcome::Paused, Reason::Paused, StopWhy::Paused),
        };
        if asked {
            // Nobody can stop a client's process: the answer itself is the transition.
            let end = self.end(now, outcome, reason);
            self.end_attempt(&study_id, &place, &latest, end);
        } else if self.running.contains_key(&latest) {
            self.stop_soon(&latest, why, now);
        }
        Ok(action)
    }

    fn note_point(
        &mut self,
        study: &metaopt_schema::StudyId,
        key: &AttemptKey,
        holder: &metaopt_schema::NodeId,
        point: Point,
    ) {
        let data = serde_json::json!({"step": point.step, "values": point.values, "attempt": key.attempt});
        self.write_or_hold(study, key, holder, point.clone());
        if let (Some(runtime), Some(view)) = (self.studies.get_mut(study), self.world.study(study))
            && let Some(objective) = view.record.def.objectives.first()
            && let Some(value) = point.values.get(&objective.metric)
        {
            // Of a script that diverged: no number is as bad as it gets.
            let cost = value.map_or(f64::NAN, |value| objective.direction.cost(value));
            let trial = hash64(key.trial.as_str());
            match runtime.history.get(trial).map(|record| record.state) {
                Some(RecordState::Pending) => {
                    runtime.history.report(trial, point.step, cost);
                    let attempt = self.world.trial(&key.trial).and_then(|(_, t)| t.attempt(key.attempt, holder));
                    if let Some(step_s) = attempt.and_then(step_of) {
                        runtime.history.pace(trial, step_s);
                    }
                }
                // Of what was stopped models see what was there when it ended.
                _ => {
                    runtime.dirty.insert(key.trial.clone());
                }
            }
        }
        let event = Event {
            kind: "trial.report",
            study: Some(study.clone()),
            trial: Some(key.trial.clone()),
            data: Some(data),
        };
        self.events.push(event);
    }

    fn verdict(&mut self, now: Now, study: &metaopt_schema::StudyId, key: &AttemptKey, step: u64) -> Verdict {
        self.sync_history(study);
        let Some((_, trial)) = self.world.trial(&key.trial) else { return Verdict::Continue };
        if !trial.attempts.iter().any(|a| a.attempt == key.attempt && a.is_running()) {
            return Verdict::Continue;
        }
        let resumed = trial.is_resumed(key.attempt);
        let start = self.start_in_steps(study);
        let Some((view, runtime)) = self.world.study(study).zip(self.studies.get(study)) else {
            return Verdict::Continue;
        };
        let freezes = runtime.frost.freezes(view);
        let new = if has_new(view, runtime) { Newcomer::Unknown } else { Newcomer::None };
        let mut reported = Reported { key: hash64(key.trial.as_str()), step, freezes, new, start };
        let verdict = runtime.rule.decide(&runtime.history, &reported);
        let last = runtime.history.get(reported.key).and_then(|own| own.curve.last()).map(|(_, cost)| *cost);
        match verdict {
            // A trial that diverged would be there again as often as it went on.
            Verdict::Pause if last.is_some_and(f64::is_nan) => Verdict::Stop,
            // A person wants it to go on.
            Verdict::Pause if resumed => Verdict::Continue,
            // Frozen for a newcomer that turns out to be worth less, it would be thawed at once.
            Verdict::Pause if new == Newcomer::Unknown && runtime.rule.weighs_newcomers() => {
                let drawn = self.draft(now, study);
                reported.new = drawn.as_ref().map_or(Newcomer::None, |draft| Newcomer::Known(draft.params()));
                let Some(runtime) = self.studies.get(study) else { return verdict };
                runtime.rule.decide(&runtime.history, &reported)
            }
            verdict => verdict,
        }
    }

    /// Takes an attempt's result.
    ///
    /// # Errors
    /// Unknown trial or attempt, a missing objective, or another result for an attempt that has one.
    pub fn complete(&mut self, now: Now, trial: &str, completion: Completion) -> Result<TrialId, Refusal> {
        self.warm(trial)?;
        let (key, view) = self.attempt_key(trial, completion.attempt)?;
        let (known_end, told, holder) = (view.end.clone(), view.told.as_deref().cloned(), view.node.clone());
        let (last_step, last_values) = (view.last_step(), view.last_values());
        let Some((study, trial_view)) = self.world.trial(&key.trial) else {
            return Err(Refusal::not_found(format!("there is no trial `{trial}`")));
        };
        let (study_id, place) = (study.id.clone(), trial_view.place.clone());
        let (rung, until) = (rung_of(study, view), until_of(view));
        let values = match &completion.told {
            Told::Complete(values) => {
                let mut values = values.clone();
                for constraint in &study.record.def.constraints {
                    if let Some(value) = last_values.get(&constraint.metric)
                        && !values.contains_key(&constraint.metric)
                    {
                        values.insert(constraint.metric.as_str(), *value);
                    }
                }
                check_values(study, &values)?;
                values
            }
            Told::Pruned => last_values,
            _ => Values::new(),
        };
        let (outcome, reason) = match completion.told {
            Told::Complete(_) => (Outcome::Complete, Reason::Exit),
            Told::Fail => (Outcome::Fail, Reason::Exit),
            Told::Pruned => (Outcome::Pruned, Reason::Pruned),
            Told::Infeasible => (Outcome::Infeasible, Reason::Exit),
        };
        let same = |end: &End| end.outcome == outcome && (outcome != Outcome::Complete || end.values == values);
        let new =
            End { detail: completion.detail, values: values.clone(), last_step, ..self.end(now, outcome, reason) };
        if let Some(told) = &told {
            return if same(told) { Ok(key.trial) } else { Err(another_result(&key)) };
        }
        let write_told = |node: &mut Self, end| {
            let fact = TrialFact::Told { attempt: key.attempt, node: holder.clone(), end };
            node.write(Fact::Trial(study_id.clone(), place.clone(), fact));
        };
        match known_end {
            Some(end) if same(&end) => {}
            // Given up or overtaken: kept, and counted if no earlier attempt is.
            Some(end) if end.reason.is_machines_fault() || end.reason == Reason::Superseded => {
                write_told(self, new);
                self.supersede(now, &key);
            }
            // Stopped: that stands, but what it found is one more point of its curve.
            Some(end) if matches!(end.outcome, Outcome::Pruned | Outcome::Paused | Outcome::Cancelled) => {
                if outcome == Outcome::Complete && holder == self.config.id {
                    self.note_result(now, &study_id, &key, &holder, rung, values);
                } else if outcome == Outcome::Complete {
                    write_told(self, new); // only its holder writes its curve
                }
            }
            Some(_) => return Err(another_result(&key)),
            // Short of the whole: a point of the curve, from which the rule says who goes on.
            None if rung.is_some() && outcome == Outcome::Complete => {
                self.note_result(now, &study_id, &key, &holder, rung, values);
                if self.leases.contains_key(&key) {
                    let end = self.end(now, Outcome::Paused, Reason::Paused);
                    self.end_attempt(&study_id, &place, &key, end);
                }
            }
            None if self.leases.contains_key(&key) => {
                // At its rung a trial that went all the way is a rival still.
                if until.is_some() && outcome == Outcome::Complete {
                    self.note_result(now, &study_id, &key, &holder, until, values);
                }
                self.end_attempt(&study_id, &place, &key, new);
                self.supersede(now, &key);
            }
            // A process that metaopt runs: durable now, recorded as its end when it exits.
            None => write_told(self, new),
        }
        Ok(key.trial)
    }

    /// A result that doesn't end its trial, as a point of the curve: at `step`, or after the last one.
    pub(super) fn note_result(
        &mut self,
        now: Now,
        study: &metaopt_schema::StudyId,
        key: &AttemptKey,
        holder: &metaopt_schema::NodeId,
        step: Option<u64>,
        values: Values,
    ) {
        self.write_held(key);
        let Some(view) = self.world.trial(&key.trial).and_then(|(_, t)| t.attempt(key.attempt, holder)) else { return };
        let last = view.last_step();
        let values: Named<_> = values.into_iter().map(|(k, v)| (k, Some(v))).collect();
        let known = step.map_or_else(
            || view.curve.point(last).is_some_and(|p| p.values == values),
            |step| view.curve.point(step).is_some(),
        );
        if !known {
            let step = step.unwrap_or(last + 1);
            self.note_point(study, key, holder, Point { step, values, at: now.wall_ms });
        }
    }

    /// Ends other running attempts of a trial that has its counted result.
    pub(super) fn supersede(&mut self, now: Now, key: &AttemptKey) {
        let Some((study, trial)) = self.world.trial(&key.trial) else { return };
        if trial.counted.is_none() {
            return;
        }
        let (study, place) = (study.id.clone(), trial.place.clone());
        let others: Vec<AttemptKey> = trial
            .attempts
            .iter()
            .filter(|a| a.is_open() && a.attempt != key.attempt && a.node == self.config.id)
            .map(|a| AttemptKey { trial: key.trial.clone(), attempt: a.attempt })
            .collect();
        for other in others {
            if self.unsettle(&other) {
                let end = self.end(now, Outcome::Fail, Reason::Superseded);
                self.settle(now, &other, end);
            } else if self.running.contains_key(&other) {
                self.stop_now(&other, StopWhy::Superseded, now);
            } else {
                let end = self.end(now, Outcome::Fail, Reason::Superseded);
                self.end_attempt(&study, &place, &other, end);
            }
        }
    }
}

fn another_result(key: &AttemptKey) -> Refusal {
    Refusal::conflict(format!(
        "attempt {} ended with another result already; results are never overwritten",
        key.attempt
    ))
}

/// All objectives must be there, and what constraints bound: without it nobody would know whether they hold.
fn check_values(study: &StudyView, values: &Values) -> Result<(), Refusal> {
    let def = &study.record.def;
    let missing = |(i, metric): (usize, &str)| FieldError {
        pointer: format!("/values/{}", token(metric)),
        detail: match i < def.objectives.len() {
            true => format!("missing: the study's objective is `{metric}`; got {}", names(values)),
            false => format!("missing: the study has a constraint on `{metric}`; got {}", names(values)),
        },
    };
    let metrics = def.metrics().into_iter().enumerate();
    let missing: Vec<FieldError> = metrics.filter(|(_, metric)| !values.contains_key(metric)).map(missing).collect();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::invalid(missing)) }
}

fn names(values: &Values) -> String {
    if values.is_empty() {
        return "no values".into();
    }
    values.names().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
}
