//! Studies as wholes: create, edit, pause, cancel, fork, delete.

use std::collections::{BTreeMap, BTreeSet};

use metaopt_engine::{History, check_study, hash64, rule_of, sampler};
use metaopt_schema::{
    FieldError, StudyId, TrialId,
    facts::{ClusterFact, Fact, StudyFact},
    space::Space,
    study::{StudyDef, StudyEdit, StudyRecord, StudyState},
    template,
    trial::{Proposer, TrialState},
    view::{StudyView, TrialView},
};

use super::{Node, Runtime, draws::Draws, propose::params, thaw::Frost};
use crate::{
    Now, Refusal, RefusalKind,
    commands::{Event, StudyAction, StudyPatch},
    launch::StopWhy,
};

impl Node {
    /// Creates a study; with `load_if_exists`, answers the one that has its name. The flag says whether it is new.
    ///
    /// # Errors
    /// A name that is taken, another space under the name, fields that don't fit, or this node was removed.
    pub fn create_study(
        &mut self,
        now: Now,
        mut def: StudyDef,
        load_if_exists: bool,
    ) -> Result<(StudyId, bool), Refusal> {
        if let Some(known) = self.world.study_named(&def.name).filter(|_| load_if_exists) {
            self.refuse_if_removed()?;
            check_def(&def)?;
            if known.space != def.space {
                return Err(Refusal::conflict(format!(
                    "the study `{}` exists with another space; choose another name",
                    def.name
                )));
            }
            return Ok((known.id.clone(), false));
        }
        self.check_new(&def)?;
        let id = StudyId::new(format!("s{}", self.mint()));
        def.sampler.seed.get_or_insert(seed_of(&id));
        self.define(now, id.clone(), def, None);
        Ok((id, true))
    }

    /// Creates a study that starts from the results of another, as far as they fit its space. What fits is copied by
    /// [`Node::copy_trials`].
    ///
    /// # Errors
    /// As [`Node::create_study`]; an unknown study, one without a parameter in common, or one that doesn't have all
    /// objectives, in the same direction.
    pub fn create_study_from(&mut self, now: Now, mut def: StudyDef, from: &str) -> Result<Started, Refusal> {
        let below_from = |refusal: Refusal| match refusal.kind {
            RefusalKind::NotFound => Refusal::field("/from", refusal.detail),
            _ => refusal,
        };
        let origin = self.study(from).map_err(below_from)?;
        let mut errors = Vec::new();
        for (i, objective) in def.objectives.iter().enumerate() {
            let detail = match origin.record.def.objectives.iter().find(|o| o.metric == objective.metric) {
                Some(known) if known.direction == objective.direction => continue,
                Some(_) => format!("`{}` goes the other way in the study `{}`", objective.metric, origin.name),
                None => format!("`{}` is no objective of the study `{}`", objective.metric, origin.name),
            };
            let detail = format!("{detail}, so that its results say nothing here");
            errors.push(FieldError { pointer: format!("/objectives/{i}"), detail });
        }
        let has = |space: &Space, name: &str| space.params.iter().any(|p| p.name == name);
        if !def.space.params.iter().any(|p| has(&origin.space, &p.name)) {
            let detail = format!("the study `{}` has no parameter in common with this one", origin.name);
            errors.push(FieldError { pointer: "/from".into(), detail });
        }
        if !errors.is_empty() {
            return Err(Refusal::invalid(errors));
        }
        let (origin, name) = (origin.id.clone(), origin.name.clone());
        self.check_new(&def)?;
        let id = StudyId::new(format!("s{}", self.mint()));
        def.sampler.seed.get_or_insert(seed_of(&id));
        let mut started = Started { study: id.clone(), origin: name, fitting: Vec::new(), left_out: BTreeMap::new() };
        if let Some(origin) = self.world.study(&origin) {
            for trial in origin.trials().iter().filter(|t| t.state.is_terminal()) {
                let fits = match super::trials::told(trial) {
                    Some(_) => def.space.adopt(&params(origin, trial)).map(drop),
                    None => Err("it says nothing about its configuration: cancelled, or its machine failed".to_owned()),
                };
                match fits {
                    Ok(()) => started.fitting.push(trial.place.id.clone()),
                    Err(why) => *started.left_out.entry(why).or_default() += 1,
                }
            }
        }
        self.define(now, id, def, Some(origin));
        Ok(started)
    }

