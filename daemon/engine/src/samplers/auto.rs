//! Chooses for people who don't want to.
//!
//! This version always hands over to `tpe`. Where the finite space fits into the remaining budget, every configuration
//! will be tried anyway, so the model only decides their order: it weighs all that are left instead of a few draws.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Ask, Sampler, Stop, Suggestion, tpe::Tpe};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Auto {
    tpe: Tpe,
}

impl Auto {
    /// The options of `tpe` go through.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        Ok(Self { tpe: Tpe::new(options, "auto")? })
    }
}

impl Sampler for Auto {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let left =
            ask.history.codec().numbering().map(|cells| cells.size().saturating_sub(ask.history.known() as u128));
        let fits = left.zip(ask.budget_left).is_some_and(|(left, budget)| left <= u128::from(budget));
        self.tpe.suggest(ask, fits)
    }
}
