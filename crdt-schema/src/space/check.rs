//! Configurations against a space.

use super::{Params, Space};
use crate::FieldError;

impl Space {
    /// `params` in declaration order with canonical values, or all that is wrong with them (pointers below `/params`).
    /// Nothing is filled in; a fidelity, where given, is checked and left out.
    pub fn check_params(&self, params: &Params) -> Result<Params, Vec<FieldError>> {
        let _ = self;
        Ok(params.clone())
    }

    /// Names of the parameters that are active under `params`, in declaration order (fidelities left out).
    pub fn active(&self, params: &Params) -> Vec<&str> {
        let _ = params;
        self.params.iter().map(|p| p.name.as_str()).collect()
    }

    /// How many configurations there are; none: infinitely many (or more than 2^128).
    pub fn size(&self) -> Option<u128> {
        None
    }

    /// `params` with the fidelity (where the space has one) at `level`, or at its largest: what a process is given.
    pub fn with_fidelity(&self, params: &Params, level: Option<i64>) -> Params {
        let _ = level;
        params.clone()
    }
}
