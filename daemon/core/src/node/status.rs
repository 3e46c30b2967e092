//! What people see of a study or node beyond its facts: shown state, why nothing runs, when it will end.

use std::collections::BTreeMap;

use metaopt_engine::importance::Sample;
use metaopt_schema::{
    AttemptKey, NodeId, StudyId,
    facts::SlotSpec,
    stamp::WallMs,
    study::StudyState,
    trial::TrialState,
    view::{NodeView, StudyView, TrialView},
};

use super::{
    Node,
    ask::timed_out,
    propose::{budget_left, params, record},
};
use crate::{Now, Refusal, commands::NodeAction, slots::Slot};

/// What a node says that was removed.
pub(super) const REMOVED: &str =
    "this node was removed from its cluster for ever: `metaopt leave` makes it a node of its own again";
/// A member not heard at all for so long after this node began to listen is shown as suspect (milliseconds).
const UNHEARD_MS: u64 = 5_000;

/// A node as people see it.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// Its identity.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// `alive`, `suspect`, `lost`, `draining`, `quarantined` or `removed`.
    pub state: &'static str,
    /// Where peers reach it.
    pub addresses: Vec<String>,
    /// Of its daemon.
    pub version: String,
    /// Its slots and who is on them.
    pub slots: Vec<Slot>,
    /// Labels.
    pub labels: indexmap::IndexMap<String, String>,
    /// When it was last heard of; none: not since this node started.
    pub last_seen: Option<WallMs>,
    /// Why it is in its state, where that isn't plain.
    pub why: Option<String>,
}

impl Node {
    /// A study's state as shown: what people asked for, or complete when its budget or space is used up and nothing is open.
    pub fn state_of(&self, study: &StudyView, now: Now) -> StudyState {
        if study.wanted != StudyState::Running && study.wanted != StudyState::Complete {
            return study.wanted;
        }
        if (study.open() > 0 || self.awaits_thaw(study))
            && !(timed_out(study, now) && study.count(TrialState::Running) == 0)
        {
            return StudyState::Running;
        }
        let used_up = budget_left(study) == Some(0) || timed_out(study, now) || study.wanted == StudyState::Complete;
        if used_up { StudyState::Complete } else { StudyState::Running }
    }

    /// Why nothing of a study is running, in words; none while something is, or when it is over.
    pub fn why_idle(&self, study: &StudyView, now: Now) -> Option<String> {
        if study.count(TrialState::Running) > 0 {
            return None;
        }
        match self.state_of(study, now) {
            StudyState::Running => {}
            StudyState::Paused => return Some("the study is paused".into()),
            _ => return None,
        }
        let Some(runtime) = self.studies.get(&study.id) else {
            return Some("this version can't run the study's sampler or rule".into());
        };
        let here = |text: String| Some(format!("{}: {text}", self.config.hardware.name));
        if let Some(why) = &self.held {
            return here(why.clone());
        }
        let Some(run) = &study.record.def.run else {
            return match self.refuse_if_removed() {
                Err(why) => here(why.detail),
                Ok(()) => Some("no client is asking for trials".into()),
            };
        };
        if let Some(why) = self.barred() {
            return here(why.into());
        }
        if let Some(why) = self.excluded(run) {
            return here(why);
        }
        if let Some(why) = &runtime.blocked {
            return here(why.clone());
        }
        let need = self.slots.need(run);
        if let Some(why) = self.slots.lacks(need) {
            return here(why);
        }
        if let Some(foreign) = self.slots.0.iter().find_map(|s| s.foreign.clone())
            && self.slots.allocate(need).is_none()
            && self.running.is_empty()
        {
            return here(foreign);
        }
        if self.slots.allocate(need).is_none() {
            return here("all slots are busy with other studies".into());
        }
        Some(self.awaits_checkpoints(study, now).unwrap_or_else(|| "about to start".into()))
    }

