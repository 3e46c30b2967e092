//! What samplers and rules see of a study: one record a trial, with its configuration encoded once.
//!
//! Owns: the records, in an order that doesn't depend on when they arrived, and caches over them.
//! Must not: know documents, attempts or leases; the caller says which value counts.

use std::collections::BTreeMap;

use metaopt_schema::space::{Params, Space};

/// A trial's state, as far as models care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordState {
    /// Waiting, running or paused.
    Pending,
    /// Has a counted result.
    Complete,
    /// Ended early by a rule.
    Pruned,
    /// The configuration's own failure (a crash, memory, a missing metric), not a machine's.
    Failed,
    /// Told infeasible.
    Infeasible,
    /// Known, but says nothing (cancelled).
    Ignored,
}

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place in the canonical order; ties go by `key`.
    pub order: u64,
    /// [`crate::hash64`] of its ID.
    pub key: u64,
    /// Its configuration.
    pub params: Params,
    /// Its state.
    pub state: RecordState,
    /// Objectives in the study's order, the sign turned so that smaller is better; empty unless complete.
    pub costs: Vec<f64>,
    /// Sum over the constraints of how far each is broken, 0 where none is.
    pub violation: f64,
    /// Its last reported step.
    pub last_step: u64,
    /// The first objective's cost as reported, by step; may be empty.
    pub curve: Vec<(u64, f64)>,
}

/// All records of a study.
#[derive(Clone, Debug)]
pub struct History {
    space: Space,
    records: BTreeMap<u64, Record>,
}

impl History {
    /// An empty history of a study over `space` with `objectives` objectives. A widened space needs a new history.
    pub fn new(space: &Space, objectives: usize) -> Self {
        let _ = objectives;
        Self { space: space.clone(), records: BTreeMap::new() }
    }

    /// The space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Adds a record, or replaces the one with its key.
    pub fn upsert(&mut self, record: Record) {
        self.records.insert(record.key, record);
    }

    /// Adds one point to a record's curve (and raises its `last_step`) without touching the rest; unknown keys are ignored.
    pub fn report(&mut self, key: u64, step: u64, cost: f64) {
        if let Some(record) = self.records.get_mut(&key) {
            record.last_step = record.last_step.max(step);
            record.curve.push((step, cost));
        }
    }

    /// Forgets a record.
    pub fn remove(&mut self, key: u64) {
        self.records.remove(&key);
    }

    /// A record by its key.
    pub fn get(&self, key: u64) -> Option<&Record> {
        self.records.get(&key)
    }
}
