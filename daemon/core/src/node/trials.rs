//! Trials by hand: enqueue, cancel, retry, pause, resume, annotate, import.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use metaopt_schema::{
    AttemptKey, StudyId, TrialId,
    facts::{Fact, TrialFact},
    space::Params,
    study::StudyState,
    trial::{Claim, End, Outcome, Place, Point, Proposer, Reason, TrialEdit, TrialSpec, TrialState, Values},
    view::TrialView,
};
use serde_json::Value;

use super::{MAX_METRICS, MAX_STEP, Node};
use crate::{
    Now, Refusal,
    commands::{Event, Imported, ImportedTrial, Report, Told, TrialAction},
    launch::StopWhy,
};

impl Node {
    /// Mints a trial's place and specification.
    pub(super) fn propose_spec(
        &mut self,
        now: Now,
        study: &StudyId,
        params: Params,
        by: Proposer,
        user_attrs: IndexMap<String, Value>,
        imported_as: Option<String>,
    ) -> Place {
        let counter = self.counter;
        self.counter += 1;
        self.counter_dirty = true;
        let seq = self.studies.get_mut(study).map_or(0, |r| {
            r.seq += 1;
            r.seq - 1
        });
        let place = Place { id: TrialId::mint(&self.config.id, counter), node: self.config.id.clone(), seq };
        let spec = TrialSpec {
            node_name: self.config.hardware.name.clone(),
            counter,
            at: self.clock.tick(now.wall_ms),
            params,
            by,
            user_attrs,
            imported_as,
        };
        self.write(Fact::Trial(study.clone(), place.clone(), TrialFact::Proposed(spec)));
        let event =
            Event { kind: "trial.created", study: Some(study.clone()), trial: Some(place.id.clone()), data: None };
        self.events.push(event);
        place
    }

    /// Adds a trial with given parameters; it is the next to run.
    ///
    /// # Errors
    /// Unknown study, one that is over, parameters that don't fit the space, or this node was removed.
    pub fn enqueue(
        &mut self,
        now: Now,
        study: &str,
        params: Params,
        user_attrs: IndexMap<String, Value>,
    ) -> Result<TrialId, Refusal> {
        self.refuse_if_removed()?;
        let view = self.study(study)?;
        if matches!(view.wanted, StudyState::Cancelled | StudyState::Archived) {
            return Err(Refusal::conflict(format!(
                "the study `{}` is {}",
                view.name,
                super::studies::word(view.wanted)
            )));
        }
        let id = view.id.clone();
        if !self.studies.contains_key(&id) {
            return Err(Refusal::conflict("this version can't run the study's sampler or rule; ask another node"));
        }
        let params = view.space.check_params(&params).map_err(|e| Refusal::invalid(under_params(e)))?;
        let place = self.propose_spec(now, &id, params, Proposer::Enqueued, user_attrs, None);
        Ok(place.id)
    }

    fn edit_trial(&mut self, study: &StudyId, place: &Place, edit: TrialEdit) {
        let lamport = self.next_lamport();
        let fact = TrialFact::Edited { lamport, by: self.config.id.clone(), edit };
        self.write(Fact::Trial(study.clone(), place.clone(), fact));
    }

    /// Notes or attributes.
    ///
    /// # Errors
    /// Unknown trial.
    pub fn patch_trial(
        &mut self,
        _now: Now,
        trial: &str,
        note: Option<String>,
        user_attrs: IndexMap<String, Value>,
    ) -> Result<TrialId, Refusal> {
        let (study, view) = self.trial(trial)?;
        let (study, place) = (study.id.clone(), view.place.clone());
        if let Some(note) = note {
            self.edit_trial(&study, &place, TrialEdit::Note(note));
        }
        for (key, value) in user_attrs {
            self.edit_trial(&study, &place, TrialEdit::UserAttr(key, value));
        }
        Ok(place.id)
    }

