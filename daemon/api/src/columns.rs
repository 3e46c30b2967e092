//! A study's trials in columns, for those who want very many of them.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most rows of one answer.
pub const MAX_ROWS: usize = 20_000;
/// Rows of one answer where nothing else is asked for.
pub const DEFAULT_ROWS: usize = 5_000;
/// Most parameters and values of one answer, whatever is asked for.
pub const MAX_CELLS: usize = 2_000_000;
/// Most metrics beside objectives and constraints.
pub const MORE_METRICS: usize = 20;

/// `GET /studies/{study}/columns`: newest first. All lists but those of words are as long as `count`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Columns {
    /// The study's name.
    pub study: String,
    /// Trials of the study.
    pub total: u64,
    /// Rows of this answer.
    pub count: u64,
    /// Give it as `cursor` for older ones; null at the end.
    pub next_cursor: Option<String>,
    /// Words of `state`.
    pub states: Vec<String>,
    /// Words of `node`.
    pub nodes: Vec<String>,
    /// Words of `reason`.
    pub reasons: Vec<String>,
    /// Trials.
    pub id: Vec<String>,
    /// What people type.
    pub label: Vec<String>,
    /// Positions in the study.
    pub number: Vec<u64>,
    /// Positions in `states`.
    pub state: Vec<u32>,
    /// Positions in `nodes`; null where nobody has taken the trial yet.
    pub node: Vec<Option<u32>>,
    /// Positions in `reasons`; null where there is none.
    pub reason: Vec<Option<u32>>,
    /// The last steps of the shown attempts.
    pub last_step: Vec<u64>,
    /// Milliseconds since 1970, UTC.
    pub created_ms: Vec<u64>,
    /// The same; null where the trial hasn't started.
    pub started_ms: Vec<Option<u64>>,
    /// The same; null where the trial isn't over.
    pub finished_ms: Vec<Option<u64>>,
    /// By parameter: numbers, and of categorical, ordinal and bool ones positions among their choices (bool: 0, 1); null
    /// where it is inactive.
    pub params: IndexMap<String, Vec<Option<f64>>>,
    /// By metric: objectives, constraints, and the 20 others that most trials have; null where there is none.
    pub values: IndexMap<String, Vec<Option<f64>>>,
}
