//! From the node's views to what people read.
//!
//! Owns: names for nodes, times as text, the shapes of answers. Must not: choose what is shown.

use indexmap::IndexMap;
use metaopt_api::{node as dto_node, study as dto_study, trial as dto};
use metaopt_core::{Node, NodeStatus, Now, slots::Slot};
use metaopt_schema::{
    Named, NodeId,
    facts::SlotKind,
    stamp::WallMs,
    study::StudyState,
    trial::{Proposer, Reason, TrialState},
    view::{AttemptView, StudyView, TrialView},
};
use serde::Serialize;
use serde_json::Value;

/// RFC 3339, UTC, with milliseconds.
pub fn time(ms: WallMs) -> String {
    let read = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", read.unwrap_or(jiff::Timestamp::MAX))
}

/// A node's name, or its ID where it has none.
pub fn node_name(node: &Node, id: &NodeId) -> String {
    node.name_of(id).to_owned()
}

fn json<T: Serialize>(value: &T) -> Value {
    // Domain types are plain data with string keys: writing them as JSON can't fail.
    serde_json::to_value(value).unwrap_or_default()
}

/// A study.
pub fn study(node: &Node, study: &StudyView, now: Now) -> dto_study::Study {
    let def = &study.record.def;
    let best = study.best().map(|t| Box::new(trial(node, study, t)));
    dto_study::Study {
        id: study.id.to_string(),
        name: study.name.clone(),
        state: study_state(node.state_of(study, now)),
        space: json(&study.space),
        objectives: json(&def.objectives),
        constraints: json(&def.constraints),
        sampler: json(&def.sampler),
        early_stopping: json(&def.early_stopping),
        budget: json(&study.budget),
        run: json(&def.run),
        note: study.note.clone(),
        user_attrs: study.user_attrs.clone(),
        counts: counts(study),
        best,
        created_at: time(study.record.at.ms),
        node: node_name(node, &study.record.node),
        eta_s: node.eta_s(study, now),
        why_idle: node.why_idle(study, now),
        forked_from: study.record.forked_from.as_ref().map(ToString::to_string),
        warm_start: None,
        spark: None,
        space_conflict: study.space_conflict.clone(),
    }
}

/// A study's state.
pub fn study_state(state: StudyState) -> dto_study::StudyState {
    match state {
        StudyState::Running => dto_study::StudyState::Running,
        StudyState::Paused => dto_study::StudyState::Paused,
        StudyState::Complete => dto_study::StudyState::Complete,
        StudyState::Cancelled => dto_study::StudyState::Cancelled,
        StudyState::Archived => dto_study::StudyState::Archived,
    }
}

fn counts(study: &StudyView) -> dto_study::Counts {
    dto_study::Counts {
        waiting: study.count(TrialState::Waiting),
        running: study.count(TrialState::Running),
        paused: study.count(TrialState::Paused),
        complete: study.count(TrialState::Complete),
        pruned: study.count(TrialState::Pruned),
        fail: study.count(TrialState::Fail),
        infeasible: study.count(TrialState::Infeasible),
        cancelled: study.count(TrialState::Cancelled),
    }
}

/// A trial.
pub fn trial(node: &Node, study: &StudyView, trial: &TrialView) -> dto::Trial {
    let shown = trial.shown();
    let end = trial.end();
    let sampler = match &trial.spec.by {
        Proposer::Sampler { name, seed, .. } => Some(dto::SampledBy { name: name.to_string(), seed: *seed }),
        Proposer::Enqueued | Proposer::Imported => None,
    };
    dto::Trial {
        id: trial.place.id.to_string(),
        label: trial.label(),
        number: study.number(trial),
        study: study.name.clone(),
        study_id: study.id.to_string(),
        state: trial_state(trial.state),
        reason: end.map(|e| reason(e.reason)),
        detail: end.and_then(|e| e.detail.clone()),
        params: match shown.and_then(|a| a.claim.as_ref()).map(|claim| claim.until).filter(|until| *until > 0) {
            Some(until) => study.space.with_fidelity(&trial.spec.params.params(), Some(until as i64)),
            None => trial.spec.params.params(),
        },
        values: plain(trial.values()),
        node: shown.map(|a| node_name(node, &a.node)),
        attempt: shown.map(|a| a.attempt),
        attempts: trial.attempts.iter().enumerate().map(|(i, a)| attempt(node, a, trial.counted == Some(i))).collect(),
        last_step: trial.last_step(),
        resume_step: shown.and_then(|a| a.claim.as_ref()).map_or(0, |c| c.resume_step),
        predicted: node.predicted(study, trial).map(|it| dto::Predicted {
            value: it.value,
            low: it.low,
            high: it.high,
            step: it.step,
            remaining_s: it.remaining_s,
        }),
        why: None,
        created_at: time(trial.spec.at.ms),
        started_at: trial.started_at().map(time),
        finished_at: trial.finished_at().map(time),
        user_attrs: trial.user_attrs().clone(),
        note: trial.note().to_owned(),
        sampler,
    }
}

