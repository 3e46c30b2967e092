//! Folds over the canonical order of results that begin where they were left: answers are those of the whole fold.
//!
//! Some states along the way are kept with the history. A result that comes late and belongs earlier goes on from a state
//! before it.

use std::sync::Arc;

use crate::history::History;

/// States kept; when there are more, every second of the older half goes.
const KEPT: usize = 12;

/// A state, and the first place in the order of results that it hasn't seen.
#[derive(Clone, Debug)]
pub struct Mark<T> {
    /// That place.
    pub next: (u64, u64),
    /// The state.
    pub state: T,
}

/// What is kept of one fold.
pub struct Marks<T> {
    name: u64,
    marks: Vec<Mark<T>>,
    changed: bool,
}

impl<T: Clone + Send + Sync + 'static> Marks<T> {
    /// The states under `name` that no later change has touched. A name stands for all that the fold depends on beside
    /// the results.
    pub fn load(history: &History, name: u64) -> Self {
        let Some((kept, stale)) = history.cached::<Vec<Mark<T>>>(name) else {
            return Self { name, marks: Vec::new(), changed: true };
        };
        let sound = kept.partition_point(|mark| stale.is_none_or(|place| mark.next <= place));
        Self { name, marks: kept[..sound].to_vec(), changed: sound < kept.len() }
    }

    /// Where the fold goes on.
    pub fn last(&self) -> Option<&Mark<T>> {
        self.marks.last()
    }

    /// Keeps a state that has seen `last` and all before it.
    pub fn push(&mut self, last: (u64, u64), state: T) -> (u64, u64) {
        let next = (last.0, last.1.saturating_add(1));
        self.marks.push(Mark { next, state });
        self.changed = true;
        if self.marks.len() > KEPT {
            let mut at = 0;
            self.marks.retain(|_| {
                at += 1;
                at > KEPT / 2 || at % 2 == 0
            });
        }
        next
    }

    /// Keeps them with the history.
    pub fn save(self, history: &History) {
        if self.changed {
            history.cache(self.name, Arc::new(self.marks));
        }
    }
}
