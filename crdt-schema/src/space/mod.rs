//! The search space: what may vary, in what range, and when (CONTRACT's JSON form).

mod check;
pub mod count;
pub mod domain;
mod merge;
pub mod validate;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A configuration as people see it: active parameters by name; categorical values are the JSON given as choices.
pub type Params = IndexMap<String, Value>;

/// All parameters, parents before children.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    /// In order of declaration.
    pub params: Vec<Param>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Unique within the space.
    pub name: String,
    /// Its type and range.
    #[serde(flatten)]
    pub domain: Domain,
    /// The value to try first, and that of trials from before the parameter was added.
    // `null` is a choice like any other, so it is not the same as no default.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Active only where every named parent has one of the listed values (people may write a single value without a list).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<IndexMap<String, Vec<Value>>>,
}

/// A parameter's type and range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Domain {
    /// A real number in `[low, high]`.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Searched on a logarithmic scale (`low` above 0, no `step`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        log: bool,
        /// Only `low + i·step`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<f64>,
        /// Where good values are thought to lie.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prior: Option<Prior>,
    },
    /// A whole number in `[low, high]`.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value, included.
        high: i64,
        /// Searched on a logarithmic scale (`low` above 0, `step` 1).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        log: bool,
        /// Only `low + i·step`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<i64>,
        /// Where good values are thought to lie.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prior: Option<Prior>,
    },
    /// One of several values without an order.
    Categorical {
        /// Strings, numbers, booleans or null.
        choices: Vec<Value>,
    },
    /// One of several values in order.
    Ordinal {
        /// Strings, numbers, booleans or null, smallest first.
        choices: Vec<Value>,
    },
    /// `true` or `false`.
    Bool {},
    /// How much to spend on an attempt (epochs, a share of the data): chosen by the early-stopping rule, no part of a configuration's identity.
    Fidelity {
        /// Smallest.
        low: i64,
        /// Largest.
        high: i64,
        /// Ratio of successive rungs.
        #[serde(default = "default_base")]
        base: i64,
    },
}

fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn default_base() -> i64 {
    3
}

/// A prior over a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prior {
    /// Mean and standard deviation of the value; of its natural logarithm where `log` is set. Cut off at the range's ends.
    Normal(f64, f64),
}
