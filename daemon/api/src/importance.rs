//! Which parameters matter, and where the best trials lie.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `GET /studies/{study}/importances`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Importances {
    /// One per parameter, most important first; empty while there are too few results.
    pub items: Vec<Importance>,
    /// Always null: there is one page.
    pub next_cursor: Option<String>,
    /// The objective that says which trials are the best; null: several, by non-dominated rank.
    pub objective: Option<String>,
    /// Finished trials looked at (an even draw of very many).
    pub trials: u64,
    /// Of these, how many count as the best.
    pub best: u64,
    /// Parts of the space in which the best trials are frequent, the most telling first; at most 3.
    pub rules: Vec<Rule>,
    /// With `pairs`: what pairs of the most important parameters add to each other, largest first; null without it, or while
    /// there are too few results.
    pub pairs: Option<Vec<Pair>>,
}

/// How much one parameter matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Importance {
    /// The parameter.
    pub name: String,
    /// Its share; all add up to 1.
    pub importance: f64,
    /// In 9 of 10 redrawings of the trials the share lies between this and `high`; null below 50 trials.
    pub low: Option<f64>,
    /// See `low`.
    pub high: Option<f64>,
    /// Where the best trials lie; null where that is about where all do.
    pub best: Option<BestValues>,
    /// With `pairs`: the share of a model's variance that the parameter explains alone; null for less important ones.
    pub alone: Option<f64>,
}

/// The values that four in five of the best trials have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BestValues {
    /// The smallest of a number; null for choices.
    pub low: Value,
    /// The largest of a number; null for choices.
    pub high: Value,
    /// Choices, the most frequent first; empty for numbers.
    pub choices: Vec<Value>,
    /// Share of the best trials that have them, of those in which the parameter was active.
    pub of_best: f64,
    /// Share of all trials that have them.
    pub of_all: f64,
}

/// A part of the space in which the best trials are frequent: all its conditions hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// At most one per parameter.
    pub conditions: Vec<RuleCondition>,
    /// Trials in it.
    pub trials: u64,
    /// Share of these that are among the best.
    pub good: f64,
    /// Share of the best trials that are in it.
    pub of_best: f64,
    /// Share of all trials that are in it.
    pub of_all: f64,
}

/// What holds of one parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleCondition {
    /// The parameter.
    pub param: String,
    /// Whether it must be active; null where nothing is said of that.
    pub active: Option<bool>,
    /// The smallest value there; null: no bound.
    pub at_least: Value,
    /// The largest value there; null: no bound.
    pub at_most: Value,
    /// The choices there; empty: nothing is said of them.
    pub one_of: Vec<Value>,
}

/// How much two parameters matter together, beyond what each does alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pair {
    /// Both, in the order of the space.
    pub params: [String; 2],
    /// Share of a model's variance.
    pub share: f64,
}
