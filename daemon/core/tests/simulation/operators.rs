//! People at any node, who pause, cancel, retry, enqueue, drain and give up what they like.

use metaopt_core::commands::{NodeAction, StudyAction, TrialAction};
use metaopt_schema::TrialId;

use crate::world::{Call, Event, Who, World};

/// Does one thing, and comes again.
pub fn act(world: &mut World) {
    if world.healed {
        return;
    }
    let next = world.random.range(800, 4_000);
    world.at(next, Event::Operator);
    let boxes = world.boxes.len();
    let at = world.random.below(boxes as u64) as usize;
    let Some(study) = world.random.pick(&world.studies.clone()).map(|(name, _)| name.clone()) else { return };
    let Some(node) = world.boxes[at].node.as_ref() else { return };
    let trials: Vec<TrialId> =
        node.study(&study).map(|s| s.trials().iter().map(|t| t.place.id.clone()).collect()).unwrap_or_default();
    let trial = world.random.pick(&trials).cloned();
    let other = world.random.below(boxes as u64) as usize;
    let id = world.boxes[other].id.clone();
    let call = match (world.random.below(16), trial) {
        (0, _) => Call::Study(study, StudyAction::Pause),
        (1 | 2, _) => Call::Study(study, StudyAction::Resume),
        (3..=5, Some(trial)) => Call::Trial(trial, TrialAction::Cancel),
        (6 | 7, Some(trial)) => Call::Trial(trial, TrialAction::Retry),
        (8, Some(trial)) => Call::Trial(trial, TrialAction::Pause),
        (9, Some(trial)) => Call::Trial(trial, TrialAction::Resume),
        (10, _) => Call::Node(id, NodeAction::Drain),
        (11 | 12, _) => Call::Node(id, NodeAction::Resume),
        (13, _) if other != at && world.scenario.gives_up_nodes => {
            world.ledger.condemned.insert(other, world.now);
            Call::Node(id, NodeAction::Lost)
        }
        (14, _) if world.scenario.removes && other != at && boxes > 3 && !world.boxes.iter().any(|b| b.gone) => {
            world.boxes[other].gone = true;
            world.ledger.condemned.insert(other, u64::MAX / 2);
            world.fire("removal");
            Call::Node(id, NodeAction::Remove)
        }
        _ => {
            let x = world.random.below(1_000) as f64 / 1_000.0;
            if world.studies.iter().any(|(name, def)| *name == study && def.space.params.len() > 1) {
                return;
            }
            Call::Enqueue(study, x)
        }
    };
    world.fire("operator");
    world.at(0, Event::Call { at, call, who: Who::Nobody });
}

/// Undoes what keeps work from ending.
pub fn undo(world: &mut World) {
    for at in world.members() {
        let Some(node) = world.boxes[at].node.as_ref() else { continue };
        let mut calls = Vec::new();
        for study in node.studies() {
            calls.push(Call::Study(study.name.clone(), StudyAction::Resume));
            let paused = study
                .trials()
                .iter()
                .filter(|t| t.state == metaopt_schema::trial::TrialState::Paused || t.pause_wanted());
            calls.extend(paused.map(|t| Call::Trial(t.place.id.clone(), TrialAction::Resume)));
        }
        for node in node.world().cluster.nodes.values().filter(|n| n.draining) {
            calls.push(Call::Node(node.id.clone(), NodeAction::Resume));
        }
        for call in calls {
            world.at(0, Event::Call { at, call, who: Who::Nobody });
        }
    }
}