    /// Why a trial that waits or is frozen isn't running, in words; none for others. Of what other nodes could do this one
    /// knows little: what is so only here begins with its name.
    pub fn why_waits(&self, study: &StudyView, trial: &TrialView, now: Now) -> Option<String> {
        if !matches!(trial.state, TrialState::Waiting | TrialState::Paused) {
            return None;
        }
        let over = match self.state_of(study, now) {
            StudyState::Running => None,
            StudyState::Paused => Some("the study is paused"),
            StudyState::Complete => Some("the study is complete"),
            StudyState::Cancelled => Some("the study was cancelled"),
            StudyState::Archived => Some("the study is archived"),
        };
        if let Some(over) = over {
            return Some(over.into());
        }
        if self.misses_checkpoint(now, study, trial)
            && let Some((holder, _)) = trial.checkpoint()
        {
            return Some(format!("its checkpoint is on {}, which is away", self.name_of(holder)));
        }
        if trial.state == TrialState::Paused {
            return Some(match trial.pause_wanted() {
                true => "it was paused by hand: resume it to let it go on".into(),
                false => "frozen by the study's rule: it goes on when the rule wants it, or when it is resumed by hand"
                    .into(),
            });
        }
        let Some(run) = &study.record.def.run else {
            return Some("no client has asked for it yet".into());
        };
        let here = |text: String| Some(format!("{}: {text}", self.config.hardware.name));
        if let Some(why) = self.unable(study) {
            return here(why);
        }
        let running = study.count(TrialState::Running);
        if let Some(most) = study.budget.max_parallel.filter(|most| running >= *most) {
            return Some(format!("{running} of the study's trials run, and its budget allows {most} at once"));
        }
        let before = study.waiting().take_while(|other| other.key() < trial.key()).count();
        let queue = match before {
            0 => String::new(),
            1 => ", and one trial of its study is before it".into(),
            n => format!(", and {n} trials of its study are before it"),
        };
        match self.slots.allocate(self.slots.need(run)) {
            None => here(format!("no free slot{queue}")),
            Some(_) => Some(format!("about to start{queue}")),
        }
    }

