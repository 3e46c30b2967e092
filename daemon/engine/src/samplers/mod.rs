//! The contract of samplers, written once, and their registry. One file per sampler.
//!
//! A sampler is a pure function: the same [`Ask`] gives the same [`Suggestion`] on every machine. It never answers a
//! configuration that the history knows (waiting and running ones included) while the space has another one.

mod auto;
mod bore;
mod breed;
mod cmaes;
pub(crate) mod drafts;
mod evolution;
mod fold;
pub(crate) mod gp;
mod grid;
mod nsga2;
pub(crate) mod own;
pub mod parzen;
mod random;
mod sobol;
mod tpe;

use metaopt_schema::{FieldError, space::Params, study::SamplerSpec};

use crate::{history::History, options};

/// Everything a suggestion depends on.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// What is known of the study; it carries the space.
    pub history: &'a History,
    /// The study's seed.
    pub seed: u64,
    /// The proposing node's slot in this study: its creator 0, others a hash of their ID.
    pub slot: u64,
    /// How many suggestions this node has drawn in this study before (never reused, also after a restart).
    pub draw: u64,
    /// Nodes that propose, as published; empty or one: alone.
    pub members: &'a [Member],
    /// The proposing node's position in `members`.
    pub me: usize,
    /// Trials that the budget still allows; none: no end.
    pub budget_left: Option<u64>,
}

/// A node that proposes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    /// [`crate::hash64`] of its node ID.
    pub id: u64,
    /// Its share of the work, above 0 (published slots times speed).
    pub weight: f64,
}

/// What a sampler answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suggestion {
    /// Canonical values of the active parameters, in order of declaration; never a fidelity.
    pub params: Params,
    /// The sampler that chose: for `auto` the one it handed over to.
    pub sampler: &'static str,
    /// What the sampler fitted and wants to find again in the trial's [`crate::Record::fit`]; mostly empty.
    pub fit: Vec<f32>,
    /// Why `auto` handed over to this sampler; empty for others.
    pub why: &'static str,
}

/// Why there is nothing to suggest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Every configuration of the finite space is known.
    Exhausted,
    /// What is left belongs to other nodes: ask again when the history or the members change.
    Wait,
}

/// Proposes configurations.
pub trait Sampler: Send + Sync {
    /// The next configuration, or why there is none.
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop>;
}

/// Samplers of this version, as named in a study.
pub const NAMES: [&str; 10] = ["auto", "tpe", "gp", "cmaes", "evolution", "nsga2", "bore", "sobol", "random", "grid"];

/// The grid sampler by itself, to check whether it fits a space.
pub(crate) fn grid(options: &indexmap::IndexMap<String, serde_json::Value>) -> Result<grid::Grid, Vec<FieldError>> {
    grid::Grid::new(options)
}

/// The sampler that a study names, with its options; errors point into `/sampler`.
pub fn sampler(spec: &SamplerSpec) -> Result<Box<dyn Sampler>, Vec<FieldError>> {
    let options = &spec.options;
    Ok(match spec.name.as_str() {
        "auto" => Box::new(auto::Auto::new(options)?),
        "tpe" => Box::new(tpe::Tpe::new(options, "tpe")?),
        "gp" => Box::new(gp::Gp::new(options)?),
        "cmaes" => Box::new(cmaes::Cmaes::new(options)?),
        "evolution" => Box::new(evolution::Evolution::new(options)?),
        "nsga2" => Box::new(nsga2::Nsga2::new(options)?),
        "bore" => Box::new(bore::Bore::new(options)?),
        "random" => Box::new(random::Random::new(options)?),
        "sobol" => Box::new(sobol::Sobol::new(options)?),
        "grid" => Box::new(grid::Grid::new(options)?),
        other => return Err(options::no_such("sampler", "/sampler/name", other, &NAMES, &[])),
    })
}
