//! What goes over the REST API: request and response types, problem codes, and the OpenAPI document made from them.
//!
//! Owns: the shape of every body. Must not: hold logic; other crates translate to and from domain types.

pub mod cluster;
pub mod columns;
pub mod gc;
pub mod importance;
pub mod list;
pub mod node;
pub mod openapi;
pub mod plot;
pub mod problem;
pub mod study;
pub mod token;
pub mod trial;

pub use list::Page;
pub use problem::{FieldProblem, Problem, ProblemKind};

/// Metric values by name, in the user's sign.
pub type Values = indexmap::IndexMap<String, f64>;
/// Free attributes by name.
pub type Attrs = indexmap::IndexMap<String, serde_json::Value>;
