//! What each thing on the disk belongs to, as the node sees it.
//!
//! Owns: the translation from studies and trials to [`Standing`]. Must not: look at the disk.

use std::collections::{BTreeMap, BTreeSet};

use metaopt_core::{Node, Now};
use metaopt_schema::{
    StudyId, TrialId,
    study::{StudyState, Workdir},
    trial::TrialState,
    view::StudyView,
};

use super::{
    inventory::{Found, Inventory, Of},
    plan::Standing,
};
use crate::{exec, pareto, snapshot};

/// What takes the node a while to tell, looked up once for a collection.
#[derive(Debug, Default)]
pub struct Known {
    best: BTreeSet<TrialId>,
    /// Digits of the checkpoints that trials would go on from.
    checkpoints: BTreeSet<String>,
    environments: BTreeSet<String>,
}

impl Known {
    /// The best trials of the studies that have something on the disk, and the environments that studies still run in.
    pub fn look(node: &Node, now: Now, inventory: &Inventory) -> Self {
        let trials = inventory.found.iter().filter_map(|found| match &found.of {
            Of::Trial(trial) => Some(trial),
            _ => None,
        });
        let studies: BTreeMap<&StudyId, &StudyView> =
            trials.filter_map(|trial| node.world().trial(trial)).map(|(study, _)| (&study.id, study)).collect();
        let mut environments = inventory.used.clone();
        for study in node.studies() {
            let goes_on = study.count(TrialState::Paused) > 0
                || matches!(node.state_of(study, now), StudyState::Running | StudyState::Paused);
            if let Some(run) = study.record.def.run.as_ref().filter(|_| goes_on) {
                environments.extend(exec::environment_key(run));
            }
        }
        let archives = inventory.found.iter().any(|found| matches!(found.of, Of::Checkpoint(_)));
        let trials = node.studies().filter(|_| archives).flat_map(|study| study.trials().iter());
        let open = trials.filter(|trial| !trial.state.is_terminal());
        let left = open.filter_map(|trial| trial.checkpoint()?.1.checkpoint.as_deref());
        let checkpoints = left.filter_map(|hash| Some(snapshot::digits(hash).ok()?.to_owned())).collect();
        Self { best: studies.into_values().flat_map(best).collect(), environments, checkpoints }
    }

    /// What a thing belongs to now.
    pub fn standing(&self, node: &Node, inventory: &Inventory, found: &Found) -> Standing {
        match &found.of {
            Of::Trial(trial) => self.of_trial(node, inventory, trial),
            Of::Snapshot(digits) if node.studies().any(|study| names(study, digits)) => Standing::Needed,
            Of::Checkpoint(digits) if self.checkpoints.contains(digits) => Standing::Needed,
            Of::Snapshot(_) | Of::Checkpoint(_) => Standing::Unknown,
            Of::Environment(key) if self.environments.contains(key) => Standing::Needed,
            Of::Environment(_) | Of::Nothing => Standing::Ended,
        }
    }

    /// The same for everything of a trial.
    pub fn of_trial(&self, node: &Node, inventory: &Inventory, trial: &TrialId) -> Standing {
        if inventory.alive.contains(trial) {
            return Standing::Needed;
        }
        match node.world().trial(trial) {
            Some((_, view)) if !view.state.is_terminal() => Standing::Needed,
            Some(_) if self.best.contains(trial) => Standing::Best,
            Some(_) => Standing::Ended,
            None => {
                let study = inventory.owners.get(trial).and_then(|study| node.world().study(study));
                if study.is_some_and(|study| study.deleted) { Standing::Deleted } else { Standing::Unknown }
            }
        }
    }
}

/// Whether a study's trials run from this snapshot. Also of one that is over: it may be given more trials, or be forked.
fn names(study: &StudyView, digits: &str) -> bool {
    let run = study.record.def.run.as_ref().filter(|run| run.workdir == Workdir::Snapshot);
    run.and_then(|run| run.snapshot.as_deref()).is_some_and(|hash| snapshot::digits(hash).ok() == Some(digits))
}

/// The best trial, or the Pareto front of several objectives.
fn best(study: &StudyView) -> Vec<TrialId> {
    if study.record.def.objectives.len() == 1 {
        return study.best().map(|trial| trial.place.id.clone()).into_iter().collect();
    }
    let done = study.trials().iter().filter(|t| t.state == TrialState::Complete && study.violation(t) <= 0.0);
    pareto::front(done.filter_map(|t| Some((t.place.id.clone(), study.costs(t)?))).collect())
}
