//! Linear algebra and optimisation that the models of samplers and rules share.

pub mod lbfgs;
pub mod linalg;