fn attempt(node: &Node, attempt: &AttemptView, counted: bool) -> dto::Attempt {
    let end = attempt.effective_end();
    dto::Attempt {
        attempt: attempt.attempt,
        node: node_name(node, &attempt.node),
        started_at: attempt.claim.as_ref().map(|c| time(c.at.ms)),
        ended_at: end.map(|e| time(e.at.ms)),
        reason: end.map(|e| reason(e.reason)),
        detail: end.and_then(|e| e.detail.clone()),
        exit_code: attempt.end.as_ref().and_then(|e| e.exit_code),
        counted,
        values: plain(end.map(|e| e.values.clone()).unwrap_or_default()),
        last_step: attempt.last_step(),
        resume_step: attempt.claim.as_ref().map_or(0, |c| c.resume_step),
        slots: attempt.claim.as_ref().map(|c| c.slots.clone()).unwrap_or_default(),
    }
}

/// A trial's state.
pub fn trial_state(state: TrialState) -> dto::TrialState {
    match state {
        TrialState::Waiting => dto::TrialState::Waiting,
        TrialState::Running => dto::TrialState::Running,
        TrialState::Paused => dto::TrialState::Paused,
        TrialState::Complete => dto::TrialState::Complete,
        TrialState::Pruned => dto::TrialState::Pruned,
        TrialState::Fail => dto::TrialState::Fail,
        TrialState::Infeasible => dto::TrialState::Infeasible,
        TrialState::Cancelled => dto::TrialState::Cancelled,
    }
}

/// The word for a reason.
pub fn reason_word(of: Reason) -> String {
    json(&reason(of)).as_str().unwrap_or_default().to_owned()
}

fn reason(reason: Reason) -> dto::Reason {
    match reason {
        Reason::Exit => dto::Reason::Exit,
        Reason::MissingMetric => dto::Reason::MissingMetric,
        Reason::Timeout => dto::Reason::Timeout,
        Reason::Oom => dto::Reason::Oom,
        Reason::SetupFailed => dto::Reason::SetupFailed,
        Reason::LostNode => dto::Reason::LostNode,
        Reason::LostClient => dto::Reason::LostClient,
        Reason::Preempted => dto::Reason::Preempted,
        Reason::Pruned => dto::Reason::Pruned,
        Reason::Paused => dto::Reason::Paused,
        Reason::Cancelled => dto::Reason::Cancelled,
        Reason::Superseded => dto::Reason::Superseded,
    }
}

fn plain<V>(named: Named<V>) -> IndexMap<String, V> {
    named.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// A point of a curve.
pub fn report(point: &metaopt_schema::trial::Point) -> dto::Report {
    dto::Report { step: point.step, values: plain(point.values.clone()), time: time(point.at) }
}

/// A node.
pub fn node(status: NodeStatus) -> dto_node::Node {
    dto_node::Node {
        id: status.id.to_string(),
        name: status.name,
        state: match status.state {
            "suspect" => dto_node::NodeState::Suspect,
            "lost" => dto_node::NodeState::Lost,
            "draining" => dto_node::NodeState::Draining,
            "quarantined" => dto_node::NodeState::Quarantined,
            "removed" => dto_node::NodeState::Removed,
            _ => dto_node::NodeState::Alive,
        },
        addresses: status.addresses,
        version: status.version,
        slots: status.slots.iter().map(slot).collect(),
        labels: status.labels,
        last_seen: status.last_seen.map(time),
        why: status.why,
    }
}

fn slot(slot: &Slot) -> dto_node::Slot {
    dto_node::Slot {
        id: slot.spec.id.clone(),
        kind: match slot.spec.kind {
            SlotKind::Gpu => dto_node::SlotKind::Gpu,
            SlotKind::Cpu => dto_node::SlotKind::Cpu,
        },
        state: match (&slot.foreign, slot.used.is_empty()) {
            (Some(_), _) => dto_node::SlotState::BusyForeign,
            (None, false) => dto_node::SlotState::Busy,
            (None, true) => dto_node::SlotState::Free,
        },
        trials: slot
            .used
            .iter()
            .map(|(key, share)| dto_node::SlotShare { id: key.trial.to_string(), share: *share })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        assert_eq!(super::time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(super::time(1_795_507_200_123), "2026-11-24T08:00:00.123Z");
    }
}
