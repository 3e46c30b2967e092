//! What a study's results say about its parameters: which matter, where the best trials lie, what a model expects elsewhere.
//!
//! Owns: a bounded sample of the results, and everything computed from it, so that whoever holds a history need only copy.
//! Answers depend on the results alone, and the time they take doesn't grow with the study.

mod ped;
mod rules;
mod surrogate;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use metaopt_schema::space::Space;
use serde_json::Value;

pub use ped::{Best, Importance, TOP, best_of, importances};
pub use rules::{Condition, Rule, rules};
pub use surrogate::{Grid, Pair, Pairs, Point, Surrogate};

use crate::{
    codec::{Axis, Cell, Codec, Config},
    history::History,
    pareto,
};

/// Trials needed before anything can be said.
pub const MIN_TRIALS: usize = 10;
/// Most trials of a sample; more parameters allow fewer.
const MAX_ROWS: usize = 10_000;
/// Fewest, however many parameters there are.
const MIN_ROWS: usize = 1000;
/// Most coordinates in all.
const MAX_CELLS: usize = 400_000;

/// One finished trial.
#[derive(Clone, Debug)]
struct Row {
    key: u64,
    /// Its coordinates ([`Config::u`]).
    u: Vec<f64>,
    /// Objectives, smaller is better; empty where it has none (pruned, infeasible).
    costs: Vec<f64>,
    feasible: bool,
}

/// Finished trials copied out of a history, best first; an even draw where there are very many.
#[derive(Clone, Debug)]
pub struct Sample {
    codec: Arc<Codec>,
    rows: Vec<Row>,
    objectives: usize,
    total: usize,
}

impl Sample {
    /// Copies what is needed.
    pub fn of(history: &History) -> Self {
        let codec = history.shared_codec();
        let most = (MAX_CELLS / codec.axes().len().max(1)).clamp(MIN_ROWS, MAX_ROWS);
        let row = |(record, config, feasible): (&crate::Record, &Config, bool)| Row {
            key: record.key,
            u: config.u.clone(),
            costs: record.costs.clone(),
            feasible,
        };
        let rows = history.judged(most).into_iter().map(row).collect();
        Self { codec, rows, objectives: history.objectives(), total: history.judgeable() }
    }

    /// The space.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// Finished trials there were, and how many of them the sample holds.
    pub fn size(&self) -> (usize, usize) {
        (self.total, self.rows.len())
    }

    /// Objectives of the study.
    pub fn objectives(&self) -> usize {
        self.objectives
    }

    /// The parameter of this name, unless it is a fidelity.
    pub fn param(&self, name: &str) -> Option<usize> {
        let found = self.codec.space().params.iter().position(|p| p.name == name)?;
        (!self.codec.space().params[found].domain.is_fidelity()).then_some(found)
    }

    /// A parameter's name.
    pub fn name(&self, param: usize) -> &str {
        &self.codec.space().params[param].name
    }

    /// Positions of rows, the best `want` first, by one objective or by non-dominated rank; those without a cost come last, as they
    /// came in the history.
    fn order(&self, objective: Option<usize>, want: usize) -> Vec<usize> {
        let objective = if self.objectives == 1 { Some(0) } else { objective };
        let Some(objective) = objective else {
            let (with, without): (Vec<usize>, Vec<usize>) =
                (0..self.rows.len()).partition(|i| self.rows[*i].feasible && !self.rows[*i].costs.is_empty());
            let costs: Vec<&[f64]> = with.iter().map(|i| self.rows[*i].costs.as_slice()).collect();
            return pareto::order(&costs, want).into_iter().map(|i| with[i]).chain(without).collect();
        };
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        let cost = |i: usize| {
            let row = &self.rows[i];
            row.costs.get(objective).filter(|_| row.feasible).copied().unwrap_or(f64::INFINITY)
        };
        // A stable sort: pruned and infeasible ones stay in the order of their ranks.
        order.sort_by(|a, b| {
            (!self.rows[*a].feasible).cmp(&!self.rows[*b].feasible).then(cost(*a).total_cmp(&cost(*b)))
        });
        order
    }

    /// The value of parameter `i` at a coordinate, as people write it.
    fn value(&self, i: usize, u: f64) -> Value {
        let cell = match self.codec.axes()[i] {
            Axis::Choice { .. } => Cell::Index(u as u64),
            _ => self.codec.at(i, u),
        };
        self.codec.value(i, cell)
    }
}

/// Importances by parameter, largest first, adding up to 1; empty while there are too few finished trials (10). With
/// several objectives "best" is by non-dominated rank.
pub fn importance(space: &Space, history: &History) -> Vec<(String, f64)> {
    let sample = Sample::of(history);
    if sample.codec().space() != space {
        return Vec::new();
    }
    importances(&sample, None, TOP).into_iter().map(|one| (sample.name(one.param).to_owned(), one.share)).collect()
}