    /// Whether a study of this definition may be created.
    fn check_new(&self, def: &StudyDef) -> Result<(), Refusal> {
        self.refuse_if_removed()?;
        check_def(def)?;
        match self.world.study_named(&def.name) {
            Some(_) => Err(Refusal::conflict(format!(
                "there is a study `{}` already; choose another name, or send \"load_if_exists\": true",
                def.name
            ))),
            None => Ok(()),
        }
    }

    fn define(&mut self, now: Now, id: StudyId, def: StudyDef, forked_from: Option<StudyId>) {
        let at = self.clock.tick(now.wall_ms);
        let node = self.config.id.clone();
        let record = StudyRecord { id: id.clone(), node: node.clone(), at: at.clone(), def, forked_from };
        self.write(Fact::Study(id.clone(), StudyFact::Defined(record)));
        self.write(Fact::Cluster(ClusterFact::Listed { study: id.clone(), node, at }));
        self.events.push(Event { kind: "study.created", study: Some(id.clone()), trial: None, data: None });
        self.open_study(&id);
        self.probe_if_due(&id, now);
    }

    /// Sets up what is kept beside a study's view.
    pub(super) fn open_study(&mut self, id: &StudyId) {
        let Some(study) = self.world.study(id) else { return };
        let def = &study.record.def;
        // A definition from a newer version may name what this one lacks: it is shown, and not proposed for.
        let chosen = sampler(&def.sampler).and_then(|s| Ok((s, rule_of(def)?)));
        let Ok((sampler, rule)) = chosen else { return };
        let mine = || study.trials().iter().filter(|t| t.place.node == self.config.id);
        let seq = mine().map(|t| t.place.seq.saturating_add(1)).max().unwrap_or(0);
        let draws = mine().filter_map(|t| {
            if let Proposer::Sampler { draw, .. } = &t.spec.by { Some(draw.saturating_add(1)) } else { None }
        });
        let runtime = Runtime {
            seq,
            draw: draws.max().unwrap_or(0),
            began: None,
            draws: Draws::default(),
            sampler,
            rule,
            history: History::new(&study.space, def.objectives.len()),
            dirty: study.trials().iter().map(|t| t.place.id.clone()).collect::<BTreeSet<_>>(),
            noted: Default::default(),
            exhausted: false,
            dry_since: None,
            blocked: None,
            probe_at: def.run.is_some().then_some(0),
            probed: false,
            used_ms: 0,
            frost: Frost::default(),
            forecasts: BTreeMap::new(),
        };
        self.studies.insert(id.clone(), runtime);
    }

    /// Edits a study.
    ///
    /// # Errors
    /// Unknown study, a name that is taken, a space that contradicts, a budget that doesn't fit.
    pub fn patch_study(&mut self, _now: Now, study: &str, patch: StudyPatch) -> Result<StudyId, Refusal> {
        let view = self.study(study)?;
        let id = view.id.clone();
        if let Some(space) = &patch.space {
            view.space.extend(space).map_err(Refusal::invalid)?;
        }
        if let Some(name) = &patch.name {
            if name.trim().is_empty() {
                return Err(Refusal::field("/name", "must not be empty"));
            }
            if self.world.study_named(name).is_some_and(|s| s.id != id) {
                return Err(Refusal::conflict(format!("there is a study `{name}` already; choose another name")));
            }
        }
        let mut edits = Vec::new();
        edits.extend(patch.name.map(StudyEdit::Name));
        edits.extend(patch.budget.map(StudyEdit::Budget));
        edits.extend(patch.note.map(StudyEdit::Note));
        edits.extend(patch.user_attrs.into_iter().map(|(key, value)| StudyEdit::UserAttr(key, value)));
        let widened = patch.space.is_some();
        edits.extend(patch.space.map(StudyEdit::Space));
        for edit in edits {
            self.edit_study(&id, edit);
        }
        if widened {
            self.reopen(&id);
        }
        Ok(id)
    }

    fn edit_study(&mut self, id: &StudyId, edit: StudyEdit) {
        let lamport = self.next_lamport();
        self.write(Fact::Study(id.clone(), StudyFact::Edited { lamport, by: self.config.id.clone(), edit }));
    }

    /// After the space grew: models are fitted anew, and an exhausted study goes on.
    fn reopen(&mut self, id: &StudyId) {
        self.renew_models(id);
        if self.world.study(id).is_some_and(|study| study.wanted == StudyState::Complete) {
            self.edit_study(id, StudyEdit::State(StudyState::Running));
        }
    }

