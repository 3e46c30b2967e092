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
    /// What a model expects over single parameters.
    Marginal(Marginal),
    /// What a model expects over two parameters.
    Contour(Contour),
    /// Who ran what when.
    Timeline(Timeline),
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

/// What a model of the results expects over single parameters, whatever the others are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Marginal {
    /// What is plotted.
    #[serde(flatten)]
    pub head: Head,
    /// One per parameter; empty while there are too few results.
    pub marginals: Vec<ParamMarginal>,
}

/// The curve over one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParamMarginal {
    /// The parameter.
    pub param: String,
    /// At most 40, in the order of values.
    pub points: Vec<MarginalPoint>,
}

/// What is expected at one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MarginalPoint {
    /// The parameter's value.
    pub x: Value,
    /// The metric's mean over the other parameters.
    pub mean: f64,
    /// How well the mean is known: how far the model's trees disagree about it (standard deviation).
    pub deviation: f64,
    /// Over the other parameters one configuration in ten is expected to be below this.
    pub low: f64,
    /// One in ten is expected to be above this.
    pub high: f64,
}

/// What a model of the results expects over two parameters, whatever the others are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Contour {
    /// What is plotted.
    #[serde(flatten)]
    pub head: Head,
    /// The first parameter; null while there are too few results or the study has fewer than two parameters.
    pub x: Option<String>,
    /// The second.
    pub y: Option<String>,
    /// Values of the first, at most 16.
    pub xs: Vec<Value>,
    /// Values of the second, at most 16.
    pub ys: Vec<Value>,
    /// The metric's means: a row per value of the second; null where both are never active together.
    pub means: Vec<Vec<Option<f64>>>,
}

/// Most bars of a timeline.
pub const MAX_BARS: usize = 5000;

/// Who ran what when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    /// The study's name.
    pub study: String,
    /// Attempts there were in the time asked for.
    pub total: u64,
    /// Those that started last, in the order of their starts; imported trials have none.
    pub bars: Vec<Bar>,
}

/// One attempt of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Bar {
    /// The trial.
    pub trial: String,
    /// What people type.
    pub label: String,
    /// The trial's position.
    pub number: u64,
    /// The trial's state.
    pub state: String,
    /// From 1 up.
    pub attempt: u32,
    /// Who held it.
    pub node: String,
    /// Slots it occupied on its node; none where a client held it.
    pub slots: Vec<String>,
    /// Milliseconds since 1970, UTC.
    pub started_ms: u64,
    /// The same; null while it runs.
    pub ended_ms: Option<u64>,
    /// Why it ended; null while it runs.
    pub reason: Option<String>,
    /// Steps that were done before it began.
    pub resume_step: u64,
    /// Its values are the trial's.
    pub counted: bool,
}