    /// Cancels, retries, pauses or resumes a trial.
    ///
    /// # Errors
    /// Unknown trial, or one whose state doesn't allow it.
    pub fn trial_action(&mut self, now: Now, trial: &str, action: TrialAction) -> Result<TrialId, Refusal> {
        let (study_view, view) = self.trial(trial)?;
        let (study, place, state) = (study_view.id.clone(), view.place.clone(), view.state);
        let after = view.attempts.last().map_or(0, |a| a.attempt);
        let (label, pausing) = (view.label(), view.pause_wanted());
        let study_over = matches!(study_view.wanted, StudyState::Cancelled | StudyState::Archived);
        let wrong = |what: &str| Err(Refusal::conflict(format!("trial {label} is {}: {what}", state.as_str())));
        match action {
            TrialAction::Cancel => match state {
                TrialState::Cancelled => {}
                s if s.is_terminal() => return wrong("there is nothing to cancel"),
                _ => self.cancel_place(now, &study, &place),
            },
            TrialAction::Retry => {
                if !state.is_terminal() || state == TrialState::Complete {
                    return wrong("only a failed, pruned, infeasible or cancelled trial can be retried");
                }
                if study_over {
                    return Err(Refusal::conflict(
                        "its study is over; fork the study, or resume it where it was archived",
                    ));
                }
                self.edit_trial(&study, &place, TrialEdit::Retry { after });
            }
            TrialAction::Pause => match state {
                TrialState::Paused | TrialState::Running if pausing => {}
                // A rule froze it, and would let it go on.
                TrialState::Paused => self.edit_trial(&study, &place, TrialEdit::Pause { after }),
                TrialState::Waiting | TrialState::Running => {
                    self.edit_trial(&study, &place, TrialEdit::Pause { after });
                    let key = AttemptKey { trial: place.id.clone(), attempt: after };
                    if self.running.contains_key(&key) {
                        self.stop_soon(&key, StopWhy::Paused, now);
                    }
                }
                _ => return wrong("there is nothing to pause"),
            },
            TrialAction::Resume => match state {
                TrialState::Paused => self.edit_trial(&study, &place, TrialEdit::Resume { after }),
                TrialState::Running | TrialState::Waiting => {
                    if pausing {
                        self.edit_trial(&study, &place, TrialEdit::Resume { after });
                    }
                }
                _ => return wrong("only a paused trial can be resumed; `retry` offers an ended one again"),
            },
        }
        Ok(place.id)
    }

    /// Ends a trial whatever it does: an asked one at once, a process by a signal.
    pub(super) fn cancel_place(&mut self, now: Now, study: &StudyId, place: &Place) {
        self.edit_trial(study, place, TrialEdit::Cancel);
        let running: Vec<AttemptKey> = self
            .world
            .trial(&place.id)
            .into_iter()
            .flat_map(|(_, t)| t.attempts.iter().filter(|a| a.is_open() && a.node == self.config.id))
            .map(|a| AttemptKey { trial: place.id.clone(), attempt: a.attempt })
            .collect();
        for key in running {
            if self.unsettle(&key) {
                let end = self.end(now, Outcome::Cancelled, Reason::Cancelled);
                self.settle(now, &key, end);
            } else if self.running.contains_key(&key) {
                self.stop_now(&key, StopWhy::Cancelled, now);
            } else {
                let end = self.end(now, Outcome::Cancelled, Reason::Cancelled);
                self.end_attempt(study, place, &key, end);
            }
        }
    }

    /// An end with everything optional left out.
    pub(super) fn end(&mut self, now: Now, outcome: Outcome, reason: Reason) -> End {
        End {
            outcome,
            reason,
            detail: None,
            exit_code: None,
            values: Values::new(),
            at: self.clock.tick(now.wall_ms),
            last_step: 0,
            checkpoint_step: 0,
            checkpoint: None,
        }
    }