    /// The space is another: models are fitted anew.
    pub(super) fn renew_models(&mut self, id: &StudyId) {
        let Some(study) = self.world.study(id) else { return };
        if let Some(runtime) = self.studies.get_mut(id) {
            runtime.history = History::new(&study.space, study.record.def.objectives.len());
            runtime.dirty = study.trials().iter().map(|t| t.place.id.clone()).collect();
            runtime.noted.clear();
            runtime.exhausted = false;
        }
    }

    /// Once a finite space has nothing left and nothing is open, the study is complete.
    pub(super) fn close_exhausted(&mut self, id: &StudyId) {
        let exhausted = self.studies.get(id).is_some_and(|r| r.exhausted);
        let done = |s: &StudyView| s.open() == 0 && s.wanted == StudyState::Running && !self.awaits_thaw(s);
        if exhausted && self.world.study(id).is_some_and(done) {
            self.edit_study(id, StudyEdit::State(StudyState::Complete));
        }
    }

    /// Pauses, resumes, cancels or archives a study.
    ///
    /// # Errors
    /// Unknown study; a cancelled one can't go on.
    pub fn study_action(&mut self, now: Now, study: &str, action: StudyAction) -> Result<StudyId, Refusal> {
        let view = self.study(study)?;
        let (id, name, wanted) = (view.id.clone(), view.name.clone(), view.wanted);
        let shown = self.state_of(view, now);
        let target = match action {
            StudyAction::Pause => StudyState::Paused,
            StudyAction::Resume => StudyState::Running,
            StudyAction::Cancel => StudyState::Cancelled,
            StudyAction::Archive => StudyState::Archived,
        };
        let over = matches!(shown, StudyState::Complete | StudyState::Cancelled);
        match action {
            StudyAction::Pause if over || wanted == StudyState::Archived => {
                return Err(Refusal::conflict(format!(
                    "the study `{name}` is {}: there is nothing to pause",
                    word(shown)
                )));
            }
            StudyAction::Resume if wanted == StudyState::Cancelled => {
                return Err(Refusal::conflict(format!(
                    "the study `{name}` was cancelled and can't go on; fork it instead"
                )));
            }
            StudyAction::Cancel if shown == StudyState::Complete => {
                return Err(Refusal::conflict(format!("the study `{name}` is complete: there is nothing to cancel")));
            }
            _ if wanted == target => return Ok(id), // said again: the same answer, nothing written
            _ => {}
        }
        if action == StudyAction::Archive && self.world.study(&id).is_some_and(|s| s.count(TrialState::Running) > 0) {
            return Err(Refusal::conflict(format!("the study `{name}` has running trials; pause or cancel it first")));
        }
        self.edit_study(&id, StudyEdit::State(target));
        if action == StudyAction::Cancel {
            self.cancel_trials(now, &id);
        }
        Ok(id)
    }

    /// Ends every open trial of a study.
    fn cancel_trials(&mut self, now: Now, id: &StudyId) {
        let open: Vec<_> = self
            .world
            .study(id)
            .into_iter()
            .flat_map(|s| s.trials().iter().filter(|t| !t.state.is_terminal()).map(|t| t.place.clone()))
            .collect();
        for place in open {
            self.cancel_place(now, id, &place);
        }
    }

    /// A new study with the definition of another, perhaps with more parameters. What it starts from is copied by
    /// [`Node::copy_trials`].
    ///
    /// # Errors
    /// Unknown study, a name that is taken, parameters that contradict, or this node was removed.
    pub fn fork_study(&mut self, now: Now, study: &str, name: String, add: Option<Space>) -> Result<Forked, Refusal> {
        self.refuse_if_removed()?;
        let view = self.study(study)?;
        let origin = view.id.clone();
        let mut def = view.record.def.clone();
        def.space = match &add {
            Some(add) => view.space.extend(add).map_err(Refusal::invalid)?,
            None => view.space.clone(),
        };
        def.budget = view.budget.clone();
        def.note = view.note.clone();
        def.user_attrs = view.user_attrs.clone();
        def.name = name;
        check_def(&def)?;
        if def.name.trim().is_empty() {
            return Err(Refusal::field("/name", "must not be empty"));
        }
        if self.world.study_named(&def.name).is_some() {
            return Err(Refusal::conflict(format!("there is a study `{}` already; choose another name", def.name)));
        }
        let finished = view.trials().iter().filter(|t| t.state.is_terminal()).map(|t| t.place.id.clone()).collect();
        let id = StudyId::new(format!("s{}", self.mint()));
        self.define(now, id.clone(), def, Some(origin));
        Ok(Forked { study: id, finished })
    }