    /// What keeps this node from all work, as people or it itself decided; none: nothing does.
    fn barred(&self) -> Option<&'static str> {
        let me = self.world.cluster.nodes.get(&self.config.id)?;
        match (me.removed, me.quarantined, me.draining) {
            (true, ..) => Some(REMOVED),
            (_, true, _) => Some("the node is quarantined: it fails what succeeds elsewhere"),
            (.., true) => Some("the node is draining"),
            _ => None,
        }
    }

    /// # Errors
    /// This node was removed: nobody would hear of what is asked of it.
    pub fn refuse_if_removed(&self) -> Result<(), Refusal> {
        if self.is_removed(&self.config.id) { Err(Refusal::conflict(REMOVED)) } else { Ok(()) }
    }

    /// Why this node can't run a study's trials, whatever else is busy; none: it can.
    pub fn unable(&self, study: &StudyView) -> Option<String> {
        let Some(runtime) = self.studies.get(&study.id) else {
            return Some("this version can't run the study's sampler or rule".into());
        };
        let Some(run) = &study.record.def.run else {
            return Some("clients run the study's trials".into());
        };
        let found = self.held.clone().or_else(|| self.barred().map(Into::into));
        let found = found.or_else(|| self.excluded(run)).or_else(|| runtime.blocked.clone());
        let found = found.or_else(|| self.slots.lacks(self.slots.need(run)));
        found.or_else(|| (!runtime.probed).then(|| "it has not been looked at yet".into()))
    }

    /// Seconds until a study will have used up its budget: what runs takes what its steps take, what is to come as long as what has
    /// ended; none when that can't be told. Frozen trials are left out: whether they go on nobody knows.
    pub fn eta_s(&self, study: &StudyView, now: Now) -> Option<f64> {
        if self.state_of(study, now) != StudyState::Running {
            return None;
        }
        let new = budget_left(study)? + study.count(TrialState::Waiting);
        let ended = study.trials().iter().rev().filter(|t| t.imported_as().is_none()).take(200);
        let took: Vec<f64> = ended
            .filter_map(|trial| Some(trial.finished_at()?.saturating_sub(trial.started_at()?) as f64 / 1000.0))
            .collect();
        let mean = (!took.is_empty()).then(|| took.iter().sum::<f64>() / took.len() as f64);
        let running: Option<Vec<f64>> = study.held().map(|trial| self.left_s(study, trial, mean, now)).collect();
        let running = running?;
        let parallel = running.len().max(1) as f64;
        Some((new as f64 * mean.or_else(|| (new == 0).then_some(0.0))? + running.iter().sum::<f64>()) / parallel)
    }

    /// Seconds that a running trial still takes.
    fn left_s(&self, study: &StudyView, trial: &TrialView, mean: Option<f64>, now: Now) -> Option<f64> {
        let ran = now.wall_ms.saturating_sub(trial.running()?.claim.as_ref()?.at.ms) as f64 / 1000.0;
        self.predicted(study, trial)
            .and_then(|predicted| predicted.remaining_s)
            .or_else(|| mean.map(|mean| (mean - ran).max(0.0)))
    }

    /// Brings what models see of a study up to date, so that [`Node::sample`] need not.
    ///
    /// # Errors
    /// Unknown study.
    pub fn digest_study(&mut self, study: &str) -> Result<StudyId, Refusal> {
        let id = self.study(study)?.id.clone();
        self.sync_history(&id);
        Ok(id)
    }

    /// A bounded copy of a study's results, for what is computed from them while nobody waits.
    ///
    /// # Errors
    /// Unknown study.
    pub fn sample(&self, study: &StudyId) -> Result<Sample, Refusal> {
        let study = self.study(study.as_str())?;
        if let Some(runtime) = self.studies.get(&study.id) {
            return Ok(Sample::of(&runtime.history));
        }
        // A sampler or rule of a later metaopt: nothing is kept up to date for it.
        let mut history = metaopt_engine::History::new(&study.space, study.record.def.objectives.len());
        for trial in study.trials() {
            history.upsert(record(study, trial), || params(study, trial));
        }
        Ok(Sample::of(&history))
    }

    /// All members.
    pub fn nodes(&self, now: Now) -> Vec<NodeStatus> {
        let mut busy = self.busy();
        let status = |view: &NodeView| {
            let me = view.id == self.config.id;
            let mut used = busy.remove(&view.id).unwrap_or_default();
            let slot = |spec: &SlotSpec| {
                let used = used.remove(&spec.id).unwrap_or_default();
                Slot { spec: spec.clone(), foreign: None, used }
            };
            NodeStatus {
                id: view.id.clone(),
                name: view.hardware.name.clone(),
                state: self.standing(now, view),
                addresses: view.hardware.addresses.clone(),
                version: view.hardware.version.clone(),
                slots: if me { self.slots.0.clone() } else { view.hardware.slots.iter().map(slot).collect() },
                labels: view.hardware.labels.clone(),
                last_seen: if me { Some(now.wall_ms) } else { self.last_seen(&view.id) },
                why: if me { self.remarks() } else { self.remarks_on(now, view) },
            }
        };
        self.world.cluster.nodes.values().filter(|n| !n.removed || n.id == self.config.id).map(status).collect()
    }

    fn standing(&self, now: Now, node: &NodeView) -> &'static str {
        let silence = self.silence(now, &node.id).unwrap_or(0);
        let unheard = node.id != self.config.id && self.last_seen(&node.id).is_none() && silence >= UNHEARD_MS;
        match (node.removed, node.lost, node.draining) {
            (true, ..) => "removed",
            (_, true, _) => "lost",
            _ if silence >= self.config.timing.orphan_ms => "lost",
            _ if unheard || silence >= self.config.timing.suspect_ms => "suspect",
            _ if node.quarantined => "quarantined",
            (_, _, true) => "draining",
            _ => "alive",
        }
    }

    /// Who is on which slot of which node, as the documents say.
    fn busy(&self) -> BTreeMap<NodeId, BTreeMap<String, Vec<(AttemptKey, f64)>>> {
        let mut busy: BTreeMap<NodeId, BTreeMap<String, Vec<(AttemptKey, f64)>>> = BTreeMap::new();
        for study in self.world.studies() {
            let share = study.record.def.run.as_ref().and_then(|r| r.gpus).filter(|g| *g > 0.0 && *g < 1.0);
            for trial in study.held() {
                for attempt in trial.attempts.iter().filter(|a| a.is_running()) {
                    let key = AttemptKey { trial: trial.place.id.clone(), attempt: attempt.attempt };
                    for slot in attempt.claim.iter().flat_map(|claim| &claim.slots) {
                        let slots = busy.entry(attempt.node.clone()).or_default();
                        slots.entry(slot.clone()).or_default().push((key.clone(), share.unwrap_or(1.0)));
                    }
                }
            }
        }
        busy
    }

    /// Drains, resumes, gives up or removes a node.
    ///
    /// # Errors
    /// Unknown node, an action that this node can't take on itself, or it was removed.
    pub fn node_action(&mut self, now: Now, node: &str, action: NodeAction) -> Result<NodeId, Refusal> {
        use metaopt_schema::facts::{ClusterFact, Fact, NodeEdit};
        self.refuse_if_removed()?;
        let found = self.world.cluster.nodes.values().find(|n| n.id.as_str() == node || n.hardware.name == node);
        let Some(id) = found.map(|n| n.id.clone()) else {
            return Err(Refusal::not_found(format!("there is no node `{node}`")));
        };
        let edit = match action {
            NodeAction::Drain => NodeEdit::Drain,
            NodeAction::Resume => NodeEdit::Resume,
            NodeAction::Lost | NodeAction::Remove if id == self.config.id => {
                return Err(Refusal::conflict(
                    "this is the node that answers you: it is neither lost nor removable by itself",
                ));
            }
            NodeAction::Lost => NodeEdit::Lost,
            NodeAction::Remove => NodeEdit::Removed,
        };
        let lamport = self.next_lamport();
        self.write(Fact::Cluster(ClusterFact::NodeEdit {
            node: id.clone(),
            lamport,
            by: self.config.id.clone(),
            edit,
        }));
        self.nodes_changed(now);
        self.dispatch(now);
        Ok(id)
    }
}