    /// Records an attempt's end, with its last step, and drops its lease.
    pub(super) fn end_attempt(&mut self, study: &StudyId, place: &Place, key: &AttemptKey, mut end: End) {
        let node = self.config.id.clone();
        self.write_held(key);
        if let Some(view) = self.world.trial(&place.id).and_then(|(_, t)| t.attempt(key.attempt, &node)) {
            if view.end.is_some() {
                return;
            }
            end.last_step = view.last_step();
            if end.outcome == Outcome::Paused && view.is_asked() {
                end.checkpoint_step = end.last_step; // clients keep what they need themselves
            }
            if matches!(end.outcome, Outcome::Pruned | Outcome::Paused) && end.values.is_empty() {
                end.values = view.last_values();
            }
        }
        self.leases.remove(key);
        let fact = TrialFact::Ended { attempt: key.attempt, node, end };
        self.write(Fact::Trial(study.clone(), place.clone(), fact));
    }

    /// Adds finished trials from elsewhere; those imported before are skipped.
    ///
    /// # Errors
    /// Unknown study, or a line that doesn't fit (its index is in the pointer): then nothing is imported.
    pub fn import(&mut self, now: Now, study: &str, mut trials: Vec<ImportedTrial>) -> Result<Imported, Refusal> {
        let id = self.check_import(study, &mut trials)?;
        let mut done = Imported::default();
        for trial in trials {
            let identity = trial.id.clone().unwrap_or_else(|| content_hash(&trial));
            if self.world.study(&id).is_some_and(|s| s.knows(&identity)) {
                done.skipped += 1;
            } else {
                self.import_one(now, &id, trial);
                done.added += 1;
            }
        }
        Ok(done)
    }

    /// Whether trials could be imported; their parameters are brought into canonical form.
    ///
    /// # Errors
    /// As [`Node::import`].
    pub fn check_import(&self, study: &str, trials: &mut [ImportedTrial]) -> Result<StudyId, Refusal> {
        self.refuse_if_removed()?;
        let view = self.study(study)?;
        let id = view.id.clone();
        if !self.studies.contains_key(&id) {
            return Err(Refusal::conflict("this version can't run the study's sampler or rule; ask another node"));
        }
        let objectives: Vec<&str> = view.record.def.objectives.iter().map(|o| o.metric.as_str()).collect();
        let mut errors = Vec::new();
        for (i, trial) in trials.iter_mut().enumerate() {
            match view.space.check_params(&trial.params) {
                Ok(params) => trial.params = params,
                Err(found) => errors.extend(under_params(found).into_iter().map(|mut e| {
                    e.pointer = format!("/{i}{}", e.pointer);
                    e
                })),
            }
            let mut wrong = |field: &str, detail: String| {
                errors.push(metaopt_schema::FieldError { pointer: format!("/{i}/{field}"), detail });
            };
            let reported = trial.reports.iter().flat_map(|r| r.values.iter().map(|(m, _)| m));
            if reported.collect::<BTreeSet<&str>>().len() > MAX_METRICS {
                wrong("reports", format!("a trial may have at most {MAX_METRICS} different metrics"));
            }
            let mut steps: Vec<&Report> = trial.reports.iter().collect();
            steps.sort_by_key(|r| r.step);
            if let Some(twice) = steps.windows(2).find(|w| w[0].step == w[1].step && w[0].values != w[1].values) {
                wrong("reports", format!("step {} stands there twice, with different values", twice[0].step));
            }
            if steps.last().is_some_and(|r| r.step > MAX_STEP) {
                wrong("reports", format!("steps go up to {MAX_STEP}"));
            }
            if let Told::Complete(values) = &trial.told {
                if values.len() > MAX_METRICS {
                    wrong("values", format!("a trial may have at most {MAX_METRICS} different metrics"));
                }
                for metric in objectives.iter().filter(|m| !values.contains_key(m)) {
                    wrong(
                        &format!("values/{}", metaopt_schema::problem::token(metric)),
                        format!("a complete trial needs a value for the objective `{metric}`"),
                    );
                }
            }
        }
        if !errors.is_empty() {
            errors.truncate(20);
            return Err(Refusal::invalid(errors));
        }
        Ok(id)
    }