    /// Copies finished trials with their curves into a fork, or a study that starts from another: as many of them at a time
    /// as others can wait for.
    ///
    /// # Errors
    /// A curve can't be read now, or one of the two studies is gone.
    pub fn copy_trials(&mut self, now: Now, fork: &StudyId, trials: &[TrialId]) -> Result<(), Refusal> {
        let origin = self.study(fork.as_str())?.record.forked_from.clone();
        let origin = self.study(origin.as_ref().map_or("", StudyId::as_str))?;
        let there: Vec<&TrialView> = trials.iter().filter_map(|id| origin.trial(id)).collect();
        let curves = self.curves(origin, there.iter().copied())?;
        let import = |(t, curve): (&&TrialView, _)| {
            let mut trial = super::trials::as_import(t, curve)?;
            trial.params = params(origin, t);
            Some(trial)
        };
        let finished: Vec<_> = there.iter().zip(curves).filter_map(import).collect();
        for mut trial in finished {
            // A trial that the grown space doesn't admit (its edit was refused meanwhile, say) is left behind.
            let Some(space) = self.world.study(fork).map(|s| &s.space) else { continue };
            if let Ok(params) = space.adopt(&trial.params) {
                trial.params = params;
                self.import_one(now, fork, trial);
            }
        }
        Ok(())
    }

    /// Deletes a study for ever; its running trials are stopped.
    ///
    /// # Errors
    /// Unknown study.
    pub fn delete_study(&mut self, now: Now, study: &str) -> Result<StudyId, Refusal> {
        let view = self.study(study)?;
        let id = view.id.clone();
        self.edit_study(&id, StudyEdit::Deleted);
        self.drop_study(now, &id);
        Ok(id)
    }

    /// Ends and forgets what was going on in a study that is deleted now.
    pub(super) fn drop_study(&mut self, now: Now, id: &StudyId) {
        let keys: Vec<_> = self.running.iter().filter(|(_, r)| r.study == *id).map(|(k, _)| k.clone()).collect();
        for key in keys {
            match self.unsettle(&key) {
                true => self.abandon(now, &key),
                false => self.stop_now(&key, StopWhy::Cancelled, now),
            }
        }
        self.leases.retain(|_, lease| lease.study != *id);
        self.points.retain(|(study, _, _), _| study != id);
        self.thinned.retain(|_, held| held.study != *id);
        let lives = |f: &Fact| !matches!(f, Fact::Trial(s, ..) | Fact::Metric(s, _) if s == id);
        self.pending.retain(lives);
        self.unwritten.retain(lives);
        self.studies.remove(id);
        self.forget_deleted();
        self.events.push(Event { kind: "study.deleted", study: Some(id.clone()), trial: None, data: None });
    }
}

/// A study that was forked, and the trials of its origin that belong into it.
#[derive(Clone, Debug)]
pub struct Forked {
    /// The new one.
    pub study: StudyId,
    /// Oldest first.
    pub finished: Vec<TrialId>,
}

/// A study that starts from another, and what of that it can use.
#[derive(Clone, Debug)]
pub struct Started {
    /// The new one.
    pub study: StudyId,
    /// The other's name.
    pub origin: String,
    /// Trials of the other that fit, oldest first.
    pub fitting: Vec<TrialId>,
    /// How many didn't, by why.
    pub left_out: BTreeMap<String, u64>,
}

/// Of a study that names none: 53 bits, so that JSON readers keep it whole.
fn seed_of(id: &StudyId) -> u64 {
    hash64(id.as_str()) >> 11
}

/// Everything about a definition that isn't its shape.
fn check_def(def: &StudyDef) -> Result<(), Refusal> {
    let mut errors: Vec<FieldError> = check_study(def).err().unwrap_or_default();
    if let Some(run) = &def.run {
        let names: Vec<&str> = def.space.params.iter().map(|p| p.name.as_str()).collect();
        errors.extend(template::check(&run.command, &names).err().unwrap_or_default());
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(errors)) }
}

pub(super) fn word(state: StudyState) -> &'static str {
    match state {
        StudyState::Running => "running",
        StudyState::Paused => "paused",
        StudyState::Complete => "complete",
        StudyState::Cancelled => "cancelled",
        StudyState::Archived => "archived",
    }
}
