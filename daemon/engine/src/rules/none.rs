//! Never ends a trial early.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Reported, Rule, Verdict};
use crate::{history::History, options::Options};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct None;

impl None {
    /// `max_steps` is accepted (and shown as a trial's length), so that switching a rule off needs no other edit.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut read = Options::new(options, "/early_stopping", "none", &["max_steps"]);
        read.count("max_steps", 1, u64::MAX >> 1);
        read.done(Self)
    }
}

impl Rule for None {
    fn decide(&self, _: &History, _: &Reported) -> Verdict {
        Verdict::Continue
    }

    fn reads_curves(&self) -> bool {
        false
    }
}