    pub(super) fn import_one(&mut self, now: Now, study: &StudyId, trial: ImportedTrial) {
        let identity = trial.id.clone().unwrap_or_else(|| content_hash(&trial));
        let place = self.propose_spec(now, study, trial.params, Proposer::Imported, trial.user_attrs, Some(identity));
        let node = self.config.id.clone();
        let key = AttemptKey { trial: place.id.clone(), attempt: 1 };
        let claim = Claim {
            id: self.mint_claim(),
            at: self.clock.tick(now.wall_ms),
            client_id: None,
            lease_s: None,
            slots: Vec::new(),
            resume_step: 0,
            rank: 0,
            asked: true,
            until: 0,
        };
        self.write(Fact::Trial(
            study.clone(),
            place.clone(),
            TrialFact::Claimed { attempt: 1, node: node.clone(), claim },
        ));
        let mut points: Vec<&Report> = trial.reports.iter().collect();
        points.sort_by_key(|r| r.step);
        points.dedup_by_key(|r| r.step);
        for report in points {
            let point = Point { step: report.step, values: report.values.clone(), at: now.wall_ms };
            self.write_or_hold(study, &key, &node, point);
        }
        let mut end = match &trial.told {
            Told::Complete(values) => End { values: values.clone(), ..self.end(now, Outcome::Complete, Reason::Exit) },
            Told::Fail => self.end(now, Outcome::Fail, Reason::Exit),
            Told::Pruned => self.end(now, Outcome::Pruned, Reason::Pruned),
            Told::Infeasible => self.end(now, Outcome::Infeasible, Reason::Exit),
        };
        end.detail = trial.detail;
        self.end_attempt(study, &place, &key, end);
    }
}

/// What a finished trial says about its configuration; none: nothing, as one that a person or a machine ended.
pub(super) fn told(trial: &TrialView) -> Option<Told> {
    let machines = || trial.end().is_some_and(|end| end.reason.is_machines_fault());
    match trial.state {
        TrialState::Complete => Some(Told::Complete(trial.values())),
        TrialState::Pruned => Some(Told::Pruned),
        TrialState::Fail if !machines() => Some(Told::Fail),
        TrialState::Infeasible => Some(Told::Infeasible),
        _ => None,
    }
}

/// A finished trial in the form in which it can be imported elsewhere.
pub(super) fn as_import(trial: &TrialView, curve: Vec<Point>) -> Option<ImportedTrial> {
    let told = told(trial)?;
    let point = |p: Point| Report { step: p.step, values: p.values, attempt: None };
    Some(ImportedTrial {
        params: trial.spec.params.params(),
        told,
        reports: curve.into_iter().map(point).collect(),
        detail: trial.end().and_then(|e| e.detail.clone()),
        user_attrs: trial.user_attrs().clone(),
        id: Some(trial.imported_as().unwrap_or(trial.place.id.as_str()).to_owned()),
    })
}

/// What an imported trial without an ID is known by.
fn content_hash(trial: &ImportedTrial) -> String {
    let text = format!("{:?}{:?}{:?}", trial.params, trial.told, trial.reports);
    format!("content:{}", super::base32(&blake3::hash(text.as_bytes()).as_bytes()[..15]))
}

fn under_params(errors: Vec<metaopt_schema::FieldError>) -> Vec<metaopt_schema::FieldError> {
    let below = |e: metaopt_schema::FieldError| {
        if e.pointer.starts_with("/params") {
            e
        } else {
            metaopt_schema::FieldError { pointer: format!("/params{}", e.pointer), ..e }
        }
    };
    errors.into_iter().map(below).collect()
}
