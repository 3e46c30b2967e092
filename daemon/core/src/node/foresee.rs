//! What running and frozen trials are expected to come to, and when they will be there.
//!
//! Owns: the forecasts last made of a study, and how long steps take. Must not: fit models; that takes as long as it takes, so the
//! shell has it done on a copy while nobody waits.

use std::collections::BTreeMap;

use metaopt_engine::{Forecast, History, hash64};
use metaopt_schema::{
    StudyId,
    trial::TrialState,
    view::{AttemptView, StudyView, TrialView},
};

use super::Node;
use crate::Refusal;

/// Trials looked at for how long a step takes, the latest.
const LOOKED_AT: usize = 50;
/// Standard deviations on both sides of a forecast: four of five lie within.
const WHISKER: f64 = 1.281_551_565_544_6;

/// What a trial is expected to come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// The first objective's value at `step`, in its own sign.
    pub value: f64,
    /// Four of five lie between this
    pub low: f64,
    /// and this.
    pub high: f64,
    /// A trial's length.
    pub step: u64,
    /// Seconds of running until then; none where no step's time is known.
    pub remaining_s: Option<f64>,
}

/// A copy of what forecasts are made from.
#[derive(Clone, Debug)]
pub struct OpenCurves {
    /// The study.
    pub study: StudyId,
    /// Its trials.
    pub history: History,
    /// Those whose end is to be foretold.
    pub keys: Vec<u64>,
    /// A trial's length.
    pub length: u64,
}

impl Node {
    /// What a study's forecasts are made from; none where nothing is to be foretold.
    ///
    /// # Errors
    /// Unknown study.
    pub fn open_curves(&mut self, study: &str) -> Result<Option<OpenCurves>, Refusal> {
        let view = self.study(study)?;
        let (id, length) = (view.id.clone(), length(view));
        let open = view.held().chain(view.frozen()).filter(|trial| trial.last_step() > 0);
        let keys: Vec<u64> = open.map(|trial| hash64(trial.place.id.as_str())).collect();
        let (Some(length), false) = (length, keys.is_empty()) else { return Ok(None) };
        self.sync_history(&id);
        let Some(runtime) = self.studies.get(&id).filter(|runtime| runtime.rule.reads_curves()) else {
            return Ok(None);
        };
        Ok(Some(OpenCurves { study: id, history: runtime.history.clone(), keys, length }))
    }

    /// Takes the forecasts of [`Node::open_curves`].
    pub fn foresee(&mut self, study: &StudyId, forecasts: BTreeMap<u64, Forecast>) {
        if let Some(runtime) = self.studies.get_mut(study) {
            runtime.forecasts = forecasts;
        }
    }

    /// What a running or frozen trial is expected to come to, as far as it was foretold.
    pub fn predicted(&self, study: &StudyView, trial: &TrialView) -> Option<Predicted> {
        if !matches!(trial.state, TrialState::Running | TrialState::Paused) {
            return None;
        }
        let forecast = self.studies.get(&study.id)?.forecasts.get(&hash64(trial.place.id.as_str()))?;
        let direction = study.record.def.objectives.first()?.direction;
        let at = |z: f64| direction.cost(forecast.mean + z * forecast.sd);
        let (one, other) = (at(-WHISKER), at(WHISKER));
        let left = forecast.steps.saturating_sub(trial.last_step()) as f64;
        let remaining_s = step_s(study, trial).map(|step| left * step);
        Some(Predicted { value: at(0.0), low: one.min(other), high: one.max(other), step: forecast.steps, remaining_s })
    }
}

/// A trial's length, as the rule's options or the fidelity say.
pub(super) fn length_said(study: &StudyView) -> Option<u64> {
    let said = study.record.def.early_stopping.options.get("max_steps").and_then(serde_json::Value::as_u64);
    said.or_else(|| study.space.fidelity().map(|(_, high, _)| high.max(1) as u64))
}

/// The same; where nobody says, that of the longest that was counted.
fn length(study: &StudyView) -> Option<u64> {
    let said = length_said(study);
    let counted = || study.trials().iter().rev().filter(|trial| trial.state == TrialState::Complete).take(LOOKED_AT);
    said.or_else(|| counted().map(TrialView::last_step).max()).filter(|steps| *steps > 0)
}

/// Seconds that a step of a trial takes: as it went lately, else as others went, on its node before others.
fn step_s(study: &StudyView, trial: &TrialView) -> Option<f64> {
    if let Some(own) = trial.shown().and_then(step_of) {
        return Some(own);
    }
    let node = trial.shown().map(|attempt| &attempt.node);
    let attempts = study.trials().iter().rev().take(LOOKED_AT).flat_map(|trial| &trial.attempts);
    let mut seen: Vec<(bool, f64)> = attempts.filter_map(|a| Some((Some(&a.node) != node, step_of(a)?))).collect();
    let near = seen.iter().filter(|(far, _)| !far).count();
    seen.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    seen.get(if near > 0 { near / 2 } else { seen.len() / 2 }).map(|(_, step)| *step)
}

/// Seconds that a step of an attempt took, by its points in memory.
pub(super) fn step_of(attempt: &AttemptView) -> Option<f64> {
    let mut points = attempt.curve.points();
    let (first, last) = (points.next()?, points.last()?);
    let steps = last.step.checked_sub(first.step).filter(|steps| *steps > 0)?;
    Some(last.at.saturating_sub(first.at) as f64 / 1000.0 / steps as f64)
}
