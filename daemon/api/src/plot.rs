//! Data of plots, bounded in size whatever the study's.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Most points of one plot.
pub const MAX_POINTS: usize = 2000;

/// `GET /studies/{study}/plots/{kind}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Plot {
    /// Values in the order of trials, and the best so far.
    History(History),
    /// Training curves.
    Curves(Curves),
    /// One line per trial through all parameters.
    Parallel(Parallel),
    /// The value over each parameter.
    Slice(Slice),
}

/// What is plotted, and how much of it there was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// The study's name.
    pub study: String,
    /// The metric.
    pub metric: String,
    /// `minimize` or `maximize`; null for a metric that isn't an objective.
    pub direction: Option<String>,
    /// Trials (for curves: points) there were before thinning.
    pub total: u64,
}

/// Values in the order of trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// What is plotted.
    #[serde(flatten)]
    pub head: Head,
    /// At most 2,000; all improvements are kept.
    pub points: Vec<HistoryPoint>,
}

/// One trial of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPoint {
    /// The trial's position.
    pub number: u64,
    /// The trial.
    pub trial: String,
    /// Its value.
    pub value: f64,
    /// The best so far; null for a metric without a direction.
    pub best: Option<f64>,
}

/// Training curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Curves {
    /// What is plotted.
    #[serde(flatten)]
    pub head: Head,
    /// Running trials and the best and latest others.
    pub curves: Vec<Curve>,
}

/// One trial's curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Curve {
    /// The trial's position.
    pub number: u64,
    /// The trial.
    pub trial: String,
    /// Its state.
    pub state: String,
    /// Pairs of step and value.
    pub points: Vec<(f64, f64)>,
}

/// Parallel coordinates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Parallel {
    /// What is plotted.
    #[serde(flatten)]
    pub head: Head,
    /// Parameters, in the order of the space.
    pub params: Vec<String>,
    /// Trials with a value.
    pub lines: Vec<ParallelLine>,
}

/// One trial through all parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParallelLine {
    /// The trial's position.
    pub number: u64,
    /// The trial.
    pub trial: String,
    /// One per parameter; null also where it is inactive.
    pub params: Vec<Value>,
    /// Its value.
    pub value: f64,
}

/// The value over each parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Slice {
    /// What is plotted.
    #[serde(flatten)]
    pub head: Head,
    /// One per parameter.
    pub slices: Vec<ParamSlice>,
}

/// One parameter against the value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParamSlice {
    /// The parameter.
    pub param: String,
    /// Trials in which it was active.
    pub points: Vec<SlicePoint>,
}

/// One trial of a slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlicePoint {
    /// The trial's position.
    pub number: u64,
    /// The parameter's value.
    pub x: Value,
    /// The metric's value.
    pub y: f64,
}
