//! Where configurations come from and when trials are ended early: pure functions of a history.
//!
//! Owns: the encoding of a space, canonical configuration ids, samplers, early-stopping rules, importances.
//! Must not: know documents, clocks, files or threads; draw from anything but the seeded generator in [`rng`].
//! Given the same arguments every function here answers the same on every machine (maths through `libm`).

mod algebra;
pub mod check;
pub mod codec;
mod forest;
pub mod history;
pub mod importance;
mod math;
mod options;
mod pareto;
pub mod rng;
pub mod rules;
pub mod samplers;

pub use check::check_study;
pub use history::{History, Record, RecordState};
pub use importance::importance;
pub use rules::{Forecast, Free, Newcomer, Next, Reported, Rule, Verdict, forecast, rule, rule_of};
pub use samplers::{Ask, Member, Sampler, Stop, Suggestion, sampler};

/// A stable 64-bit hash, for [`Record::key`] (of a trial's ID) and [`Member::id`] (of a node's).
pub fn hash64(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}
